//! Requests of well-behaved and of hostile drivers.

use super::request::UNMAP;
use super::*;
use crate::disk::ring::Rings;
use crate::disk::testing::FullDisk;
use crate::disk::{Image, SECTOR};
use crate::machine::layout::MIB;
use crate::machine::memory::reserve;
use crate::virtio::chain::Chain;
use crate::virtio::testing::{Driver, Part};
use basalt_model::disk::{CacheMode, ImageFormat, Rate};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const SECTORS: u64 = 16;
const QUEUE: usize = 0;

fn settings(readonly: bool) -> Settings {
    Settings {
        name: "virtio0".into(),
        readonly,
        serial: "serial-1".into(),
        queues: 1,
        discard: true,
        limits: Limits::default(),
    }
}

fn image(file: &File) -> Image {
    let file = file.try_clone().unwrap();
    let (format, cache) = (ImageFormat::Raw, CacheMode::Writeback);
    Image::prepare(
        "virtio0",
        format,
        file,
        Vec::new(),
        cache,
        false,
        &mut Rings::prepare(1),
    )
}

fn blank() -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(SECTORS * SECTOR + 100).unwrap();
    file
}

fn on(disk: Box<dyn Disk>, settings: Settings) -> Block {
    let ignore = Box::new(|_: &io::Error| ());
    Block::new(disk, settings, Arc::default(), Orders::default(), ignore).unwrap()
}

fn disk(readonly: bool) -> (Block, File) {
    let file = blank();
    let disk = image(&file).open().unwrap();
    (on(disk, settings(readonly)), file)
}

/// Lets the device work until the driver sees an answer or there is nothing left to wait for.
fn work(block: &mut Block, driver: &mut Driver) -> Result<bool, BrokenQueue> {
    block.kicked(&mut driver.live, QUEUE)?;
    loop {
        if driver.completed() {
            return Ok(true);
        }
        if block.disk.pending() == 0 {
            return Ok(false);
        }
        block.disk.wait().unwrap();
        block.ready(&mut driver.live)?;
    }
}

fn header(kind: u32, sector: u64) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend([0; 4]);
    bytes.extend(sector.to_le_bytes());
    bytes
}

/// Sends one request and returns its status byte, if the device wrote one.
fn request(block: &mut Block, driver: &mut Driver, parts: &[Part]) -> Option<u8> {
    driver.submit(parts);
    work(block, driver).ok()?.then_some(())?;
    driver.last_byte(parts)
}

#[test]
fn what_is_written_is_read_back() {
    let (mut block, mut file) = disk(false);
    let mut driver = Driver::new(1);
    let data = vec![0xa5; 1024];
    let write = [
        Part::Out(header(1, 2)),
        Part::Out(data.clone()),
        Part::In(1),
    ];
    assert_eq!(request(&mut block, &mut driver, &write), Some(STATUS_OK));
    let mut content = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut content).unwrap();
    assert_eq!(content[1024..2048], data);
    assert!(
        content[..1024]
            .iter()
            .chain(&content[2048..])
            .all(|b| *b == 0)
    );

    let read = [Part::Out(header(0, 2)), Part::In(512), Part::In(513)];
    assert_eq!(request(&mut block, &mut driver, &read), Some(STATUS_OK));
    assert_eq!(driver.bytes_of(1, 512), vec![0xa5; 512]);
    assert_eq!(block.counters.read.load(Ordering::Relaxed), 1024);
    assert_eq!(block.counters.written.load(Ordering::Relaxed), 1024);
}

#[test]
fn layout_of_the_parts_is_the_drivers_choice() {
    let (mut block, _file) = disk(false);
    let mut driver = Driver::new(1);
    let mut whole = header(1, 0);
    whole.extend([7; 512]);
    let (first, rest) = whole.split_at(3);
    let parts = [
        Part::Out(first.to_vec()),
        Part::Out(rest.to_vec()),
        Part::In(1),
    ];
    assert_eq!(request(&mut block, &mut driver, &parts), Some(STATUS_OK));
}

#[test]
fn identity_flush_and_unknown_requests() {
    let (mut block, _file) = disk(false);
    let mut driver = Driver::new(1);
    let identity = [Part::Out(header(8, 0)), Part::In(20), Part::In(1)];
    assert_eq!(request(&mut block, &mut driver, &identity), Some(STATUS_OK));
    assert_eq!(&driver.bytes_of(1, 20)[..9], b"serial-1\0");
    let flush = [Part::Out(header(4, 0)), Part::In(1)];
    assert_eq!(request(&mut block, &mut driver, &flush), Some(STATUS_OK));
    let unknown = [Part::Out(header(77, 0)), Part::In(1)];
    assert_eq!(
        request(&mut block, &mut driver, &unknown),
        Some(STATUS_UNSUPPORTED)
    );
}

