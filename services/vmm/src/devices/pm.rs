//! ACPI fixed hardware: power button, sleep control and the power management timer; and the block of
//! general purpose events (ACPI 6.5 §4.8.4.1), by which devices in ACPI's tables ask for attention.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::bus::PortDevice;
use crate::machine::events::{Events, MachineEvent};
use crate::machine::interrupts::InterruptSink;
use crate::machine::layout::{SCI_IRQ, SLEEP_OFF};

/// Length of the register block.
pub const LEN: u16 = GENERAL_EVENTS + GENERAL_EVENTS_LEN as u16;
/// Offset of the control register.
pub const CONTROL: u16 = 4;
/// Offset of the timer.
pub const TIMER: u16 = 8;
/// Offset of the general purpose events: as many bytes of status as of enable bits.
pub const GENERAL_EVENTS: u16 = 0x20;
/// Length of both.
pub const GENERAL_EVENTS_LEN: u8 = 4;

const POWER_BUTTON: u16 = 1 << 8;
const SCI_ENABLED: u16 = 1;
const SLEEP_TYPE_SHIFT: u16 = 10;
const SLEEP_ENABLE: u16 = 1 << 13;
/// The type by which OVMF switches a machine off, whatever the tables say.
const SLEEP_OFF_FIRMWARE: u16 = 0;
const TIMER_HZ: u128 = 3_579_545;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Registers {
    status: u16,
    enable: u16,
    control: u16,
    /// General purpose events that happened, and those that interrupt.
    #[serde(default)]
    events: u16,
    #[serde(default)]
    events_enabled: u16,
}

impl Registers {
    /// Whether the interrupt line is up.
    fn interrupts(&self) -> bool {
        self.status & self.enable != 0 || self.events & self.events_enabled != 0
    }

    /// Software writes a byte of the general purpose events; ones in the status clear.
    fn write_event(&mut self, byte: u16, value: u8) {
        let value = u16::from(value);
        match byte {
            0 => self.events &= !value,
            1 => self.events &= !(value << 8),
            2 => self.events_enabled = self.events_enabled & 0xff00 | value,
            3 => self.events_enabled = self.events_enabled & 0x00ff | value << 8,
            _ => {}
        }
    }
}

/// A general purpose event; its number is that of its method in ACPI's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum GeneralEvent {
    /// A device was plugged in, or is to be unplugged: `_E01`.
    PciSlots = 1,
    /// A processor was plugged in, or is to be unplugged: `_E02`.
    Processors = 2,
}

/// What is saved of the block.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PowerState {
    registers: Registers,
    /// Nanoseconds the timer has run.
    timer: u64,
}

/// The register block at [`crate::machine::layout::PM_PORT`].
pub struct PowerManagement {
    registers: Mutex<Registers>,
    sink: Arc<dyn InterruptSink>,
    events: Arc<Events>,
    /// When the timer started, and nanoseconds it had run before, in an earlier life.
    epoch: Instant,
    before: AtomicU64,
}

impl PowerManagement {
    /// The block, with the system in ACPI mode from the start.
    pub fn new(sink: Arc<dyn InterruptSink>, events: Arc<Events>) -> Self {
        Self {
            registers: Mutex::default(),
            sink,
            events,
            epoch: Instant::now(),
            before: AtomicU64::new(0),
        }
    }

    /// What is kept of the block of a machine that stands.
    pub fn save(&self) -> PowerState {
        let registers = self
            .registers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        PowerState {
            registers: registers.clone(),
            timer: self.running_ns(),
        }
    }

    /// Goes on from a saved state, the timer `elapsed_ns` later.
    pub fn restore(&self, saved: PowerState, elapsed_ns: u64) {
        let ran = saved.timer.wrapping_add(elapsed_ns);
        // Time since the epoch counts on top.
        let since = self.epoch.elapsed().as_nanos() as u64;
        self.before
            .store(ran.wrapping_sub(since), Ordering::Relaxed);
        self.change(|r| *r = saved.registers);
    }

    fn running_ns(&self) -> u64 {
        let before = self.before.load(Ordering::Relaxed);
        before.wrapping_add(self.epoch.elapsed().as_nanos() as u64)
    }

