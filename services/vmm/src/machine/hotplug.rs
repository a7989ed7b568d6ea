//! Devices that come to a machine while it runs, and go; cables of those that stay. What the guest sees of it is in
//! [`crate::pci::hotplug`].

use basalt_model::machine::RunState;

use super::{Error, Machine};
use crate::devices::cpus::Set;
use crate::spec::Resources;
use crate::spec::plug::Plugged;
use crate::virtio::net;

impl Machine {
    /// Makes the device of a part that `resources` has just admitted, and tells the guest. When it
    /// fails, the machine is as it was.
    pub fn plug(
        &mut self,
        resources: &Resources,
        part: Plugged,
        state: RunState,
    ) -> Result<(), Error> {
        let (slot, device) = match part {
            Plugged::Disk(index) => {
                let disk = &resources.disks[index];
                (disk.slot, self.board.add_disk(disk)?)
            }
            Plugged::Nic(index) => {
                let nic = &resources.nics[index];
                (nic.slot, self.board.add_nic(nic)?)
            }
        };
        if state == RunState::Paused {
            device.pause();
        }
        self.fixed.host.plug(slot, device);
        self.fixed.slots.announce(slot);
        Ok(())
    }

    /// Asks the guest for the device in a slot; the machine's events tell when it has let go.
    pub fn ask_for(&self, slot: u8) {
        self.fixed.slots.ask(slot);
    }

    /// Lets the guest keep the device in a slot after all. `false` when it has let go already.
    pub fn withdraw(&self, slot: u8) -> bool {
        self.fixed.slots.withdraw(slot)
    }

    /// Tells the guest whether a network card's cable is plugged in.
    pub fn set_link(&self, id: &str, up: bool) {
        let mut devices = self.board.devices.iter();
        if let Some(card) = devices.find(|placed| placed.id == id) {
            card.device.change_config(net::STATUS, &net::status(up));
        }
    }

    /// Number of processors that are there.
    pub fn cpus(&self) -> u8 {
        // At most 64.
        self.fixed.cpus.present().count_ones() as u8
    }

    /// Plugs processors in until there are `count`, those with the lowest numbers first, and tells
    /// the guest.
    pub fn plug_cpus(&self, count: u8) {
        let present = self.fixed.cpus.present();
        let missing = usize::from(count.saturating_sub(self.cpus()));
        let away = (0..Set::BITS).filter(|cpu| present >> cpu & 1 == 0);
        let more = away.take(missing).fold(0, |set, cpu| set | 1 << cpu);
        self.vcpus.plug(present | more);
        self.fixed.cpus.announce(more);
    }

    /// Asks the guest for processors until `count` are left, those with the highest numbers first;
    /// the machine's events tell when it has let go of some.
    pub fn ask_for_cpus(&self, count: u8) {
        let present = self.fixed.cpus.present();
        let surplus = usize::from(self.cpus().saturating_sub(count));
        let there = (1..Set::BITS).rev().filter(|cpu| present >> cpu & 1 != 0);
        let going = there.take(surplus).fold(0, |set, cpu| set | 1 << cpu);
        self.fixed.cpus.ask(going);
    }

    /// Lets the guest keep the processors that it was asked for after all.
    pub fn withdraw_cpus(&self) {
        self.fixed.cpus.withdraw();
    }

    /// Stops the processors that the guest has let go of.
    pub fn stop_ejected_cpus(&self) {
        self.vcpus.plug(self.fixed.cpus.present());
    }

    /// Ends the device in a slot that the guest has let go of.
    pub fn remove(&mut self, slot: u8) {
        let devices = &mut self.board.devices;
        let Some(index) = devices.iter().position(|placed| placed.slot == slot) else {
            return;
        };
        let placed = devices.remove(index);
        placed.device.end();
        self.board.disks.retain(|disk| disk.id != placed.id);
    }
}
