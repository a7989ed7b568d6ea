//! The ACPI tables: what the guest's operating system learns about the machine.
//!
//! Fixed hardware (not the hardware-reduced profile), because every kernel knows the fixed power
//! button without a driver for an event device.

use acpi_tables::Aml;
use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Interrupt, Memory32Fixed, Name,
    Package, PackageBuilder, ResourceTemplate, Scope,
};
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace as Space, GAS};
use acpi_tables::mcfg::MCFG;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use vm_memory::{Bytes, GuestAddress};

use super::layout::{
    ACPI_TABLES, ACPI_TABLES_SIZE, ECAM, ECAM_SIZE, IO_APIC, LOCAL_APIC, PCI_CONFIG_PORT,
    PCI_WINDOW, PCI_WINDOW_SIZE, PM_PORT, RESET_PORT, RESET_VALUE, SCI_IRQ, SERIAL_IRQ,
    SERIAL_PORT, SLEEP_OFF, intx_line,
};
use super::memory::Memory;
use crate::devices::{pm, serial};
use crate::pci::host::DEVICES;

const OEM: [u8; 6] = *b"BASALT";
const TABLE: [u8; 8] = *b"BASALTVM";
const REVISION: u32 = 1;
const SDT_HEADER: u32 = 36;
/// FADT: no VGA, no real-time clock, and (bit 1 clear) no keyboard controller.
const BOOT_ARCHITECTURE: u16 = 1 << 2 | 1 << 5;

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

/// Writes the tables of a machine with `vcpus` processors into memory.
pub fn write(memory: &Memory, vcpus: u8) -> Result<(), Error> {
    let area = build(vcpus);
    if area.len() > ACPI_TABLES_SIZE {
        return Err(Error::TooLarge);
    }
    memory.write_slice(&area, GuestAddress(ACPI_TABLES))?;
    Ok(())
}

/// All tables as they lie in memory from [`ACPI_TABLES`] on; the root pointer comes first.
fn build(vcpus: u8) -> Vec<u8> {
    let mut area = vec![0; Rsdp::len()];
    let place = |area: &mut Vec<u8>, table: &dyn Aml| {
        area.resize(area.len().next_multiple_of(16), 0);
        let address = ACPI_TABLES + area.len() as u64;
        table.to_aml_bytes(area);
        address
    };
    let dsdt = place(&mut area, &dsdt());
    let fadt = place(&mut area, &fadt(dsdt));
    let madt = place(&mut area, &madt(vcpus));
    let mut mcfg = MCFG::new(OEM, TABLE, REVISION);
    mcfg.add_ecam(ECAM, 0, 0, 0);
    let mcfg = place(&mut area, &mcfg);
    let mut xsdt = XSDT::new(OEM, TABLE, REVISION);
    for table in [fadt, madt, mcfg] {
        xsdt.add_entry(table);
    }
    let xsdt = place(&mut area, &xsdt);
    let mut root = Vec::new();
    Rsdp::new(OEM, xsdt).to_aml_bytes(&mut root);
    area[..root.len()].copy_from_slice(&root);
    area
}

