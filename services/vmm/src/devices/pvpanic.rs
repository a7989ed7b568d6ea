//! The port by which a guest says that it panicked: "pvpanic" as an ISA device (QEMU's
//! `docs/specs/pvpanic.rst`), which Linux's `pvpanic-mmio` and drivers of Windows know.
//!
//! Reading the port tells which events there are, and writing one reports it. The machine runs on: its guest
//! may write down what happened, or reset itself. What was said once is not heard again before the machine
//! is reset, so a guest that says it over and over keeps nobody busy.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::bus::PortDevice;
use crate::machine::events::{Events, MachineEvent, News};

/// Number of ports.
pub const LEN: u16 = 1;

/// The guest panicked.
const PANICKED: u8 = 1 << 0;
/// It did, and another kernel takes over to write that down.
const CRASH_LOADED: u8 = 1 << 1;
/// It wants to be switched off.
const SHUTDOWN: u8 = 1 << 2;
const SUPPORTED: u8 = PANICKED | CRASH_LOADED | SHUTDOWN;

/// What the guest has said since the machine was reset; also what is saved of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PvpanicState {
    /// When it panicked, in seconds since 1970.
    panicked: Option<u64>,
    crash_loaded: bool,
}

/// The port at [`crate::machine::layout::PVPANIC_PORT`].
pub struct Pvpanic {
    state: Mutex<PvpanicState>,
    events: Arc<Events>,
}

impl Pvpanic {
    /// A port that reports to `events`.
    pub fn new(events: Arc<Events>) -> Self {
        Self {
            state: Mutex::default(),
            events,
        }
    }

    fn lock(&self) -> MutexGuard<'_, PvpanicState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the guest said that it panicked, in seconds since 1970.
    pub fn panicked(&self) -> Option<u64> {
        self.lock().panicked
    }

    /// What is kept of it, if the guest has said anything.
    pub fn save(&self) -> Option<PvpanicState> {
        Some(self.lock().clone()).filter(|said| *said != PvpanicState::default())
    }

    /// Takes over what the guest has said, which is not reported again.
    pub fn restore(&self, said: PvpanicState) {
        *self.lock() = said;
    }

    fn panic(&self) {
        let mut state = self.lock();
        if state.panicked.is_none() {
            let passed = SystemTime::now().duration_since(UNIX_EPOCH);
            state.panicked = Some(passed.map_or(0, |passed| passed.as_secs()));
            self.events.report(News::Panicked);
        }
    }

    fn load_crash_kernel(&self) {
        let mut state = self.lock();
        if !state.crash_loaded {
            state.crash_loaded = true;
            self.events.report(News::CrashLoaded);
        }
    }
}

impl PortDevice for Pvpanic {
    fn read(&self, _offset: u16, data: &mut [u8]) {
        if let Some(byte) = data.first_mut() {
            *byte = SUPPORTED;
        }
    }

    fn write(&self, _offset: u16, data: &[u8]) {
        let said = data.first().copied().unwrap_or(0);
        // Of several at once the worst counts.
        if said & PANICKED != 0 {
            self.panic();
        } else if said & CRASH_LOADED != 0 {
            self.load_crash_kernel();
        } else if said & SHUTDOWN != 0 {
            self.events.post(MachineEvent::PowerOff);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> (Pvpanic, Arc<Events>) {
        let events = Arc::new(Events::new().unwrap());
        (Pvpanic::new(events.clone()), events)
    }

    #[test]
    fn what_is_said_a_million_times_is_reported_once() {
        let (port, events) = device();
        for _ in 0..1_000_000 {
            port.write(0, &[PANICKED]);
        }
        assert!(events.wake().clear() && events.take_report(News::Panicked));
        assert!(!events.take_report(News::CrashLoaded));
        assert!(port.panicked().is_some());
        for _ in 0..1_000_000 {
            port.write(0, &[CRASH_LOADED]);
        }
        assert!(events.wake().clear() && events.take_report(News::CrashLoaded));
        // All of it was reported before, and a machine that panicked is not switched off.
        for said in [PANICKED, CRASH_LOADED, SUPPORTED, 0xff] {
            port.write(0, &[said]);
        }
        assert!(!events.wake().clear() && !events.take_report(News::Panicked));
        assert_eq!(events.take(), None);
    }

    #[test]
    fn the_port_tells_what_can_be_said_and_nothing_else_is() {
        let (port, events) = device();
        let mut both = [0xff; 2];
        port.read(0, &mut both);
        assert_eq!(both, [0b111, 0xff]);
        port.write(0, &[!SUPPORTED]);
        assert!(!events.wake().clear() && port.save().is_none());
        port.write(0, &[SHUTDOWN]);
        assert_eq!(events.take(), Some(MachineEvent::PowerOff));
        assert_eq!(port.panicked(), None);
    }

    #[test]
    fn what_was_said_is_kept_and_not_reported_again() {
        let (port, _) = device();
        port.write(0, &[PANICKED]);
        let saved = serde_json::to_string(&port.save().unwrap()).unwrap();
        let (second, events) = device();
        second.restore(serde_json::from_str(&saved).unwrap());
        assert_eq!(second.panicked(), port.panicked());
        second.write(0, &[PANICKED]);
        assert!(!events.wake().clear() && !events.take_report(News::Panicked));
        second.write(0, &[CRASH_LOADED]);
        assert!(events.take_report(News::CrashLoaded));
    }

    #[test]
    fn any_access_is_answered() {
        let (port, _) = device();
        for len in 0..=64 {
            port.read(0, &mut vec![0; len]);
            port.write(0, &vec![0xff; len]);
        }
    }
}
