//! Finds the partitions to boot from, as soon as their disk appears.

use crate::array::{self, Part};
use crate::cmdline::{Cmdline, Mode};
use crate::device;
use crate::error::{Error, Result};
use crate::gpt::{self, Partition};
use crate::modules::Modules;
use basalt_layout::disk::{DATA_LABEL, ESP_LABEL, PartitionType};
use basalt_layout::mode::MEDIUM;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long disks may take to appear: slow controllers need half a minute.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the disk with the preferred role may lag behind another one that would do.
const PREFERENCE: Duration = Duration::from_secs(3);

/// How long the second member of a mirror may lag behind the first.
const SECOND_MEMBER: Duration = Duration::from_secs(8);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// The partitions to boot from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The root file system.
    pub root: PathBuf,
    /// Its hash tree.
    pub verity: PathBuf,
    /// The state, on an installed disk.
    pub data: Option<PathBuf>,
    /// The EFI system partition beside it.
    pub esp: Option<PathBuf>,
    /// The members of the mirror that the state is on; none when it is on one disk only.
    pub mirror: Vec<Part>,
    /// The same root and hash tree on another disk of the mirror.
    pub twin: Option<(PathBuf, PathBuf)>,
    /// Whether the boot loader came from this disk.
    pub booted: bool,
    /// Whether a disk has a partition of ZFS's type.
    pub zfs: bool,
}

/// Loads drivers and looks at disks until the image's partitions are there.
///
/// The same image may be on the installer's medium and on a disk. An installed host prefers the disk
/// with state on it; the installer prefers its own medium, so that the disk is free to be rewritten.
/// Of two disks of a mirror, the one whose boot loader is running comes first: it counts the tries.
pub fn wait_for_root(cmdline: &Cmdline, modules: &mut Modules) -> Result<Found> {
    let start = Instant::now();
    let mut loops = Vec::new();
    let mut lone_since = None;
    loop {
        modules.load_for_devices();
        if cmdline.mode == Mode::Install {
            expose_discs(&mut loops);
        }
        let tables: Vec<Table> = disks()
            .iter()
            .filter_map(|disk| Table::read(disk))
            .collect();
        let candidates: Vec<Found> = tables
            .iter()
            .filter_map(|table| table.found(&tables, cmdline))
            .collect();
        let waited = start.elapsed();
        if let Some(found) = choose(candidates, cmdline.mode, waited > PREFERENCE) {
            let lone = array::is_missing_one(&found.mirror) && cmdline.mode == Mode::Host;
            let since = *lone_since.get_or_insert_with(Instant::now);
            if !lone || since.elapsed() > SECOND_MEMBER {
                return Ok(found);
            }
        }
        if waited > PATIENCE {
            return Err(Error::NoRoot(cmdline.root_hash.root_partuuid()));
        }
        // A pause between two looks: there is no udev here to tell.
        std::thread::sleep(PAUSE);
    }
}

fn choose(candidates: Vec<Found>, mode: Mode, take_any: bool) -> Option<Found> {
    let preferred = |found: &&Found| found.data.is_some() == (mode == Mode::Host);
    let fitting = || candidates.iter().filter(preferred);
    let best = fitting()
        .find(|found| found.booted)
        .or_else(|| fitting().next());
    let any = candidates.first().filter(|_| take_any);
    best.or(any).cloned()
}

/// Names of all block devices that are no partitions.
fn disks() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/block") else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// A disk's partitions.
struct Table {
    sys: PathBuf,
    partitions: Vec<Partition>,
}

