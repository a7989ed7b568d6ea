//! Registers through which the guest learns that a processor came, or is to go, and by which it lets
//! go of one. The methods in ACPI's tables (`machine/acpi/cpus`) use them.
//!
//! Four registers of 64 bits, a bit for each processor, at [`crate::machine::layout::CPUS_PORT`]; each
//! is read and written in halves of 32 bits:
//!
//! | offset | read | written ones |
//! |---|---|---|
//! | 0 | processors that are there | – |
//! | 8 | processors that came | are known now |
//! | 16 | processors that are wanted back | are known now |
//! | 24 | 0 | the guest has let go of these |
//!
//! As with PCI devices ([`crate::pci::hotplug`]), a guest keeps what nobody wants back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::bus::PortDevice;
use crate::devices::pm::{GeneralEvent, PowerManagement};
use crate::machine::events::{Events, News};

/// Length of the registers.
pub const LEN: u16 = 32;
/// Offset of the processors that are there.
pub const PRESENT: u16 = 0;
/// Offset of the processors that came.
pub const CAME: u16 = 8;
/// Offset of the processors that are wanted back.
pub const WANTED: u16 = 16;
/// Offset of the register that ejects.
pub const EJECT: u16 = 24;

/// A bit for each processor.
pub type Set = u64;

/// What changes while the machine runs; also what is saved of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpusState {
    present: Set,
    came: Set,
    wanted: Set,
    /// The guest may eject them.
    asked: Set,
}

/// The registers.
pub struct Cpus {
    state: Mutex<CpusState>,
    power: Arc<PowerManagement>,
    events: Arc<Events>,
}

/// The first so many processors.
pub fn first(count: u8) -> Set {
    match count {
        0..64 => (1 << count) - 1,
        _ => Set::MAX,
    }
}

impl Cpus {
    /// Registers of a machine in which the processors `present` are there.
    pub fn new(present: Set, power: Arc<PowerManagement>, events: Arc<Events>) -> Self {
        let state = CpusState {
            present,
            came: 0,
            wanted: 0,
            asked: 0,
        };
        Self {
            state: Mutex::new(state),
            power,
            events,
        }
    }

    fn lock(&self) -> MutexGuard<'_, CpusState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The processors that are there.
    pub fn present(&self) -> Set {
        self.lock().present
    }

    /// Tells the guest that processors came.
    pub fn announce(&self, cpus: Set) {
        {
            let mut state = self.lock();
            state.present |= cpus;
            state.came |= cpus;
        }
        self.power.happen(GeneralEvent::Processors);
    }

    /// Asks the guest for processors.
    pub fn ask(&self, cpus: Set) {
        {
            let mut state = self.lock();
            state.wanted |= cpus;
            state.asked |= cpus;
        }
        self.power.happen(GeneralEvent::Processors);
    }

    /// Lets the guest keep what it was asked for after all.
    pub fn withdraw(&self) {
        let mut state = self.lock();
        state.wanted = 0;
        state.asked = 0;
    }

    /// The state of a machine that stands.
    pub fn save(&self) -> CpusState {
        self.lock().clone()
    }

    /// Goes on from a saved state of a machine with `count` processors. Whoever wanted one back is
    /// no more. `false` when the state is of another machine.
    pub fn restore(&self, saved: &CpusState, count: u8) -> bool {
        let fits = saved.present & 1 != 0 && saved.present & !first(count) == 0;
        if fits {
            *self.lock() = CpusState {
                present: saved.present,
                came: saved.came & saved.present,
                wanted: 0,
                asked: 0,
            };
        }
        fits
    }

    fn eject(&self, cpus: Set) {
        let mut state = self.lock();
        let going = cpus & state.asked;
        state.asked &= !going;
        state.wanted &= !going;
        state.present &= !going;
        if going != 0 {
            self.events.report(News::Processors);
        }
    }
}

impl PortDevice for Cpus {
    fn read(&self, offset: u16, data: &mut [u8]) {
        let state = self.lock();
        let value = match offset & !7 {
            PRESENT => state.present,
            CAME => state.came,
            WANTED => state.wanted,
            _ => 0,
        };
        match (offset & 7, data.len()) {
            (0, 4) => data.copy_from_slice(&(value as u32).to_le_bytes()),
            (4, 4) => data.copy_from_slice(&((value >> 32) as u32).to_le_bytes()),
            _ => {}
        }
    }

    fn write(&self, offset: u16, data: &[u8]) {
        let Ok(bytes) = data.try_into() else { return };
        let value = Set::from(u32::from_le_bytes(bytes));
        let value = match offset & 7 {
            0 => value,
            4 => value << 32,
            _ => return,
        };
        match offset & !7 {
            CAME => self.lock().came &= !value,
            WANTED => self.lock().wanted &= !value,
            EJECT => self.eject(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::interrupts::testing::Recorder;

    fn bench(present: Set) -> (Cpus, Arc<Events>) {
        let events = Arc::new(Events::new().unwrap());
        let sink = Arc::new(Recorder::default());
        let power = Arc::new(PowerManagement::new(sink, events.clone()));
        (Cpus::new(present, power, events.clone()), events)
    }

    fn get(cpus: &Cpus, offset: u16) -> u32 {
        let mut data = [0; 4];
        cpus.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn processors_come_and_the_guest_lets_go_of_those_wanted_back_only() {
        let (cpus, events) = bench(first(2));
        cpus.announce(1 << 2 | 1 << 40);
        assert_eq!((get(&cpus, PRESENT), get(&cpus, PRESENT + 4)), (7, 1 << 8));
        assert_eq!((get(&cpus, CAME), get(&cpus, CAME + 4)), (4, 1 << 8));
        cpus.write(CAME, &u32::MAX.to_le_bytes());
        assert_eq!((get(&cpus, CAME), get(&cpus, CAME + 4)), (0, 1 << 8));
        cpus.write(EJECT, &u32::MAX.to_le_bytes());
        assert!(!events.take_report(News::Processors));
        cpus.ask(1 << 40);
        assert_eq!(get(&cpus, WANTED + 4), 1 << 8);
        for half in [EJECT, EJECT + 4] {
            cpus.write(half, &u32::MAX.to_le_bytes());
        }
        assert!(events.take_report(News::Processors));
        assert_eq!(cpus.present(), 7);
        cpus.ask(2);
        cpus.withdraw();
        cpus.write(EJECT, &2u32.to_le_bytes());
        assert_eq!(cpus.present(), 7, "too late");
    }

    #[test]
    fn a_state_of_another_machine_is_refused() {
        let (cpus, _) = bench(first(4));
        cpus.announce(1 << 5);
        cpus.ask(2);
        let saved = cpus.save();
        let (second, _) = bench(first(1));
        assert!(!second.restore(&saved, 5));
        assert_eq!(second.present(), 1);
        assert!(second.restore(&saved, 6));
        assert_eq!((second.present(), get(&second, WANTED)), (0b10_1111, 0));
        assert_eq!(get(&second, CAME), 1 << 5);
        let (none, _) = bench(0);
        assert!(!second.restore(&none.save(), 64));
    }

    #[test]
    fn any_access_is_answered() {
        let (cpus, _) = bench(first(64));
        cpus.ask(Set::MAX);
        for offset in 0..LEN {
            for len in 0..=64 {
                cpus.read(offset, &mut vec![0; len]);
                cpus.write(offset, &vec![0xff; len]);
            }
        }
    }
}
