//! Giving devices of the host away: who is in a group with whom, what the host itself uses, and binding
//! to the driver `vfio-pci`, as Proxmox VE does it. A device stays bound when its guest ends.
//!
//! Everything that is asked for is checked before anything is bound.

use super::{Tree, attribute, names};
use basalt_api::methods::hardware::MdevType;
use basalt_model::qemu::hostpci::{PciAddresses, PciMapEntry};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

const DEVICES: &str = "bus/pci/devices";
const DRIVER: &str = "vfio-pci";
/// Drivers whose devices may be in a group with a guest's: they touch no memory for the host.
const HARMLESS: [&str; 3] = [DRIVER, "pci-stub", "pcieport"];
/// Class of bridges.
const BRIDGE: &str = "0x06";
/// Bit of a network interface's flags: it is up.
const IS_UP: u32 = 1;

/// Why a device cannot be given to a guest.
#[derive(Debug, thiserror::Error)]
pub enum VfioError {
    /// It is not there.
    #[error("this host has no PCI device {0}")]
    NoDevice(String),
    /// It is a bridge.
    #[error("{0} is a bridge: only what is behind it can be a guest's")]
    Bridge(String),
    /// It is in no group.
    #[error("{0} is behind no IOMMU: switch VT-d or AMD-Vi on in the firmware of this host")]
    NoIommu(String),
    /// The host works with it.
    #[error("{device} is in use by the host: {what}")]
    HostUses {
        /// Its address.
        device: String,
        /// How.
        what: String,
    },
    /// Another device of the group is the host's.
    #[error(
        "{device} can be given away only together with {other}, which the host's driver {driver} has \
         (IOMMU group {group})"
    )]
    Shared {
        /// Its address.
        device: String,
        /// The other's.
        other: String,
        /// The other's driver.
        driver: String,
        /// Number of the group.
        group: u32,
    },
    /// It is given twice.
    #[error("{0} is the guest's already")]
    Twice(String),
    /// A mapping says something else than the host.
    #[error("{device} is not what the mapping says: {what} is {found}, not {wanted}")]
    Differs {
        /// Its address.
        device: String,
        /// What.
        what: &'static str,
        /// As it is here.
        found: String,
        /// As it is in the mapping.
        wanted: String,
    },
    /// The kernel does not bind it.
    #[error("{device} cannot be bound to {DRIVER}: {source}")]
    Bind {
        /// Its address.
        device: String,
        /// Why.
        source: io::Error,
    },
    /// The kernel bound it to something else.
    #[error("{device} is not bound to {DRIVER}, but to {driver}")]
    NotBound {
        /// Its address.
        device: String,
        /// The driver, or `nothing`.
        driver: String,
    },
    /// Another guest has it.
    #[error("{device} is another guest's")]
    Busy {
        /// Its address.
        device: String,
    },
    /// It cannot be opened.
    #[error("{path}: {source}")]
    Open {
        /// What.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// A function of a device, and its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its address, `0000:01:00.0`.
    pub address: String,
    /// Number of its group.
    pub group: u32,
}

/// Groups of devices, opened once each.
#[derive(Debug, Default)]
pub struct Groups(Vec<(u32, File)>);

impl Groups {
    /// Opens the groups of functions in the folder `/dev/vfio`: all of them, or none.
    pub fn open_all(&mut self, folder: &Path, functions: &[Function]) -> Result<(), VfioError> {
        let before = self.0.len();
        let opened = functions
            .iter()
            .try_for_each(|function| self.open(folder, function));
        if opened.is_err() {
            self.0.truncate(before);
        }
        opened
    }

    fn open(&mut self, folder: &Path, function: &Function) -> Result<(), VfioError> {
        if self.place(function.group).is_some() {
            return Ok(());
        }
        let path = folder.join(function.group.to_string());
        let file = open(&path).map_err(|source| match source.raw_os_error() {
            Some(libc::EBUSY) => VfioError::Busy {
                device: function.address.clone(),
            },
            _ => failed(&path, source),
        })?;
        self.0.push((function.group, file));
        Ok(())
    }

    /// The place of a group among those that are open.
    pub fn place(&self, group: u32) -> Option<usize> {
        self.0.iter().position(|(known, _)| *known == group)
    }

    /// The groups in order.
    pub fn into_files(self) -> Vec<File> {
        self.0.into_iter().map(|(_, file)| file).collect()
    }
}

/// Opens the container of a machine in the folder `/dev/vfio`.
pub fn container(folder: &Path) -> Result<File, VfioError> {
    let path = folder.join("vfio");
    open(&path).map_err(|source| failed(&path, source))
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}

fn failed(path: &Path, source: io::Error) -> VfioError {
    VfioError::Open {
        path: path.display().to_string(),
        source,
    }
}

impl Tree {
    fn pci_folder(&self, function: &str) -> PathBuf {
        self.sys.join(DEVICES).join(function)
    }

