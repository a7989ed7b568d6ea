//! The bridge to the machine's legacy devices (ICH9 LPC, 00:1f.0): the registers through which
//! firmware places the power management block and routes interrupts.
//!
//! Nothing moves: the block stays at [`PM_PORT`], which is also where firmware puts it, and PCI
//! interrupts go to the lines the ACPI tables say. The registers keep what is written to them; one bit
//! locks the interrupts for system management ([`super::smi`]), in machines that have those.
//!
//! [`PM_PORT`]: crate::machine::layout::PM_PORT

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::smi::Smi;
use crate::pci::config::{COMMAND, ConfigSpace, Identity};
use crate::pci::{PciDevice, Window};

/// PCI device number.
pub const SLOT: u8 = 31;
const COMMAND_IO: u8 = 1 << 0;
/// Address of the power management block.
const PMBASE: usize = 0x40;
/// Whether it is decoded, and which interrupt it has.
const ACPI_CNTL: usize = 0x44;
/// Routing of lines A to D, then E to H: the interrupt, or bit 7 for none.
const PIRQ: [usize; 2] = [0x60, 0x68];
const PIRQ_OFF: u8 = 0x80;
/// Configuration of power management, and its bit that can only be set: what enables interrupts for system
/// management stays as it is.
const GEN_PMCON_1: usize = 0xa0;
const SMI_LOCK: u8 = 1 << 4;
/// Address of the root complex registers.
const RCBA: usize = 0xf0;

/// What changes while the machine runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LpcState {
    /// All configuration registers.
    registers: Vec<u8>,
}

/// The bridge.
pub struct Lpc {
    space: Mutex<ConfigSpace>,
    smi: Option<Arc<Smi>>,
}

impl Lpc {
    /// A bridge whose registers firmware has still to set.
    pub fn new() -> Self {
        let mut space = ConfigSpace::new(Identity {
            vendor: 0x8086,
            device: 0x2918,
            class: [0x06, 0x01, 0x00],
            revision: 2,
            subsystem: (0x1af4, 0x1100),
        });
        space.put(COMMAND, &[0b111, 0]);
        space.allow(COMMAND, &[COMMAND_IO]);
        // Bit 0 says that it is an I/O address.
        space.put(PMBASE, &1u32.to_le_bytes());
        space.allow(PMBASE, &0xff80u32.to_le_bytes());
        space.allow(ACPI_CNTL, &[0b1000_0111]);
        for lines in PIRQ {
            space.put(lines, &[PIRQ_OFF; 4]);
            space.allow(lines, &[0x8f; 4]);
        }
        space.allow(RCBA, &0xffff_c001u32.to_le_bytes());
        Self {
            space: Mutex::new(space),
            smi: None,
        }
    }

    /// A bridge that locks `smi` when software says so.
    pub fn with_smi(smi: Arc<Smi>) -> Self {
        let bridge = Self::new();
        bridge.space().allow(GEN_PMCON_1, &[SMI_LOCK]);
        Self {
            smi: Some(smi),
            ..bridge
        }
    }

    fn space(&self) -> MutexGuard<'_, ConfigSpace> {
        self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Software, or a saved state, writes.
    fn write(&self, offset: usize, data: &[u8]) {
        let mut space = self.space();
        space.write(offset, data);
        if let Some(smi) = &self.smi
            && space.word(GEN_PMCON_1) & u16::from(SMI_LOCK) != 0
        {
            space.allow(GEN_PMCON_1, &[0]);
            smi.lock();
        }
    }

    /// The bridge's state.
    pub fn save(&self) -> LpcState {
        let mut registers = vec![0; crate::pci::config::SIZE];
        self.space().read(0, &mut registers);
        LpcState { registers }
    }

    /// Takes over a state.
    pub fn restore(&self, state: &LpcState) {
        self.write(0, &state.registers);
    }
}

impl Default for Lpc {
    fn default() -> Self {
        Self::new()
    }
}

impl PciDevice for Lpc {
    fn config_read(&self, offset: usize, data: &mut [u8]) {
        self.space().read(offset, data);
    }
    fn config_write(&self, offset: usize, data: &[u8]) {
        self.write(offset, data);
    }
    fn windows(&self) -> Vec<Window> {
        Vec::new()
    }
    fn window_read(&self, _bar: u8, _offset: u64, _data: &mut [u8]) {}
    fn window_write(&self, _bar: u8, _offset: u64, _data: &[u8]) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::PortDevice;
    use crate::machine::interrupts::testing::Recorder;

    fn read(lpc: &Lpc, offset: usize) -> u32 {
        let mut data = [0; 4];
        lpc.config_read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn firmware_places_the_power_block_and_routes_interrupts() {
        let lpc = Lpc::new();
        assert_eq!(read(&lpc, ACPI_CNTL) & 0x80, 0, "not decoded yet");
        lpc.config_write(PMBASE, &0x600u32.to_le_bytes());
        lpc.config_write(ACPI_CNTL, &[0x80]);
        lpc.config_write(PIRQ[0], &[10, 10, 11, 11]);
        lpc.config_write(RCBA, &0xfed1_c001u32.to_le_bytes());
        assert_eq!(read(&lpc, PMBASE), 0x601);
        assert_eq!(read(&lpc, ACPI_CNTL) & 0x80, 0x80);
        assert_eq!(read(&lpc, PIRQ[0]), 0x0b0b_0a0a);
        assert_eq!(read(&lpc, RCBA), 0xfed1_c001);
        let copy = Lpc::new();
        copy.restore(&lpc.save());
        assert_eq!(copy.save(), lpc.save());
    }

    #[test]
    fn the_lock_of_system_management_is_for_good() {
        let smi = || Arc::new(Smi::new(Arc::new(Recorder::default())));
        let locked = |smi: &Smi| {
            let mut switch = [[0], [0]];
            PortDevice::read(smi, 0, &mut switch[0]);
            PortDevice::write(smi, 0, &[switch[0][0] ^ 1]);
            PortDevice::read(smi, 0, &mut switch[1]);
            switch[0] == switch[1]
        };
        let first = smi();
        let lpc = Lpc::with_smi(first.clone());
        assert!(!locked(&first));
        lpc.config_write(GEN_PMCON_1, &SMI_LOCK.to_le_bytes());
        lpc.config_write(GEN_PMCON_1, &[0, 0]);
        assert_eq!(read(&lpc, GEN_PMCON_1), u32::from(SMI_LOCK));
        assert!(locked(&first));
        let second = smi();
        let copy = Lpc::with_smi(second.clone());
        copy.restore(&lpc.save());
        assert!(locked(&second));
        let without = Lpc::new();
        without.config_write(GEN_PMCON_1, &[0xff; 4]);
        assert_eq!(read(&without, GEN_PMCON_1), 0);
    }

    #[test]
    fn its_identity_is_fixed() {
        let lpc = Lpc::new();
        lpc.config_write(0, &[0; 16]);
        assert_eq!(read(&lpc, 0), 0x2918_8086);
        assert_eq!(read(&lpc, 8) >> 8, 0x06_0100);
    }
}
