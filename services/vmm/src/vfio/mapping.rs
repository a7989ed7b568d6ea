//! Device memory in this process, for KVM to show to the guest. Nothing here reads or writes it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A mapped part of a file.
#[derive(Debug)]
pub struct Mapping {
    start: *mut libc::c_void,
    len: usize,
}

// SAFETY: the mapping is only ever named, unmapped once by its owner, and belongs to no thread.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared references give out nothing but its address and length.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `file` from `offset` on, both multiples of a page.
    pub fn new(file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<Self> {
        let wrong = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let offset = libc::off_t::try_from(offset).map_err(wrong)?;
        let len = usize::try_from(len).map_err(wrong)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let null = std::ptr::null_mut();
        // SAFETY: a new mapping at an address that the kernel chooses takes nobody's memory away.
        let start = unsafe {
            let fd = file.as_raw_fd();
            libc::mmap(null, len, access, libc::MAP_SHARED, fd, offset)
        };
        match start {
            libc::MAP_FAILED => Err(io::Error::last_os_error()),
            start => Ok(Self { start, len }),
        }
    }

    /// Where it is in this process.
    pub fn address(&self) -> u64 {
        self.start as u64
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.len as u64
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is what `new` mapped, and no guest has it any more: see `bars::Bars::hide`.
        let _ = unsafe { libc::munmap(self.start, self.len) };
    }
}
