//! Devices of the host in a machine.

use std::sync::Arc;

use kvm_ioctls::{DeviceFd, VmFd};

use super::Error;
use super::layout::intx_line;
use super::memory::Memory;
use super::routes::{FREE_WIRES, Wiring};
use crate::pci::PciDevice;
use crate::spec::PassthroughResource;
use crate::vfio::container::Lent;
use crate::vfio::device::{Connections, VfioPci};
use crate::vfio::kvm::{FIRST_SLOT, KvmSlots, introduce};

/// A device in its slot.
struct Placed {
    slot: u8,
    device: Arc<VfioPci>,
}

/// The devices, and what they need as long as they are there.
#[derive(Default)]
pub(super) struct Passed {
    devices: Vec<Placed>,
    _known: Option<DeviceFd>,
    // After the devices: they reach memory until they end.
    _lent: Option<Lent>,
}

impl Passed {
    /// Lends all memory to the devices and makes them.
    pub(super) fn new(
        resource: &PassthroughResource,
        vm: &Arc<VmFd>,
        memory: &Arc<Memory>,
        wiring: Arc<dyn Wiring>,
    ) -> Result<Self, Error> {
        let Some(container) = &resource.container else {
            return Ok(Self::default());
        };
        let first = resource.first().unwrap_or_default().to_owned();
        let failed = |e| Error::Device(first.clone(), e);
        let known = introduce(vm, container.groups()).map_err(failed)?;
        let mut passed = Self {
            _lent: Some(container.lend(memory).map_err(failed)?),
            _known: Some(known),
            devices: Vec::new(),
        };
        let mut connections = Connections {
            slots: Arc::new(KvmSlots(vm.clone())),
            first_slot: FIRST_SLOT,
            wiring,
            first_wire: FREE_WIRES,
            gsi: 0,
        };
        for part in &resource.devices {
            connections.gsi = intx_line(part.slot);
            let device = VfioPci::new(part.device.clone(), &part.settings, &connections);
            let device = device
                .map_err(|e| Error::Device(part.settings.id.clone(), std::io::Error::other(e)))?;
            connections.first_slot = device.next_slot();
            connections.first_wire = device.next_wire();
            passed.devices.push(Placed {
                slot: part.slot,
                device: Arc::new(device),
            });
        }
        Ok(passed)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// The devices with their PCI device numbers.
    pub(super) fn devices(&self) -> Vec<(u8, Arc<dyn PciDevice>)> {
        let placed = self.devices.iter();
        placed
            .map(|placed| (placed.slot, placed.device.clone() as Arc<dyn PciDevice>))
            .collect()
    }

    /// Has them do nothing any more, then resets them: one may be reset along with another.
    pub(super) fn end(&self) {
        for placed in &self.devices {
            placed.device.end();
        }
        for placed in &self.devices {
            placed.device.reset();
        }
    }
}
