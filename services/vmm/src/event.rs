//! An event counter in the kernel: one side signals, the other waits for it to become readable.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

/// The counter.
pub struct Signal(EventFd);

impl Signal {
    /// A quiet one.
    pub fn new() -> io::Result<Self> {
        Ok(Self(EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?))
    }

    /// Makes it readable.
    pub fn raise(&self) {
        // Fails only when the counter is full, and then it is readable already.
        let _ = self.0.write(1);
    }

    /// Makes it quiet again; returns whether it was raised.
    pub fn clear(&self) -> bool {
        self.0.read().is_ok()
    }

    /// As KVM wants it.
    pub fn eventfd(&self) -> &EventFd {
        &self.0
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as `self`, which the result borrows.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}
