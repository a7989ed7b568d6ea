//! The keyboard controller (ports 0x60 and 0x64) with a PS/2 keyboard and mouse behind it.
//!
//! [`keyboard`] and [`mouse`] are the devices with their own commands and queues; the controller
//! here hands their bytes to the guest one at a time, translates the keyboard's from scan code set 2
//! to set 1 while told so, and raises interrupts 1 and 12. Keys and pointer come in through
//! [`Input`].

pub mod codes;
pub mod keyboard;
pub mod mouse;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::bus::PortDevice;
use crate::display::{Buttons, Input, Key, Position, Screen};
use crate::machine::events::{Events, MachineEvent};
use crate::machine::interrupts::InterruptSink;
use crate::machine::layout::{KEYBOARD_IRQ, MOUSE_IRQ};
use keyboard::KeyboardState;
use mouse::MouseState;

const DATA: u16 = 0;
/// The status and command port, counted from the data port.
pub const COMMAND: u16 = 4;

const STATUS_OUTPUT_FULL: u8 = 1 << 0;
const STATUS_SYSTEM: u8 = 1 << 2;
const STATUS_COMMAND: u8 = 1 << 3;
/// No key lock.
const STATUS_UNLOCKED: u8 = 1 << 4;
const STATUS_FROM_MOUSE: u8 = 1 << 5;

const MODE_KEYBOARD_INTERRUPT: u8 = 1 << 0;
const MODE_MOUSE_INTERRUPT: u8 = 1 << 1;
const MODE_SYSTEM: u8 = 1 << 2;
const MODE_KEYBOARD_OFF: u8 = 1 << 4;
const MODE_MOUSE_OFF: u8 = 1 << 5;
const MODE_TRANSLATE: u8 = 1 << 6;

/// Output port: not in reset, A20 open.
const OUTPUT_PORT: u8 = 0b11;
/// Prefix of a released key in scan code set 2.
const RELEASED: u8 = 0xf0;

/// Where a byte comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Source {
    Controller,
    Keyboard,
    Mouse,
}

/// What the next byte written to the data port is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Next {
    Keyboard,
    Mouse,
    Mode,
    OutputPort,
    KeyboardOutput,
    MouseOutput,
}

/// What changes while the machine runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct I8042State {
    mode: u8,
    output_port: u8,
    next: Next,
    /// The byte waiting in the data port.
    output: Option<(u8, Source)>,
    /// What the data port held last.
    last: u8,
    /// The last write went to the command port.
    commanded: bool,
    /// A release prefix was taken in and not yet handed out.
    released: bool,
    keyboard: KeyboardState,
    mouse: MouseState,
}

/// The controller.
pub struct I8042 {
    state: Mutex<I8042State>,
    sink: Arc<dyn InterruptSink>,
    events: Arc<Events>,
    screen: Option<Arc<Screen>>,
}

impl I8042 {
    /// A controller after power-on; pointer movements are measured in pixels of `screen`.
    pub fn new(
        sink: Arc<dyn InterruptSink>,
        events: Arc<Events>,
        screen: Option<Arc<Screen>>,
    ) -> Self {
        Self {
            state: Mutex::new(I8042State {
                mode: MODE_KEYBOARD_INTERRUPT | MODE_SYSTEM | MODE_TRANSLATE,
                output_port: OUTPUT_PORT,
                next: Next::Keyboard,
                output: None,
                last: 0,
                commanded: false,
                released: false,
                keyboard: KeyboardState::default(),
                mouse: MouseState::default(),
            }),
            sink,
            events,
            screen,
        }
    }

    fn state(&self) -> MutexGuard<'_, I8042State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of controller, keyboard and mouse.
    pub fn save(&self) -> I8042State {
        self.state().clone()
    }

    /// Takes over a state.
    pub fn restore(&self, state: I8042State) {
        let mut current = self.state();
        *current = state;
        self.set_lines(&current);
    }

    /// Lets the interrupt lines follow the data port. They are edges to the guest: each byte is one.
    fn set_lines(&self, state: &I8042State) {
        let full = |source: fn(Source) -> bool| state.output.is_some_and(|(_, from)| source(from));
        let keyboard = full(|from| from != Source::Mouse);
        let mouse = full(|from| from == Source::Mouse);
        let on = |bit: u8| state.mode & bit != 0;
        self.sink
            .line(KEYBOARD_IRQ, keyboard && on(MODE_KEYBOARD_INTERRUPT));
        self.sink.line(MOUSE_IRQ, mouse && on(MODE_MOUSE_INTERRUPT));
    }

    /// Moves the next byte into the data port if it is empty.
    fn refill(&self, state: &mut I8042State) {
        if state.output.is_some() {
            return;
        }
        if let Some(next) = state.next_byte() {
            state.output = Some(next);
            state.last = next.0;
            self.set_lines(state);
        }
    }

    fn read_data(&self) -> u8 {
        let mut state = self.state();
        if state.output.take().is_some() {
            self.set_lines(&state);
        }
        let value = state.last;
        self.refill(&mut state);
        value
    }

