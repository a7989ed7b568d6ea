//! Where everything lies in the guest's physical address space and port space.
//!
//! ```text
//! 0x0000_0000  RAM: boot structures below 640 KiB, ACPI tables at 0xE0000, kernel from 1 MiB
//! 0xC000_0000  PCI memory window                    (RAM stops here at the latest)
//! 0xE000_0000  PCI configuration space (ECAM), bus 0
//! 0xFEC0_0000  I/O APIC        0xFEE0_0000  local APIC
//! 0xFFFB_C000  pages KVM needs for itself
//! 4 GiB        the rest of RAM
//! ```

/// One mebibyte.
pub const MIB: u64 = 1 << 20;
/// Start of the memory above the hole.
pub const HIGH_MEMORY: u64 = 4 << 30;
/// Start of the hole below 4 GiB, and of the PCI memory window.
pub const PCI_WINDOW: u64 = 0xc000_0000;
/// Size of the PCI memory window.
pub const PCI_WINDOW_SIZE: u64 = 0x2000_0000;
/// PCI configuration space, memory mapped.
pub const ECAM: u64 = 0xe000_0000;
/// One bus of configuration space.
pub const ECAM_SIZE: u64 = MIB;
/// The I/O APIC.
pub const IO_APIC: u32 = 0xfec0_0000;
/// The local APICs.
pub const LOCAL_APIC: u32 = 0xfee0_0000;
/// A page KVM uses on processors without unrestricted guests.
pub const KVM_IDENTITY_MAP: u64 = 0xfffb_c000;
/// Three pages for the same purpose.
pub const KVM_TSS: usize = 0xfffb_d000;

/// Global descriptor table of the first instruction.
pub const BOOT_GDT: u64 = 0x500;
/// PVH start information, or nothing.
pub const PVH_START: u64 = 0x6000;
/// PVH module list.
pub const PVH_MODULES: u64 = 0x6100;
/// PVH memory map.
pub const PVH_MEMORY_MAP: u64 = 0x6200;
/// Linux boot parameters ("zero page").
pub const ZERO_PAGE: u64 = 0x7000;
/// Stack of the first instruction.
pub const BOOT_STACK: u64 = 0x8ff0;
/// Top level page table, followed by the other levels.
pub const BOOT_PAGE_TABLES: u64 = 0x9000;
/// Kernel command line.
pub const CMDLINE: u64 = 0x2_0000;
/// Longest command line, its final zero included.
pub const CMDLINE_MAX: usize = 0x1_0000;
/// End of usable low memory.
pub const LOW_RAM_END: u64 = 0x9_fc00;
/// ACPI tables, in the area firmware would use; the root pointer comes first.
pub const ACPI_TABLES: u64 = 0xe_0000;
/// Room for ACPI tables.
pub const ACPI_TABLES_SIZE: usize = 0x2_0000;
/// Memory from which a kernel may be loaded.
pub const KERNEL_START: u64 = MIB;
/// Where a relocatable bzImage is put.
pub const BZIMAGE_START: u64 = 16 * MIB;

/// First serial port.
pub const SERIAL_PORT: u16 = 0x3f8;
/// Its interrupt.
pub const SERIAL_IRQ: u32 = 4;
/// Power management registers: event block, control block at +4, timer at +8.
pub const PM_PORT: u16 = 0x600;
/// System control interrupt.
pub const SCI_IRQ: u32 = 9;
/// Sleep type of the soft-off state.
pub const SLEEP_OFF: u8 = 5;
/// Configuration address (4 bytes) and data (4 bytes).
pub const PCI_CONFIG_PORT: u16 = 0xcf8;
/// Reset control register; lies inside the configuration address ports, for one-byte access.
pub const RESET_PORT: u16 = 0xcf9;
/// Value that resets the machine through [`RESET_PORT`].
pub const RESET_VALUE: u8 = 0x06;
/// Keyboard controller's command port, of which only the reset line exists.
pub const KEYBOARD_PORT: u16 = 0x64;
/// First of the four interrupt lines PCI devices share.
pub const INTX_BASE: u32 = 16;

/// The interrupt line of a device's pin A.
pub fn intx_line(device: u8) -> u32 {
    INTX_BASE + u32::from(device) % 4
}

/// The part of memory below the hole, and the part above 4 GiB.
pub fn split_memory(bytes: u64) -> (u64, u64) {
    (bytes.min(PCI_WINDOW), bytes.saturating_sub(PCI_WINDOW))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_splits_around_the_hole() {
        assert_eq!(split_memory(512 * MIB), (512 * MIB, 0));
        assert_eq!(split_memory(PCI_WINDOW), (PCI_WINDOW, 0));
        assert_eq!(split_memory(8192 * MIB), (PCI_WINDOW, 5120 * MIB));
    }

    #[test]
    fn pci_window_ends_where_configuration_space_starts() {
        assert_eq!(PCI_WINDOW + PCI_WINDOW_SIZE, ECAM);
        assert!(CMDLINE + CMDLINE_MAX as u64 <= LOW_RAM_END);
    }
}
