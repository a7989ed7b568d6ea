//! Disks, network cards, processors and memory that come to a running machine, and go, as its
//! configuration changes.
//!
//! The configuration is stored before anything happens to the machine; when the machine does not
//! follow, it gets back what it had, and the configuration the settings it had. What a machine runs
//! with is noted after every step, so an interruption leaves at most a change that is pending.

use super::{Guest, Report};
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_model::field::Int;
use basalt_model::guest::{GuestConfig, GuestKind, GuestRecord};
use basalt_model::machine::{Request, RunState, Status};
use basalt_model::network::Mac;
use basalt_model::qemu::hotplug::HotplugKind;
use basalt_model::qemu::{NetModel, QemuConfig};
use basalt_model::storage::VolumeSource;
use basalt_model::vmid::Vmid;
use std::collections::BTreeMap;
use std::time::Duration;

const KIND: GuestKind = GuestKind::Qemu;
/// The setting that says how many processors there are.
const VCPUS: &str = "vcpus";
/// The setting that says how much memory the guest is to use.
const BALLOON: &str = "balloon";
/// The setting that says how much memory there is.
const MEMORY: &str = "memory";
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

/// One change of a running machine.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Unplug(String),
    Plug(String),
    /// Another number of processors.
    Vcpus,
    /// Another amount of memory.
    Memory,
    /// Another target of the balloon.
    Balloon,
    /// Another use of the host's processors.
    Processors(&'static str),
}

impl Step {
    fn key(&self) -> &str {
        match self {
            Self::Unplug(key) | Self::Plug(key) => key,
            Self::Vcpus => VCPUS,
            Self::Memory => MEMORY,
            Self::Balloon => BALLOON,
            Self::Processors(key) => key,
        }
    }

    /// Whether the guest has to do its part.
    fn needs_guest(&self) -> bool {
        !matches!(self, Self::Processors(_))
    }
}

/// What makes a device another one: with anything else about it changed it stays, and the change
/// waits.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Device {
    Disk(VolumeSource),
    Nic(NetModel, Option<Mac>),
}

/// The devices that can come and go, by key.
fn devices(config: &QemuConfig) -> BTreeMap<String, Device> {
    let disks = config.disks().into_iter();
    let disks = disks
        .filter(|(key, disk)| is_live_disk(key) && !QemuConfig::is_optical(disk))
        .map(|(key, disk)| (key, Device::Disk(disk.file.clone())));
    let nics = config.net.iter();
    let nics = nics.map(|(index, net)| (format!("net{index}"), Device::Nic(net.model, net.mac)));
    disks.chain(nics).collect()
}

/// As on other machines, only these buses have disks that come and go.
fn is_live_disk(key: &str) -> bool {
    key.starts_with("virtio") || key.starts_with("scsi")
}

/// How a machine that runs as `running` becomes `wanted`, as far as that can be while it runs:
/// first all that goes, since that is what a guest may refuse. `fits` says whether it can have so many
/// MiB of memory.
fn steps(running: &QemuConfig, wanted: &QemuConfig, fits: impl Fn(u64) -> bool) -> Vec<Step> {
    let (have, want) = (devices(running), devices(wanted));
    let may = |key: &str| {
        let kind = match is_live_disk(key) {
            true => HotplugKind::Disk,
            false => HotplugKind::Network,
        };
        wanted.hotplugs(kind) && !is_drive(running, key) && !is_drive(wanted, key)
    };
    let goes = have
        .iter()
        .filter(|(key, device)| may(key) && want.get(*key) != Some(device))
        .map(|(key, _)| Step::Unplug(key.clone()));
    let comes = want
        .iter()
        .filter(|(key, device)| may(key) && have.get(*key) != Some(device))
        .map(|(key, _)| Step::Plug(key.clone()));
    let figures = vcpus(running, wanted).into_iter();
    let figures = figures.chain(memory(running, wanted, fits));
    let figures = figures.chain(processors(running, wanted));
    goes.chain(figures).chain(comes).collect()
}

