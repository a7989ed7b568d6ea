//! Registers through which the guest learns that a PCI device came, or is to go, and by which it
//! lets go of one. The methods in ACPI's tables (`machine/acpi/hotplug`) use them.
//!
//! Three registers of 32 bits, a bit for each device number, at [`crate::machine::layout::HOTPLUG_PORT`]:
//!
//! | offset | read | written ones |
//! |---|---|---|
//! | 0 | devices that came | are known now |
//! | 4 | devices that are wanted back | are known now |
//! | 8 | 0 | the guest has let go of these |
//!
//! The life of a slot:
//!
//! ```text
//! empty ── announce ──▶ plugged ── ask ──▶ wanted back ── the guest ejects ──▶ empty
//!                          ▲                   │
//!                          └──── withdraw ◀────┘ the guest does not answer
//! ```
//!
//! A guest that ejects what nobody wants back keeps it: what a machine consists of is the host's to
//! decide.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::host::{DEVICES, PciHost};
use crate::bus::PortDevice;
use crate::devices::pm::{GeneralEvent, PowerManagement};
use crate::machine::events::Events;

/// Length of the registers.
pub const LEN: u16 = 12;
/// Offset of the devices that came.
pub const PLUGGED: u16 = 0;
/// Offset of the devices that are wanted back.
pub const WANTED: u16 = 4;
/// Offset of the register that ejects.
pub const EJECT: u16 = 8;

/// What changes while the machine runs; also what is saved of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotsState {
    /// Came, and the guest has not read of it.
    plugged: u32,
    /// Wanted back, and the guest has not read of it.
    wanted: u32,
    /// Wanted back: the guest may eject them.
    asked: u32,
}

/// The registers.
pub struct Slots {
    state: Mutex<SlotsState>,
    host: Arc<PciHost>,
    power: Arc<PowerManagement>,
    events: Arc<Events>,
}

fn bit(slot: u8) -> u32 {
    1 << (usize::from(slot) % DEVICES)
}

impl Slots {
    /// Registers for the devices of `host`. The guest is called through `power`; what it ejects
    /// is told to `events`.
    pub fn new(host: Arc<PciHost>, power: Arc<PowerManagement>, events: Arc<Events>) -> Self {
        Self {
            state: Mutex::default(),
            host,
            power,
            events,
        }
    }

    fn lock(&self) -> MutexGuard<'_, SlotsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the guest that there is a device in a slot.
    pub fn announce(&self, slot: u8) {
        self.lock().plugged |= bit(slot);
        self.power.happen(GeneralEvent::PciSlots);
    }

    /// Asks the guest for the device in a slot.
    pub fn ask(&self, slot: u8) {
        {
            let mut state = self.lock();
            state.wanted |= bit(slot);
            state.asked |= bit(slot);
        }
        self.power.happen(GeneralEvent::PciSlots);
    }

    /// Lets the guest keep the device in a slot after all. `false` when it has let go already.
    pub fn withdraw(&self, slot: u8) -> bool {
        let mut state = self.lock();
        let kept = state.asked & bit(slot) != 0;
        state.wanted &= !bit(slot);
        state.asked &= !bit(slot);
        kept
    }

    /// The state of a machine that stands.
    pub fn save(&self) -> SlotsState {
        self.lock().clone()
    }

    /// Goes on from a saved state. Whoever wanted a device back is no more.
    pub fn restore(&self, saved: &SlotsState) {
        *self.lock() = SlotsState {
            plugged: saved.plugged,
            ..SlotsState::default()
        };
    }

    /// The guest lets go of devices. When this returns, none of them touches its memory.
    fn eject(&self, slots: u32) {
        let mut state = self.lock();
        let going = slots & state.asked;
        state.asked &= !going;
        state.wanted &= !going;
        for slot in (0..DEVICES as u8).filter(|slot| going & bit(*slot) != 0) {
            if let Some(device) = self.host.unplug(slot) {
                device.unplugged();
                self.events.report_ejected(slot);
            }
        }
    }
}

impl PortDevice for Slots {
    fn read(&self, offset: u16, data: &mut [u8]) {
        let state = self.lock();
        let value = match (offset, data.len()) {
            (PLUGGED, 4) => state.plugged,
            (WANTED, 4) => state.wanted,
            (EJECT, 4) => 0,
            _ => return,
        };
        data.copy_from_slice(&value.to_le_bytes());
    }