    fn write_data(&self, value: u8) {
        let mut state = self.state();
        state.commanded = false;
        match std::mem::replace(&mut state.next, Next::Keyboard) {
            Next::Keyboard => {
                // Talking to a device switches it on.
                state.mode &= !MODE_KEYBOARD_OFF;
                state.keyboard.command(value);
            }
            Next::Mouse => {
                state.mode &= !MODE_MOUSE_OFF;
                state.mouse.command(value);
            }
            Next::Mode => {
                state.mode = value;
                self.set_lines(&state);
            }
            Next::OutputPort => {
                state.output_port = value;
                if value & 1 == 0 {
                    self.events.post(MachineEvent::Reset);
                }
            }
            Next::KeyboardOutput => self.reply(&mut state, value, Source::Controller),
            Next::MouseOutput => self.reply(&mut state, value, Source::Mouse),
        }
        self.refill(&mut state);
    }

    /// Puts a byte into the data port, whatever is there.
    fn reply(&self, state: &mut I8042State, value: u8, source: Source) {
        if state.output.take().is_some() {
            self.set_lines(state);
        }
        state.output = Some((value, source));
        state.last = value;
        self.set_lines(state);
    }

    fn command(&self, command: u8) {
        let mut state = self.state();
        state.commanded = true;
        state.next = Next::Keyboard;
        match command {
            0x20 => {
                let mode = state.mode;
                self.reply(&mut state, mode, Source::Controller);
            }
            0x60 => state.next = Next::Mode,
            0xa7 => state.mode |= MODE_MOUSE_OFF,
            0xa8 => state.mode &= !MODE_MOUSE_OFF,
            // The lines to mouse and keyboard are in order.
            0xa9 | 0xab => self.reply(&mut state, 0, Source::Controller),
            0xaa => self.reply(&mut state, 0x55, Source::Controller),
            0xad => state.mode |= MODE_KEYBOARD_OFF,
            0xae => state.mode &= !MODE_KEYBOARD_OFF,
            0xc0 => self.reply(&mut state, 0x80, Source::Controller),
            0xd0 => {
                let port = state.output_port;
                self.reply(&mut state, port, Source::Controller);
            }
            0xd1 => state.next = Next::OutputPort,
            0xd2 => state.next = Next::KeyboardOutput,
            0xd3 => state.next = Next::MouseOutput,
            0xd4 => state.next = Next::Mouse,
            // Pulses of the output port; the one at bit 0 is the reset line.
            0xf0..=0xff if command & 1 == 0 => self.events.post(MachineEvent::Reset),
            _ => {}
        }
        self.refill(&mut state);
    }

    fn status(&self) -> u8 {
        let state = self.state();
        let mut status = STATUS_UNLOCKED | state.mode & MODE_SYSTEM & STATUS_SYSTEM;
        if state.commanded {
            status |= STATUS_COMMAND;
        }
        match state.output {
            Some((_, Source::Mouse)) => status | STATUS_OUTPUT_FULL | STATUS_FROM_MOUSE,
            Some(_) => status | STATUS_OUTPUT_FULL,
            None => status,
        }
    }
}

impl I8042State {
    fn next_byte(&mut self) -> Option<(u8, Source)> {
        if self.mode & MODE_KEYBOARD_OFF == 0 {
            while let Some(byte) = self.keyboard.take() {
                if let Some(byte) = self.translated(byte) {
                    return Some((byte, Source::Keyboard));
                }
            }
        }
        if self.mode & MODE_MOUSE_OFF == 0 {
            return self.mouse.take().map(|byte| (byte, Source::Mouse));
        }
        None
    }

    /// A keyboard's byte as the guest gets it; the release prefix joins the byte behind it.
    fn translated(&mut self, byte: u8) -> Option<u8> {
        if self.mode & MODE_TRANSLATE == 0 {
            return Some(byte);
        }
        if byte == RELEASED {
            self.released = true;
            return None;
        }
        let code = codes::to_set_1(byte);
        Some(if std::mem::take(&mut self.released) {
            code | 0x80
        } else {
            code
        })
    }
}

impl PortDevice for I8042 {
    fn read(&self, offset: u16, data: &mut [u8]) {
        let Some(byte) = data.first_mut() else { return };
        match offset {
            DATA => *byte = self.read_data(),
            COMMAND => *byte = self.status(),
            _ => {}
        }
    }

    fn write(&self, offset: u16, data: &[u8]) {
        let Some(value) = data.first() else { return };
        match offset {
            DATA => self.write_data(*value),
            COMMAND => self.command(*value),
            _ => {}
        }
    }
}

/// The status and command port, which lies apart: the ports between are other devices'.
pub struct CommandPort(pub Arc<I8042>);

impl PortDevice for CommandPort {
    fn read(&self, offset: u16, data: &mut [u8]) {
        self.0.read(COMMAND + offset, data);
    }

    fn write(&self, offset: u16, data: &[u8]) {
        self.0.write(COMMAND + offset, data);
    }
}

impl Input for I8042 {
    fn key(&self, key: Key, down: bool) {
        let mut state = self.state();
        state.keyboard.key(key, down);
        self.refill(&mut state);
    }

    fn pointer(&self, position: Position, buttons: Buttons, wheel: i8) {
        let size = self
            .screen
            .as_ref()
            .and_then(|screen| screen.surface())
            .map_or(mouse::DEFAULT_SIZE, |surface| {
                (surface.width, surface.height)
            });
        let mut state = self.state();
        state.mouse.pointer(position, size, buttons, wheel);
        self.refill(&mut state);
    }
}

#[cfg(test)]
mod tests;
