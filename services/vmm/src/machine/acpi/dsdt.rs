//! The DSDT: the devices that cannot be found by looking, and the address space PCI may use.

use acpi_tables::Aml;
use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Interrupt, Memory32Fixed, Name,
    Package, PackageBuilder, ResourceTemplate, Scope,
};
use acpi_tables::sdt::Sdt;

use super::hotplug::{self, Ready};
use super::{OEM, Profile, REVISION, SDT_HEADER, TABLE, cpus};
use crate::devices::cpus::LEN as CPUS_LEN;
use crate::devices::{fwcfg, pm, pvpanic, rtc, serial};
use crate::machine::layout::{
    CPUS_PORT, ECAM, ECAM_SIZE, FW_CFG_PORT, HOTPLUG_PORT, I8042_PORT, KEYBOARD_IRQ, KEYBOARD_PORT,
    MOUSE_IRQ, PCI_CONFIG_PORT, PM_PORT, PVPANIC_PORT, RTC_PORT, SLEEP_OFF, SerialPlace,
    high_pci_window, intx_line, pci_windows,
};
use crate::machine::serial::{MorePorts, is_shared, places};
use crate::pci::host::DEVICES;
use crate::pci::hotplug::LEN as HOTPLUG_LEN;
use crate::tpm::crb;

/// The table.
pub(super) fn table(profile: Profile) -> Sdt {
    let mut devices = pci_root(profile);
    devices.extend(serial_ports(profile.more_serial));
    devices.extend(board_resources());
    devices.extend(panic_port());
    if profile.cpus_come {
        devices.extend(cpus::container(&profile.topology));
    }
    if profile.firmware {
        devices.extend(keyboard());
        devices.extend(mouse());
        devices.extend(clock());
        devices.extend(firmware_configuration());
    }
    if profile.tpm {
        devices.extend(platform_module());
    }
    let mut table = Sdt::new(*b"DSDT", SDT_HEADER, 2, OEM, TABLE, REVISION);
    table.append_slice(&Scope::raw("_SB_".into(), devices));
    table.append_slice(&hotplug::events());
    if profile.cpus_come {
        table.append_slice(&cpus::events());
    }
    let off = Package::new(vec![&SLEEP_OFF, &SLEEP_OFF, &0u8, &0u8]);
    table.append_slice(&bytes(&Name::new("_S5_".into(), &off)));
    table
}

fn resources(list: &[&dyn Aml]) -> Ready {
    Ready(bytes(&ResourceTemplate::new(list.to_vec())))
}

pub(super) fn bytes(object: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    object.to_aml_bytes(&mut bytes);
    bytes
}

