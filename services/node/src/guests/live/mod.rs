//! Disks, network cards, processors and memory that come to a running machine, and go, as its
//! configuration changes; and what changes of those that stay. [`steps`] says how one configuration becomes
//! another.
//!
//! The configuration is stored before anything happens to the machine; when the machine does not
//! follow, it gets back what it had, and the configuration the settings it had. What a machine runs
//! with is noted after every step, so an interruption leaves at most a change that is pending.

mod steps;

use super::{Guest, Report};
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_model::field::Int;
use basalt_model::guest::{GuestConfig, GuestKind, GuestRecord};
use basalt_model::machine::{Request, RunState, SetLink, Status};
use basalt_model::qemu::QemuConfig;
use basalt_model::vmid::Vmid;
use std::time::Duration;
use steps::{BALLOON, Step, devices, steps};

const KIND: GuestKind = GuestKind::Qemu;
/// How long a guest may take to let go of a device.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take to get as much memory as it is to have: it moves what is in its way.
const MEMORY_PATIENCE: Duration = Duration::from_secs(60);

/// Why a running machine did not follow its configuration.
#[derive(Debug)]
pub enum Refused {
    /// It is as it was.
    Undone(Error),
    /// It took a part of the change and would not give it back.
    Half(Error),
}

/// `config` with the setting `key` as `from` has it.
fn with(config: &QemuConfig, key: &str, from: &QemuConfig) -> Result<QemuConfig> {
    let mut map = config.to_map();
    match from.to_map().remove(key) {
        Some(value) => map.insert(key.to_owned(), value),
        None => map.remove(key),
    };
    Ok(QemuConfig::from_map(&map)?)
}

/// A machine that runs, and what with.
struct Running<'a> {
    node: &'a Node,
    vmid: Vmid,
    config: QemuConfig,
}

impl Running<'_> {
    /// Carries out a step on the way to `wanted`.
    async fn carry_out(&mut self, step: &Step, wanted: &QemuConfig, report: &Report) -> Result<()> {
        let (node, vmid, key) = (self.node, self.vmid, step.key());
        let next = match step {
            Step::Unplug(_) => {
                report.log(format_args!("asking the guest to let go of {key}"));
                let removed = node.machines.remove_device(vmid, key, PATIENCE).await;
                removed.map_err(Error::failed)?;
                with(&self.config, key, &QemuConfig::default())?
            }
            Step::Vcpus => {
                let count = wanted.vcpus();
                report.log(format_args!("changing to {count} processors"));
                let count = u8::try_from(count).map_err(Error::failed)?;
                let set = node.machines.set_vcpus(vmid, count, PATIENCE).await;
                set.map_err(Error::failed)?;
                with(&self.config, key, wanted)?
            }
            Step::Memory => {
                let mib = wanted.memory_mib();
                report.log(format_args!("changing to {mib} MiB of memory"));
                let set = node.machines.set_memory(vmid, wanted, MEMORY_PATIENCE);
                set.await.map_err(Error::failed)?;
                let next = with(&self.config, key, wanted)?;
                match (self.config.balloon_mib(), wanted.balloon_mib()) {
                    (Some(_), Some(mib)) => {
                        node.order(vmid, &Request::SetBalloon { mib }).await?;
                        with(&next, BALLOON, wanted)?
                    }
                    _ => next,
                }
            }
            Step::Balloon => {
                let mib = wanted.balloon_mib().unwrap_or(wanted.memory_mib());
                report.log(format_args!("asking the guest to use {mib} MiB of memory"));
                node.order(vmid, &Request::SetBalloon { mib }).await?;
                with(&self.config, key, wanted)?
            }
            Step::Processors(_) => {
                let next = with(&self.config, key, wanted)?;
                let set = node.machines.set_processors(vmid, &next).await;
                set.map_err(Error::failed)?;
                next
            }
            Step::Cable(_) => {
                report.log(format_args!("plugging the cable of {key} in anew"));
                let next = with(&self.config, key, wanted)?;
                if let Err(error) = self.cable(&next, key).await {
                    // As far as it came.
                    if let Err(problem) = self.cable(&self.config, key).await {
                        report.warn(format_args!("{key} has no cable: {}", problem.message));
                    }
                    return Err(error);
                }
                next
            }
            Step::Plug(_) => {
                report.log(format_args!("plugging in {key}"));
                let next = with(&self.config, key, wanted)?;
                let (storages, network) = (&node.storages, &node.network);
                let device = basalt_vm::resolve_device(vmid, &next, key, storages, network).await;
                let device = device.map_err(Error::failed)?;
                let added = node.machines.add_device(vmid, device).await;
                added.map_err(Error::failed)?;
                next
            }
        };
        self.config = next;
        let config = GuestConfig::Qemu(Box::new(self.config.clone()));
        node.note_running_config(vmid, &config);
        Ok(())
    }

    /// Has both ends of a card's cable be as `config` says.
    async fn cable(&self, config: &QemuConfig, key: &str) -> Result<()> {
        let (node, vmid) = (self.node, self.vmid);
        let plugged = basalt_vm::plug_cable(vmid, config, key, &node.network).await;
        plugged.map_err(Error::failed)?;
        let mut cards = config.net.iter();
        let card = cards.find(|(index, _)| format!("net{index}") == key);
        let link = SetLink {
            nic: key.to_owned(),
            up: card.is_some_and(|(_, net)| !net.is_pulled()),
        };
        node.order(vmid, &Request::SetLink(link)).await
    }

    /// Takes back steps that were carried out, the last one first.
    async fn undo(&mut self, done: &[Step], before: &QemuConfig, report: &Report) -> Result<()> {
        for step in done.iter().rev() {
            self.carry_out(&step.back(), before, report).await?;
        }
        Ok(())
    }
}

