//! The bridge to the machine's legacy devices (ICH9 LPC, 00:1f.0): the registers through which
//! firmware places the power management block and routes interrupts.
//!
//! Nothing moves: the block stays at [`PM_PORT`], which is also where firmware puts it, and PCI
//! interrupts go to the lines the ACPI tables say. The registers keep what is written to them.
//!
//! [`PM_PORT`]: crate::machine::layout::PM_PORT

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

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
/// Address of the root complex registers.
const RCBA: usize = 0xf0;

/// What changes while the machine runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LpcState {
    /// All configuration registers.
    registers: Vec<u8>,
}

/// The bridge.
pub struct Lpc(Mutex<ConfigSpace>);

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
        Self(Mutex::new(space))
    }

    fn space(&self) -> MutexGuard<'_, ConfigSpace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bridge's state.
    pub fn save(&self) -> LpcState {
        let mut registers = vec![0; crate::pci::config::SIZE];
        self.space().read(0, &mut registers);
        LpcState { registers }
    }

    /// Takes over a state.
    pub fn restore(&self, state: &LpcState) {
        self.space().write(0, &state.registers);
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
        self.space().write(offset, data);
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
    fn its_identity_is_fixed() {
        let lpc = Lpc::new();
        lpc.config_write(0, &[0; 16]);
        assert_eq!(read(&lpc, 0), 0x2918_8086);
        assert_eq!(read(&lpc, 8) >> 8, 0x06_0100);
    }
}
