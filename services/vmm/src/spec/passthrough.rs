//! Devices of the host: taken out of their groups before the sandbox closes.

use std::os::fd::RawFd;
use std::sync::Arc;

use basalt_model::passthrough::{HostDevice as Wanted, Passthrough};

use super::delivery::Delivery;
use super::{DiskResource, Error, NicResource, invalid};
use crate::machine::layout::{DISK_SLOTS, NIC_SLOTS};
use crate::vfio::container::{Container, HostDevice};
use crate::vfio::device::Settings;
use crate::vfio::registers::Disguise;

/// A device of the host.
pub struct PassedResource {
    /// PCI device number.
    pub slot: u8,
    /// How the guest is to see it.
    pub settings: Settings,
    /// The device.
    pub device: Arc<HostDevice>,
}

/// The devices of the host that a machine has.
#[derive(Default)]
pub struct PassthroughResource {
    /// What their groups are in, if there are any.
    pub container: Option<Arc<Container>>,
    /// The devices in order.
    pub devices: Vec<PassedResource>,
}

impl PassthroughResource {
    /// The key of the first device, if there is any.
    pub fn first(&self) -> Option<&str> {
        let first = self.devices.first()?;
        Some(&first.settings.id)
    }

    /// Every descriptor that must stay open.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let container = self.container.iter();
        let devices = self.devices.iter().map(|passed| passed.device.descriptor());
        container
            .flat_map(|container| container.descriptors())
            .chain(devices)
            .collect()
    }
}

/// Opens devices and gives them numbers that no disk and no network card has. Those come from the end, so
/// that what is plugged in later has the numbers it would have without.
pub(super) fn take(
    passthrough: Passthrough,
    nics: &[NicResource],
    disks: &[DiskResource],
    delivery: &mut Delivery,
) -> Result<PassthroughResource, Error> {
    let wrong = |e: std::io::Error| invalid("passthrough", e.to_string());
    let file = delivery.file("passthrough", passthrough.container)?;
    let mut groups = Vec::new();
    for group in passthrough.groups {
        groups.push(delivery.file("passthrough", group)?);
    }
    let container = Arc::new(Container::new(file, groups).map_err(wrong)?);
    let free = NIC_SLOTS.rev().chain(DISK_SLOTS.rev());
    let mut free = free.filter(|slot| {
        !nics.iter().any(|nic| nic.slot == *slot) && !disks.iter().any(|disk| disk.slot == *slot)
    });
    let mut devices = Vec::new();
    for wanted in passthrough.devices {
        let slot = free.next().ok_or_else(|| {
            let text = "the machine has too many disks, network cards and devices of the host";
            invalid(&wanted.id, text)
        })?;
        let device = container.device(wanted.group, &wanted.address);
        let device = device.map_err(|e| invalid(&wanted.id, format!("{}: {e}", wanted.address)))?;
        devices.push(PassedResource {
            slot,
            settings: settings(&wanted),
            device: Arc::new(device),
        });
    }
    Ok(PassthroughResource {
        container: Some(container),
        devices,
    })
}

fn settings(wanted: &Wanted) -> Settings {
    Settings {
        id: wanted.id.clone(),
        express: wanted.express,
        rom: wanted.rom,
        disguise: Disguise {
            vendor: wanted.vendor,
            device: wanted.device,
            sub_vendor: wanted.sub_vendor,
            sub_device: wanted.sub_device,
        },
    }
}