impl Node {
    /// Brings what can change of a running guest in line with its configuration.
    pub async fn change_running(
        &self,
        vmid: Vmid,
        record: &GuestRecord,
        report: &Report,
    ) -> std::result::Result<(), Refused> {
        let wanted = match &record.config {
            GuestConfig::Qemu(wanted) => wanted,
            GuestConfig::Lxc(wanted) => {
                let changed = self.change_running_ct(vmid, wanted).await;
                return changed.map_err(Refused::Undone);
            }
        };
        if !self.is_running(KIND, vmid).await.map_err(Refused::Undone)? {
            return Ok(());
        }
        let Some(GuestConfig::Qemu(before)) = self.running_config(KIND, vmid) else {
            return Ok(());
        };
        if steps(&before, wanted, |_| true).is_empty() {
            return Ok(());
        }
        // A guest whose processors stand cannot let go of anything, and its changes wait.
        let status = self.machines.status(vmid).await;
        let status = status.ok().filter(|s| s.state == RunState::Running);
        let room = status.as_ref().and_then(|status| status.memory);
        let mut steps = steps(&before, wanted, |mib| room.is_some_and(|r| r.allows(mib)));
        steps.retain(|step| status.is_some() || !step.needs_guest());
        let mut running = Running {
            node: self,
            vmid,
            config: (*before).clone(),
        };
        for (index, step) in steps.iter().enumerate() {
            let Err(error) = running.carry_out(step, wanted, report).await else {
                continue;
            };
            let error = Error::param(step.key(), error.message);
            return Err(match running.undo(&steps[..index], &before, report).await {
                Ok(()) => Refused::Undone(error),
                Err(problem) => {
                    let problem = problem.message;
                    report.warn(format_args!("the change is half done: {problem}"));
                    Refused::Half(error)
                }
            });
        }
        Ok(())
    }

    /// Corrects the note of what a machine runs with by what its monitor says: an interruption may
    /// have come between a change and its note.
    pub async fn note_what_runs(&self, guest: &Guest) -> Result<()> {
        let GuestConfig::Qemu(stored) = &guest.record.config else {
            return Ok(());
        };
        let Some(GuestConfig::Qemu(noted)) = self.running_config(KIND, guest.vmid) else {
            return Ok(());
        };
        // One that does not run, or is busy, says nothing.
        let Ok(status) = self.machines.status(guest.vmid).await else {
            return Ok(());
        };
        let config = corrected(&noted, stored, &status)?;
        if config != *noted {
            let title = guest.title();
            tracing::warn!(guest = title, "its devices are not those that were noted");
            self.note_running_config(guest.vmid, &GuestConfig::Qemu(Box::new(config)));
        }
        Ok(())
    }
}

/// `noted` with those devices that a monitor says there are; new ones are as they are `stored`.
fn corrected(noted: &QemuConfig, stored: &QemuConfig, status: &Status) -> Result<QemuConfig> {
    let disks = status.disks.iter().map(|disk| &disk.id);
    let there: Vec<&String> = disks.chain(status.nics.iter().map(|nic| &nic.id)).collect();
    let mut config = noted.clone();
    if noted.vcpus.is_some() {
        config.vcpus = Int::new(status.vcpus.into()).or(noted.vcpus);
    }
    let memory = status.memory.map(|memory| memory.wanted >> 20);
    if memory.is_some_and(|mib| mib != noted.memory_mib()) {
        config.memory = memory.and_then(Int::new).or(noted.memory);
    }
    for key in devices(noted).keys().filter(|key| !there.contains(key)) {
        config = with(&config, key, &QemuConfig::default())?;
    }
    let known = devices(stored);
    let missing = |key: &&&String| known.contains_key(**key) && !devices(noted).contains_key(**key);
    for key in there.iter().filter(missing) {
        config = with(&config, key, stored)?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_model::hotplug::MemoryStatus;
    use basalt_model::machine::{DiskStats, NicStats};
    use serde_json::{Value, json};

    fn config(value: Value) -> QemuConfig {
        serde_json::from_value(value).unwrap()
    }

    const NET: &str = "virtio=BC:24:11:00:00:01,bridge=vmbr0";

    #[test]
    fn a_note_is_corrected_by_what_the_monitor_says() {
        let stored = config(json!({"virtio0": "local:100/a.raw", "net1": NET}));
        let status = Status {
            state: RunState::Running,
            reason: None,
            panicked: None,
            moving: None,
            vcpus: 2,
            agent: None,
            balloon: None,
            memory: Some(MemoryStatus {
                boot: 512 << 20,
                most: 4096 << 20,
                block: 2 << 20,
                wanted: 1024 << 20,
                present: 768 << 20,
            }),
            removing: Vec::new(),
            disks: vec![DiskStats {
                id: "virtio0".into(),
                ..DiskStats::default()
            }],
            nics: vec![NicStats {
                id: "net1".into(),
                ..NicStats::default()
            }],
        };
        let noted = config(json!({
            "virtio0": "local:100/a.raw,size=1G", "scsi1": "local:100/b.raw,size=1G",
            "ide2": "none,media=cdrom", "net0": NET, "cores": 2,
        }));
        let found = corrected(&noted, &stored, &status).unwrap();
        assert_eq!(
            Value::Object(found.to_map()),
            json!({
                "virtio0": "local:100/a.raw,size=1G", "ide2": "none,media=cdrom",
                "net1": NET, "cores": 2, "memory": 1024,
            })
        );
    }
}
