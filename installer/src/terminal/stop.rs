//! Ends questions that nobody needs to answer any more.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};

/// Given to everyone who waits; whoever decides, stops all of them.
#[derive(Debug, Clone)]
pub struct Stop {
    /// Hangs up when the other end is closed.
    watched: Arc<OwnedFd>,
    held: Arc<Mutex<Option<OwnedFd>>>,
}

impl Stop {
    /// Not stopped yet.
    pub fn new() -> io::Result<Self> {
        let (watched, held) = pipe_with(PipeFlags::CLOEXEC)?;
        Ok(Self {
            watched: Arc::new(watched),
            held: Arc::new(Mutex::new(Some(held))),
        })
    }

    /// Stops everyone who waits, now and later.
    pub fn now(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        drop(held.take());
    }

    /// Waits until something can be read.
    ///
    /// # Errors
    /// `ConnectionAborted` when stopped before.
    pub fn wait_readable(&self, input: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(input, PollFlags::IN),
                PollFd::from_borrowed_fd(self.watched.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            if !fds[1].revents().is_empty() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if !fds[0].revents().is_empty() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_stopped_and_who_has_input_goes_on() {
        let stop = Stop::new().unwrap();
        let (input, output) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        rustix::io::write(&output, b"x").unwrap();
        stop.wait_readable(input.as_fd()).unwrap();
        let (empty, _open) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let waiting = std::thread::spawn({
            let stop = stop.clone();
            move || stop.wait_readable(empty.as_fd()).unwrap_err().kind()
        });
        stop.now();
        assert_eq!(waiting.join().unwrap(), io::ErrorKind::ConnectionAborted);
    }
}
