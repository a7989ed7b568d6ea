//! A terminal line between a guest's port and any number of socket readers.
//!
//! Output goes into one ring that every reader follows with its own position, so a slow reader
//! costs no memory and holds nobody up: it skips what it missed. A new reader starts at the
//! oldest byte kept. The ring outlives a reset of the machine.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::event::Signal;

/// Output kept for new readers.
pub const SCROLLBACK: usize = 64 * 1024;
/// Input waiting for the guest; more is left in the sockets.
const INPUT: usize = 4096;

type InputListener = Arc<dyn Fn() + Send + Sync>;

struct State {
    ring: VecDeque<u8>,
    /// Bytes ever written; the ring's last byte is number `end - 1`.
    end: u64,
    input: VecDeque<u8>,
    listener: Option<InputListener>,
    /// Input was refused since the last time room was announced.
    starved: bool,
}

/// What is saved of a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LineState {
    output: Vec<u8>,
    input: Vec<u8>,
}

/// One terminal line.
pub struct Terminal {
    state: Mutex<State>,
    wake: Signal,
}

impl Terminal {
    /// A silent line.
    pub fn new() -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            state: Mutex::new(State {
                ring: VecDeque::new(),
                end: 0,
                input: VecDeque::new(),
                listener: None,
                starved: false,
            }),
            wake: Signal::new()?,
        }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest prints.
    pub fn print(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.end += bytes.len() as u64;
        let kept = &bytes[bytes.len().saturating_sub(SCROLLBACK)..];
        let overflow = (state.ring.len() + kept.len()).saturating_sub(SCROLLBACK);
        state.ring.drain(..overflow);
        state.ring.extend(kept);
        drop(state);
        self.wake.raise();
    }

    /// Copies output from `position` on into `buffer`; returns the new position and the length.
    /// A position that fell out of the ring moves to the oldest byte kept.
    pub fn follow(&self, position: u64, buffer: &mut [u8]) -> (u64, usize) {
        let state = self.state();
        let oldest = state.end - state.ring.len() as u64;
        let start = position.clamp(oldest, state.end);
        let skip = (start - oldest) as usize;
        let len = buffer.len().min(state.ring.len() - skip);
        for (to, from) in buffer.iter_mut().zip(state.ring.range(skip..skip + len)) {
            *to = *from;
        }
        (start + len as u64, len)
    }

    /// A reader types. Returns how much was taken; the rest must wait for [`Self::wake`].
    pub fn type_in(&self, bytes: &[u8]) -> usize {
        let mut state = self.state();
        let taken = bytes.len().min(INPUT.saturating_sub(state.input.len()));
        state.input.extend(&bytes[..taken]);
        state.starved |= taken < bytes.len();
        let listener = state.listener.clone();
        drop(state);
        if taken > 0
            && let Some(listener) = listener
        {
            listener();
        }
        taken
    }

    /// The guest's port takes up to `max` bytes of input.
    pub fn take_input(&self, max: usize) -> Vec<u8> {
        let mut state = self.state();
        let len = max.min(state.input.len());
        let taken = state.input.drain(..len).collect();
        if len > 0 && std::mem::take(&mut state.starved) {
            self.wake.raise();
        }
        taken
    }

    /// What is kept of the line: the last output, and input the guest has not taken.
    pub fn save(&self) -> LineState {
        let state = self.state();
        LineState {
            output: state.ring.iter().copied().collect(),
            input: state.input.iter().copied().collect(),
        }
    }

    /// Goes on from a saved state, before anything else was printed or typed.
    pub fn restore(&self, saved: &LineState) {
        self.print(&saved.output);
        self.type_in(&saved.input);
    }

    /// Whether input waits.
    pub fn has_input(&self) -> bool {
        !self.state().input.is_empty()
    }

    /// Calls `listener` after input arrived; called by the machine whenever it is rebuilt.
    pub fn on_input(&self, listener: InputListener) {
        self.state().listener = Some(listener);
    }

    /// Forgets the listener, so that the device behind it can go.
    pub fn detach(&self) {
        self.state().listener = None;
    }

    /// Readable when there is output to send or room for input.
    pub fn wake(&self) -> &Signal {
        &self.wake
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(terminal: &Terminal, mut position: u64) -> (u64, Vec<u8>) {
        let mut all = Vec::new();
        let mut buffer = [0; 1000];
        loop {
            let (next, len) = terminal.follow(position, &mut buffer);
            position = next;
            if len == 0 {
                return (position, all);
            }
            all.extend(&buffer[..len]);
        }
    }

    #[test]
    fn a_late_reader_gets_the_scrollback() {
        let terminal = Terminal::new().unwrap();
        terminal.print(b"hello ");
        terminal.print(b"world");
        let (position, text) = read_all(&terminal, 0);
        assert_eq!(text, b"hello world");
        terminal.print(b"!");
        assert_eq!(read_all(&terminal, position).1, b"!");
    }

    #[test]
    fn only_the_last_64_kib_are_kept() {
        let terminal = Terminal::new().unwrap();
        for i in 0..3000u32 {
            terminal.print(format!("line {i:06} of a talkative guest\n").as_bytes());
        }
        let (position, text) = read_all(&terminal, 0);
        assert_eq!(text.len(), SCROLLBACK);
        assert!(text.ends_with(b"line 002999 of a talkative guest\n"));
        terminal.print(&vec![b'x'; SCROLLBACK * 2]);
        let (end, text) = read_all(&terminal, position);
        assert_eq!(text, vec![b'x'; SCROLLBACK]);
        assert_eq!(end, position + 2 * SCROLLBACK as u64);
    }

    #[test]
    fn a_restored_line_has_its_scrollback_and_unread_input() {
        let first = Terminal::new().unwrap();
        first.print(b"login: ");
        first.type_in(b"root");
        let second = Terminal::new().unwrap();
        second.restore(&first.save());
        assert_eq!(read_all(&second, 0).1, b"login: ");
        assert_eq!(second.take_input(16), b"root");
    }

    #[test]
    fn input_is_bounded_and_room_is_announced() {
        let terminal = Terminal::new().unwrap();
        assert_eq!(terminal.type_in(&[b'a'; 5000]), INPUT);
        assert_eq!(terminal.type_in(b"b"), 0);
        terminal.wake().clear();
        assert_eq!(terminal.take_input(16).len(), 16);
        assert!(terminal.wake().clear(), "room was announced");
        assert_eq!(terminal.type_in(b"b"), 1);
    }
}
