//! The ways a guest resets itself by port: the reset control register and the keyboard
//! controller's reset line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::bus::PortDevice;
use crate::machine::events::{Events, MachineEvent};

/// Bit of the reset control register that does it.
const RESET_NOW: u8 = 1 << 2;
/// Keyboard controller command that pulses the reset line.
const PULSE_RESET: u8 = 0xfe;

/// The reset control register (0xCF9).
pub struct ResetControl {
    value: AtomicU8,
    events: Arc<Events>,
}

impl ResetControl {
    /// A register that reports to `events`.
    pub fn new(events: Arc<Events>) -> Self {
        Self {
            value: AtomicU8::new(0),
            events,
        }
    }

    /// The guest reads.
    pub fn read(&self) -> u8 {
        self.value.load(Ordering::Relaxed)
    }

    /// Takes a saved value, without resetting anything.
    pub fn restore(&self, value: u8) {
        self.value.store(value & !RESET_NOW, Ordering::Relaxed);
    }

    /// The guest writes.
    pub fn write(&self, value: u8) {
        self.value.store(value & !RESET_NOW, Ordering::Relaxed);
        if value & RESET_NOW != 0 {
            self.events.post(MachineEvent::Reset);
        }
    }
}

/// The command port of a keyboard controller without keyboard.
pub struct KeyboardReset {
    events: Arc<Events>,
}

impl KeyboardReset {
    /// A port that reports to `events`.
    pub fn new(events: Arc<Events>) -> Self {
        Self { events }
    }
}

impl PortDevice for KeyboardReset {
    fn read(&self, _offset: u16, _data: &mut [u8]) {}

    fn write(&self, _offset: u16, data: &[u8]) {
        if data.first() == Some(&PULSE_RESET) {
            self.events.post(MachineEvent::Reset);
        }
    }
}

/// System control port A (0x92): the reset line, and the address line 20 that is always open.
pub struct SystemControl {
    value: AtomicU8,
    events: Arc<Events>,
}

/// Bit of port 0x92 that resets.
const FAST_RESET: u8 = 1 << 0;
/// Bit of port 0x92 that opens address line 20.
const A20_OPEN: u8 = 1 << 1;

impl SystemControl {
    /// A port that reports to `events`.
    pub fn new(events: Arc<Events>) -> Self {
        Self {
            value: AtomicU8::new(A20_OPEN),
            events,
        }
    }
}

impl PortDevice for SystemControl {
    fn read(&self, _offset: u16, data: &mut [u8]) {
        if let Some(byte) = data.first_mut() {
            *byte = self.value.load(Ordering::Relaxed);
        }
    }

    fn write(&self, _offset: u16, data: &[u8]) {
        let Some(value) = data.first() else { return };
        self.value
            .store(value & !FAST_RESET | A20_OPEN, Ordering::Relaxed);
        if value & FAST_RESET != 0 {
            self.events.post(MachineEvent::Reset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_92_resets_and_keeps_a20_open() {
        let events = Arc::new(Events::new().unwrap());
        let port = SystemControl::new(events.clone());
        let mut byte = [0];
        port.write(0, &[0]);
        port.read(0, &mut byte);
        assert_eq!(byte, [A20_OPEN]);
        assert_eq!(events.take(), None);
        port.write(0, &[FAST_RESET]);
        assert_eq!(events.take(), Some(MachineEvent::Reset));
    }
}
