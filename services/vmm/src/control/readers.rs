//! One connection on a terminal's socket: raw bytes both ways.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;

use super::would_block;
use crate::terminal::Terminal;

const CHUNK: usize = 4096;

/// The connection.
pub struct Reader {
    stream: UnixStream,
    /// How far it has read the terminal's output.
    position: u64,
    /// Typed, but not yet taken by the terminal.
    typed: Vec<u8>,
    stalled: bool,
    closed: bool,
}

impl Reader {
    /// A connection on a non-blocking stream, starting with the scroll-back.
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            position: 0,
            typed: Vec::new(),
            stalled: false,
            closed: false,
        }
    }

    /// What to wait for.
    pub fn interest(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, self.typed.is_empty());
        flags.set(PollFlags::OUT, self.stalled);
        flags
    }

    /// Whether it can be forgotten.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Moves what can be moved, both ways.
    pub fn serve(&mut self, terminal: &Terminal) {
        if !self.closed {
            self.forward(terminal);
            self.accept_input(terminal);
        }
    }

    fn forward(&mut self, terminal: &Terminal) {
        let mut buffer = [0; CHUNK];
        self.stalled = false;
        loop {
            let (end, len) = terminal.follow(self.position, &mut buffer);
            if len == 0 {
                self.position = end;
                return;
            }
            let start = end - len as u64;
            match self.stream.write(&buffer[..len]) {
                Ok(sent) => self.position = start + sent as u64,
                Err(error) if would_block(&error) => {
                    self.position = start;
                    self.stalled = true;
                    return;
                }
                Err(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }

    fn accept_input(&mut self, terminal: &Terminal) {
        loop {
            let taken = terminal.type_in(&self.typed);
            self.typed.drain(..taken);
            if !self.typed.is_empty() || self.closed {
                return;
            }
            let mut buffer = [0; CHUNK];
            match self.stream.read(&mut buffer) {
                Ok(0) => self.closed = true,
                Ok(len) => self.typed.extend_from_slice(&buffer[..len]),
                Err(error) if would_block(&error) => return,
                Err(_) => self.closed = true,
            }
        }
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_loses_old_output_and_holds_nobody_up() {
        let terminal = Terminal::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut reader = Reader::new(ours);
        for _ in 0..1000 {
            terminal.print(&[b'.'; 1024]);
            reader.serve(&terminal);
        }
        assert!(reader.interest().contains(PollFlags::OUT));
        terminal.print(b"the end");
        let mut all = Vec::new();
        let mut buffer = [0; 65536];
        while !all.ends_with(b"the end") {
            match theirs.read(&mut buffer) {
                Ok(len) => all.extend_from_slice(&buffer[..len]),
                Err(_) => reader.serve(&terminal),
            }
        }
        assert!(all.len() < 1000 * 1024);
    }

    #[test]
    fn input_the_guest_does_not_take_waits_in_the_socket() {
        let terminal = Terminal::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.write_all(&[b'k'; 10_000]).unwrap();
        let mut reader = Reader::new(ours);
        let mut taken = 0;
        while taken < 10_000 {
            reader.serve(&terminal);
            taken += terminal.take_input(1000).len();
        }
        assert_eq!(taken, 10_000);
    }
}