    /// The functions that addresses name, all of which are there.
    pub fn functions(&self, addresses: &PciAddresses) -> Result<Vec<String>, VfioError> {
        let there = self.names(DEVICES);
        let mut found = Vec::new();
        for address in &addresses.0 {
            let mut named: Vec<String> =
                there.iter().filter(|n| address.names(n)).cloned().collect();
            if named.is_empty() {
                return Err(VfioError::NoDevice(address.to_string()));
            }
            found.append(&mut named);
        }
        let mut seen = BTreeSet::new();
        match found
            .iter()
            .find(|function| !seen.insert(function.as_str()))
        {
            Some(twice) => Err(VfioError::Twice(twice.clone())),
            None => Ok(found),
        }
    }

    /// Checks that a device is what a mapping says.
    pub fn check_mapping(&self, entry: &PciMapEntry, function: &str) -> Result<(), VfioError> {
        let folder = self.pci_folder(function);
        let number = |name: &str| {
            let text = attribute(&folder, name).unwrap_or_default();
            text.trim_start_matches("0x").to_ascii_lowercase()
        };
        let pair = |vendor, device| format!("{}:{}", number(vendor), number(device));
        let differs = |what, found: String, wanted: String| match found == wanted {
            true => Ok(()),
            false => Err(VfioError::Differs {
                device: function.to_owned(),
                what,
                found,
                wanted,
            }),
        };
        let id = entry.id.as_str().to_ascii_lowercase();
        differs("id", pair("vendor", "device"), id)?;
        if let Some(card) = &entry.subsystem_id {
            let found = pair("subsystem_vendor", "subsystem_device");
            differs("subsystem-id", found, card.as_str().to_ascii_lowercase())?;
        }
        if let Some(group) = &entry.iommugroup {
            let found = self.group(function)?.to_string();
            differs("iommugroup", found, group.get().to_string())?;
        }
        Ok(())
    }

    /// The number of a device's group.
    fn group(&self, function: &str) -> Result<u32, VfioError> {
        let group = std::fs::read_link(self.pci_folder(function).join("iommu_group")).ok();
        let group = group.and_then(|path| path.file_name()?.to_str()?.parse().ok());
        group.ok_or_else(|| VfioError::NoIommu(function.to_owned()))
    }

    /// The driver that has a device.
    fn driver(&self, function: &str) -> Option<String> {
        let link = std::fs::read_link(self.pci_folder(function).join("driver")).ok()?;
        Some(link.file_name()?.to_str()?.to_owned())
    }

    fn is_bridge(&self, function: &str) -> bool {
        let class = attribute(&self.pci_folder(function), "class");
        class.is_some_and(|class| class.starts_with(BRIDGE))
    }

    /// Checks functions that a guest is to have beside those that are its `own` anyway, changing nothing.
    pub fn check_free(
        &self,
        functions: &[String],
        own: &[String],
    ) -> Result<Vec<Function>, VfioError> {
        let mut checked = Vec::new();
        for function in functions {
            if self.is_bridge(function) {
                return Err(VfioError::Bridge(function.clone()));
            }
            let group = self.group(function)?;
            if self.driver(function).as_deref() != Some(DRIVER)
                && let Some(what) = self.use_of(function)
            {
                let device = function.clone();
                return Err(VfioError::HostUses { device, what });
            }
            let folder = self.pci_folder(function).join("iommu_group/devices");
            for other in names(&folder) {
                let driver = self.driver(&other).unwrap_or_default();
                let harmless = driver.is_empty() || HARMLESS.contains(&driver.as_str());
                if !harmless && !functions.contains(&other) && !own.contains(&other) {
                    return Err(VfioError::Shared {
                        device: function.clone(),
                        other,
                        driver,
                        group,
                    });
                }
            }
            checked.push(Function {
                address: function.clone(),
                group,
            });
        }
        Ok(checked)
    }

    /// What the host does with a device: a network interface that is up, or a disk.
    fn use_of(&self, function: &str) -> Option<String> {
        let device = self.pci_folder(function).canonicalize().ok()?;
        let of_class = |class: &str| {
            let folder = self.sys.join("class").join(class);
            let all = names(&folder).into_iter();
            let device = device.clone();
            all.filter_map(move |name| {
                let place = folder.join(&name).canonicalize().ok()?;
                place.starts_with(&device).then_some((name, place))
            })
            .collect::<Vec<_>>()
        };
        for (name, place) in of_class("net") {
            let flags = attribute(&place, "flags").unwrap_or_default();
            let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or(0);
            if flags & IS_UP != 0 || place.join("master").exists() {
                return Some(format!("its network interface {name} is up"));
            }
        }
        let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let used = text(&self.mounts) + &text(&self.swaps);
        for (name, place) in of_class("block") {
            let node = format!("/dev/{name}");
            let mut first = used.lines().filter_map(|line| line.split(' ').next());
            if first.any(|word| word.trim() == node) || !names(&place.join("holders")).is_empty() {
                return Some(format!("its disk {name} is mounted or part of something"));
            }
        }
        None
    }

