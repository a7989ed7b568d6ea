//! The ACPI tables: what the guest's operating system learns about the machine.
//!
//! Fixed hardware (not the hardware-reduced profile), because every kernel knows the fixed power
//! button without a driver for an event device.
//!
//! [`build`] makes [`Tables`] that lie nowhere yet. [`write`] puts them into memory for a kernel that is
//! entered directly; [`loader`] turns them into instructions by which firmware does the same.

mod cpus;
mod dsdt;
mod hotplug;
pub mod loader;
mod srat;

use acpi_tables::Aml;
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace as Space, GAS};
use acpi_tables::mcfg::MCFG;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use vm_memory::{Bytes, GuestAddress};

use super::layout::{
    ACPI_TABLES, ACPI_TABLES_SIZE, ECAM, IO_APIC, LOCAL_APIC, PM_PORT, RESET_PORT, RESET_VALUE,
    SCI_IRQ, Span,
};
use super::memory::Memory;
use super::serial::MorePorts;
use super::topology::Topology;
use crate::devices::pm;
use crate::tpm::crb;

const OEM: [u8; 6] = *b"BASALT";
const TABLE: [u8; 8] = *b"BASALTVM";
const REVISION: u32 = 1;
const SDT_HEADER: u32 = 36;
/// Where a table's header keeps its sum.
const SDT_CHECKSUM: usize = 9;
/// FADT: no VGA, no real-time clock, and (bit 1 clear) no keyboard controller.
const BOOT_ARCHITECTURE: u16 = 1 << 2 | 1 << 5;
/// FADT with firmware: legacy devices, keyboard controller, no VGA.
const BOOT_ARCHITECTURE_FIRMWARE: u16 = 1 << 0 | 1 << 1 | 1 << 2;
/// Register of the real-time clock that holds the century.
const CENTURY: u8 = 0x32;
/// Alignment of every table; the firmware control structure needs as much.
const ALIGNMENT: usize = 64;

/// Why the tables cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They outgrew their area.
    #[error("the ACPI tables need more than {ACPI_TABLES_SIZE} bytes")]
    TooLarge,
    /// The area lies outside memory.
    #[error("cannot write the ACPI tables: {0}")]
    Memory(#[from] vm_memory::GuestMemoryError),
}

/// The machine the tables describe.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// Processors, those included that may come, and nodes.
    pub topology: Topology,
    /// Processors that are there from the start.
    pub plugged: u8,
    /// Whether processors come and go.
    pub cpus_come: bool,
    /// Bytes of memory.
    pub memory: u64,
    /// Room for memory that may come.
    pub room: Option<Span>,
    /// Bits of a physical address.
    pub address_bits: u8,
    /// Whether firmware boots it, and the devices that are there for firmware exist.
    pub firmware: bool,
    /// Whether it has a trusted platform module.
    pub tpm: bool,
    /// Whether it has devices of the host, whose memory may be larger than what fits below 4 GiB.
    pub host_devices: bool,
    /// Which serial ports it has beside the first.
    pub more_serial: MorePorts,
}

/// Tables whose pointers count from the start of [`Tables::body`] and whose sums are zero.
#[derive(Debug)]
pub struct Tables {
    /// The root pointer.
    pub root: Vec<u8>,
    /// All other tables.
    pub body: Vec<u8>,
    /// Eight-byte pointers in `body`.
    pub pointers: Vec<usize>,
    /// Start and length of every table in `body` that has a sum.
    pub summed: Vec<(usize, usize)>,
}

/// Offset of the pointer in [`Tables::root`].
pub const ROOT_POINTER: usize = 24;
/// Sums in [`Tables::root`]: where they are, and over how many bytes they go.
pub const ROOT_SUMS: [(usize, usize); 2] = [(8, 20), (32, 36)];

impl Tables {
    /// Appends a table, its sum cleared; returns where it lies.
    fn place(&mut self, table: &dyn Aml) -> usize {
        let start = self.place_raw(&dsdt::bytes(table));
        self.body[start + SDT_CHECKSUM] = 0;
        self.summed.push((start, self.body.len() - start));
        start
    }

    fn place_raw(&mut self, bytes: &[u8]) -> usize {
        self.body
            .resize(self.body.len().next_multiple_of(ALIGNMENT), 0);
        let start = self.body.len();
        self.body.extend(bytes);
        start
    }

