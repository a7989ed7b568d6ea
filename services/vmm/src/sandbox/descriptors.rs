//! Closing every descriptor that was not given on purpose.

use std::os::fd::RawFd;

use super::Error;

/// Closes all descriptors except the standard three and those listed.
pub fn close_all_but(keep: &[RawFd]) -> Result<(), Error> {
    let mut keep: Vec<u32> = keep
        .iter()
        .filter_map(|fd| u32::try_from(*fd).ok())
        .collect();
    keep.sort_unstable();
    let mut next = 3u32;
    for fd in keep {
        if fd > next {
            close_range(next, fd - 1)?;
        }
        next = next.max(fd + 1);
    }
    close_range(next, u32::MAX)
}

fn close_range(first: u32, last: u32) -> Result<(), Error> {
    // SAFETY: the caller has just taken ownership of all descriptors it goes on using.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } {
        0 => Ok(()),
        _ => Err(Error::Descriptors(std::io::Error::last_os_error())),
    }
}
