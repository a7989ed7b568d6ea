//! Where everything lies in the guest's physical address space and port space.
//!
//! ```text
//! 0x0000_0000  RAM: boot structures below 640 KiB, ACPI tables at 0xE0000, kernel from 1 MiB
//!              its last 16 MiB are TSEG in machines with system management mode
//! 0xC000_0000  PCI memory window                    (RAM stops here at the latest)
//! 0xE000_0000  PCI configuration space (ECAM): 256 MiB, of which bus 0 exists
//! 0xF000_0000  PCI memory window, for firmware
//! 0xFEC0_0000  I/O APIC        0xFEE0_0000  local APIC
//! 0xFEFF_C000  pages KVM needs for itself
//! 4 GiB        flash memory ends here: variables, then firmware; the rest of RAM begins
//!              then room for memory that may come while the machine runs, from a multiple of 2 GiB on
//! top          64-bit PCI window: the last eighth of what processors can address
//! ```
//!
//! A kernel finds boot structures, tables and PCI windows in place. Firmware makes its own: it uses
//! low memory as it likes and gives PCI windows out from where low RAM ends (2 GiB at the earliest).

use std::ops::Range;

use basalt_model::machine::MORE_SERIAL;

/// One mebibyte.
pub const MIB: u64 = 1 << 20;
/// Start of the memory above the hole.
pub const HIGH_MEMORY: u64 = 4 << 30;
/// Start of the hole below 4 GiB, and of the PCI memory window.
pub const PCI_WINDOW: u64 = 0xc000_0000;
/// Size of the PCI memory window.
pub const PCI_WINDOW_SIZE: u64 = 0x2000_0000;
/// Memory of system management mode (TSEG) in MiB: the end of the memory below the hole, in machines that
/// have that mode.
pub const TSEG_MIB: u16 = 16;
/// Unit in which memory comes to a running machine, and goes: a huge page.
pub const BLOCK: u64 = 2 * MIB;
/// Alignment of the room for such memory: the largest unit in which Linux takes memory on x86, so that
/// none of the room is lost.
const ROOM_ALIGNMENT: u64 = 2 << 30;
/// PCI configuration space, memory mapped.
pub const ECAM: u64 = 0xe000_0000;
/// One bus of configuration space.
pub const ECAM_SIZE: u64 = MIB;
/// All buses of configuration space, as the bridge decodes it.
pub const ECAM_ALL_BUSES: u64 = 256 * MIB;
/// Where firmware begins to give out PCI memory, if RAM ends before.
const FIRMWARE_WINDOW: u64 = 2 << 30;
/// PCI memory window behind configuration space.
pub const UPPER_WINDOW: u64 = ECAM + ECAM_ALL_BUSES;
/// Its size.
pub const UPPER_WINDOW_SIZE: u64 = 0x0c00_0000;
/// Most address bits the 64-bit window is made for.
const MAX_ADDRESS_BITS: u8 = 46;
/// The I/O APIC.
pub const IO_APIC: u32 = 0xfec0_0000;
/// The local APICs.
pub const LOCAL_APIC: u32 = 0xfee0_0000;
/// A page KVM uses on processors without unrestricted guests.
pub const KVM_IDENTITY_MAP: u64 = 0xfeff_c000;
/// Three pages for the same purpose.
pub const KVM_TSS: usize = 0xfeff_d000;

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

