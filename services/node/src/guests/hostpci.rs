//! Devices of the host for a machine that starts.

use crate::hardware::Tree;
use crate::hardware::vfio::{Function, Groups, VfioError, container};
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_model::field::FieldErrors;
use basalt_model::guest::{GuestConfig, GuestKind};
use basalt_model::passthrough::HostDevice;
use basalt_model::qemu::QemuConfig;
use basalt_model::qemu::hostpci::{
    HostPci, HostPciSource, PciAddresses, PciMapEntry, PciMapping, PciMappingId,
};
use basalt_model::qemu::hotplug::HotplugKind;
use basalt_model::vmid::Vmid;
use basalt_vm::{HostDevices, Resolved};
use std::path::Path;

/// Where the kernel shows groups of devices.
const FOLDER: &str = "/dev/vfio";
/// Mappings are kept under their names behind this.
const MAPPINGS: &str = "mapping/pci/";

/// The key of a mapping in the store.
pub fn mapping_key(id: &PciMappingId) -> String {
    format!("{MAPPINGS}{id}")
}

/// The key of the first device of the host that a machine has.
pub fn first_key(config: &QemuConfig) -> Option<String> {
    let (index, _) = config.hostpci.first_key_value()?;
    Some(format!("hostpci{index}"))
}

/// Notes what cannot be along with devices of the host.
pub fn settle(errors: &mut FieldErrors, config: &QemuConfig) {
    let Some(key) = first_key(config) else {
        return;
    };
    let memory = config.memory_mib();
    let wanted = config.balloon.map_or(0, |balloon| balloon.get());
    if (1..memory).contains(&wanted) {
        let text = format!("no memory can be taken from a machine that has {key}: set it to 0");
        errors.add("balloon", text);
    }
    if config.hotplugs(HotplugKind::Memory) {
        let text = format!("no memory can come to a machine that has {key}: leave 'memory' out");
        errors.add("hotplug", text);
    }
}

/// Refuses to keep the state of a machine that has devices of the host: theirs cannot be read.
pub fn must_not_have(config: &QemuConfig) -> Result<()> {
    match first_key(config) {
        Some(key) => Err(Error::failed(format_args!(
            "{key}: the memory of a machine that has a device of the host cannot be kept"
        ))),
        None => Ok(()),
    }
}

/// One setting of a machine, with the devices of which it can have the first that are free.
struct Wanted {
    key: String,
    setting: HostPci,
    choices: Vec<(PciAddresses, Option<PciMapEntry>)>,
}

impl Wanted {
    fn refuse<T>(
        &self,
        outcome: std::result::Result<T, VfioError>,
    ) -> std::result::Result<T, Refusal> {
        outcome.map_err(|error| Refusal {
            key: self.key.clone(),
            error,
        })
    }
}

/// Why a machine does not get its devices.
struct Refusal {
    key: String,
    error: VfioError,
}

impl Node {
    /// A mapping by its name.
    pub fn pci_mapping(&self, id: &PciMappingId) -> Result<Option<PciMapping>> {
        let stored = self.store.read::<PciMapping>(&mapping_key(id));
        Ok(stored.map_err(Error::failed)?.map(|stored| stored.value))
    }

    /// Every mapping with its name.
    pub fn pci_mappings(&self) -> Result<Vec<(String, PciMapping)>> {
        let stored = self.store.read_all::<PciMapping>(MAPPINGS);
        let all = stored.map_err(Error::failed)?.into_iter();
        let named = all.map(|stored| {
            let name = stored.key.trim_start_matches(MAPPINGS).to_owned();
            (name, stored.value)
        });
        Ok(named.collect())
    }

    /// Takes the devices of the host that a machine is to have, and adds them to it. Those that the
    /// host's drivers have are taken from them.
    pub async fn pass_host_devices(
        &self,
        vmid: Vmid,
        config: &QemuConfig,
        machine: &mut Resolved,
    ) -> Result<()> {
        if config.hostpci.is_empty() {
            return Ok(());
        }
        let mut wanted = Vec::new();
        for (index, setting) in &config.hostpci {
            let key = format!("hostpci{index}");
            wanted.push(Wanted {
                choices: self.choices(&key, &setting.source)?,
                setting: setting.clone(),
                key,
            });
        }
        let taking = move || take(&Tree::default(), Path::new(FOLDER), &wanted);
        let taken = tokio::task::spawn_blocking(taking).await;
        match taken.map_err(Error::failed)? {
            Ok(devices) => {
                machine.pass(devices);
                Ok(())
            }
            Err(Refusal { key, error }) => {
                let holder = match &error {
                    VfioError::Busy { device } => self.holder(vmid, device).await,
                    _ => None,
                };
                let holder = holder.map_or_else(String::new, |vmid| format!(": VM {vmid} has it"));
                Err(Error::failed(format_args!("{key}: {error}{holder}")))
            }
        }
    }

