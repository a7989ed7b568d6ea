//! A screen in tests, and an input device that remembers.

use std::sync::{Arc, Mutex};

use super::{Buttons, Input, Key, Position, Screen};
use crate::machine::layout::MIB;
use crate::machine::memory::reserve;

/// What a device was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// A key.
    Key(Key, bool),
    /// The pointer.
    Pointer(Position, Buttons, i8),
}

/// The device.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<Done>>);

impl Recorder {
    /// What happened since the last call.
    pub fn take(&self) -> Vec<Done> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Input for Recorder {
    fn key(&self, key: Key, down: bool) {
        self.0.lock().unwrap().push(Done::Key(key, down));
    }
    fn pointer(&self, position: Position, buttons: Buttons, wheel: i8) {
        let done = Done::Pointer(position, buttons, wheel);
        self.0.lock().unwrap().push(done);
    }
}

/// A screen of a machine with 64 MiB of memory, and its input device.
pub fn recorded() -> (Arc<Screen>, Arc<Recorder>) {
    let screen = Screen::new().unwrap();
    let recorder = Arc::new(Recorder::default());
    screen.attach(reserve(64 * MIB).unwrap(), vec![recorder.clone()]);
    (screen, recorder)
}