    /// The tables as they lie in memory with the body at `base`: root pointer and body.
    fn located(mut self, base: u64) -> (Vec<u8>, Vec<u8>) {
        for at in self.pointers {
            add_to_pointer(&mut self.body, at, base);
        }
        for (start, len) in self.summed {
            let sum = sum(&self.body[start..start + len]);
            self.body[start + SDT_CHECKSUM] = 0u8.wrapping_sub(sum);
        }
        add_to_pointer(&mut self.root, ROOT_POINTER, base);
        for (at, len) in ROOT_SUMS {
            self.root[at] = 0u8.wrapping_sub(sum(&self.root[..len]));
        }
        (self.root, self.body)
    }
}

fn add_to_pointer(bytes: &mut [u8], at: usize, base: u64) {
    let mut pointer = [0; 8];
    pointer.copy_from_slice(&bytes[at..at + 8]);
    let moved = u64::from_le_bytes(pointer).wrapping_add(base);
    bytes[at..at + 8].copy_from_slice(&moved.to_le_bytes());
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// Writes the tables of a machine into memory; the root pointer comes first.
pub fn write(memory: &Memory, profile: Profile) -> Result<(), Error> {
    let root_len = Rsdp::len().next_multiple_of(ALIGNMENT);
    let tables = build(profile);
    let (mut area, body) = tables.located(ACPI_TABLES + root_len as u64);
    area.resize(root_len, 0);
    area.extend(body);
    if area.len() > ACPI_TABLES_SIZE {
        return Err(Error::TooLarge);
    }
    memory.write_slice(&area, GuestAddress(ACPI_TABLES))?;
    Ok(())
}

/// Makes the tables of a machine.
pub fn build(profile: Profile) -> Tables {
    const X_FIRMWARE_CTRL: usize = 132;
    const X_DSDT: usize = 140;
    let mut tables = Tables {
        root: Vec::new(),
        body: Vec::new(),
        pointers: Vec::new(),
        summed: Vec::new(),
    };
    let facs = tables.place_raw(&facs());
    let dsdt = tables.place(&dsdt::table(profile));
    let fadt = tables.place(&fadt(profile.firmware, facs as u64, dsdt as u64));
    tables
        .pointers
        .extend([fadt + X_FIRMWARE_CTRL, fadt + X_DSDT]);
    let madt = tables.place(&madt(&profile.topology, profile.plugged));
    let mut mcfg = MCFG::new(OEM, TABLE, REVISION);
    mcfg.add_ecam(ECAM, 0, 0, 0);
    let mcfg = tables.place(&mcfg);
    let mut xsdt = XSDT::new(OEM, TABLE, REVISION);
    let mut listed = vec![fadt, madt, mcfg];
    if profile.tpm {
        listed.push(tables.place(&tpm2()));
    }
    let nodes = profile.topology.nodes();
    if profile.room.is_some() || nodes > 1 {
        let srat = srat::affinities(&profile.topology, profile.room);
        listed.push(tables.place(&srat));
    }
    if nodes > 1 {
        listed.push(tables.place(&srat::distances(nodes)));
    }
    for table in &listed {
        xsdt.add_entry(*table as u64);
    }
    let xsdt = tables.place(&xsdt);
    let entries = (0..listed.len()).map(|i| xsdt + SDT_HEADER as usize + i * 8);
    tables.pointers.extend(entries);
    tables.root = dsdt::bytes(&Rsdp::new(OEM, xsdt as u64));
    for (at, _) in ROOT_SUMS {
        tables.root[at] = 0;
    }
    tables
}

/// The firmware control structure (ACPI 6.5 §5.2.10): nothing ever sleeps, so all of it is zero.
fn facs() -> Vec<u8> {
    const LEN: u8 = 64;
    const VERSION: usize = 32;
    let mut facs = vec![0; usize::from(LEN)];
    facs[..4].copy_from_slice(b"FACS");
    facs[4] = LEN;
    facs[VERSION] = 2;
    facs
}

fn fadt(firmware: bool, facs: u64, dsdt: u64) -> acpi_tables::fadt::FADT {
    let port = |offset: u16, bits: u8, access| {
        GAS::new(
            Space::SystemIo,
            bits,
            0,
            access,
            u64::from(PM_PORT + offset),
        )
    };
    let mut fadt = FADTBuilder::new(OEM, TABLE, REVISION)
        .firmware_ctrl_64(facs)
        .dsdt_64(dsdt)
        .flag(Flags::Wbinvd)
        .flag(Flags::SlpButton)
        .flag(Flags::TmrValExt)
        .flag(Flags::ResetRegSup);
    fadt.sci_int = (SCI_IRQ as u16).into();
    fadt.pm1a_evt_blk = u32::from(PM_PORT).into();
    fadt.pm1_evt_len = 4;
    fadt.pm1a_cnt_blk = u32::from(PM_PORT + pm::CONTROL).into();
    fadt.pm1_cnt_len = 2;
    fadt.pm_tmr_blk = u32::from(PM_PORT + pm::TIMER).into();
    fadt.pm_tmr_len = 4;
    fadt.gpe0_blk = u32::from(PM_PORT + pm::GENERAL_EVENTS).into();
    fadt.gpe0_blk_len = pm::GENERAL_EVENTS_LEN;
    fadt.x_pm1a_evt_blk = port(0, 32, AccessSize::WordAccess);
    fadt.x_pm1a_cnt_blk = port(pm::CONTROL, 16, AccessSize::WordAccess);
    fadt.x_pm_tmr_blk = port(pm::TIMER, 32, AccessSize::DwordAccess);
    let bits = pm::GENERAL_EVENTS_LEN * 8;
    fadt.x_gpe0_blk = port(pm::GENERAL_EVENTS, bits, AccessSize::ByteAccess);
    fadt.iapc_boot_arch = BOOT_ARCHITECTURE.into();
    if firmware {
        fadt.iapc_boot_arch = BOOT_ARCHITECTURE_FIRMWARE.into();
        fadt.century = CENTURY;
    }
    fadt.reset_reg = GAS::new(
        Space::SystemIo,
        8,
        0,
        AccessSize::ByteAccess,
        u64::from(RESET_PORT),
    );
    fadt.reset_value = RESET_VALUE;
    fadt.finalize()
}

/// The table of the trusted platform module (TCG ACPI Specification 1.4, section 8): its class, where its
/// control area is, and that commands are started there. There is no room for a log: firmware hands its
/// own over.
fn tpm2() -> Sdt {
    const CLIENT: u16 = 0;
    const COMMAND_RESPONSE_BUFFER: u32 = 7;
    let mut tpm2 = Sdt::new(*b"TPM2", SDT_HEADER, 4, OEM, TABLE, REVISION);
    tpm2.append_slice(&CLIENT.to_le_bytes());
    tpm2.append_slice(&[0; 2]);
    tpm2.append_slice(&crb::CONTROL_AREA.to_le_bytes());
    tpm2.append_slice(&COMMAND_RESPONSE_BUFFER.to_le_bytes());
    // Parameters of other methods, length and start of the log.
    tpm2.append_slice(&[0; 12 + 4 + 8]);
    tpm2
}

/// Flag of a processor that can be used.
const PROCESSOR_ON: u8 = 1;
/// Flag of one that is not there, and may come: without it Linux makes no room for it.
const PROCESSOR_MAY_COME: u8 = 2;

/// A processor's entry: its number and that of its local APIC (ACPI 6.5 §5.2.12.2).
fn local_apic(cpu: u8, apic_id: u8, flags: u8) -> [u8; 8] {
    const ENTRY: u8 = 0;
    [ENTRY, 8, cpu, apic_id, flags, 0, 0, 0]
}

fn madt(topology: &Topology, plugged: u8) -> Sdt {
    const IO_APIC_ENTRY: u8 = 1;
    const OVERRIDE_ENTRY: u8 = 2;
    const NMI_ENTRY: u8 = 4;
    // Active high, level triggered.
    const LEVEL_HIGH: u8 = 0b1101;
    let mut madt = Sdt::new(*b"APIC", SDT_HEADER, 5, OEM, TABLE, REVISION);
    madt.append_slice(&LOCAL_APIC.to_le_bytes());
    // Two legacy interrupt controllers exist too.
    madt.append_slice(&1u32.to_le_bytes());
    for id in 0..topology.vcpus() {
        let flags = match id < plugged {
            true => PROCESSOR_ON,
            false => PROCESSOR_MAY_COME,
        };
        madt.append_slice(&local_apic(id, topology.apic_id(id), flags));
    }
    madt.append_slice(&[IO_APIC_ENTRY, 12, topology.apic_end(), 0]);
    madt.append_slice(&IO_APIC.to_le_bytes());
    madt.append_slice(&0u32.to_le_bytes());
    let sci = SCI_IRQ.to_le_bytes();
    madt.append_slice(&[
        OVERRIDE_ENTRY,
        10,
        0,
        sci[0],
        sci[0],
        sci[1],
        sci[2],
        sci[3],
    ]);
    madt.append_slice(&[LEVEL_HIGH, 0]);
    // Every processor's LINT1 is the non-maskable interrupt.
    madt.append_slice(&[NMI_ENTRY, 6, 0xff, 0, 0, 1]);
    madt
}

#[cfg(test)]
mod tests;
