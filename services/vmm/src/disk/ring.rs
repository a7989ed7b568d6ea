//! An io_uring that can do one thing only: move data between memory and one image.
//!
//! Rings are made while the process may still make them, before its sandbox closes: one for every
//! disk that the machine can ever have ([`Rings`]). A ring serves its disk in every life of the
//! machine; the ring of a disk that was unplugged serves another one. Since system call filters do
//! not see what goes through a ring, it has restrictions of its own: four operations, on the one
//! registered file, and nothing can be registered but another file.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

use io_uring::register::Restriction;
use io_uring::{IoUring, opcode, squeue, types};

use super::raw::{PUNCH, ZERO};
use super::vectors::{MAX_VECTORS, Vectors};
use crate::event::Signal;

/// Most operations in the kernel at once.
pub const DEPTH: usize = 128;
/// `IOSQE_FIXED_FILE`: the entry names a registered file.
const FIXED_FILE: u8 = 1;
/// `IORING_REGISTER_FILES_UPDATE`: puts another file in the place of a registered one.
pub const REGISTER_FILES_UPDATE: u8 = 6;
/// In a table of files: none.
const NO_FILE: RawFd = -1;
const IMAGE: types::Fixed = types::Fixed(0);

/// The ring of one image.
pub struct Ring {
    ring: IoUring,
    ended: Signal,
}

/// Where a ring waits for the next life of its machine.
pub type Home = Arc<Mutex<Option<Ring>>>;

/// What the kernel is to do.
pub enum Entry<'a> {
    /// Read into memory.
    Read(&'a Vectors, u64),
    /// Write from memory; `durable` does not end before the data is on the medium.
    Write(&'a Vectors, u64, bool),
    /// Write the file's data out.
    Flush,
    /// Give a range's room back.
    Punch(u64, u64),
    /// Clear a range.
    Zero(u64, u64),
}

/// Rings without a disk.
#[derive(Default)]
pub struct Rings(Vec<Ring>);

impl Rings {
    /// So many rings, or fewer where the kernel or its administrator forbids them.
    pub fn prepare(count: usize) -> Self {
        let mut rings = Vec::new();
        for _ in 0..count {
            match Ring::new() {
                Ok(ring) => rings.push(ring),
                Err(error) => {
                    tracing::warn!(%error, "no io_uring: disks serve one request at a time");
                    break;
                }
            }
        }
        Self(rings)
    }

    /// A ring on `image`, if there is one left.
    pub fn take(&mut self, image: BorrowedFd<'_>) -> Option<Ring> {
        let ring = self.0.pop()?;
        match ring.serve(Some(image)) {
            Ok(()) => Some(ring),
            Err(error) => {
                tracing::warn!(%error, "a ring does not take an image");
                None
            }
        }
    }

    /// Takes the ring of a disk that is gone, and closes its image.
    pub fn give_back(&mut self, ring: Ring) {
        match ring.serve(None) {
            Ok(()) => self.0.push(ring),
            // Dropped with the image it holds.
            Err(error) => tracing::warn!(%error, "a ring does not let go of its image"),
        }
    }

    /// Descriptors that must stay open.
    pub fn descriptors(&self) -> Vec<RawFd> {
        self.0.iter().flat_map(Ring::descriptors).collect()
    }
}

impl Ring {
    /// A ring on nothing.
    fn new() -> io::Result<Self> {
        let ring: IoUring = IoUring::builder().setup_r_disabled().build(DEPTH as u32)?;
        let ended = Signal::new()?;
        let submitter = ring.submitter();
        submitter.register_files(&[NO_FILE])?;
        submitter.register_eventfd(ended.as_fd().as_raw_fd())?;
        submitter.register_restrictions(&mut [
            Restriction::sqe_op(opcode::Readv::CODE),
            Restriction::sqe_op(opcode::Writev::CODE),
            Restriction::sqe_op(opcode::Fsync::CODE),
            Restriction::sqe_op(opcode::Fallocate::CODE),
            Restriction::sqe_flags_allowed(FIXED_FILE),
            Restriction::sqe_flags_required(FIXED_FILE),
            Restriction::register_op(REGISTER_FILES_UPDATE),
        ])?;
        submitter.register_enable_rings()?;
        Ok(Self { ring, ended })
    }

    /// Puts an image, or none, in the place of the one before; nothing of it may be under way.
    fn serve(&self, image: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let file = image.map_or(NO_FILE, |image| image.as_raw_fd());
        self.ring.submitter().register_files_update(0, &[file])?;
        Ok(())
    }

    /// Descriptors that must stay open.
    pub fn descriptors(&self) -> [RawFd; 2] {
        [self.ring.as_raw_fd(), self.ended.as_fd().as_raw_fd()]
    }

    /// Readable when an entry has ended.
    pub fn ended(&self) -> &Signal {
        &self.ended
    }

    /// Queues an entry; `false` if the queue is full.
    ///
    /// # Safety
    /// The memory of the entry's vectors, and the list of them, must stay where they are until
    /// [`Self::next_ended`] returned `id`.
    pub unsafe fn push(&mut self, id: u64, entry: &Entry<'_>) -> bool {
        let entry = build(entry).user_data(id);
        // SAFETY: the caller keeps what the entry points to.
        unsafe { self.ring.submission().push(&entry) }.is_ok()
    }

    /// Gives queued entries to the kernel, and waits for `wanted` of them to end.
    pub fn submit(&self, wanted: usize) -> io::Result<()> {
        loop {
            match self.ring.submit_and_wait(wanted) {
                Ok(_) => return Ok(()),
                Err(error) => match error.raw_os_error() {
                    // Short of memory, or of room for what ended, for a moment.
                    Some(libc::EINTR | libc::EAGAIN | libc::EBUSY) => std::thread::yield_now(),
                    _ => return Err(error),
                },
            }
        }
    }

    /// An entry that has ended, with what the kernel returned.
    pub fn next_ended(&mut self) -> Option<(u64, i32)> {
        let entry = self.ring.completion().next()?;
        Some((entry.user_data(), entry.result()))
    }
}

fn build(entry: &Entry<'_>) -> squeue::Entry {
    let count = |vectors: &Vectors| vectors.raw().len().min(MAX_VECTORS) as u32;
    match entry {
        Entry::Read(into, offset) => opcode::Readv::new(IMAGE, into.raw().as_ptr(), count(into))
            .offset(*offset)
            .build(),
        Entry::Write(from, offset, durable) => {
            let flags = if *durable { libc::RWF_DSYNC } else { 0 };
            opcode::Writev::new(IMAGE, from.raw().as_ptr(), count(from))
                .offset(*offset)
                .rw_flags(flags)
                .build()
        }
        Entry::Flush => opcode::Fsync::new(IMAGE)
            .flags(types::FsyncFlags::DATASYNC)
            .build(),
        Entry::Punch(offset, len) => opcode::Fallocate::new(IMAGE, *len)
            .offset(*offset)
            .mode(PUNCH)
            .build(),
        Entry::Zero(offset, len) => opcode::Fallocate::new(IMAGE, *len)
            .offset(*offset)
            .mode(ZERO)
            .build(),
    }
}

/// Takes the ring out of its home.
pub fn take(home: &Home) -> Option<Ring> {
    home.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Brings a ring back.
pub fn give_back(home: &Home, ring: Ring) {
    *home.lock().unwrap_or_else(PoisonError::into_inner) = Some(ring);
}
