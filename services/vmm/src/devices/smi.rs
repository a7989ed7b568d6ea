//! How software interrupts for system management (ICH9 datasheet, section 13.8): two ports of advanced
//! power management, and the registers that say whether a write to the first of them interrupts.
//!
//! The interrupt (SMI) goes to every processor, by a message to all local APICs: a processor takes it
//! before its next instruction. Firmware locks the switch that is for all such interrupts; the lock is a
//! register of the bridge ([`super::lpc`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::bus::PortDevice;
use crate::machine::interrupts::InterruptSink;

/// Length of the registers: what interrupts, then what has.
pub const LEN: u16 = 8;
/// Length of the ports: control, which interrupts, then a byte that goes along.
pub const APM_LEN: u16 = 2;

/// Whether anything interrupts.
const GLOBAL_ENABLE: u32 = 1 << 0;
/// Whether a write to the control port does; and that one has.
const APM: u32 = 1 << 5;
/// A message to all processors (Intel SDM volume 3, section 11.11) …
const ALL_PROCESSORS: u64 = 0xfee0_0000 | 0xff << 12;
/// … which is delivered as a system management interrupt.
const DELIVER_SMI: u32 = 2 << 8;

/// What changes while the machine runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmiState {
    enabled: u32,
    status: u32,
    apm: [u8; APM_LEN as usize],
    locked: bool,
}

/// The registers at [`crate::machine::layout::SMI_PORT`].
pub struct Smi {
    state: Mutex<SmiState>,
    sink: Arc<dyn InterruptSink>,
}

impl Smi {
    /// Registers of a machine in which nothing interrupts yet.
    pub fn new(sink: Arc<dyn InterruptSink>) -> Self {
        Self {
            state: Mutex::default(),
            sink,
        }
    }

    fn state(&self) -> MutexGuard<'_, SmiState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The switch for all interrupts stays as it is, until the machine is reset.
    pub fn lock(&self) {
        self.state().locked = true;
    }

    /// What is kept of the registers. An interrupt under way is the processors'.
    pub fn save(&self) -> SmiState {
        self.state().clone()
    }

    /// Takes over a state.
    pub fn restore(&self, state: SmiState) {
        *self.state() = state;
    }

    fn enable(state: &mut SmiState, value: u32) {
        let fixed = match state.locked {
            true => GLOBAL_ENABLE,
            false => 0,
        };
        let value = value & (GLOBAL_ENABLE | APM);
        state.enabled = value & !fixed | state.enabled & fixed;
    }
}

/// The two registers as they lie one after the other.
fn bytes(state: &SmiState) -> [u8; LEN as usize] {
    let both = u64::from(state.status) << 32 | u64::from(state.enabled);
    both.to_le_bytes()
}

impl PortDevice for Smi {
    fn read(&self, offset: u16, data: &mut [u8]) {
        let bytes = bytes(&self.state());
        let rest = bytes.get(usize::from(offset)..).unwrap_or_default();
        data.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    }

    fn write(&self, offset: u16, data: &[u8]) {
        let mut state = self.state();
        let offset = usize::from(offset);
        let mut bytes = bytes(&state);
        // Ones clear the status, so what is not written is zeros there.
        bytes[4..].fill(0);
        let rest = bytes.get_mut(offset..).unwrap_or_default();
        rest.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
        let both = u64::from_le_bytes(bytes);
        Self::enable(&mut state, both as u32);
        state.status &= !((both >> 32) as u32);
    }
}

/// The ports at [`crate::machine::layout::APM_PORT`].
pub struct ApmPorts(pub Arc<Smi>);

impl PortDevice for ApmPorts {
    fn read(&self, offset: u16, data: &mut [u8]) {
        let state = self.0.state();
        let rest = state.apm.get(usize::from(offset)..).unwrap_or_default();
        data.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    }

    fn write(&self, offset: u16, data: &[u8]) {
        let mut state = self.0.state();
        let rest = state.apm.get_mut(usize::from(offset)..).unwrap_or_default();
        rest.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
        let both = GLOBAL_ENABLE | APM;
        if offset == 0 && !data.is_empty() && state.enabled & both == both {
            state.status |= APM;
            self.0.sink.message(ALL_PROCESSORS, DELIVER_SMI);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::interrupts::testing::{Raised, Recorder};

    fn device() -> (Arc<Smi>, ApmPorts, Arc<Recorder>) {
        let recorder = Arc::new(Recorder::default());
        let smi = Arc::new(Smi::new(recorder.clone()));
        (smi.clone(), ApmPorts(smi), recorder)
    }

    fn enabled(smi: &Smi) -> u32 {
        let mut value = [0; 4];
        smi.read(0, &mut value);
        u32::from_le_bytes(value)
    }

    #[test]
    fn a_write_interrupts_all_processors_once_both_switches_are_on() {
        let (smi, apm, recorder) = device();
        for value in [0, GLOBAL_ENABLE, APM] {
            smi.write(0, &value.to_le_bytes());
            apm.write(0, &[1]);
        }
        assert!(recorder.take().is_empty());
        smi.write(0, &u32::MAX.to_le_bytes());
        assert_eq!(enabled(&smi), GLOBAL_ENABLE | APM, "others are not there");
        apm.write(1, &[7]);
        assert!(recorder.take().is_empty());
        apm.write(0, &[5]);
        assert_eq!(recorder.take(), [Raised::Message(0xfeef_f000, 0x200)]);
        let mut both = [0; 2];
        apm.read(0, &mut both);
        assert_eq!(both, [5, 7]);
        let mut status = [0; 4];
        smi.read(4, &mut status);
        assert_eq!(u32::from_le_bytes(status), APM);
        smi.write(4, &status);
        smi.read(4, &mut status);
        assert_eq!(status, [0; 4]);
        assert_eq!(enabled(&smi), GLOBAL_ENABLE | APM);
    }

    #[test]
    fn the_lock_holds_the_switch_for_all() {
        let (smi, ..) = device();
        smi.write(0, &(GLOBAL_ENABLE | APM).to_le_bytes());
        smi.lock();
        smi.write(0, &APM.to_le_bytes());
        assert_eq!(enabled(&smi), GLOBAL_ENABLE | APM);
        smi.write(0, &[0]);
        assert_eq!(enabled(&smi), GLOBAL_ENABLE);
        let (second, apm, recorder) = device();
        second.restore(smi.save());
        second.write(0, &APM.to_le_bytes());
        apm.write(0, &[1]);
        assert_eq!(recorder.take().len(), 1);
        assert_eq!(smi.save().enabled, GLOBAL_ENABLE);
    }

    #[test]
    fn any_access_is_answered() {
        let (smi, apm, _) = device();
        for offset in 0..LEN {
            for len in 0..=64 {
                smi.read(offset, &mut vec![0; len]);
                smi.write(offset, &vec![0xff; len]);
                apm.read(offset, &mut vec![0; len]);
                apm.write(offset, &vec![0xff; len]);
            }
        }
    }
}