    /// Presses the power button.
    pub fn press_power_button(&self) {
        self.change(|r| r.status |= POWER_BUTTON);
    }

    /// Lets a general purpose event happen.
    pub fn happen(&self, event: GeneralEvent) {
        self.change(|r| r.events |= 1 << event as u8);
    }

    /// Changes registers and lets the interrupt line follow.
    fn change(&self, change: impl FnOnce(&mut Registers)) {
        // Held across the call: the line must match the registers at every instant.
        let mut registers = self
            .registers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = registers.interrupts();
        change(&mut registers);
        let after = registers.interrupts();
        if before != after {
            self.sink.line(SCI_IRQ, after);
        }
    }

    fn timer(&self) -> u32 {
        // Free-running, and 32 bits wide as the FADT says; the high part is meant to fall off.
        (u128::from(self.running_ns()) * TIMER_HZ / 1_000_000_000) as u32
    }

    fn bytes(&self) -> [u8; LEN as usize] {
        let mut bytes = [0; LEN as usize];
        {
            let r = self
                .registers
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            bytes[0..2].copy_from_slice(&r.status.to_le_bytes());
            bytes[2..4].copy_from_slice(&r.enable.to_le_bytes());
            bytes[4..6].copy_from_slice(&(r.control | SCI_ENABLED).to_le_bytes());
            let general = &mut bytes[usize::from(GENERAL_EVENTS)..];
            general[..2].copy_from_slice(&r.events.to_le_bytes());
            general[2..].copy_from_slice(&r.events_enabled.to_le_bytes());
        }
        bytes[8..12].copy_from_slice(&self.timer().to_le_bytes());
        bytes
    }

    fn control(&self, value: u16) {
        let sleep_type = (value >> SLEEP_TYPE_SHIFT) & 7;
        let off = sleep_type == u16::from(SLEEP_OFF) || sleep_type == SLEEP_OFF_FIRMWARE;
        if value & SLEEP_ENABLE != 0 && off {
            self.events.post(MachineEvent::PowerOff);
        }
        self.change(|r| r.control = value & !SLEEP_ENABLE);
    }
}

impl PortDevice for PowerManagement {
    fn read(&self, offset: u16, data: &mut [u8]) {
        if offset == TIMER && data.len() == 4 {
            // By far the most frequent access: no lock.
            data.copy_from_slice(&self.timer().to_le_bytes());
            return;
        }
        let bytes = self.bytes();
        for (i, byte) in data.iter_mut().enumerate() {
            *byte = bytes.get(usize::from(offset) + i).copied().unwrap_or(0xff);
        }
    }

    fn write(&self, offset: u16, data: &[u8]) {
        if let Some(first) = offset.checked_sub(GENERAL_EVENTS) {
            self.change(|r| {
                for (byte, value) in (first..GENERAL_EVENTS_LEN.into()).zip(data) {
                    r.write_event(byte, *value);
                }
            });
            return;
        }
        let (Some(value), 0..=2) = (word(data), data.len()) else {
            return;
        };
        match offset {
            // Ones clear.
            0 => self.change(|r| r.status &= !value),
            2 => self.change(|r| r.enable = value),
            CONTROL => self.control(value),
            _ => {}
        }
    }
}

