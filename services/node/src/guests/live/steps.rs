//! How a running machine follows its configuration, step by step.

use basalt_model::network::Mac;
use basalt_model::qemu::hotplug::HotplugKind;
use basalt_model::qemu::{NetModel, QemuConfig, QemuNet};
use basalt_model::storage::VolumeSource;
use std::collections::BTreeMap;

/// The setting that says how many processors there are.
const VCPUS: &str = "vcpus";
/// The setting that says how much memory the guest is to use.
pub const BALLOON: &str = "balloon";
/// The setting that says how much memory there is.
const MEMORY: &str = "memory";

/// One change of a running machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
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
    /// Another place for the cable of a network card.
    Cable(String),
}

impl Step {
    /// The step that takes this one back.
    pub fn back(&self) -> Self {
        match self {
            Self::Unplug(key) => Self::Plug(key.clone()),
            Self::Plug(key) => Self::Unplug(key.clone()),
            other => other.clone(),
        }
    }

    /// The setting that it follows.
    pub fn key(&self) -> &str {
        match self {
            Self::Unplug(key) | Self::Plug(key) | Self::Cable(key) => key,
            Self::Vcpus => VCPUS,
            Self::Memory => MEMORY,
            Self::Balloon => BALLOON,
            Self::Processors(key) => key,
        }
    }

    /// Whether the guest has to do its part.
    pub fn needs_guest(&self) -> bool {
        !matches!(self, Self::Processors(_) | Self::Cable(_))
    }
}

/// What makes a device another one: with anything else about it changed it stays, and the change
/// waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    Disk(VolumeSource),
    Nic(NetModel, Option<Mac>),
}

/// The devices that can come and go, by key.
pub fn devices(config: &QemuConfig) -> BTreeMap<String, Device> {
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
pub fn steps(running: &QemuConfig, wanted: &QemuConfig, fits: impl Fn(u64) -> bool) -> Vec<Step> {
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
    let cables = cables(running, wanted).into_iter();
    goes.chain(figures).chain(cables).chain(comes).collect()
}

/// Cards that stay, whose cables do not.
fn cables(running: &QemuConfig, wanted: &QemuConfig) -> Vec<Step> {
    let both = running.net.iter();
    let both = both.filter_map(|(index, have)| Some((index, have, wanted.net.get(index)?)));
    let stay = both.filter(|(_, have, want)| have.is_same_card(want));
    let end = |net: &QemuNet| (net.bridge.clone(), net.is_pulled());
    let moved = stay.filter(|(_, have, want)| end(have) != end(want));
    moved
        .map(|(index, ..)| Step::Cable(format!("net{index}")))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
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
        wait(json!({"net0": format!("{NET},firewall=1")}));
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
    fn cables_of_cards_that_stay_are_moved_and_pulled() {
        const ONE: &str = "virtio=BC:24:11:00:00:01";
        let machine = |nets: &[&str]| {
            let nets = nets.iter().enumerate();
            let map = nets.map(|(index, net)| (format!("net{index}"), json!(net)));
            config(Value::Object(map.collect()))
        };
        let before = machine(&[NET, "virtio=BC:24:11:00:00:02,bridge=vmbr0"]);
        let cable = |net: &str| {
            steps(
                &before,
                &machine(&[net, "virtio=BC:24:11:00:00:02,bridge=vmbr0"]),
            )
        };
        let moved = [Step::Cable("net0".to_owned())];
        assert_eq!(cable(&format!("{NET},link_down=1")), moved);
        assert_eq!(cable(&format!("{ONE},bridge=vmbr1")), moved);
        assert_eq!(cable(ONE), moved);
        assert_eq!(cable(&format!("{NET},link_down=0")), []);
        let other = "virtio=BC:24:11:00:00:09,bridge=vmbr1";
        assert_eq!(cable(other), [unplug("net0"), plug("net0")]);
        assert!(!moved[0].needs_guest());
        assert_eq!(moved[0].back(), moved[0]);
    }
}