    /// What a setting leaves to choose from on this node.
    fn choices(
        &self,
        key: &str,
        source: &HostPciSource,
    ) -> Result<Vec<(PciAddresses, Option<PciMapEntry>)>> {
        let id = match source {
            HostPciSource::Host(addresses) => return Ok(vec![(addresses.clone(), None)]),
            HostPciSource::Mapping(id) => id,
        };
        let refuse = |text: String| Error::failed(format_args!("{key}: {text}"));
        let mapping = self.pci_mapping(id)?;
        let mapping = mapping.ok_or_else(|| refuse(format!("there is no mapping '{id}'")))?;
        let here = mapping.map.iter().filter_map(|entry| {
            let (node, path) = entry.place().ok()?;
            (node == self.name).then(|| (path.clone(), Some(entry.clone())))
        });
        let here: Vec<_> = here.collect();
        match here.is_empty() {
            true => Err(refuse(format!("mapping '{id}' has no device on this node"))),
            false => Ok(here),
        }
    }

    /// The other running machine that has, or may have, a device.
    async fn holder(&self, vmid: Vmid, device: &str) -> Option<Vmid> {
        const KIND: GuestKind = GuestKind::Qemu;
        for guest in self.guests().iter().filter(|guest| guest.vmid != vmid) {
            let Some(GuestConfig::Qemu(config)) = self.running_config(KIND, guest.vmid) else {
                continue;
            };
            let mut settings = config.hostpci.values();
            let names = settings.any(|setting| {
                let choices = self.choices("", &setting.source).unwrap_or_default();
                let mut addresses = choices.iter().flat_map(|(addresses, _)| &addresses.0);
                addresses.any(|address| address.names(device))
            });
            if names && self.is_running(KIND, guest.vmid).await.unwrap_or(false) {
                return Some(guest.vmid);
            }
        }
        None
    }
}

/// Takes the devices of all settings: checks all, then binds and opens them.
fn take(
    tree: &Tree,
    folder: &Path,
    wanted: &[Wanted],
) -> std::result::Result<HostDevices, Refusal> {
    // What one setting has may be in a group with what another has.
    let alone = wanted.iter().filter(|wanted| wanted.choices.len() == 1);
    let all = alone.flat_map(|wanted| tree.functions(&wanted.choices[0].0).unwrap_or_default());
    let own: Vec<String> = all.collect();
    for wanted in wanted {
        let mut choices = wanted.choices.iter();
        let outcome = first_good(&mut choices, |choice| choose(tree, choice, &own, &[]));
        wanted.refuse(outcome)?;
    }
    let mut groups = Groups::default();
    let mut chosen: Vec<(&Wanted, Vec<Function>)> = Vec::new();
    for wanted in wanted {
        let others: Vec<&Function> = chosen.iter().flat_map(|(_, has)| has).collect();
        let mut choices = wanted.choices.iter();
        let outcome = first_good(&mut choices, |choice| {
            let functions = choose(tree, choice, &own, &others)?;
            for function in &functions {
                tree.bind(&function.address)?;
                tree.check_bound(&function.address)?;
            }
            groups.open_all(folder, &functions)?;
            Ok(functions)
        });
        let functions = wanted.refuse(outcome)?;
        chosen.push((wanted, functions));
    }
    let mut devices = Vec::new();
    for (wanted, functions) in &chosen {
        for function in functions {
            if let Some(group) = groups.place(function.group) {
                devices.push(device(wanted, function, group));
            }
        }
    }
    let container = match wanted.first() {
        Some(first) => first.refuse(container(folder))?,
        None => return Ok(HostDevices::default()),
    };
    Ok(HostDevices {
        devices,
        container: Some(container),
        groups: groups.into_files(),
    })
}