/// A machine that was started with all its processors has them for good.
fn vcpus(running: &QemuConfig, wanted: &QemuConfig) -> Option<Step> {
    let differ = running.vcpus() != wanted.vcpus();
    let same_most = running.max_vcpus() == wanted.max_vcpus();
    let may = running.vcpus.is_some() && wanted.hotplugs(HotplugKind::Cpu);
    (differ && same_most && may && wanted.vcpus.is_some()).then_some(Step::Vcpus)
}

/// Memory comes where some may; the balloon, which is measured by it, is then set as well.
fn memory(running: &QemuConfig, wanted: &QemuConfig, fits: impl Fn(u64) -> bool) -> Option<Step> {
    let mib = wanted.memory_mib();
    if running.memory_mib() == mib {
        return balloon(running, wanted);
    }
    let may = wanted.hotplugs(HotplugKind::Memory) && fits(mib);
    may.then_some(Step::Memory)
}

/// A balloon comes and goes with a start only.
fn balloon(running: &QemuConfig, wanted: &QemuConfig) -> Option<Step> {
    let targets = (running.balloon_mib()?, wanted.balloon_mib()?);
    (targets.0 != targets.1).then_some(Step::Balloon)
}

/// Settings of the machine's unit.
fn processors(running: &QemuConfig, wanted: &QemuConfig) -> Vec<Step> {
    let (have, want) = (running, wanted);
    let differ = [
        ("affinity", have.affinity != want.affinity),
        ("cpulimit", have.cpulimit != want.cpulimit),
        ("cpuunits", have.cpuunits != want.cpuunits),
    ];
    let differ = differ.into_iter().filter(|(_, differs)| *differs);
    differ.map(|(key, _)| Step::Processors(key)).collect()
}

