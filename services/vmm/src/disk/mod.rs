//! Disks below the devices: what a block device asks of an image, and the engines that do it.
//!
//! A [`Disk`] takes [`Operation`]s and hands them back as [`Done`]; whether it works in the
//! background ([`uring`]) or at once ([`raw`], [`qcow2`]) is its own business. Around them stand
//! what no engine needs to know of: [`limits`] hold requests back, [`bitmap`] and [`backup`] keep
//! track of what was written, [`sidecar`] keeps that across stops.
//!
//! Every image is an open descriptor. Nothing here opens a path, so a name in an image's header
//! reaches nothing.

pub mod backup;
pub mod bitmap;
pub mod counts;
pub mod image;
pub mod limits;
pub mod qcow2;
pub mod raw;
pub mod ring;
pub mod sidecar;
pub mod storage;
pub mod uring;
pub mod vectors;

use std::io;
use std::os::fd::BorrowedFd;

use vectors::Vectors;

pub use image::Image;

/// Unit of addresses and sizes.
pub const SECTOR: u64 = 512;

/// Something to be done with a disk. Places and lengths are bytes and whole sectors that lie on
/// the disk: whoever submits an operation has checked that.
#[derive(Debug)]
pub enum Operation {
    /// Fill memory from the disk.
    Read {
        /// Where on the disk.
        offset: u64,
        /// The memory.
        into: Vectors,
    },
    /// Write memory to the disk.
    Write {
        /// Where on the disk.
        offset: u64,
        /// The memory.
        from: Vectors,
    },
    /// Make every write that is done durable.
    Flush,
    /// Give room back; what is read there afterwards is undefined.
    Discard {
        /// Where on the disk.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// Make a part read as zeroes.
    Zero {
        /// Where on the disk.
        offset: u64,
        /// How many bytes.
        len: u64,
        /// Whether its room may be given back.
        unmap: bool,
    },
}

impl Operation {
    /// Notes the guest memory that the operation wrote into, when it has ended.
    pub fn mark(&self) {
        if let Self::Read { into, .. } = self {
            into.mark();
        }
    }

    /// The part of the disk that the operation changes, as place and length.
    pub fn changes(&self) -> Option<(u64, u64)> {
        match self {
            Self::Read { .. } | Self::Flush => None,
            Self::Write { offset, from } => Some((*offset, from.len() as u64)),
            Self::Discard { offset, len } | Self::Zero { offset, len, .. } => Some((*offset, *len)),
        }
    }
}

/// An operation that has ended.
#[derive(Debug)]
pub struct Done {
    /// What it was submitted with.
    pub tag: u64,
    /// The operation, so that it can be tried again.
    pub operation: Operation,
    /// How it ended.
    pub result: io::Result<()>,
}

/// An image at work.
pub trait Disk: Send {
    /// Bytes, whole sectors.
    fn size(&self) -> u64;

    /// Takes an operation on. It is handed back by [`Self::collect`], under the same tag.
    fn submit(&mut self, tag: u64, operation: Operation);

    /// Starts what was submitted and moves what has ended to `done`.
    fn collect(&mut self, done: &mut Vec<Done>);

    /// Operations that were submitted and not yet handed back.
    fn pending(&self) -> usize;

    /// Waits until at least one of the pending operations has ended.
    fn wait(&mut self) -> io::Result<()>;

    /// Reads at once, into memory with [`vectors::ALIGNMENT`]; no write may be pending on that
    /// part of the disk.
    fn read_now(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// Follows the image to a larger size, in whole sectors; grows the image where its format
    /// says how large it is.
    fn grow(&mut self, size: u64) -> io::Result<()>;

    /// Writes out what the engine itself holds back, for the end of a machine.
    fn finish(&mut self) -> io::Result<()>;

    /// Becomes readable when an operation has ended, for engines that work in the background.
    fn source(&self) -> Option<BorrowedFd<'_>>;
}

/// Whether an error means that the host has no room for what is written.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
        || error.kind() == io::ErrorKind::StorageFull
        || error.kind() == io::ErrorKind::QuotaExceeded
}

/// Waits for everything pending and throws the results away: the driver is gone.
pub fn drain(disk: &mut dyn Disk) {
    let mut done = Vec::new();
    loop {
        disk.collect(&mut done);
        done.drain(..).for_each(|one| one.operation.mark());
        if disk.pending() == 0 {
            return;
        }
        if let Err(error) = disk.wait() {
            // Memory that the kernel may still write to must not be given back.
            crate::fatal(&format!("cannot wait for a disk: {error}"));
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
