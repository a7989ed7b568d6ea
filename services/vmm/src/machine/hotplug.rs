//! Devices that come to a machine while it runs, and go. What the guest sees of it is in
//! [`crate::pci::hotplug`].

use basalt_model::machine::RunState;

use super::{Error, Machine};
use crate::spec::Resources;
use crate::spec::plug::Plugged;

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
