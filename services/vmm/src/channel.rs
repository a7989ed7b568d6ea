//! A byte channel between a named port of the guest and one program of the host at a time.
//!
//! Unlike a [`crate::terminal`] it keeps nothing: what the guest writes while nobody is connected is
//! dropped, and both directions start empty for every program that connects. Each side sees whether
//! the other is there. Both directions are bounded: whoever is too quick waits.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::Signal;

/// Bytes that wait in one direction.
pub const ROOM: usize = 64 * 1024;

/// Most bytes that the guest writes at once; what it writes beyond is dropped.
pub const LARGEST: usize = 1 << 20;

type Listener = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct State {
    to_guest: VecDeque<u8>,
    to_host: VecDeque<u8>,
    /// A program of the host is connected.
    host: bool,
    /// A program of the guest has the port open.
    guest: bool,
    listener: Option<Listener>,
}

/// The channel.
pub struct Channel {
    state: Mutex<State>,
    wake: Signal,
}

impl Channel {
    /// A channel with nobody at either end.
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            state: Mutex::default(),
            wake: Signal::new()?,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the device that its other side changed.
    fn tell_device(state: MutexGuard<'_, State>) {
        let listener = state.listener.clone();
        drop(state);
        if let Some(listener) = listener {
            listener();
        }
    }

    // The host's side.

    /// A program connects, or is gone; what was on its way is not for the next.
    pub fn set_host(&self, connected: bool) {
        let mut state = self.state();
        state.host = connected;
        state.to_guest.clear();
        state.to_host.clear();
        Self::tell_device(state);
    }

    /// Whether a program of the guest has the port open.
    pub fn guest_listens(&self) -> bool {
        self.state().guest
    }

    /// The host writes. Returns how much was taken; the rest must wait for [`Self::wake`].
    pub fn write(&self, bytes: &[u8]) -> usize {
        let mut state = self.state();
        let taken = bytes.len().min(ROOM - state.to_guest.len().min(ROOM));
        state.to_guest.extend(&bytes[..taken]);
        if taken > 0 {
            Self::tell_device(state);
        }
        taken
    }

    /// The host reads up to `most` bytes.
    pub fn read(&self, most: usize) -> Vec<u8> {
        let mut state = self.state();
        let len = most.min(state.to_host.len());
        let bytes = state.to_host.drain(..len).collect();
        if len > 0 {
            Self::tell_device(state);
        }
        bytes
    }

    /// Readable when the guest's side changed.
    pub fn wake(&self) -> &Signal {
        &self.wake
    }

    // The guest's side, which the device is.

    /// Whether a program of the host is connected.
    pub fn host_listens(&self) -> bool {
        self.state().host
    }

    /// A program of the guest opens the port, or closes it; what it did not read is not for the next.
    pub fn set_guest(&self, open: bool) {
        let mut state = self.state();
        state.guest = open;
        if !open {
            state.to_guest.clear();
        }
        drop(state);
        self.wake.raise();
    }

    /// Bytes until the guest must wait; what it wrote at once may be more.
    pub fn room(&self) -> usize {
        let state = self.state();
        ROOM - state.to_host.len().min(ROOM)
    }

    /// The guest writes, while there is [`Self::room`], no more than [`LARGEST`] at once. Without a
    /// program of the host nobody gets it.
    pub fn give(&self, bytes: &[u8]) {
        let mut state = self.state();
        if state.host {
            state.to_host.extend(bytes);
            drop(state);
            self.wake.raise();
        }
    }

    /// Whether there is something for the guest.
    pub fn has_input(&self) -> bool {
        !self.state().to_guest.is_empty()
    }

    /// The guest reads up to `most` bytes.
    pub fn take(&self, most: usize) -> Vec<u8> {
        let mut state = self.state();
        let len = most.min(state.to_guest.len());
        let bytes = state.to_guest.drain(..len).collect();
        drop(state);
        if len > 0 {
            self.wake.raise();
        }
        bytes
    }

    /// Calls `listener` when the host's side changed; called by the machine whenever it is rebuilt.
    pub fn on_change(&self, listener: Listener) {
        self.state().listener = Some(listener);
    }

    /// Forgets the device, so that it can go: the port is closed.
    pub fn detach(&self) {
        self.state().listener = None;
        self.set_guest(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_starts_with_an_empty_channel() {
        let channel = Channel::new().unwrap();
        channel.give(b"to nobody");
        channel.set_host(true);
        assert_eq!(channel.read(64), b"");
        channel.give(b"late answer");
        channel.write(b"question");
        channel.set_host(false);
        channel.set_host(true);
        assert_eq!(channel.read(64), b"");
        assert_eq!(channel.take(64), b"");
    }

    #[test]
    fn both_directions_are_bounded() {
        let channel = Channel::new().unwrap();
        channel.set_host(true);
        assert_eq!(channel.write(&vec![b'a'; ROOM + 1]), ROOM);
        assert_eq!(channel.write(b"b"), 0);
        assert_eq!(channel.take(10).len(), 10);
        assert!(channel.wake().clear(), "room was announced");
        assert_eq!(channel.write(&[b'b'; 20]), 10);
        channel.give(&vec![b'c'; channel.room()]);
        assert_eq!(channel.room(), 0);
        channel.read(1);
        assert_eq!(channel.room(), 1);
    }
}