/// Where a serial port is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SerialPlace {
    /// First I/O port.
    pub port: u16,
    /// Interrupt line, which another port has as well.
    pub irq: u32,
}
/// Serial ports, COM1 to COM4.
pub const SERIAL_PORTS: [SerialPlace; 1 + MORE_SERIAL] = [
    SerialPlace {
        port: 0x3f8,
        irq: 4,
    },
    SerialPlace {
        port: 0x2f8,
        irq: 3,
    },
    SerialPlace {
        port: 0x3e8,
        irq: 4,
    },
    SerialPlace {
        port: 0x2e8,
        irq: 3,
    },
];
/// Power management registers: event block, control block at +4, timer at +8.
pub const PM_PORT: u16 = 0x600;
/// Registers by which software interrupts for system management, in the same block.
pub const SMI_PORT: u16 = PM_PORT + 0x30;
/// Advanced power management: control and status, by which it does.
pub const APM_PORT: u16 = 0xb2;
/// System control interrupt.
pub const SCI_IRQ: u32 = 9;
/// Sleep type of the soft-off state.
pub const SLEEP_OFF: u8 = 5;
/// Registers by which PCI devices come and go.
pub const HOTPLUG_PORT: u16 = 0xae00;
/// Registers by which processors come and go.
pub const CPUS_PORT: u16 = 0xae20;
/// Configuration address (4 bytes) and data (4 bytes).
pub const PCI_CONFIG_PORT: u16 = 0xcf8;
/// Reset control register; lies inside the configuration address ports, for one-byte access.
pub const RESET_PORT: u16 = 0xcf9;
/// First port that may be a PCI device's; every port from there on, as far as no other device has it.
pub const PCI_PORTS: u16 = 0x1000;
/// How many they are.
pub const PCI_PORTS_LEN: u16 = 0xf000;
/// Value that resets the machine through [`RESET_PORT`].
pub const RESET_VALUE: u8 = 0x06;
/// Keyboard controller's command port; with a kernel only the reset line exists.
pub const KEYBOARD_PORT: u16 = 0x64;
/// Keyboard controller's first port.
pub const I8042_PORT: u16 = 0x60;
/// Keyboard.
pub const KEYBOARD_IRQ: u32 = 1;
/// Mouse.
pub const MOUSE_IRQ: u32 = 12;
/// Real-time clock.
pub const RTC_PORT: u16 = 0x70;
/// System control port A.
pub const SYSTEM_CONTROL_PORT: u16 = 0x92;
/// The port by which a guest says that it panicked.
pub const PVPANIC_PORT: u16 = 0x505;
/// Firmware configuration.
pub const FW_CFG_PORT: u16 = 0x510;
/// First of the four interrupt lines PCI devices share.
pub const INTX_BASE: u32 = 16;

/// PCI device numbers of disks.
pub const DISK_SLOTS: Range<u8> = 2..17;
/// PCI device numbers of network cards; not those of disks, so that a guest's name for a card does
/// not change with its disks.
pub const NIC_SLOTS: Range<u8> = 18..26;
/// PCI device numbers of shared directories, which are given out from the last on: those that the
/// machine's disks leave. The last of disks is not theirs: see [`MEMORY_SLOT`].
pub const SHARE_SLOTS: Range<u8> = 6..16;

/// PCI device number of the device by which memory comes and goes. A machine with it has one place
/// for disks less.
pub const MEMORY_SLOT: u8 = DISK_SLOTS.end - 1;

/// PCI device number of the watchdog. A machine with it has one place for network cards less.
pub const WATCHDOG_SLOT: u8 = NIC_SLOTS.end - 1;

/// PCI device number of the socket device. A machine with it has two places for network cards less: those
/// that it starts with lie side by side.
pub const VSOCK_SLOT: u8 = WATCHDOG_SLOT - 1;

/// The PCI device numbers whose devices may come and go while the machine runs.
pub fn hotplug_slots() -> impl Iterator<Item = u8> {
    DISK_SLOTS.chain(NIC_SLOTS)
}

/// The interrupt line of a device's pin A.
pub fn intx_line(device: u8) -> u32 {
    INTX_BASE + u32::from(device) % 4
}

/// A range of addresses: start and length.
pub type Span = (u64, u64);

/// The PCI memory windows below 4 GiB of a machine with `memory` bytes.
pub fn pci_windows(memory: u64, firmware: bool) -> Vec<Span> {
    if !firmware {
        return vec![(PCI_WINDOW, PCI_WINDOW_SIZE)];
    }
    let start = split_memory(memory).0.max(FIRMWARE_WINDOW);
    let upper = (UPPER_WINDOW, UPPER_WINDOW_SIZE);
    vec![(start, ECAM - start), upper]
}