/// The first of some choices that is good; what is wrong with the last if none is.
fn first_good<C, T>(
    choices: &mut dyn Iterator<Item = C>,
    mut take: impl FnMut(C) -> std::result::Result<T, VfioError>,
) -> std::result::Result<T, VfioError> {
    let mut outcome = Err(VfioError::NoDevice(String::new()));
    for choice in choices {
        outcome = take(choice);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// The functions of one choice, if they are what they should be and nobody's.
fn choose(
    tree: &Tree,
    (addresses, entry): &(PciAddresses, Option<PciMapEntry>),
    own: &[String],
    others: &[&Function],
) -> std::result::Result<Vec<Function>, VfioError> {
    let functions = tree.functions(addresses)?;
    if let (Some(entry), Some(first)) = (entry, functions.first()) {
        tree.check_mapping(entry, first)?;
    }
    let has = |function: &&String| others.iter().any(|other| other.address == **function);
    if let Some(twice) = functions.iter().find(has) {
        return Err(VfioError::Twice(twice.clone()));
    }
    tree.check_free(&functions, own)
}

fn device(wanted: &Wanted, function: &Function, group: usize) -> HostDevice {
    let setting = &wanted.setting;
    let number = |number: Option<basalt_model::qemu::hostpci::PciNumber>| number.map(|n| n.0);
    HostDevice {
        id: wanted.key.clone(),
        address: function.address.clone(),
        group,
        express: setting.pcie == Some(true),
        rom: setting.rombar != Some(false),
        vendor: number(setting.vendor_id),
        device: number(setting.device_id),
        sub_vendor: number(setting.sub_vendor_id),
        sub_device: number(setting.sub_device_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::vfio::testing::{CARD, SOUND, VIDEO, host};

    fn wanted(key: &str, setting: &str, choices: &[&str]) -> Wanted {
        let entry = |path: &&str| {
            let entry: PciMapEntry = format!("id=10de:2204,node=a,path={path}").parse().unwrap();
            (path.parse().unwrap(), Some(entry))
        };
        Wanted {
            key: key.to_owned(),
            setting: setting.parse().unwrap(),
            choices: choices.iter().map(entry).collect(),
        }
    }

    #[test]
    fn devices_are_taken_with_their_groups() {
        let host = host();
        for device in [VIDEO, SOUND, CARD] {
            host.drive(device, "vfio-pci");
        }
        let folder = host.groups(&["vfio", "1", "2"]);
        let settings = [
            wanted("hostpci0", "01:00.0,pcie=1,vendor-id=0x1234", &["01:00.0"]),
            wanted("hostpci1", "02:00,rombar=0", &["02:00"]),
            wanted("hostpci2", "01:00.1", &["01:00.1"]),
        ];
        let taken = take(&host.tree, &folder, &settings).ok().unwrap();
        assert_eq!((taken.groups.len(), taken.devices.len()), (2, 3));
        let groups: Vec<usize> = taken.devices.iter().map(|device| device.group).collect();
        assert_eq!(groups, [0, 1, 0]);
        let first = &taken.devices[0];
        assert_eq!(
            (first.express, first.rom, first.vendor),
            (true, true, Some(0x1234))
        );
        assert!(!taken.devices[1].rom);
    }

    #[test]
    fn of_a_mapping_the_first_that_can_be_had_is_taken() {
        let host = host();
        for device in [VIDEO, SOUND, CARD] {
            host.drive(device, "vfio-pci");
        }
        let folder = host.groups(&["vfio", "1", "2"]);
        let cards = ["09:00", "01:00", "02:00"];
        let both = [
            wanted("hostpci0", "mapping=card", &cards),
            wanted("hostpci1", "mapping=card", &cards),
        ];
        let taken = take(&host.tree, &folder, &both).ok().unwrap();
        let found: Vec<&str> = taken.devices.iter().map(|d| d.address.as_str()).collect();
        assert_eq!(found, [VIDEO, SOUND, CARD]);
        let three = [
            wanted("hostpci0", "mapping=card", &cards),
            wanted("hostpci1", "mapping=card", &cards),
            wanted("hostpci2", "mapping=card", &cards),
        ];
        let refusal = take(&host.tree, &folder, &three).err().unwrap();
        assert_eq!(refusal.key, "hostpci2");
    }

    #[test]
    fn nothing_is_bound_when_one_cannot_be_had() {
        let host = host();
        let folder = host.groups(&["vfio", "1", "2"]);
        let settings = [
            wanted("hostpci0", "02:00", &["02:00"]),
            wanted("hostpci1", "09:00", &["09:00"]),
        ];
        let refusal = take(&host.tree, &folder, &settings).err().unwrap();
        assert_eq!(refusal.key, "hostpci1");
        assert!(!host.was_bound(CARD));
    }

    #[test]
    fn memory_that_comes_and_goes_is_refused_beside_a_device() {
        let refused = |value: serde_json::Value| {
            let config: QemuConfig = serde_json::from_value(value).unwrap();
            let mut errors = FieldErrors::default();
            settle(&mut errors, &config);
            errors.0.contains_key("hotplug")
        };
        let with = |hotplug: &str| serde_json::json!({"hostpci0": "01:00", "hotplug": hotplug});
        assert!(refused(with("disk,memory")));
        assert!(!refused(with("disk,network")));
        assert!(!refused(serde_json::json!({"hotplug": "memory"})));
    }

    #[test]
    fn a_balloon_is_refused_beside_a_device() {
        let check = |value: serde_json::Value| {
            let config: QemuConfig = serde_json::from_value(value).unwrap();
            let mut errors = FieldErrors::default();
            settle(&mut errors, &config);
            (errors.0.contains_key("balloon"), config.balloon_mib())
        };
        let with = |balloon: u64| serde_json::json!({"hostpci0": "01:00", "balloon": balloon});
        assert_eq!(check(with(256)), (true, None));
        assert_eq!(check(with(0)), (false, None));
        assert_eq!(
            check(serde_json::json!({"balloon": 256})),
            (false, Some(256))
        );
    }
}
