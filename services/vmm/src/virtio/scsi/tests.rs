//! What a driver sees of a drive, and what it may not do to it.

use super::drive::{BLOCK, Medium};
use super::*;
use crate::virtio::testing::{Driver, Part};
use std::os::unix::fs::FileExt;

const REQUESTS: usize = 2;
const BLOCKS: u64 = 20;

/// An image whose blocks are filled with their numbers.
fn disc() -> Medium {
    let file = tempfile::tempfile().unwrap();
    for block in 0..BLOCKS {
        let bytes = [block as u8 + 1; BLOCK as usize];
        file.write_all_at(&bytes, block * BLOCK).unwrap();
    }
    Medium::new(file).unwrap()
}

fn adapter(medium: Option<Medium>) -> (Scsi, Arc<Drive>) {
    let drive = Arc::new(Drive::new("ide2", medium));
    (Scsi::new(vec![drive.clone()]), drive)
}

fn request(lun: [u8; 8], command: &[u8]) -> Vec<u8> {
    let mut bytes = lun.to_vec();
    bytes.extend([0; 11]);
    bytes.extend(command);
    bytes.resize(REQUEST, 0);
    bytes
}

/// What a command came to: status, sense key with its code, and the bytes written.
fn command(scsi: &mut Scsi, command: &[u8], room: usize) -> (u8, [u8; 2], Vec<u8>) {
    let mut driver = Driver::new(3);
    let out = request([1, 0, 0x40, 0, 0, 0, 0, 0], command);
    let parts = [Part::Out(out), Part::In(RESPONSE), Part::In(room)];
    driver.submit_to(REQUESTS, &parts);
    scsi.kicked(&mut driver.live, REQUESTS).unwrap();
    let written = driver.completed_on(REQUESTS).unwrap() as usize - RESPONSE;
    let response = driver.bytes_of(1, RESPONSE);
    assert_eq!(response[11], Response::Ok as u8);
    let left = u32::from_le_bytes([response[4], response[5], response[6], response[7]]);
    assert_eq!(left as usize, room - written);
    let sense = [response[12 + 2], response[12 + 12]];
    (response[10], sense, driver.bytes_of(2, written))
}

