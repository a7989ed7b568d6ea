//! The two raw engines do the same, and the ring survives the machine's lives.

use super::*;
use crate::disk::Image;
use crate::disk::raw::RawDisk;
use crate::disk::ring::Rings;
use crate::disk::testing::{read, run, write};
use basalt_model::disk::{CacheMode, ImageFormat};
use std::fs::File;

const SIZE: u64 = 1 << 20;

fn blank() -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(SIZE).unwrap();
    file
}

fn image(file: &File, cache: CacheMode) -> Image {
    let file = file.try_clone().unwrap();
    Image::prepare(
        "d",
        ImageFormat::Raw,
        file,
        Vec::new(),
        cache,
        false,
        &mut Rings::prepare(1),
    )
}

/// Whether the disk of an image works in the background; says so where it cannot here.
fn has_ring(disk: &dyn Disk) -> bool {
    if disk.source().is_none() {
        eprintln!("no io_uring here: the other engine is tested instead");
    }
    disk.source().is_some()
}

fn exercise(disk: &mut dyn Disk) {
    write(disk, 4096, &[7; 8192]).unwrap();
    assert_eq!(read(disk, 4096, 8192).unwrap(), [7; 8192]);
    assert_eq!(read(disk, 0, 4096).unwrap(), [0; 4096]);
    for unmap in [false, true] {
        let offset = 4096 + u64::from(unmap) * 4096;
        let len = 512;
        run(disk, Operation::Zero { offset, len, unmap }).unwrap();
        assert_eq!(read(disk, offset, 1024).unwrap()[..512], [0; 512]);
        assert_eq!(read(disk, offset, 1024).unwrap()[512..], [7; 512]);
    }
    let (offset, len) = (0, SIZE);
    run(disk, Operation::Discard { offset, len }).unwrap();
    run(disk, Operation::Flush).unwrap();
    assert_eq!(disk.pending(), 0);
}

#[test]
fn every_mode_and_both_engines_do_the_same() {
    for cache in [
        CacheMode::None,
        CacheMode::Writeback,
        CacheMode::Writethrough,
        CacheMode::Directsync,
        CacheMode::Unsafe,
    ] {
        let file = blank();
        exercise(&mut *image(&file, cache).open().unwrap());
        let image = RawImage {
            file: Arc::new(blank()),
            cache,
            alignment: 1,
        };
        exercise(&mut RawDisk::new(image).unwrap());
    }
}

#[test]
fn memory_that_is_not_aligned_is_served_by_a_copy() {
    // Pretends direct access, which not every file system has.
    let file = Arc::new(blank());
    let home = Home::default();
    let Some(ring) = Rings::prepare(1).take(file.as_fd()) else {
        eprintln!("skipped: no io_uring here");
        return;
    };
    ring::give_back(&home, ring);
    let image = RawImage {
        file,
        cache: CacheMode::Writeback,
        alignment: 512,
    };
    let mut disk = UringDisk::new(image, &home).unwrap().unwrap();
    let mut buffer = Aligned::new(4096).unwrap();
    buffer.bytes_mut()[100..1124].fill(9);
    let mut odd = Vectors::own(Arc::new(buffer), 1124);
    odd.advance(100);
    assert!(!odd.is_aligned(512));
    let (offset, from) = (1024, odd);
    run(&mut disk, Operation::Write { offset, from }).unwrap();
    assert_eq!(read(&mut disk, 1024, 1024).unwrap(), [9; 1024]);
    let target = Arc::new(Aligned::new(4096).unwrap());
    let mut into = Vectors::own(target.clone(), 1124);
    into.advance(100);
    run(&mut disk, Operation::Read { offset, into }).unwrap();
    assert_eq!(target.bytes()[100..1124], [9; 1024]);
    assert_eq!(target.bytes()[..100], [0; 100]);
}

#[test]
fn many_operations_are_under_way_at_once_and_all_come_back() {
    let file = blank();
    let mut disk = image(&file, CacheMode::Writeback).open().unwrap();
    let mut done = Vec::new();
    let count = 3 * DEPTH as u64;
    for tag in 0..count {
        let mut buffer = Aligned::new(512).unwrap();
        buffer.bytes_mut().fill(tag as u8);
        let from = Vectors::own(Arc::new(buffer), 512);
        let offset = tag * 512;
        disk.submit(tag, Operation::Write { offset, from });
    }
    while disk.pending() > 0 {
        disk.collect(&mut done);
        disk.wait().unwrap();
    }
    disk.collect(&mut done);
    let mut tags: Vec<u64> = done.iter().map(|one| one.tag).collect();
    tags.sort_unstable();
    assert_eq!(tags, (0..count).collect::<Vec<_>>());
    assert!(done.iter().all(|one| one.result.is_ok()));
    for tag in (0..count).step_by(37) {
        assert_eq!(read(&mut *disk, tag * 512, 512).unwrap(), [tag as u8; 512]);
    }
}

#[test]
fn the_ring_serves_the_next_life_of_the_machine() {
    let file = blank();
    let image = image(&file, CacheMode::Writeback);
    let first = image.open().unwrap();
    if !has_ring(&*first) {
        return;
    }
    assert!(!has_ring(&*image.open().unwrap()), "there is one ring");
    drop(first);
    let mut second = image.open().unwrap();
    assert!(has_ring(&*second));
    exercise(&mut *second);
}

#[test]
fn a_full_device_and_the_end_of_the_image_are_told_apart() {
    let full = File::options().read(true).write(true).open("/dev/full");
    let image = RawImage {
        file: Arc::new(full.unwrap()),
        cache: CacheMode::Writeback,
        alignment: 1,
    };
    let mut disk = RawDisk::new(image).unwrap();
    let error = write(&mut disk, 0, &[1; 512]).unwrap_err();
    assert!(crate::disk::is_full(&error), "{error}");

    let file = blank();
    let mut disk = self::image(&file, CacheMode::Writeback).open().unwrap();
    file.set_len(SIZE / 2).unwrap();
    let error = read(&mut *disk, SIZE / 2, 512).unwrap_err();
    assert!(!crate::disk::is_full(&error));
}