fn is_drive(config: &QemuConfig, key: &str) -> bool {
    let mut disks = config.disks().into_iter();
    disks.any(|(name, disk)| name == key && QemuConfig::is_optical(disk))
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

    /// Takes back steps that were carried out, the last one first.
    async fn undo(&mut self, done: &[Step], before: &QemuConfig, report: &Report) -> Result<()> {
        for step in done.iter().rev() {
            let back = match step {
                Step::Unplug(key) => Step::Plug(key.clone()),
                Step::Plug(key) => Step::Unplug(key.clone()),
                Step::Vcpus => Step::Vcpus,
                Step::Memory => Step::Memory,
                Step::Balloon => Step::Balloon,
                Step::Processors(key) => Step::Processors(key),
            };
            self.carry_out(&back, before, report).await?;
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

    fn running() -> QemuConfig {
        config(json!({
            "virtio0": "local:100/a.raw,size=1G", "scsi1": "local:100/b.raw,size=1G",
            "ide2": "none,media=cdrom", "net0": NET, "cores": 2,
        }))
    }

    /// The steps where any amount of memory fits.
    fn steps(running: &QemuConfig, wanted: &QemuConfig) -> Vec<Step> {
        super::steps(running, wanted, |_| true)
    }

    fn unplug(key: &str) -> Step {
        Step::Unplug(key.to_owned())
    }

    fn plug(key: &str) -> Step {
        Step::Plug(key.to_owned())
    }

    #[test]
    fn devices_come_go_and_are_exchanged() {
        let wanted = config(json!({
            "virtio0": "local:100/a.raw,size=1G", "scsi1": "local:100/c.raw,size=1G",
            "scsi4": "local:100/d.raw,size=1G", "ide2": "none,media=cdrom",
            "net1": "virtio=BC:24:11:00:00:02,bridge=vmbr0", "cores": 4,
        }));
        assert_eq!(
            steps(&running(), &wanted),
            [
                unplug("net0"),
                unplug("scsi1"),
                plug("net1"),
                plug("scsi1"),
                plug("scsi4")
            ]
        );
        assert_eq!(steps(&wanted, &wanted), []);
    }

    #[test]
    fn what_cannot_change_while_it_runs_waits() {
        let wait = |change: Value| {
            let mut map = running().to_map();
            map.extend(change.as_object().unwrap().clone());
            let wanted = QemuConfig::from_map(&map).unwrap();
            assert_eq!(steps(&running(), &wanted), [], "{change}");
        };
        wait(json!({"virtio0": "local:100/a.raw,size=1G,cache=none"}));
        wait(json!({"net0": format!("{NET},link_down=1")}));
        wait(json!({"sata0": "local:100/d.raw", "ide3": "local:100/e.raw"}));
        wait(json!({"scsi3": "none,media=cdrom"}));
        wait(json!({"hotplug": "network", "scsi3": "local:100/d.raw"}));
        wait(json!({"hotplug": "0", "net1": NET}));
    }

    #[test]
    fn processors_change_where_some_may_come() {
        let machine = |vcpus: Value, cores: u64, hotplug: &str| {
            let mut value = json!({"cores": cores, "hotplug": hotplug});
            if !vcpus.is_null() {
                value["vcpus"] = vcpus;
            }
            config(value)
        };
        let started = machine(json!(2), 4, "cpu");
        let change = |wanted| steps(&started, &wanted);
        assert_eq!(change(machine(json!(3), 4, "cpu,disk")), [Step::Vcpus]);
        assert_eq!(change(machine(json!(3), 4, "disk")), []);
        assert_eq!(change(machine(json!(3), 8, "cpu")), []);
        assert_eq!(change(machine(Value::Null, 4, "cpu")), []);
        let all = machine(Value::Null, 4, "cpu");
        assert_eq!(steps(&all, &started), []);
    }

    #[test]
    fn use_of_the_hosts_processors_changes_with_every_machine_and_needs_no_guest() {
        let before = config(json!({"cpulimit": 1, "affinity": "0"}));
        let after = config(json!({"cpulimit": 1, "cpuunits": 50, "hotplug": "0"}));
        let found = steps(&before, &after);
        let expected = ["affinity", "cpuunits"].map(Step::Processors);
        assert_eq!(found, expected);
        assert!(!found.iter().any(Step::needs_guest));
        assert!(Step::Balloon.needs_guest());
    }

    #[test]
    fn a_balloon_follows_where_there_is_one() {
        let machine = |balloon: Value| match balloon {
            Value::Null => config(json!({"memory": 1024})),
            mib => config(json!({"memory": 1024, "balloon": mib})),
        };
        let all = machine(Value::Null);
        assert_eq!(steps(&all, &machine(json!(512))), [Step::Balloon]);
        assert_eq!(steps(&machine(json!(512)), &all), [Step::Balloon]);
        assert_eq!(steps(&all, &machine(json!(1024))), []);
        assert_eq!(steps(&all, &machine(json!(0))), []);
        let more = config(json!({"memory": 2048}));
        assert_eq!(steps(&all, &more), []);
    }

    #[test]
    fn memory_changes_where_some_may_come_and_the_balloon_follows() {
        let machine = |memory: u64, balloon: Value, hotplug: &str| {
            let mut value = json!({"memory": memory, "hotplug": hotplug});
            if !balloon.is_null() {
                value["balloon"] = balloon;
            }
            config(value)
        };
        let before = machine(512, Value::Null, "memory");
        let change = |wanted: &QemuConfig| steps(&before, wanted);
        let more = machine(1024, Value::Null, "memory");
        assert_eq!(change(&more), [Step::Memory]);
        assert_eq!(super::steps(&before, &more, |mib| mib != 1024), []);
        assert_eq!(change(&machine(1024, Value::Null, "disk")), []);
        let part = machine(1024, json!(768), "memory");
        assert_eq!(change(&part), [Step::Memory]);
        assert_eq!(super::steps(&before, &part, |_| false), []);
        assert_eq!(change(&machine(1024, json!(0), "memory")), [Step::Memory]);
        let less = machine(1024, json!(640), "memory");
        assert_eq!(steps(&part, &less), [Step::Balloon]);
    }

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
        let found = corrected(&running(), &stored, &status).unwrap();
        assert_eq!(
            Value::Object(found.to_map()),
            json!({
                "virtio0": "local:100/a.raw,size=1G", "ide2": "none,media=cdrom",
                "net1": NET, "cores": 2, "memory": 1024,
            })
        );
    }
}
