//! The pool for guests' disks: a thin pool of LVM on a partition, or a pool of ZFS ([`super::zfs`]).
//!
//! The volume group's name has a part drawn by chance. LVM refuses to work with two groups of one
//! name, and so a disk of another host could be put into this one, or stay in it from before.

use std::path::{Path, PathBuf};

use anyhow::Context;
use basalt_layout::disk::PartitionType;
use basalt_model::host::Pool;
use basalt_model::host::answer::{GuestStorage, PoolLevel};
use basalt_model::storage::LvmName;
use basalt_update::command;
use basalt_update::table::{Table, fresh_id};

use super::{partition, zfs};
use crate::plan::PoolPlan;

/// Name of the pool in its group.
const POOL_NAME: &str = "data";

/// The type of the partition that a pool lies on.
pub fn partition_type(storage: GuestStorage) -> Option<PartitionType> {
    match storage {
        GuestStorage::Directory => None,
        GuestStorage::LvmThin => Some(PartitionType::Lvm),
        GuestStorage::Zfs => Some(PartitionType::Zfs),
    }
}

/// Makes a pool on devices that hold nothing, and lets go of them again. With a key it is encrypted; the
/// devices of a pool of LVM are by then.
pub fn make(
    plan: &PoolPlan,
    devices: &[PathBuf],
    key: Option<&str>,
) -> anyhow::Result<Option<Pool>> {
    match (plan.storage(), devices) {
        (GuestStorage::LvmThin, [device]) => make_thin_pool(device).map(Some),
        (GuestStorage::Zfs, [_, ..]) => {
            zfs::make(level(plan, devices.len()), devices, key).map(Some)
        }
        _ => Ok(None),
    }
}

/// On the disks of the system, a pool of ZFS is what they are: one disk, or a mirror.
fn level(plan: &PoolPlan, devices: usize) -> PoolLevel {
    match plan {
        PoolPlan::Apart { level, .. } => *level,
        PoolPlan::Beside { .. } if devices > 1 => PoolLevel::Mirror,
        PoolPlan::Beside { .. } => PoolLevel::Single,
    }
}

fn make_thin_pool(device: &Path) -> anyhow::Result<Pool> {
    let name = |text: &str| text.parse::<LvmName>().map_err(anyhow::Error::msg);
    let part: String = fresh_id().chars().take(8).collect();
    let vgname = name(&format!("basalt_{part}"))?;
    let thinpool = name(POOL_NAME)?;
    let path = device.to_string_lossy();
    lvm("pvcreate", &["--yes", "--force", "--force", &path])?;
    lvm("vgcreate", &["--yes", vgname.as_str(), &path])?;
    // Whatever happens, the disk is free afterwards: it may be installed on once more.
    let active = Active(&vgname);
    // What is left is for the pool's own records, should many snapshots make them grow.
    let arguments = [
        "--yes",
        "--type",
        "thin-pool",
        "--extents",
        "99%FREE",
        "--name",
        thinpool.as_str(),
        vgname.as_str(),
    ];
    lvm("lvcreate", &arguments).context("making the pool for guests' disks")?;
    active.end()?;
    Ok(Pool::LvmThin { vgname, thinpool })
}

/// A group whose volumes have devices, until this is dropped.
struct Active<'a>(&'a LvmName);

impl Active<'_> {
    fn end(self) -> anyhow::Result<()> {
        let ended = deactivate(self.0.as_str());
        std::mem::forget(self);
        ended
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        if let Err(error) = deactivate(self.0.as_str()) {
            tracing::warn!(%error, group = %self.0, "not deactivated");
        }
    }
}

fn deactivate(group: &str) -> anyhow::Result<()> {
    lvm("vgchange", &["--activate", "n", group]).map(drop)
}

/// Runs one of LVM's tools.
fn lvm(tool: &str, arguments: &[&str]) -> anyhow::Result<String> {
    Ok(command::run(tool, &[&["--quiet"], arguments].concat(), "")?)
}

/// Takes everything away by which a tool would recognise what a disk held: volume groups, arrays,
/// pools, file systems, on the disk itself and on its partitions. A new partition may lie where an
/// old one did, and would be taken for it.
pub fn clear(disk: &Path) -> anyhow::Result<()> {
    let mut devices = Vec::new();
    // A disk without a table, or with a damaged one, has no partitions that could be named.
    if let Ok(table) = Table::read(disk) {
        let numbers = table.entries().iter().map(|entry| entry.number);
        devices.extend(numbers.map(|number| partition(disk, number)));
        devices.retain(|device| device.exists());
    }
    devices.push(disk.to_owned());
    for group in groups_on(&devices) {
        if let Err(error) = deactivate(&group) {
            // Who is in the way says so when the disk is written.
            tracing::warn!(%error, group, "not deactivated");
        }
    }
    zfs::clear(&devices);
    for device in &devices {
        let path = device.to_string_lossy();
        command::run("wipefs", &["--all", "--force", "--quiet", &path], "")
            .with_context(|| format!("clearing {path}"))?;
    }
    Ok(())
}

/// The groups that have a part on one of these devices.
fn groups_on(devices: &[impl AsRef<Path>]) -> Vec<String> {
    let columns = [
        "--noheadings",
        "--separator",
        "|",
        "--options",
        "pv_name,vg_name",
    ];
    let listing = match lvm("pvs", &columns) {
        Ok(listing) => listing,
        Err(error) => {
            tracing::warn!(%error, "volume groups are not listed");
            return Vec::new();
        }
    };
    let mut groups: Vec<String> = listing
        .lines()
        .filter_map(|line| line.trim().split_once('|'))
        .filter(|(device, _)| devices.iter().any(|d| d.as_ref() == Path::new(device)))
        .map(|(_, group)| group.to_owned())
        // Nothing that a disk's records say becomes an option of a tool.
        .filter(|group| group.parse::<LvmName>().is_ok())
        .collect();
    groups.dedup();
    groups
}
