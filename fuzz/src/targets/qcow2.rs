//! A qcow2 image as a guest's disk: opened, then read, written, cleared, grown and written out.

use std::sync::Arc;

use crate::files;
use crate::input::Input;
use basalt_model::disk::{CacheMode, ImageFormat};
use basalt_vmm::disk::qcow2::Qcow2Disk;
use basalt_vmm::disk::raw::RawImage;
use basalt_vmm::disk::vectors::{Aligned, Vectors};
use basalt_vmm::disk::{Disk, Operation};

/// Bytes of an operation.
const PIECE: usize = 4096;
/// Bytes at the start of the input that say what to do with the image.
const ORDERS: usize = 24;

fn image(content: &[u8], len: u64) -> RawImage {
    let file = files::with(content);
    file.set_len(len.max(content.len() as u64))
        .expect("memory can grow");
    RawImage {
        file: Arc::new(file),
        cache: CacheMode::Unsafe,
        alignment: 1,
    }
}

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut orders = Input::new(input.bytes(ORDERS));
    let top = image(input.rest(), 1 << 20);
    let backing = match orders.byte() & 1 {
        0 => Vec::new(),
        _ => vec![(ImageFormat::Raw, image(b"below", 1 << 18))],
    };
    let Ok(mut disk) = Qcow2Disk::new(&top, &backing, orders.byte() & 1 != 0) else {
        return;
    };
    let Ok(buffer) = Aligned::new(PIECE) else {
        return;
    };
    let buffer = Arc::new(buffer);
    let mut done = Vec::new();
    while !orders.is_empty() {
        let (what, place) = (orders.byte(), u64::from(orders.word()) * 512);
        let vectors = Vectors::own(buffer.clone(), PIECE);
        // Whoever submits an operation has checked that it lies on the disk.
        let inside = place + PIECE as u64 <= disk.size();
        let (offset, len) = (place, PIECE as u64);
        let operation = match what % 8 {
            0..=2 if inside => Operation::Read {
                offset,
                into: vectors,
            },
            3 | 4 if inside => Operation::Write {
                offset,
                from: vectors,
            },
            5 if inside => Operation::Discard { offset, len },
            6 if inside => Operation::Zero {
                offset,
                len,
                unmap: what & 8 != 0,
            },
            7 => {
                let size = disk.size().saturating_add(place);
                let _ = disk.grow(size.min(1 << 30));
                continue;
            }
            _ => Operation::Flush,
        };
        disk.submit(1, operation);
        disk.collect(&mut done);
        done.clear();
    }
    let _ = disk.finish();
}