/// The 64-bit PCI window of a machine whose processors have `bits` address bits, if RAM leaves room.
pub fn high_pci_window(memory: u64, bits: u8) -> Option<Span> {
    let space = 1u64 << bits.min(MAX_ADDRESS_BITS);
    let len = space / 8;
    let start = space - len;
    let ram_end = HIGH_MEMORY + split_memory(memory).1;
    (start >= ram_end).then_some((start, len))
}

/// Room for `most` bytes of memory that may come to a machine with `memory` bytes, or for less where
/// processors with `bits` address bits have no more below the 64-bit PCI window.
pub fn room_for_blocks(memory: u64, most: u64, bits: u8) -> Option<Span> {
    let space = 1u64 << bits.min(MAX_ADDRESS_BITS);
    let end = space - space / 8;
    let start = HIGH_MEMORY.checked_add(split_memory(memory).1)?;
    let start = start.checked_next_multiple_of(ROOM_ALIGNMENT)?;
    let len = end.checked_sub(start)?.min(most) / BLOCK * BLOCK;
    (len > 0).then_some((start, len))
}

/// The part of memory below the hole, and the part above 4 GiB.
pub fn split_memory(bytes: u64) -> (u64, u64) {
    (bytes.min(PCI_WINDOW), bytes.saturating_sub(PCI_WINDOW))
}

/// Where the memory of system management mode lies in a machine with `memory` bytes.
pub fn tseg(memory: u64) -> Span {
    let len = u64::from(TSEG_MIB) * MIB;
    (split_memory(memory).0.saturating_sub(len), len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_splits_around_the_hole() {
        assert_eq!(split_memory(512 * MIB), (512 * MIB, 0));
        assert_eq!(split_memory(PCI_WINDOW), (PCI_WINDOW, 0));
        assert_eq!(split_memory(8192 * MIB), (PCI_WINDOW, 5120 * MIB));
        assert_eq!(tseg(512 * MIB), (496 * MIB, 16 * MIB));
        assert_eq!(tseg(8192 * MIB), (PCI_WINDOW - 16 * MIB, 16 * MIB));
    }

    #[test]
    fn firmware_has_the_address_space_between_ram_and_the_boards_own() {
        for (mib, start) in [(512, 0x8000_0000), (2560, 0xa000_0000), (8192, PCI_WINDOW)] {
            let windows = pci_windows(mib * MIB, true);
            assert_eq!(windows[0], (start, ECAM - start));
            assert!(windows[1].0 + windows[1].1 <= u64::from(IO_APIC));
        }
        assert_eq!(high_pci_window(8192 * MIB, 36), Some((56 << 30, 8 << 30)));
        assert_eq!(high_pci_window(62 << 30, 36), None);
        assert_eq!(high_pci_window(8192 * MIB, 255), Some((7 << 43, 1 << 43)));
    }

    #[test]
    fn room_for_memory_lies_between_ram_and_the_pci_window() {
        let gib = 1u64 << 30;
        assert_eq!(
            room_for_blocks(512 * MIB, gib + MIB, 40),
            Some((4 * gib, gib))
        );
        assert_eq!(room_for_blocks(5 * gib, gib, 40), Some((6 * gib, gib)));
        assert_eq!(
            room_for_blocks(512 * MIB, 64 * gib, 36),
            Some((4 * gib, 52 * gib))
        );
        assert_eq!(room_for_blocks(512 * MIB, MIB, 40), None);
        assert_eq!(room_for_blocks(62 * gib, gib, 36), None);
        assert_eq!(room_for_blocks(u64::MAX, gib, 46), None);
        let (start, len) = room_for_blocks(gib, u64::MAX, 40).unwrap();
        assert_eq!(high_pci_window(gib, 40).unwrap().0, start + len);
    }

    #[test]
    fn pci_window_ends_where_configuration_space_starts() {
        assert_eq!(PCI_WINDOW + PCI_WINDOW_SIZE, ECAM);
        assert!(CMDLINE + CMDLINE_MAX as u64 <= LOW_RAM_END);
    }
}
