//! Adding and removing devices, as the main thread takes part in it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use basalt_model::hotplug::{NewDevice, RemoveDevice, SetVcpus};
use basalt_model::machine::{Event, Request, Response, RunState};

use super::Server;
use super::memory::Resizing;
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

/// Processors that the guest was asked to let go of.
pub struct CpuRemoval {
    /// How many are to be left, and how many there were.
    count: u8,
    before: u8,
    asked_by: u64,
    deadline: Instant,
}

/// What the guest was asked to let go of, or to change.
#[derive(Default)]
pub struct Removals {
    devices: Vec<Removal>,
    cpus: Option<CpuRemoval>,
    pub(super) memory: Option<Resizing>,
}

impl Removals {
    /// The configuration keys of it all.
    pub fn ids(&self) -> Vec<String> {
        let devices = self.devices.iter().map(|removal| removal.id.clone());
        let cpus = self.cpus.iter().map(|_| "vcpus".to_owned());
        let memory = self.memory.iter().map(|_| "memory".to_owned());
        devices.chain(cpus).chain(memory).collect()
    }

    /// How long until the guest has had its time for the next one.
    pub fn next_deadline(&self) -> Option<Duration> {
        let devices = self.devices.iter().map(|removal| removal.deadline);
        let cpus = self.cpus.iter().map(|removal| removal.deadline);
        let memory = self.memory.iter().map(Resizing::deadline);
        let next = devices.chain(cpus).chain(memory).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }
}

pub(super) fn deadline(patience_ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(patience_ms).min(MAX_PATIENCE)
}

/// When a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// At once: it is done.
    Now,
    /// Later.
    WhenTheGuestLetGo,
}

impl Server {
    /// Serves a request of connection number `index` for what comes and goes, with the descriptors
    /// that came from there.
    pub(super) fn hotplug(&mut self, index: usize, request: Request) -> Result<Answer, String> {
        let descriptors = match &request {
            Request::AddDevice(device) => {
                self.connections[index].take_descriptors(device.descriptors())
            }
            _ => Vec::new(),
        };
        if let Some(reason) = self.moving.forbids_changes() {
            return Err(reason.to_owned());
        }
        match request {
            Request::AddDevice(device) => self.add_device(device, descriptors),
            Request::RemoveDevice(remove) => self.remove_device(index, &remove),
            Request::SetVcpus(wanted) => self.set_vcpus(index, &wanted),
            Request::SetMemory(wanted) => self.set_memory(index, &wanted),
            _ => Ok(Answer::Now),
        }
    }

    /// Plugs a device in; what is wrong with the field that it names otherwise.
    fn add_device(
        &mut self,
        device: NewDevice,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Answer, String> {
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
        Ok(Answer::Now)
    }

    /// Asks the guest for a device on behalf of connection number `index`.
    fn remove_device(&mut self, index: usize, request: &RemoveDevice) -> Result<Answer, String> {
        let id = &request.device;
        let slot = self.resources.find(id);
        let slot = slot.and_then(|part| self.resources.slot(part));
        let slot = slot.ok_or_else(|| format!("device: there is no '{id}'"))?;
        if self
            .removals
            .devices
            .iter()
            .any(|removal| removal.slot == slot)
        {
            return Err(format!("device: '{id}' is being removed already"));
        }
        if self.state == RunState::Paused {
            return Err(format!(
                "device: the machine is paused and cannot let go of '{id}'"
            ));
        }
        self.removals.devices.push(Removal {
            id: id.clone(),
            slot,
            asked_by: self.connections[index].id(),
            deadline: deadline(request.patience_ms),
        });
        self.with_machine(|machine| machine.ask_for(slot));
        Ok(Answer::WhenTheGuestLetGo)
    }

    /// The guest let go of the device in a slot.
    pub(super) fn let_go(&mut self, slot: u8) {
        if let Some(machine) = &mut self.machine {
            machine.remove(slot);
        }
        let all = &mut self.removals.devices;
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
        for removal in std::mem::take(&mut self.removals.devices) {
            self.removed(removal);
        }
        if let Some(removal) = self.removals.cpus.take() {
            self.cpus_removed(&removal);
        }
    }

    /// Changes how many processors there are on behalf of connection number `index`.
    fn set_vcpus(&mut self, index: usize, request: &SetVcpus) -> Result<Answer, String> {
        let SetVcpus { vcpus, patience_ms } = *request;
        let most = self.resources.vcpus;
        if self.resources.plugged.is_none() {
            return Err(format!(
                "vcpus: the machine was started with {most} for good"
            ));
        }
        if !(1..=most).contains(&vcpus) {
            return Err(format!("vcpus: {vcpus} is not 1 to {most}"));
        }
        if self.removals.cpus.is_some() {
            return Err("vcpus: some are being removed already".to_owned());
        }
        let Some(machine) = &self.machine else {
            return Err("there is no machine".to_owned());
        };
        let before = machine.cpus();
        if vcpus >= before {
            machine.plug_cpus(vcpus);
            self.resources.plugged = Some(vcpus);
            return Ok(Answer::Now);
        }
        if self.state == RunState::Paused {
            return Err("vcpus: the machine is paused and cannot let go of any".to_owned());
        }
        machine.ask_for_cpus(vcpus);
        self.removals.cpus = Some(CpuRemoval {
            count: vcpus,
            before,
            asked_by: self.connections[index].id(),
            deadline: deadline(patience_ms),
        });
        Ok(Answer::WhenTheGuestLetGo)
    }

    /// The guest let go of processors.
    pub(super) fn cpus_let_go(&mut self) {
        let Some(machine) = &self.machine else { return };
        machine.stop_ejected_cpus();
        let left = machine.cpus();
        if let Some(removal) = self.removals.cpus.take_if(|removal| left <= removal.count) {
            self.cpus_removed(&removal);
        }
    }

    fn cpus_removed(&mut self, removal: &CpuRemoval) {
        self.resources.plugged = Some(removal.count);
        tracing::info!(vcpus = removal.count, "processors removed");
        self.answer(removal.asked_by, &Response::Ok);
    }

    fn give_up_cpus(&mut self) {
        let now = Instant::now();
        let due = self
            .removals
            .cpus
            .take_if(|removal| removal.deadline <= now);
        let (Some(removal), Some(machine)) = (due, &self.machine) else {
            return;
        };
        machine.withdraw_cpus();
        machine.stop_ejected_cpus();
        if machine.cpus() <= removal.count {
            return self.cpus_removed(&removal);
        }
        machine.plug_cpus(removal.before);
        tracing::warn!("the guest does not let go of processors");
        let reason = "the guest does not let go of its processors: is its system up?".to_owned();
        self.answer(removal.asked_by, &Response::Error(reason));
    }

    /// Gives up on guests that have had their time.
    pub(super) fn give_up_removals(&mut self) {
        self.give_up_cpus();
        self.give_up_memory();
        let now = Instant::now();
        let due = |removal: &Removal| removal.deadline <= now;
        let (due, kept) = std::mem::take(&mut self.removals.devices)
            .into_iter()
            .partition(due);
        self.removals.devices = kept;
        let due: Vec<Removal> = due;
        for removal in due {
            let machine = self.machine.as_ref();
            if machine.is_some_and(|machine: &Machine| !machine.withdraw(removal.slot)) {
                // It has just let go: its word is on the way.
                self.removals.devices.push(removal);
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
