//! Adding and removing devices, as the main thread takes part in it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use basalt_model::hotplug::{NewDevice, RemoveDevice};
use basalt_model::machine::{Event, Response, RunState};

use super::Server;
use crate::machine::Machine;

/// Longest time a guest may be given to let go of a device.
const MAX_PATIENCE: Duration = Duration::from_secs(600);

/// A device that the guest was asked to let go of.
pub struct Removal {
    id: String,
    slot: u8,
    /// The connection that waits for the answer.
    asked_by: u64,
    deadline: Instant,
}

/// The devices that guests were asked to let go of.
#[derive(Default)]
pub struct Removals(Vec<Removal>);

impl Removals {
    /// Their configuration keys.
    pub fn ids(&self) -> Vec<String> {
        self.0.iter().map(|removal| removal.id.clone()).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How long until the next guest has had its time.
    pub fn next_deadline(&self) -> Option<Duration> {
        let next = self.0.iter().map(|removal| removal.deadline).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }
}

impl Server {
    /// Plugs a device in; what is wrong with the field that it names otherwise.
    pub(super) fn add_device(
        &mut self,
        device: NewDevice,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), String> {
        let Some(machine) = &mut self.machine else {
            return Err("there is no machine".to_owned());
        };
        let id = device.id().to_owned();
        let admitted = self.resources.admit(device, descriptors);
        let part = admitted.map_err(|error| error.to_string())?;
        if let Err(error) = machine.plug(&self.resources, part, self.state) {
            self.resources.dismiss(&id);
            return Err(error.to_string());
        }
        tracing::info!(device = %id, "plugged in");
        Ok(())
    }

    /// Asks the guest for a device on behalf of connection number `index`.
    pub(super) fn remove_device(
        &mut self,
        index: usize,
        request: &RemoveDevice,
    ) -> Result<(), String> {
        let id = &request.device;
        let slot = self.resources.find(id);
        let slot = slot.and_then(|part| self.resources.slot(part));
        let slot = slot.ok_or_else(|| format!("device: there is no '{id}'"))?;
        if self.removals.0.iter().any(|removal| removal.slot == slot) {
            return Err(format!("device: '{id}' is being removed already"));
        }
        if self.state == RunState::Paused {
            return Err(format!(
                "device: the machine is paused and cannot let go of '{id}'"
            ));
        }
        let patience = Duration::from_millis(request.patience_ms).min(MAX_PATIENCE);
        self.removals.0.push(Removal {
            id: id.clone(),
            slot,
            asked_by: self.connections[index].id(),
            deadline: Instant::now() + patience,
        });
        self.with_machine(|machine| machine.ask_for(slot));
        Ok(())
    }

    /// The guest let go of the device in a slot.
    pub(super) fn let_go(&mut self, slot: u8) {
        if let Some(machine) = &mut self.machine {
            machine.remove(slot);
        }
        let all = &mut self.removals.0;
        if let Some(index) = all.iter().position(|removal| removal.slot == slot) {
            let removal = all.remove(index);
            self.removed(removal);
        }
    }

    fn removed(&mut self, removal: Removal) {
        let Removal { id, asked_by, .. } = removal;
        self.resources.dismiss(&id);
        tracing::info!(device = %id, "removed");
        self.answer(asked_by, &Response::Ok);
        self.announce(&Event::DeviceRemoved { device: id });
    }

    /// The machine was ended for a reset: there is no guest any more that could keep a device.
    pub(super) fn remove_what_was_asked_for(&mut self) {
        for removal in std::mem::take(&mut self.removals.0) {
            self.removed(removal);
        }
    }

    /// Gives up on guests that have had their time.
    pub(super) fn give_up_removals(&mut self) {
        let now = Instant::now();
        let due = |removal: &Removal| removal.deadline <= now;
        let (due, kept) = std::mem::take(&mut self.removals.0)
            .into_iter()
            .partition(due);
        self.removals.0 = kept;
        let due: Vec<Removal> = due;
        for removal in due {
            let machine = self.machine.as_ref();
            if machine.is_some_and(|machine: &Machine| !machine.withdraw(removal.slot)) {
                // It has just let go: its word is on the way.
                self.removals.0.push(removal);
                continue;
            }
            tracing::warn!(device = %removal.id, "the guest does not let go");
            let id = &removal.id;
            let reason =
                format!("the guest does not let go of '{id}': is its system up and is it in use?");
            self.answer(removal.asked_by, &Response::Error(reason));
        }
    }
}
