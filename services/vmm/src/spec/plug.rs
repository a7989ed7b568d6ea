//! Parts that come to a machine after its specification, or leave it.

use std::collections::HashMap;
use std::ops::Range;
use std::os::fd::OwnedFd;

use basalt_model::hotplug::NewDevice;

use super::delivery::Delivery;
use super::{DiskResource, Error, NicResource, Resources, check, invalid};
use crate::machine::layout::{DISK_SLOTS, MEMORY_SLOT, NIC_SLOTS, VSOCK_SLOT, WATCHDOG_SLOT};

/// A part that can come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugged {
    /// Index in [`Resources::disks`].
    Disk(usize),
    /// Index in [`Resources::nics`].
    Nic(usize),
}

impl Resources {
    /// Takes a device into the machine's parts, in a free slot, from the descriptors that came
    /// with it.
    pub fn admit(
        &mut self,
        device: NewDevice,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Plugged, Error> {
        let id = device.id().to_owned();
        let drive = self.drives.iter().any(|drive| drive.id() == id);
        if drive || self.find(&id).is_some() {
            return Err(invalid(id, "the machine has it already"));
        }
        let mut delivery = Delivery::new(descriptors);
        let plugged = match device {
            NewDevice::Disk(disk) => {
                check::disk(&disk)?;
                let slot = self.free(&id, DISK_SLOTS)?;
                let disk = DiskResource::take(*disk, slot, &mut delivery, &mut self.rings)?;
                self.disks.push(disk);
                Plugged::Disk(self.disks.len() - 1)
            }
            NewDevice::Nic(nic) => {
                check::nic(&nic)?;
                let slot = self.free(&id, NIC_SLOTS)?;
                self.nics.push(NicResource::take(nic, slot, &mut delivery)?);
                Plugged::Nic(self.nics.len() - 1)
            }
        };
        if let Err(error) = delivery.finish() {
            self.dismiss(&id);
            return Err(error);
        }
        Ok(plugged)
    }

    /// Lets go of a part whose device is gone, and of its files.
    pub fn dismiss(&mut self, id: &str) {
        match self.find(id) {
            Some(Plugged::Disk(index)) => {
                let disk = self.disks.remove(index);
                if let Some(ring) = disk.image.take_ring() {
                    self.rings.give_back(ring);
                }
            }
            Some(Plugged::Nic(index)) => drop(self.nics.remove(index)),
            None => {}
        }
    }

    /// A disk or network card by its configuration key.
    pub fn find(&self, id: &str) -> Option<Plugged> {
        let disk = self.disks.iter().position(|disk| disk.settings.name == id);
        let nic = self.nics.iter().position(|nic| nic.id == id);
        disk.map(Plugged::Disk).or(nic.map(Plugged::Nic))
    }

    /// PCI device number of a part.
    pub fn slot(&self, part: Plugged) -> Option<u8> {
        match part {
            Plugged::Disk(index) => self.disks.get(index).map(|disk| disk.slot),
            Plugged::Nic(index) => self.nics.get(index).map(|nic| nic.slot),
        }
    }

    fn slots(&self) -> impl Iterator<Item = u8> {
        let disks = self.disks.iter().map(|disk| disk.slot);
        let nics = self.nics.iter().map(|nic| nic.slot);
        let shares = self.shares.iter().map(|share| share.slot);
        let passed = self.passthrough.devices.iter().map(|device| device.slot);
        let others = shares.chain(passed).chain(self.fixed());
        disks.chain(nics).chain(others)
    }

    /// Places among those of disks and network cards that devices of other kinds have.
    fn fixed(&self) -> impl Iterator<Item = u8> {
        let memory = self.blocks.iter().map(|_| MEMORY_SLOT);
        let watchdog = self.watchdog.iter().map(|_| WATCHDOG_SLOT);
        let vsock = self.vsock.iter().map(|_| VSOCK_SLOT);
        memory.chain(watchdog).chain(vsock)
    }

    fn free(&self, id: &str, mut slots: Range<u8>) -> Result<u8, Error> {
        let places = slots.clone();
        let most = places.len() - self.fixed().filter(|slot| places.contains(slot)).count();
        slots
            .find(|slot| !self.slots().any(|used| used == *slot))
            .ok_or_else(|| invalid(id, format!("a machine has at most {most} of its kind")))
    }

    /// Puts disks and network cards into the slots that `places` says by their keys.
    pub fn place(&mut self, places: &HashMap<&str, u8>) -> Result<(), Error> {
        let disks = self.disks.iter_mut();
        let disks = disks.map(|disk| (&*disk.settings.name, &mut disk.slot, DISK_SLOTS));
        let nics = self.nics.iter_mut();
        let nics = nics.map(|nic| (&*nic.id, &mut nic.slot, NIC_SLOTS));
        for (id, slot, range) in disks.chain(nics) {
            let Some(place) = places.get(id) else {
                continue;
            };
            if !range.contains(place) {
                return Err(invalid(
                    id,
                    format!("PCI device {place} is not for its kind"),
                ));
            }
            *slot = *place;
        }
        let mut used: Vec<u8> = self.slots().collect();
        used.sort_unstable();
        match used.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(invalid(
                "devices",
                format!("two of them are PCI device {}", pair[0]),
            )),
            None => Ok(()),
        }
    }
}
