//! The virtio console: one port between the guest (`hvc0`) and a [`Terminal`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::worker::{Backend, BrokenQueue, Live, Stopped};
use super::{Description, Kind};
use crate::event::Signal;
use crate::terminal::Terminal;

const TO_GUEST: usize = 0;
const FROM_GUEST: usize = 1;
/// Most output taken from one chain at a time.
const CHUNK: usize = 4096;

/// What the transport needs to know.
pub fn description() -> Description {
    Description {
        kind: Kind::Console,
        features: 0,
        queues: vec![64, 64],
        config: vec![0; 12],
    }
}

/// A port's way to and from a terminal.
pub(super) struct Line {
    terminal: Arc<Terminal>,
}

impl Line {
    /// To `terminal`; `typed` is raised when it has input.
    pub(super) fn new(terminal: Arc<Terminal>, typed: Arc<Signal>) -> Self {
        terminal.on_input(Arc::new(move || typed.raise()));
        Self { terminal }
    }

    /// Prints what the guest wrote into `queue`.
    pub(super) fn print(&self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        live.drain(queue, |live| {
            while let Some(mut chain) = live.pop(queue)? {
                while !chain.readable.is_empty() {
                    let mut text = vec![0; chain.readable.len().min(CHUNK)];
                    let part = chain.readable.take_front(text.len()).ok_or(BrokenQueue)?;
                    part.read(&live.memory, &mut text);
                    self.terminal.print(&text);
                }
                live.push(queue, chain.head, 0)?;
            }
            Ok(Stopped::Empty)
        })
    }

    /// Puts what was typed into `queue`.
    pub(super) fn feed(&self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        live.drain(queue, |live| {
            loop {
                if !self.terminal.has_input() {
                    return Ok(Stopped::Early);
                }
                let Some(chain) = live.pop(queue)? else {
                    return Ok(Stopped::Empty);
                };
                let text = self.terminal.take_input(chain.writable.len());
                let written = chain.writable.write(&live.memory, &text);
                live.push(queue, chain.head, written)?;
            }
        })
    }
}

/// The device.
pub struct Console {
    line: Line,
    typed: Arc<Signal>,
}

impl Console {
    /// A port on `terminal`.
    pub fn new(terminal: Arc<Terminal>) -> io::Result<Self> {
        let typed = Arc::new(Signal::new()?);
        let line = Line::new(terminal, typed.clone());
        Ok(Self { line, typed })
    }
}

impl Backend for Console {
    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        Ok(())
    }

    fn kicked(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        if queue == FROM_GUEST {
            self.line.print(live, FROM_GUEST)
        } else {
            self.line.feed(live, TO_GUEST)
        }
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        Some(self.typed.as_fd())
    }

    fn ready(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        self.typed.clear();
        self.line.feed(live, TO_GUEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::testing::{Driver, Part};

    #[test]
    fn text_goes_both_ways() {
        let terminal = Terminal::new().unwrap();
        let mut console = Console::new(terminal.clone()).unwrap();
        let mut driver = Driver::new(2);
        driver.submit_to(
            FROM_GUEST,
            &[Part::Out(b"hello ".to_vec()), Part::Out(b"hvc0".to_vec())],
        );
        console.kicked(&mut driver.live, FROM_GUEST).unwrap();
        let mut text = [0; 10];
        assert_eq!(terminal.follow(0, &mut text).1, 10);
        assert_eq!(&text, b"hello hvc0");

        driver.submit_to(TO_GUEST, &[Part::In(16)]);
        console.kicked(&mut driver.live, TO_GUEST).unwrap();
        assert_eq!(driver.completed_on(TO_GUEST), None, "nothing typed yet");
        terminal.type_in(b"ls\n");
        assert!(console.typed.clear());
        console.ready(&mut driver.live).unwrap();
        assert_eq!(driver.completed_on(TO_GUEST), Some(3));
        assert_eq!(driver.bytes_of(0, 3), b"ls\n");
    }
}
