//! Devices of the host: taken out of their groups before the sandbox closes.

use std::os::fd::RawFd;
use std::sync::Arc;

use basalt_model::passthrough::{HostDevice as Wanted, Passthrough};

use super::delivery::Delivery;
use super::{Error, invalid};
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

/// Opens devices and gives them numbers that are not `taken`.
pub(super) fn take(
    passthrough: Passthrough,
    taken: &[u8],
    delivery: &mut Delivery,
) -> Result<PassthroughResource, Error> {
    let wrong = |e: std::io::Error| invalid("passthrough", e.to_string());
    let file = delivery.file("passthrough", passthrough.container)?;
    let mut groups = Vec::new();
    for group in passthrough.groups {
        groups.push(delivery.file("passthrough", group)?);
    }
    let container = Arc::new(Container::new(file, groups).map_err(wrong)?);
    let mut free = free_slots(taken);
    let mut devices = Vec::new();
    for wanted in passthrough.devices {
        let slot = free.next().ok_or_else(|| {
            let text = "the machine has too many disks, network cards, shared directories and \
                        devices of the host";
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

/// PCI device numbers of network cards and disks that are not `taken`. They come from the end, so that what
/// is plugged in later has the numbers it would have without.
fn free_slots(taken: &[u8]) -> impl Iterator<Item = u8> {
    let slots = NIC_SLOTS.rev().chain(DISK_SLOTS.rev());
    slots.filter(|slot| !taken.contains(slot))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::layout::{MEMORY_SLOT, SHARE_SLOTS};

    #[test]
    fn devices_of_the_host_have_numbers_that_nothing_else_has() {
        let mut taken = vec![DISK_SLOTS.start, MEMORY_SLOT, SHARE_SLOTS.end - 1];
        let free: Vec<u8> = free_slots(&taken).collect();
        assert_eq!(free[0], NIC_SLOTS.end - 1);
        assert_eq!(free.len() + taken.len(), NIC_SLOTS.len() + DISK_SLOTS.len());
        assert!(!free.iter().any(|slot| taken.contains(slot)));
        taken.extend(free);
        assert_eq!(free_slots(&taken).next(), None);
    }
}
