//! The thread that serves viewers.
//!
//! It is a thread of its own, with a system call filter of its own: comparing and encoding
//! pictures takes milliseconds, which neither a device nor a request may wait for, and what
//! viewers send is parsed where there is nothing else to get hold of. When nobody looks it sleeps.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SocketFlags, accept_with};

use super::Screen;
use super::capture::{self, Capture};
use super::hands::Locks;
use super::rfb::viewer::Viewer;
use crate::event::Signal;
use crate::sandbox::{self, ThreadClass};

/// Most viewers at once; more are closed at once.
pub const MAX_VIEWERS: usize = 8;
/// Least time between two looks at the picture.
const FRAME: Duration = Duration::from_millis(33);
/// The same while nothing has happened for a while.
const IDLE_FRAME: Duration = Duration::from_millis(100);
/// Looks without a change after which nothing happens.
const IDLE_AFTER: u32 = 30;

/// The server; ends when dropped.
pub struct Server {
    stop: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `screen` to whoever connects to `listener`, which must not block, under the
    /// machine's name.
    pub fn start(name: &str, listener: UnixListener, screen: Arc<Screen>) -> io::Result<Self> {
        Self::spawn(name, listener, screen, || {
            if let Err(error) = sandbox::enter(ThreadClass::Display) {
                crate::fatal(&format!("cannot close the display's sandbox: {error}"));
            }
        })
    }

    /// Serves without a sandbox, whose filter would also bind a test's threads.
    #[cfg(test)]
    pub(crate) fn start_unconfined(
        name: &str,
        listener: UnixListener,
        screen: Arc<Screen>,
    ) -> io::Result<Self> {
        Self::spawn(name, listener, screen, || ())
    }

    fn spawn(
        name: &str,
        listener: UnixListener,
        screen: Arc<Screen>,
        confine: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(Signal::new()?);
        let inner = Loop {
            name: name.to_owned(),
            listener,
            screen,
            stop: stop.clone(),
            viewers: Vec::new(),
            capture: Capture::default(),
            locks: Locks::default(),
            next: Instant::now(),
            quiet: 0,
        };
        let thread = std::thread::Builder::new()
            .name("display".to_owned())
            .spawn(move || {
                confine();
                inner.run();
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take() {
            // A panic ends the whole process, so there is no other result.
            let _ = thread.join();
        }
    }
}

struct Loop {
    name: String,
    listener: UnixListener,
    screen: Arc<Screen>,
    stop: Arc<Signal>,
    viewers: Vec<Viewer>,
    capture: Capture,
    locks: Locks,
    /// When the picture may be looked at again.
    next: Instant,
    quiet: u32,
}

/// What a round of waiting found.
struct Ready {
    stop: bool,
    connection: bool,
    viewers: Vec<PollFlags>,
}

impl Loop {
    fn run(mut self) {
        loop {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => crate::fatal(&format!("the display cannot wait: {error}")),
            };
            if ready.stop {
                return;
            }
            self.screen.changed().clear();
            let unread = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
            for (viewer, flags) in self.viewers.iter_mut().zip(&ready.viewers) {
                if flags.intersects(unread) {
                    viewer.receive(&self.screen, self.capture.frame(), &mut self.locks);
                    self.quiet = 0;
                }
            }
            if ready.connection {
                self.accept();
            }
            if self.is_due() && Instant::now() >= self.next {
                self.look();
            }
            for viewer in &mut self.viewers {
                viewer.pump(self.capture.frame());
            }
            self.forget_the_gone();
        }
    }

    fn wait(&self) -> rustix::io::Result<Ready> {
        let mut fds = vec![
            PollFd::new(&*self.stop, PollFlags::IN),
            PollFd::new(self.screen.changed(), PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN),
        ];
        let viewers = self.viewers.iter();
        fds.extend(viewers.map(|viewer| PollFd::new(viewer, viewer.interest())));
        let timeout = self.is_due().then(|| {
            let left = self.next.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        poll(&mut fds, timeout.as_ref())?;
        let flags = |fd: &PollFd<'_>| fd.revents();
        Ok(Ready {
            stop: !flags(&fds[0]).is_empty(),
            connection: !flags(&fds[2]).is_empty(),
            viewers: fds[3..].iter().map(flags).collect(),
        })
    }

    fn accept(&mut self) {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        // A peer that went away again is no error of ours.
        let Ok(stream) = accept_with(self.listener.as_fd(), flags) else {
            return;
        };
        self.welcome(stream);
    }

    fn welcome(&mut self, stream: OwnedFd) {
        if self.viewers.len() == MAX_VIEWERS {
            tracing::warn!("a viewer is turned away: {MAX_VIEWERS} look already");
            return;
        }
        if self.viewers.is_empty() {
            self.screen.set_watched(true);
            // The first thing a viewer learns is the picture's size.
            self.capture.refresh(&self.screen);
        }
        self.viewers.push(Viewer::new(stream, &self.name));
    }

    /// Whether to look at the picture as soon as that is allowed.
    fn is_due(&self) -> bool {
        let frame = self.capture.frame();
        let mut waiting = self.viewers.iter().filter(|v| v.is_waiting()).peekable();
        if waiting.peek().is_none() {
            return self.viewers.iter().any(Viewer::owes_an_answer);
        }
        capture::is_live(&self.screen)
            || self.capture.is_behind(&self.screen)
            || waiting.any(|v| v.has_news(&self.screen, frame))
            || self.viewers.iter().any(Viewer::owes_an_answer)
    }

    fn look(&mut self) {
        let changes = self.capture.refresh(&self.screen);
        self.quiet = if changes.is_empty() {
            self.quiet.saturating_add(1)
        } else {
            0
        };
        let pause = if self.quiet > IDLE_AFTER {
            IDLE_FRAME
        } else {
            FRAME
        };
        self.next = Instant::now() + pause;
        for viewer in &mut self.viewers {
            viewer.mark(&changes.tiles);
            viewer.update(&self.screen, self.capture.frame());
        }
    }

    fn forget_the_gone(&mut self) {
        let screen = &self.screen;
        self.viewers.retain_mut(|viewer| {
            if viewer.is_closed() {
                viewer.let_go(screen);
            }
            !viewer.is_closed()
        });
        if self.viewers.is_empty() && self.capture.frame().width() > 0 {
            self.screen.set_watched(false);
            self.capture.forget();
        }
    }
}