fn word(data: &[u8]) -> Option<u16> {
    match data {
        [low] => Some(u16::from(*low)),
        [low, high, ..] => Some(u16::from_le_bytes([*low, *high])),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::interrupts::testing::{Raised, Recorder};

    fn device() -> (PowerManagement, Arc<Recorder>, Arc<Events>) {
        let recorder = Arc::new(Recorder::default());
        let events = Arc::new(Events::new().unwrap());
        (
            PowerManagement::new(recorder.clone(), events.clone()),
            recorder,
            events,
        )
    }

    #[test]
    fn the_button_interrupts_until_acknowledged() {
        let (pm, recorder, _) = device();
        pm.write(2, &POWER_BUTTON.to_le_bytes());
        pm.press_power_button();
        assert_eq!(recorder.take(), vec![Raised::Line(SCI_IRQ, true)]);
        let mut status = [0; 2];
        pm.read(0, &mut status);
        assert_eq!(u16::from_le_bytes(status), POWER_BUTTON);
        pm.write(0, &POWER_BUTTON.to_le_bytes());
        assert_eq!(recorder.take(), vec![Raised::Line(SCI_IRQ, false)]);
    }

    #[test]
    fn a_button_pressed_before_the_driver_came_is_kept() {
        let (pm, recorder, _) = device();
        pm.press_power_button();
        assert!(recorder.take().is_empty());
        pm.write(2, &POWER_BUTTON.to_le_bytes());
        assert_eq!(recorder.take(), vec![Raised::Line(SCI_IRQ, true)]);
    }

    #[test]
    fn a_general_event_interrupts_once_it_is_enabled_until_its_status_is_cleared() {
        let (pm, recorder, _) = device();
        pm.happen(GeneralEvent::PciSlots);
        assert!(recorder.take().is_empty());
        pm.write(GENERAL_EVENTS + 2, &[2]);
        assert_eq!(recorder.take(), vec![Raised::Line(SCI_IRQ, true)]);
        let mut bytes = [0; 4];
        pm.read(GENERAL_EVENTS, &mut bytes);
        assert_eq!(bytes, [2, 0, 2, 0]);
        let saved = pm.save();
        pm.write(GENERAL_EVENTS, &[0xff, 0xff]);
        assert_eq!(recorder.take(), vec![Raised::Line(SCI_IRQ, false)]);
        let (second, recorder, _) = device();
        second.restore(saved, 0);
        assert_eq!(recorder.take(), vec![Raised::Line(SCI_IRQ, true)]);
        second.write(GENERAL_EVENTS, &[2, 0, 0, 0, 9]);
        assert_eq!(recorder.take(), vec![Raised::Line(SCI_IRQ, false)]);
    }

    #[test]
    fn a_state_without_general_events_is_restored() {
        let old = r#"{"registers":{"status":256,"enable":0,"control":0},"timer":5}"#;
        let (pm, ..) = device();
        pm.restore(serde_json::from_str(old).unwrap(), 0);
        let mut status = [0; 2];
        pm.read(0, &mut status);
        assert_eq!(u16::from_le_bytes(status), POWER_BUTTON);
    }

    #[test]
    fn a_restored_block_has_its_button_and_a_later_timer() {
        let (pm, _, _) = device();
        pm.write(2, &POWER_BUTTON.to_le_bytes());
        pm.press_power_button();
        let saved = pm.save();
        let (second, recorder, _) = device();
        second.restore(saved.clone(), 1_000_000_000);
        assert_eq!(recorder.take(), vec![Raised::Line(SCI_IRQ, true)]);
        let ran = second.save().timer;
        assert!(ran >= saved.timer + 1_000_000_000, "{ran}");
        assert!(ran < saved.timer + 60_000_000_000, "{ran}");
    }

    #[test]
    fn soft_off_needs_type_and_enable() {
        let (pm, _, events) = device();
        pm.write(
            CONTROL,
            &(u16::from(SLEEP_OFF) << SLEEP_TYPE_SHIFT).to_le_bytes(),
        );
        assert_eq!(events.take(), None);
        let off = u16::from(SLEEP_OFF) << SLEEP_TYPE_SHIFT | SLEEP_ENABLE;
        pm.write(CONTROL, &off.to_le_bytes());
        assert_eq!(events.take(), Some(MachineEvent::PowerOff));
        pm.write(CONTROL, &SLEEP_ENABLE.to_le_bytes());
        assert_eq!(
            events.take(),
            Some(MachineEvent::PowerOff),
            "as firmware does"
        );
        let mut control = [0; 2];
        pm.read(CONTROL, &mut control);
        assert_eq!(
            u16::from_le_bytes(control) & SLEEP_ENABLE,
            0,
            "write-only bit"
        );
    }

    #[test]
    fn any_access_is_answered() {
        let (pm, _, _) = device();
        for offset in 0..LEN {
            for len in 1..=64 {
                pm.read(offset, &mut vec![0; len]);
                pm.write(offset, &vec![0; len]);
            }
        }
    }
}