    /// Binds a device to `vfio-pci`, unless it is.
    pub fn bind(&self, function: &str) -> Result<(), VfioError> {
        if self.driver(function).as_deref() == Some(DRIVER) {
            return Ok(());
        }
        let folder = self.pci_folder(function);
        let write = |path: &Path, text: &str| {
            std::fs::write(path, text).map_err(|source| VfioError::Bind {
                device: function.to_owned(),
                source,
            })
        };
        write(&folder.join("driver_override"), DRIVER)?;
        if self.driver(function).is_some() {
            write(&folder.join("driver/unbind"), function)?;
        }
        write(&self.sys.join("bus/pci/drivers_probe"), function)
    }

    /// Whether the kernel has bound a device to `vfio-pci`.
    pub fn check_bound(&self, function: &str) -> Result<(), VfioError> {
        match self.driver(function) {
            Some(driver) if driver == DRIVER => Ok(()),
            driver => Err(VfioError::NotBound {
                device: function.to_owned(),
                driver: driver.unwrap_or_else(|| "nothing".to_owned()),
            }),
        }
    }

    /// The kinds of parts into which devices can be divided among guests, each once.
    pub fn mdev_types(&self, addresses: &PciAddresses) -> Vec<MdevType> {
        let mut types: Vec<MdevType> = Vec::new();
        for function in self.functions(addresses).unwrap_or_default() {
            let folder = self.pci_folder(&function).join("mdev_supported_types");
            for kind in names(&folder) {
                let known = |name: &str| attribute(&folder.join(&kind), name);
                let available = known("available_instances");
                let available = available.and_then(|text| text.parse().ok()).unwrap_or(0);
                match types.iter_mut().find(|found| found.kind == kind) {
                    Some(found) => found.available += available,
                    None => types.push(MdevType {
                        available,
                        description: known("description").unwrap_or_default(),
                        name: known("name"),
                        kind,
                    }),
                }
            }
        }
        types
    }
}

/// A made-up host, for tests.
#[cfg(test)]
pub mod testing {
    use super::super::testing::{tree, write};
    use super::{DEVICES, Tree};
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    /// A host with a device whose two functions are in group 1, its bridge, and a card in group 2.
    pub struct Host {
        pub folder: tempfile::TempDir,
        pub tree: Tree,
        pub sys: PathBuf,
    }

    pub const VIDEO: &str = "0000:01:00.0";
    pub const SOUND: &str = "0000:01:00.1";
    pub const CARD: &str = "0000:02:00.0";
    pub const PORT: &str = "0000:00:01.0";

    pub fn host() -> Host {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        let sys = folder.path().join("sys");
        for (name, group, class) in [
            (VIDEO, "1", "0x030000"),
            (SOUND, "1", "0x040300"),
            (PORT, "1", "0x060400"),
            (CARD, "2", "0x020000"),
        ] {
            let device = sys.join("devices").join(name);
            let files = [
                ("class", class),
                ("vendor", "0x10de\n"),
                ("device", "0x2204\n"),
            ];
            write(&device, &files);
            std::fs::create_dir_all(sys.join(DEVICES)).unwrap();
            symlink(&device, sys.join(DEVICES).join(name)).unwrap();
            let members = sys.join("kernel/iommu_groups").join(group).join("devices");
            std::fs::create_dir_all(&members).unwrap();
            symlink(&device, members.join(name)).unwrap();
            symlink(members.parent().unwrap(), device.join("iommu_group")).unwrap();
        }
        let host = Host { folder, tree, sys };
        for (name, driver) in [
            (VIDEO, "nouveau"),
            (SOUND, "snd_hda_intel"),
            (PORT, "pcieport"),
            (CARD, "e1000e"),
        ] {
            host.drive(name, driver);
        }
        host
    }

    impl Host {
        /// Gives a device to a driver.
        pub fn drive(&self, device: &str, driver: &str) {
            let drivers = self.sys.join("bus/pci/drivers").join(driver);
            std::fs::create_dir_all(&drivers).unwrap();
            let link = self.sys.join("devices").join(device).join("driver");
            let _ = std::fs::remove_file(&link);
            symlink(drivers, link).unwrap();
        }

        /// A folder of groups.
        pub fn groups(&self, names: &[&str]) -> PathBuf {
            let folder = self.folder.path().join("vfio");
            for name in names {
                write(&folder, &[(*name, "")]);
            }
            folder
        }

        /// Whether somebody wanted it for a guest.
        pub fn was_bound(&self, device: &str) -> bool {
            self.sys
                .join("devices")
                .join(device)
                .join("driver_override")
                .exists()
        }
    }
}

#[cfg(test)]
#[path = "vfio_tests.rs"]
mod tests;
