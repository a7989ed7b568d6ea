//! Finds the partitions to boot from, as soon as their disk appears.

use crate::cmdline::{Cmdline, Mode};
use crate::device;
use crate::error::{Error, Result};
use crate::gpt::{self, Partition};
use crate::modules::Modules;
use basalt_layout::disk::DATA_LABEL;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long disks may take to appear: slow controllers need half a minute.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the disk with the preferred role may lag behind another one that would do.
const PREFERENCE: Duration = Duration::from_secs(3);

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
}

/// Loads drivers and looks at disks until the image's partitions are there.
///
/// The same image may be on the installer's medium and on a disk. An installed host prefers the disk
/// with state on it; the installer prefers its own medium, so that the disk is free to be rewritten.
pub fn wait_for_root(cmdline: &Cmdline, modules: &mut Modules) -> Result<Found> {
    let start = Instant::now();
    let mut loops = Vec::new();
    loop {
        modules.load_for_devices();
        if cmdline.mode == Mode::Install {
            expose_discs(&mut loops);
        }
        let candidates: Vec<Found> = disks()
            .iter()
            .filter_map(|disk| on_disk(disk, cmdline))
            .collect();
        let waited = start.elapsed();
        if let Some(found) = choose(candidates, cmdline.mode, waited > PREFERENCE) {
            return Ok(found);
        }
        if waited > PATIENCE {
            return Err(Error::NoRoot(cmdline.root_hash.root_partuuid()));
        }
        // A pause between two looks: there is no udev here to tell.
        std::thread::sleep(PAUSE);
    }
}

fn choose(candidates: Vec<Found>, mode: Mode, take_any: bool) -> Option<Found> {
    let preferred = |found: &Found| found.data.is_some() == (mode == Mode::Host);
    let best = candidates.iter().position(preferred);
    let index = best.or_else(|| (take_any && !candidates.is_empty()).then_some(0))?;
    candidates.into_iter().nth(index)
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

fn on_disk(disk: &str, cmdline: &Cmdline) -> Option<Found> {
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
    let path = |wanted: &dyn Fn(&Partition) -> bool| {
        let partition = partitions.iter().find(|partition| wanted(partition))?;
        node(&sys, partition.number)
    };
    let (root, verity) = (
        cmdline.root_hash.root_partuuid(),
        cmdline.root_hash.verity_partuuid(),
    );
    Some(Found {
        root: path(&|partition| partition.uuid == root)?,
        verity: path(&|partition| partition.uuid == verity)?,
        data: path(&|partition| partition.label == DATA_LABEL),
    })
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

/// A disc in a CD drive has partitions too, but only a loop device over it shows them.
fn expose_discs(exposed: &mut Vec<String>) {
    for name in disks() {
        if !name.starts_with("sr") || exposed.contains(&name) {
            continue;
        }
        if device::attach_loop(&Path::new("/dev").join(&name)).is_ok() {
            exposed.push(name);
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