#[test]
fn nothing_is_read_or_written_beyond_the_last_whole_sector() {
    let (mut block, file) = disk(false);
    let mut driver = Driver::new(1);
    for sector in [SECTORS, SECTORS - 1, u64::MAX, u64::MAX / 512, 1 << 55] {
        for kind in [0, 1] {
            let data = if kind == 0 {
                Part::In(1024)
            } else {
                Part::Out(vec![1; 1024])
            };
            let parts = [Part::Out(header(kind, sector)), data, Part::In(1)];
            assert_eq!(
                request(&mut block, &mut driver, &parts),
                Some(STATUS_IO_ERROR)
            );
        }
    }
    let odd = [
        Part::Out(header(1, 0)),
        Part::Out(vec![1; 100]),
        Part::In(1),
    ];
    assert_eq!(
        request(&mut block, &mut driver, &odd),
        Some(STATUS_IO_ERROR)
    );
    assert_eq!(file.metadata().unwrap().len(), SECTORS * SECTOR + 100);
}

#[test]
fn a_read_only_disk_stays_as_it_is() {
    let (mut block, _file) = disk(true);
    let mut driver = Driver::new(1);
    let write = [
        Part::Out(header(1, 0)),
        Part::Out(vec![1; 512]),
        Part::In(1),
    ];
    assert_eq!(
        request(&mut block, &mut driver, &write),
        Some(STATUS_IO_ERROR)
    );
    let zero = [
        Part::Out(header(13, 0)),
        Part::Out(range(0, 8, 0)),
        Part::In(1),
    ];
    assert_eq!(
        request(&mut block, &mut driver, &zero),
        Some(STATUS_IO_ERROR)
    );
}

fn range(sector: u64, sectors: u32, flags: u32) -> Vec<u8> {
    let mut bytes = sector.to_le_bytes().to_vec();
    bytes.extend(sectors.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes
}

#[test]
fn ranges_are_cleared_within_bounds() {
    let (mut block, file) = disk(false);
    let mut driver = Driver::new(1);
    let write = [
        Part::Out(header(1, 0)),
        Part::Out(vec![9; 4096]),
        Part::In(1),
    ];
    assert_eq!(request(&mut block, &mut driver, &write), Some(STATUS_OK));
    for (flags, at) in [(0, 1), (UNMAP, 3)] {
        let zero = [
            Part::Out(header(13, 0)),
            Part::Out(range(at, 1, flags)),
            Part::In(1),
        ];
        assert_eq!(request(&mut block, &mut driver, &zero), Some(STATUS_OK));
        let mut sector = [1; 512];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut sector, at * SECTOR).unwrap();
        assert_eq!(sector, [0; 512]);
    }
    let cases = [
        (11, range(0, 1, UNMAP), STATUS_UNSUPPORTED),
        (13, range(0, 1, 2), STATUS_UNSUPPORTED),
        (13, range(0, 0, 0), STATUS_IO_ERROR),
        (13, range(SECTORS, 1, 0), STATUS_IO_ERROR),
        (13, range(u64::MAX, 1, 0), STATUS_IO_ERROR),
        (11, range(0, u32::MAX, 0), STATUS_IO_ERROR),
        (11, vec![0; 15], STATUS_IO_ERROR),
        (11, range(0, 1, 0).repeat(33), STATUS_IO_ERROR),
        (11, range(2, 4, 0), STATUS_OK),
    ];
    for (kind, list, status) in cases {
        let parts = [Part::Out(header(kind, 0)), Part::Out(list), Part::In(1)];
        assert_eq!(request(&mut block, &mut driver, &parts), Some(status));
    }
}

#[test]
fn a_request_without_header_or_status_breaks_the_device() {
    for parts in [
        vec![Part::Out(header(0, 0))],
        vec![Part::In(512)],
        vec![Part::Out(vec![0; 15]), Part::In(1)],
        vec![Part::In(1), Part::Out(header(1, 0))],
    ] {
        let (mut block, _file) = disk(false);
        let mut driver = Driver::new(1);
        driver.submit(&parts);
        assert!(block.kicked(&mut driver.live, QUEUE).is_err());
    }
}