    fn write(&self, offset: u16, data: &[u8]) {
        let Ok(bytes) = data.try_into() else { return };
        let value = u32::from_le_bytes(bytes);
        match offset {
            PLUGGED => self.lock().plugged &= !value,
            WANTED => self.lock().wanted &= !value,
            EJECT => self.eject(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::reset::ResetControl;
    use crate::machine::interrupts::testing::Recorder;
    use crate::pci::{PciDevice, Window};
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Default)]
    struct Device(AtomicBool);

    impl PciDevice for Device {
        fn config_read(&self, _offset: usize, data: &mut [u8]) {
            data.fill(0x11);
        }
        fn config_write(&self, _offset: usize, _data: &[u8]) {}
        fn windows(&self) -> Vec<Window> {
            Vec::new()
        }
        fn window_read(&self, _bar: u8, _offset: u64, _data: &mut [u8]) {}
        fn window_write(&self, _bar: u8, _offset: u64, _data: &[u8]) {}
        fn unplugged(&self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    struct Bench {
        slots: Slots,
        host: Arc<PciHost>,
        events: Arc<Events>,
        device: Arc<Device>,
    }

    const SLOT: u8 = 5;

    fn bench() -> Bench {
        let events = Arc::new(Events::new().unwrap());
        let reset = ResetControl::new(events.clone());
        let host = Arc::new(PciHost::new(Vec::new(), reset, false));
        let sink = Arc::new(Recorder::default());
        let power = Arc::new(PowerManagement::new(sink, events.clone()));
        let device = Arc::new(Device::default());
        host.plug(SLOT, device.clone());
        Bench {
            slots: Slots::new(host.clone(), power, events.clone()),
            host,
            events,
            device,
        }
    }

    impl Bench {
        fn get(&self, offset: u16) -> u32 {
            let mut data = [0; 4];
            self.slots.read(offset, &mut data);
            u32::from_le_bytes(data)
        }

        fn set(&self, offset: u16, value: u32) {
            self.slots.write(offset, &value.to_le_bytes());
        }

        fn is_there(&self) -> bool {
            let mut id = [0; 4];
            PortDevice::write(&*self.host, 0, &(1u32 << 31 | 5 << 11).to_le_bytes());
            PortDevice::read(&*self.host, 4, &mut id);
            id == [0x11; 4]
        }
    }

    #[test]
    fn a_device_is_announced_until_the_guest_knows() {
        let bench = bench();
        bench.slots.announce(SLOT);
        assert_eq!(bench.get(PLUGGED), 1 << SLOT);
        // What comes between reading and telling is not lost.
        bench.slots.announce(6);
        bench.set(PLUGGED, 1 << SLOT);
        assert_eq!(bench.get(PLUGGED), 1 << 6);
        assert_eq!((bench.get(WANTED), bench.get(EJECT)), (0, 0));
    }

    #[test]
    fn a_guest_lets_go_of_what_is_wanted_back_only() {
        let bench = bench();
        bench.set(EJECT, u32::MAX);
        assert!(bench.is_there() && bench.events.take_ejected().is_empty());
        bench.slots.ask(SLOT);
        assert_eq!(bench.get(WANTED), 1 << SLOT);
        bench.set(WANTED, u32::MAX);
        assert_eq!(bench.get(WANTED), 0);
        assert!(bench.is_there());
        bench.set(EJECT, 1 << SLOT);
        assert!(!bench.is_there() && bench.device.0.load(Ordering::Relaxed));
        assert_eq!(bench.events.take_ejected(), [SLOT]);
        assert!(!bench.slots.withdraw(SLOT), "too late");
    }

    #[test]
    fn a_guest_that_answers_too_late_keeps_the_device() {
        let bench = bench();
        bench.slots.ask(SLOT);
        assert!(bench.slots.withdraw(SLOT));
        assert_eq!(bench.get(WANTED), 0);
        bench.set(EJECT, 1 << SLOT);
        assert!(bench.is_there() && bench.events.take_ejected().is_empty());
    }

    #[test]
    fn what_the_guest_does_not_know_yet_is_kept() {
        let first = bench();
        first.slots.announce(SLOT);
        first.slots.ask(SLOT);
        let saved = serde_json::to_vec(&first.slots.save()).unwrap();
        let second = bench();
        second
            .slots
            .restore(&serde_json::from_slice(&saved).unwrap());
        assert_eq!((second.get(PLUGGED), second.get(WANTED)), (1 << SLOT, 0));
        second.set(EJECT, 1 << SLOT);
        assert!(second.is_there(), "nobody asks any more");
    }

    #[test]
    fn any_access_is_answered() {
        let bench = bench();
        bench.slots.ask(SLOT);
        for offset in 0..LEN {
            for len in 0..=64 {
                bench.slots.read(offset, &mut vec![0; len]);
                bench.slots.write(offset, &vec![0xff; len]);
            }
        }
    }
}
