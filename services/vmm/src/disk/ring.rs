//! An io_uring that can do one thing only: move data between memory and one image.
//!
//! A ring is made while the process may still make one, before its sandbox closes, and serves
//! every life of the machine. Since system call filters do not see what goes through a ring, the
//! ring has restrictions of its own: five operations, on the one registered file.

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

impl Ring {
    /// A ring on `image`. Fails where the kernel or its administrator forbids it.
    pub fn new(image: BorrowedFd<'_>) -> io::Result<Self> {
        let ring: IoUring = IoUring::builder().setup_r_disabled().build(DEPTH as u32)?;
        let ended = Signal::new()?;
        let submitter = ring.submitter();
        submitter.register_files(&[image.as_raw_fd()])?;
        submitter.register_eventfd(ended.as_fd().as_raw_fd())?;
        submitter.register_restrictions(&mut [
            Restriction::sqe_op(opcode::Readv::CODE),
            Restriction::sqe_op(opcode::Writev::CODE),
            Restriction::sqe_op(opcode::Fsync::CODE),
            Restriction::sqe_op(opcode::Fallocate::CODE),
            Restriction::sqe_flags_allowed(FIXED_FILE),
            Restriction::sqe_flags_required(FIXED_FILE),
        ])?;
        submitter.register_enable_rings()?;
        Ok(Self { ring, ended })
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
