//! One descriptor that stands for everything a device waits for beside its queues: a disk's
//! completions, and the time at which its limits let the next request pass.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll;
use vmm_sys_util::timerfd::TimerFd;

/// Completions and a timer in one.
pub struct Wake {
    all: Option<OwnedFd>,
    timer: Option<TimerFd>,
    armed: bool,
}

impl Wake {
    /// Waits for `completions`, and for a timer if one is needed.
    pub fn new(completions: Option<BorrowedFd<'_>>, timed: bool) -> io::Result<Self> {
        let timer = match timed {
            true => Some(TimerFd::new().map_err(|e| io::Error::from_raw_os_error(e.errno()))?),
            false => None,
        };
        if completions.is_none() && timer.is_none() {
            return Ok(Self {
                all: None,
                timer,
                armed: false,
            });
        }
        let all = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let add = |fd: BorrowedFd<'_>| {
            epoll::add(
                &all,
                fd,
                epoll::EventData::new_u64(0),
                epoll::EventFlags::IN,
            )
        };
        if let Some(completions) = completions {
            add(completions)?;
        }
        if let Some(timer) = &timer {
            add(borrow(timer))?;
        }
        Ok(Self {
            all: Some(all),
            timer,
            armed: false,
        })
    }

    /// Readable when there is something to do.
    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        self.all.as_ref().map(AsFd::as_fd)
    }

    /// Wakes the device after a while; replaces what was set before.
    pub fn after(&mut self, wait: Duration) {
        if let Some(timer) = &mut self.timer {
            // A time of zero would switch the timer off. Cannot fail with valid times.
            let _ = timer.reset(wait.max(Duration::from_micros(1)), None);
            self.armed = true;
        }
    }

    /// Makes the timer quiet.
    pub fn disarm(&mut self) {
        if let Some(timer) = &mut self.timer
            && std::mem::take(&mut self.armed)
        {
            let _ = timer.clear();
        }
    }
}

fn borrow(timer: &TimerFd) -> BorrowedFd<'_> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open as long as `timer`, which the result borrows.
    unsafe { BorrowedFd::borrow_raw(timer.as_raw_fd()) }
}