#[test]
fn a_disc_is_found_and_read() {
    let (mut scsi, _drive) = adapter(Some(disc()));
    let (status, _, who) = command(&mut scsi, &[0x12, 0, 0, 0, 96, 0], 96);
    assert_eq!((status, who[0], who[1], who.len()), (0, 5, 0x80, 36));
    let (_, _, capacity) = command(&mut scsi, &[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8);
    assert_eq!(capacity, [0, 0, 0, BLOCKS as u8 - 1, 0, 0, 8, 0]);
    let (_, _, long) = command(
        &mut scsi,
        &[0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32],
        32,
    );
    assert_eq!((long[7], long[10], long.len()), (BLOCKS as u8 - 1, 8, 32));
    let reads: [&[u8]; 3] = [
        &[0x28, 0, 0, 0, 0, 3, 0, 0, 2, 0],
        &[0xa8, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0],
        &[0x88, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0],
    ];
    for read in reads {
        let (status, _, data) = command(&mut scsi, read, 4096);
        assert_eq!(status, STATUS_GOOD);
        assert_eq!((data[0], data[2047], data[2048]), (4, 4, 5));
    }
    let (_, _, short) = command(&mut scsi, reads[0], 100);
    assert_eq!(short, [4; 100]);
}

#[test]
fn tables_have_the_lengths_that_they_say() {
    let (mut scsi, _drive) = adapter(Some(disc()));
    let (_, _, toc) = command(&mut scsi, &[0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0], 255);
    assert_eq!(toc.len(), 2 + usize::from(toc[1]));
    assert_eq!((toc[2], toc[3], toc[6], toc[14]), (1, 1, 1, 0xaa));
    let (_, _, time) = command(&mut scsi, &[0x43, 2, 0, 0, 0, 0, 0, 0, 255, 0], 255);
    assert_eq!(
        time[8..12],
        [0, 0, 2, 0],
        "the first block is two seconds in"
    );
    let (_, _, features) = command(&mut scsi, &[0x46, 0, 0, 0, 0, 0, 0, 1, 0, 0], 256);
    assert_eq!(features.len(), 4 + usize::from(features[3]));
    assert_eq!(features[6..8], [0, 8], "the current profile is a CD");
    let (_, _, mode) = command(&mut scsi, &[0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 128, 0], 128);
    assert_eq!(mode.len(), 2 + usize::from(mode[1]));
    let (_, _, mode) = command(&mut scsi, &[0x1a, 0, 0x3f, 0, 128, 0], 128);
    assert_eq!(mode.len(), 1 + usize::from(mode[0]));
    let (_, _, units) = command(&mut scsi, &[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0], 16);
    assert_eq!(units, [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_change_of_discs_is_told_once() {
    let (mut scsi, drive) = adapter(None);
    let ready = [0; 6];
    let events = [0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0];
    assert_eq!(command(&mut scsi, &ready, 0).1, [2, 0x3a]);
    drive.change(Some(disc()));
    let (_, _, event) = command(&mut scsi, &events, 8);
    assert_eq!((event[4], event[5]), (2, 2), "a new disc, present");
    assert_eq!(command(&mut scsi, &events, 8).2[4], 0);
    assert_eq!(command(&mut scsi, &ready, 0).1, [6, 0x28]);
    assert_eq!(command(&mut scsi, &ready, 0).0, STATUS_GOOD);
    drive.change(None);
    assert_eq!(command(&mut scsi, &events, 8).2[4..6], [3, 0]);
    assert_eq!(command(&mut scsi, &ready, 0).1, [6, 0x28]);
    assert_eq!(command(&mut scsi, &ready, 0).1, [2, 0x3a]);
}

#[test]
fn a_locked_tray_stays_closed_for_the_guest() {
    let (mut scsi, drive) = adapter(Some(disc()));
    let eject = [0x1b, 0, 0, 0, 2, 0];
    command(&mut scsi, &[0x1e, 0, 0, 0, 1, 0], 0);
    assert_eq!(command(&mut scsi, &eject, 0).1, [5, 0x53]);
    command(&mut scsi, &[0x1e, 0, 0, 0, 0, 0], 0);
    assert_eq!(command(&mut scsi, &eject, 0).0, STATUS_GOOD);
    assert!(drive.tray().medium.is_none());
}

#[test]
fn nothing_is_read_beyond_the_disc() {
    let (mut scsi, _drive) = adapter(Some(disc()));
    let beyond: [&[u8]; 4] = [
        &[0x28, 0, 0, 0, 0, 20, 0, 0, 1, 0],
        &[0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0],
        &[0xa8, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0],
        &[
            0x88, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0,
        ],
    ];
    for read in beyond {
        assert_eq!(command(&mut scsi, read, 4096).1, [5, 0x21]);
    }
    let empty = tempfile::tempfile().unwrap();
    empty.set_len(100).unwrap();
    assert!(Medium::new(empty).is_err());
    let huge = tempfile::tempfile().unwrap();
    huge.set_len(BLOCK << 32).unwrap();
    assert!(Medium::new(huge).is_err());
}

#[test]
fn other_targets_and_units_are_not_there() {
    let (mut scsi, _drive) = adapter(Some(disc()));
    for lun in [
        [1, 1, 0x40, 0, 0, 0, 0, 0],
        [1, 0, 0x40, 1, 0, 0, 0, 0],
        [0; 8],
        [0xff; 8],
    ] {
        let mut driver = Driver::new(3);
        let parts = [Part::Out(request(lun, &[0; 6])), Part::In(RESPONSE)];
        driver.submit_to(REQUESTS, &parts);
        scsi.kicked(&mut driver.live, REQUESTS).unwrap();
        driver.completed_on(REQUESTS).unwrap();
        assert_eq!(driver.bytes_of(1, RESPONSE)[11], Response::BadTarget as u8);
    }
}

#[test]
fn the_control_queue_has_an_answer_to_everything() {
    let (mut scsi, _drive) = adapter(None);
    for (kind, answer) in [(0u32, 0), (1, 0), (2, 0), (77, FUNCTION_REJECTED)] {
        let mut driver = Driver::new(3);
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.resize(24, 0);
        driver.submit_to(CONTROL, &[Part::Out(bytes), Part::In(1)]);
        scsi.kicked(&mut driver.live, CONTROL).unwrap();
        assert_eq!(driver.completed_on(CONTROL), Some(1));
        assert_eq!(driver.bytes_of(1, 1), [answer]);
    }
}

/// Any command block, any room: every answer is allowed except a crash, or one longer than the
/// room.
#[test]
fn random_commands_are_survived() {
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let (scsi, drive) = adapter(Some(disc()));
    let known = [
        0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x43, 0x46, 0x4a, 0x51, 0x5a, 0x88, 0x9e,
        0xa0, 0xa8,
    ];
    let driver = Driver::new(3);
    for round in 0..20_000 {
        let mut block = [0u8; CDB_LEN];
        block.fill_with(|| random() as u8);
        if round % 4 != 0 {
            block[0] = known[random() as usize % known.len()];
        }
        if round % 100 == 0 {
            drive.change((random() % 2 == 0).then(disc));
        }
        let chain = Chain {
            readable: driver.spans(0, REQUEST),
            writable: driver.spans(1, RESPONSE + random() as usize % 5000),
            ..Chain::default()
        };
        let room = chain.writable.len();
        let bytes = request([1, 0, 0x40, 0, 0, 0, 0, 0], &block);
        chain.readable.write(&driver.live.memory, &bytes);
        let written = scsi.command(&driver.live.memory, chain).unwrap();
        assert!((RESPONSE..=room).contains(&written));
    }
    let mut scsi = scsi;
    for _ in 0..500 {
        let mut driver = Driver::new(3);
        driver.scramble(&mut random);
        let _ = scsi.kicked(&mut driver.live, CONTROL);
    }
}

#[test]
fn an_image_stays_as_it_is() {
    let (mut scsi, _drive) = adapter(Some(disc()));
    let write = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    assert_eq!(command(&mut scsi, &write, 0).1, [5, 0x20]);
}