impl Table {
    fn read(disk: &str) -> Option<Self> {
        let sys = Path::new("/sys/block").join(disk);
        let size: u64 = fs::read_to_string(sys.join("size"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        if size == 0 {
            return None;
        }
        let sector = fs::read_to_string(sys.join("queue/logical_block_size")).ok()?;
        let mut file = File::open(Path::new("/dev").join(disk)).ok()?;
        let partitions = gpt::read(&mut file, sector.trim().parse().ok()?).ok()?;
        Some(Self { sys, partitions })
    }

    fn partition(&self, wanted: impl Fn(&Partition) -> bool) -> Option<(&Partition, PathBuf)> {
        let partition = self.partitions.iter().find(|partition| wanted(partition))?;
        Some((partition, node(&self.sys, partition.number)?))
    }

    fn labelled(&self, label: &str) -> Option<(&Partition, PathBuf)> {
        self.partition(|partition| partition.label == label)
    }

    fn with_uuid(&self, uuid: &str) -> Option<PathBuf> {
        self.partition(|partition| partition.uuid == uuid)
            .map(|(_, path)| path)
    }

    /// Root and hash tree of the image that is to be booted.
    fn image(&self, cmdline: &Cmdline) -> Option<(PathBuf, PathBuf)> {
        Some((
            self.with_uuid(&cmdline.root_hash.root_partuuid())?,
            self.with_uuid(&cmdline.root_hash.verity_partuuid())?,
        ))
    }

    fn has_zfs(&self) -> bool {
        let kind = PartitionType::Zfs.guid();
        self.partitions
            .iter()
            .any(|partition| partition.kind == kind)
    }

    fn data(&self) -> Option<PathBuf> {
        self.labelled(DATA_LABEL).map(|(_, path)| path)
    }

    /// What can be booted from this disk, with what belongs to it on all of them.
    fn found(&self, all: &[Self], cmdline: &Cmdline) -> Option<Found> {
        let (root, verity) = self.image(cmdline)?;
        let data = self.data();
        let every: Vec<PathBuf> = all.iter().filter_map(Self::data).collect();
        let mirror = data
            .as_ref()
            .map(|data| array::members_of(data, &every))
            .unwrap_or_default();
        let is_member = |table: &&Self| {
            mirror
                .iter()
                .any(|part| Some(&part.path) == table.data().as_ref())
        };
        let twin = all
            .iter()
            .filter(is_member)
            .filter_map(|table| table.image(cmdline))
            .find(|(other, _)| *other != root);
        let esp = self.labelled(ESP_LABEL);
        let booted = |(esp, _): &(&Partition, PathBuf)| Some(&esp.uuid) == cmdline.esp.as_ref();
        Some(Found {
            root,
            verity,
            data,
            booted: esp.as_ref().is_some_and(booted),
            esp: esp.map(|(_, path)| path),
            mirror,
            twin,
            zfs: all.iter().any(Self::has_zfs),
        })
    }
}

/// The device node of a disk's partition.
fn node(sys: &Path, number: u32) -> Option<PathBuf> {
    let wanted = number.to_string();
    fs::read_dir(sys).ok()?.flatten().find_map(|entry| {
        let is_it = fs::read_to_string(entry.path().join("partition"))
            .ok()?
            .trim()
            == wanted;
        is_it.then(|| Path::new("/dev").join(entry.file_name()))
    })
}

/// A disc in a CD drive has partitions too, and so has a medium that came over the network in this
/// RAM disk, but only a loop device over them shows them.
fn expose_discs(exposed: &mut Vec<PathBuf>) {
    let drives = disks()
        .into_iter()
        .filter(|name| name.starts_with("sr"))
        .map(|name| Path::new("/dev").join(name));
    let carried = Some(PathBuf::from(MEDIUM)).filter(|medium| medium.exists());
    for disc in drives.chain(carried) {
        if !exposed.contains(&disc) && device::attach_loop(&disc).is_ok() {
            exposed.push(disc);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(root: &str, data: bool) -> Found {
        Found {
            root: root.into(),
            verity: "v".into(),
            data: data.then(|| "d".into()),
            esp: None,
            mirror: Vec::new(),
            twin: None,
            booted: false,
            zfs: false,
        }
    }

    #[test]
    fn a_host_prefers_state_and_the_installer_its_medium() {
        let both = || vec![found("iso", false), found("disk", true)];
        assert_eq!(choose(both(), Mode::Host, false), Some(found("disk", true)));
        assert_eq!(
            choose(both(), Mode::Install, false),
            Some(found("iso", false))
        );
    }

    #[test]
    fn of_two_disks_the_one_booted_from_counts() {
        let second = Found {
            booted: true,
            ..found("second", true)
        };
        let both = vec![found("first", true), second.clone()];
        assert_eq!(choose(both, Mode::Host, false), Some(second));
    }

    #[test]
    fn the_second_best_is_taken_only_late() {
        let disk = || vec![found("disk", true)];
        assert_eq!(choose(disk(), Mode::Install, false), None);
        assert_eq!(
            choose(disk(), Mode::Install, true),
            Some(found("disk", true))
        );
        assert_eq!(choose(Vec::new(), Mode::Install, true), None);
    }
}