fn fadt(dsdt: u64) -> acpi_tables::fadt::FADT {
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
    fadt.x_pm1a_evt_blk = port(0, 32, AccessSize::WordAccess);
    fadt.x_pm1a_cnt_blk = port(pm::CONTROL, 16, AccessSize::WordAccess);
    fadt.x_pm_tmr_blk = port(pm::TIMER, 32, AccessSize::DwordAccess);
    fadt.iapc_boot_arch = BOOT_ARCHITECTURE.into();
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

fn madt(vcpus: u8) -> Sdt {
    const LOCAL_APIC_ENTRY: u8 = 0;
    const IO_APIC_ENTRY: u8 = 1;
    const OVERRIDE_ENTRY: u8 = 2;
    const NMI_ENTRY: u8 = 4;
    // Active high, level triggered.
    const LEVEL_HIGH: u8 = 0b1101;
    let mut madt = Sdt::new(*b"APIC", SDT_HEADER, 4, OEM, TABLE, REVISION);
    madt.append_slice(&LOCAL_APIC.to_le_bytes());
    // Two legacy interrupt controllers exist too.
    madt.append_slice(&1u32.to_le_bytes());
    for id in 0..vcpus {
        madt.append_slice(&[LOCAL_APIC_ENTRY, 8, id, id, 1, 0, 0, 0]);
    }
    madt.append_slice(&[IO_APIC_ENTRY, 12, vcpus, 0]);
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

fn dsdt() -> Sdt {
    let mut devices = pci_root();
    devices.extend(serial_port());
    devices.extend(board_resources());
    let mut table = Sdt::new(*b"DSDT", SDT_HEADER, 2, OEM, TABLE, REVISION);
    table.append_slice(&Scope::raw("_SB_".into(), devices));
    let off = Package::new(vec![&SLEEP_OFF, &SLEEP_OFF, &0u8, &0u8]);
    table.append_slice(&bytes(&Name::new("_S5_".into(), &off)));
    table
}

/// An object whose bytes are ready.
struct Ready(Vec<u8>);

impl Aml for Ready {
    fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
        sink.vec(&self.0);
    }
}

fn resources(list: &[&dyn Aml]) -> Ready {
    Ready(bytes(&ResourceTemplate::new(list.to_vec())))
}

fn bytes(object: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    object.to_aml_bytes(&mut bytes);
    bytes
}

fn pci_root() -> Vec<u8> {
    let config_end = PCI_CONFIG_PORT + 7;
    let window_end = (PCI_WINDOW + PCI_WINDOW_SIZE - 1) as u32;
    let cacheable = AddressSpaceCacheable::NotCacheable;
    let resources = resources(&[
        &AddressSpace::new_bus_number(0u16, 0u16),
        &IO::new(PCI_CONFIG_PORT, PCI_CONFIG_PORT, 1, 8),
        &AddressSpace::new_io(0u16, PCI_CONFIG_PORT - 1, None),
        &AddressSpace::new_io(config_end + 1, 0xffffu16, None),
        &AddressSpace::new_memory(cacheable, true, PCI_WINDOW as u32, window_end, None),
    ]);
    let routes = interrupt_routes();
    bytes(&Device::new(
        "PCI0".into(),
        vec![
            &Name::new("_HID".into(), &EISAName::new("PNP0A08")),
            &Name::new("_CID".into(), &EISAName::new("PNP0A03")),
            &Name::new("_UID".into(), &0u8),
            &Name::new("_SEG".into(), &0u8),
            &Name::new("_BBN".into(), &0u8),
            &Name::new("_CRS".into(), &resources),
            &Name::new("_PRT".into(), &routes),
        ],
    ))
}

/// Which line each device's pin A is wired to.
fn interrupt_routes() -> PackageBuilder {
    let mut routes = PackageBuilder::new();
    for device in 1..DEVICES as u8 {
        // Any function of the device.
        let address = u32::from(device) << 16 | 0xffff;
        let line = intx_line(device);
        routes.add_element(&Package::new(vec![&address, &0u8, &0u8, &line]));
    }
    routes
}

fn serial_port() -> Vec<u8> {
    let resources = resources(&[
        &IO::new(SERIAL_PORT, SERIAL_PORT, 1, serial::LEN as u8),
        &Interrupt::new(true, true, false, false, SERIAL_IRQ),
    ]);
    bytes(&Device::new(
        "COM1".into(),
        vec![
            &Name::new("_HID".into(), &EISAName::new("PNP0501")),
            &Name::new("_UID".into(), &0u8),
            &Name::new("_CRS".into(), &resources),
        ],
    ))
}

/// Addresses the board itself uses, so that nothing else is put there.
fn board_resources() -> Vec<u8> {
    let resources = resources(&[
        &Memory32Fixed::new(true, ECAM as u32, ECAM_SIZE as u32),
        &IO::new(PM_PORT, PM_PORT, 1, pm::LEN as u8),
    ]);
    bytes(&Device::new(
        "MBRD".into(),
        vec![
            &Name::new("_HID".into(), &EISAName::new("PNP0C02")),
            &Name::new("_UID".into(), &0u8),
            &Name::new("_CRS".into(), &resources),
        ],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    fn dword(area: &[u8], at: usize) -> usize {
        u32::from_le_bytes(area[at..at + 4].try_into().unwrap()) as usize
    }

    fn qword(area: &[u8], at: usize) -> usize {
        (u64::from_le_bytes(area[at..at + 8].try_into().unwrap()) - ACPI_TABLES) as usize
    }

    /// The table at `at`, its checksum checked.
    fn table(area: &[u8], at: usize) -> &[u8] {
        let table = &area[at..at + dword(area, at + 4)];
        assert_eq!(sum(table), 0, "{:?}", &table[..4]);
        table
    }

    #[test]
    fn every_table_is_reachable_and_sums_to_zero() {
        for vcpus in [1, 2, 64] {
            let area = build(vcpus);
            assert!(area.len() <= ACPI_TABLES_SIZE);
            assert_eq!(sum(&area[..20]), 0);
            assert_eq!(sum(&area[..36]), 0);
            let xsdt = table(&area, qword(&area, 24));
            let tables: Vec<&[u8]> = (36..xsdt.len())
                .step_by(8)
                .map(|i| table(&area, qword(xsdt, i)))
                .collect();
            let names: Vec<&[u8]> = tables.iter().map(|t| &t[..4]).collect();
            assert_eq!(names, [b"FACP", b"APIC", b"MCFG"]);
            assert_eq!(&table(&area, qword(tables[0], 140))[..4], b"DSDT");
            assert_eq!(tables[1].len(), 44 + usize::from(vcpus) * 8 + 12 + 10 + 6);
        }
    }
}