fn pci_root(profile: Profile) -> Vec<u8> {
    let config_end = PCI_CONFIG_PORT + 7;
    let cacheable = || AddressSpaceCacheable::NotCacheable;
    let mut list: Vec<Box<dyn Aml>> = vec![
        Box::new(AddressSpace::new_bus_number(0u16, 0u16)),
        Box::new(IO::new(PCI_CONFIG_PORT, PCI_CONFIG_PORT, 1, 8)),
        Box::new(AddressSpace::new_io(0u16, PCI_CONFIG_PORT - 1, None)),
        Box::new(AddressSpace::new_io(config_end + 1, 0xffffu16, None)),
    ];
    for (start, len) in pci_windows(profile.memory, profile.firmware) {
        let (first, last) = (start as u32, (start + len - 1) as u32);
        let window = AddressSpace::new_memory(cacheable(), true, first, last, None);
        list.push(Box::new(window));
    }
    let high = high_pci_window(profile.memory, profile.address_bits);
    let wanted = profile.firmware || profile.host_devices;
    if let (true, Some((start, len))) = (wanted, high) {
        let window = AddressSpace::new_memory(cacheable(), true, start, start + len - 1, None);
        list.push(Box::new(window));
    }
    let list: Vec<&dyn Aml> = list.iter().map(|resource| &**resource).collect();
    let resources = resources(&list);
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
            &Ready(hotplug::slots()),
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

/// A device with a Plug and Play identifier and fixed resources, the only one of its kind.
fn device(name: &str, id: &str, list: &[&dyn Aml]) -> Vec<u8> {
    one_of(name, id, 0, list)
}

/// The same, one of several.
fn one_of(name: &str, id: &str, number: u8, list: &[&dyn Aml]) -> Vec<u8> {
    bytes(&Device::new(
        name.into(),
        vec![
            &Name::new("_HID".into(), &EISAName::new(id)),
            &Name::new("_UID".into(), &number),
            &Name::new("_CRS".into(), &resources(list)),
        ],
    ))
}

/// An interrupt that is an edge.
fn edge(line: u32) -> Interrupt {
    Interrupt::new(true, true, false, false, line)
}

fn serial_ports(more: MorePorts) -> Vec<u8> {
    let port = |(number, place): (usize, SerialPlace)| {
        let ports = IO::new(place.port, place.port, 1, serial::LEN as u8);
        let shared = is_shared(place, more);
        let line = Interrupt::new(true, true, false, shared, place.irq);
        let name = format!("COM{}", number + 1);
        one_of(&name, "PNP0501", number as u8, &[&ports, &line])
    };
    places(more).flat_map(port).collect()
}

fn keyboard() -> Vec<u8> {
    let data = IO::new(I8042_PORT, I8042_PORT, 1, 1);
    let command = IO::new(KEYBOARD_PORT, KEYBOARD_PORT, 1, 1);
    device("KBD_", "PNP0303", &[&data, &command, &edge(KEYBOARD_IRQ)])
}

fn mouse() -> Vec<u8> {
    device("MOU_", "PNP0F13", &[&edge(MOUSE_IRQ)])
}

fn clock() -> Vec<u8> {
    let ports = IO::new(RTC_PORT, RTC_PORT, 1, rtc::LEN as u8);
    device("RTC_", "PNP0B00", &[&ports])
}

/// What Linux calls `qemu_fw_cfg`.
fn firmware_configuration() -> Vec<u8> {
    let ports = IO::new(FW_CFG_PORT, FW_CFG_PORT, 1, fwcfg::LEN as u8);
    bytes(&Device::new(
        "FWCF".into(),
        vec![
            &Name::new("_HID".into(), &"QEMU0002"),
            &Name::new("_STA".into(), &0xbu8),
            &Name::new("_CRS".into(), &resources(&[&ports])),
        ],
    ))
}

/// By which drivers find the port, which they use by themselves: of the methods in QEMU's
/// `docs/specs/pvpanic.rst` they call none.
fn panic_port() -> Vec<u8> {
    let port = IO::new(PVPANIC_PORT, PVPANIC_PORT, 1, pvpanic::LEN as u8);
    bytes(&Device::new(
        "PEVT".into(),
        vec![
            &Name::new("_HID".into(), &"QEMU0001"),
            &Name::new("_STA".into(), &0xfu8),
            &Name::new("_CRS".into(), &resources(&[&port])),
        ],
    ))
}

/// By which drivers find the module; the rest is in a table of its own.
fn platform_module() -> Vec<u8> {
    let registers = Memory32Fixed::new(true, crb::BASE as u32, crb::LEN as u32);
    bytes(&Device::new(
        "TPM_".into(),
        vec![
            &Name::new("_HID".into(), &"MSFT0101"),
            &Name::new("_UID".into(), &0u8),
            &Name::new("_STA".into(), &0xfu8),
            &Name::new("_CRS".into(), &resources(&[&registers])),
        ],
    ))
}

/// Addresses the board itself uses, so that nothing else is put there.
fn board_resources() -> Vec<u8> {
    let config = Memory32Fixed::new(true, ECAM as u32, ECAM_SIZE as u32);
    let power = IO::new(PM_PORT, PM_PORT, 1, pm::LEN as u8);
    let hotplug = IO::new(HOTPLUG_PORT, HOTPLUG_PORT, 1, HOTPLUG_LEN as u8);
    let cpus = IO::new(CPUS_PORT, CPUS_PORT, 1, CPUS_LEN as u8);
    device("MBRD", "PNP0C02", &[&config, &power, &hotplug, &cpus])
}