/// Rings and descriptors full of noise: every answer is allowed except a crash, an endless loop
/// or a changed image size.
#[test]
fn noise_is_survived() {
    let (mut block, file) = disk(false);
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..2000 {
        let mut driver = Driver::new(1);
        driver.scramble(&mut random);
        let _ = block.kicked(&mut driver.live, QUEUE);
    }
    assert_eq!(file.metadata().unwrap().len(), SECTORS * SECTOR + 100);
    block.deactivated();
    let memory = reserve(32 * MIB).unwrap();
    let reader = Reader {
        size: SECTORS * SECTOR,
        readonly: false,
        discard: true,
        id: &block.id,
    };
    assert!(reader.parse(&memory, Chain::default()).is_err());
}

#[test]
fn what_a_full_host_refuses_is_held_and_written_later() {
    let file = blank();
    let full = Arc::new(AtomicBool::new(true));
    let disk = FullDisk {
        inner: image(&file).open().unwrap(),
        full: full.clone(),
        refused: VecDeque::new(),
    };
    let (told, heard) = std::sync::mpsc::channel();
    let orders = Orders::default();
    let mut block = Block::new(
        Box::new(disk),
        settings(false),
        Arc::default(),
        orders.clone(),
        Box::new(move |error| told.send(error.raw_os_error()).unwrap()),
    )
    .unwrap();
    let mut driver = Driver::new(1);
    let write = [
        Part::Out(header(1, 3)),
        Part::Out(vec![0x5a; 512]),
        Part::In(1),
    ];
    driver.submit(&write);
    assert!(!work(&mut block, &mut driver).unwrap(), "no answer yet");
    assert_eq!(heard.recv().unwrap(), Some(libc::ENOSPC));

    assert!(
        !block.quiesce(&mut driver.live).unwrap(),
        "it is unfinished"
    );

    // Still full: held once more, and said once more.
    orders.retry();
    block.poked(Some(&mut driver.live)).unwrap();
    assert!(!driver.completed());
    assert_eq!(heard.recv().unwrap(), Some(libc::ENOSPC));

    full.store(false, Ordering::Relaxed);
    orders.retry();
    block.poked(Some(&mut driver.live)).unwrap();
    while block.disk.pending() > 0 {
        block.disk.wait().unwrap();
        block.ready(&mut driver.live).unwrap();
    }
    assert!(driver.completed());
    assert_eq!(driver.last_byte(&write), Some(STATUS_OK));
    let mut sector = [0; 512];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut sector, 3 * SECTOR).unwrap();
    assert_eq!(sector, [0x5a; 512]);
}

#[test]
fn a_disk_grows_with_its_image_and_no_further() {
    let (mut block, file) = disk(false);
    let mut driver = Driver::new(1);
    let orders = block.orders.clone();
    let bigger = 2 * SECTORS * SECTOR;
    let early = orders.grow(bigger);
    block.poked(None).unwrap();
    assert!(early.recv().unwrap().unwrap_err().contains("grow it first"));
    file.set_len(bigger).unwrap();
    let grown = orders.grow(bigger);
    block.poked(None).unwrap();
    assert_eq!(grown.recv().unwrap(), Ok(()));
    let last = [
        Part::Out(header(0, 2 * SECTORS - 1)),
        Part::In(512),
        Part::In(1),
    ];
    assert_eq!(request(&mut block, &mut driver, &last), Some(STATUS_OK));
}

#[test]
fn a_limited_disk_waits_and_then_goes_on_by_itself() {
    let mut settings = settings(false);
    settings.limits.requests.total = Some(Rate {
        average: 100,
        burst: Some(1),
        burst_seconds: 1,
    });
    let file = blank();
    let mut block = on(image(&file).open().unwrap(), settings);
    let mut driver = Driver::new(1);
    let read = [Part::Out(header(0, 0)), Part::In(512), Part::In(1)];
    let begin = Instant::now();
    // The first two are the burst, and its debt.
    for _ in 0..3 {
        driver.submit(&read);
        block.kicked(&mut driver.live, QUEUE).unwrap();
        while !driver.completed() {
            // The limit's timer and the disk wake the device through one descriptor.
            let source = block.source().unwrap();
            let ready = rustix::event::PollFlags::IN;
            let mut fds = [rustix::event::PollFd::new(&source, ready)];
            rustix::event::poll(&mut fds, None).unwrap();
            block.ready(&mut driver.live).unwrap();
        }
        assert_eq!(driver.last_byte(&read), Some(STATUS_OK));
    }
    assert!(begin.elapsed() >= Duration::from_millis(500));
}
