//! A new disk joins the mirror, in the place of one that is gone or on a host that has lost one.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::path::Path;

use basalt_layout::disk::{
    DATA_PARTITION, ESP_FS_LABEL, ESP_PARTITION, POOL_PARTITION, PartitionType, PoolShare, Shares,
    joining_script,
};

use super::array::Array;
use super::{SystemDisk, SystemDisks, follow, partition, zpool};
use crate::block::Blocks;
use crate::claim::{self, Claim};
use crate::table::{Table, fresh_id, fresh_ids};
use crate::{Error, Host, Observer, command};

/// Makes `disk` the second disk of the host's mirror. Everything on it is lost. Returns when it has
/// everything; until then nothing boots from it.
pub fn join(host: &Host, disk: &Path, observer: &mut dyn Observer) -> Result<(), Error> {
    let blocks = Blocks::default();
    let array = Array::read(&blocks).ok_or_else(|| {
        refuse("this host was installed on one disk; a mirror is made by the installer")
    })?;
    let source = Table::read(&host.disk)?;
    // ZFS mirrors by itself, on a partition beside the array's.
    let has_zfs = source
        .entry(POOL_PARTITION)
        .is_ok_and(|entry| entry.is_a(PartitionType::Zfs));
    let shares = Shares {
        data: Some(source.entry(DATA_PARTITION)?.size),
        pool: has_zfs.then_some(PoolShare {
            kind: PartitionType::Zfs,
            size: None,
        }),
    };
    check(&blocks, &array, disk, &source)?;
    host.others.check_leading()?;
    array.forget_detached()?;
    observer.say(&format!("partitioning {}", disk.display()));
    let claim = Claim::take(disk)?;
    let script = joining_script(&fresh_ids(), [fresh_id(), fresh_id()], &shares);
    let text = disk.to_string_lossy();
    let wipe = [
        "--quiet",
        "--wipe",
        "always",
        "--wipe-partitions",
        "always",
        &text,
    ];
    command::run("sfdisk", &wipe, &script)?;
    let member = partition(disk, DATA_PARTITION);
    let esp = partition(disk, ESP_PARTITION);
    for partition in [&esp, &member] {
        claim::wait_for(partition)?;
    }
    let arguments = ["-F", "32", "-n", ESP_FS_LABEL, &esp.to_string_lossy()];
    command::run("mkfs.vfat", &arguments, "")?;
    observer.say("copying the data");
    array.add(&member)?;
    array.wait(&blocks);
    if has_zfs {
        observer.say("copying guests' disks");
        let pool = partition(disk, POOL_PARTITION);
        claim::wait_for(&pool)?;
        zpool::replace(&partition(&host.disk, POOL_PARTITION), &pool)?;
    }
    drop(claim);
    observer.say("copying the system");
    let _lock = host.lock()?;
    follow::follow(&host.as_disk(), &SystemDisk::at(disk))?;
    match SystemDisks::detect(&blocks, &host.disk)? {
        SystemDisks::Leading(others) if !others.is_empty() => Ok(()),
        _ => Err(refuse(
            "the disk was added, but did not become a whole member",
        )),
    }
}

fn refuse(text: &str) -> Error {
    Error::Mirror(text.to_owned())
}

/// Everything that can be refused before a byte is written.
fn check(blocks: &Blocks, array: &Array, disk: &Path, source: &Table) -> Result<(), Error> {
    let shown = disk.display();
    let real = fs::canonicalize(disk).map_err(|e| Error::io(disk, e))?;
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    if array.is_whole() {
        return Err(refuse("the mirror is whole already"));
    }
    if real != disk
        || blocks.attribute(&name, "size").is_none()
        || blocks.partition(&name).is_some()
    {
        return Err(refuse(&format!(
            "{shown} is no disk; name one like /dev/sdb"
        )));
    }
    let mut in_use = blocks.partitions(&name)?;
    in_use.retain(|part| !blocks.holders(&part.name).is_empty() || is_mounted(&part.path()));
    if !in_use.is_empty() || !blocks.holders(&name).is_empty() || is_mounted(disk) {
        return Err(refuse(&format!("{shown} is in use")));
    }
    let end = source
        .entries()
        .iter()
        .map(|entry| entry.offset + entry.size)
        .max()
        .unwrap_or_default();
    // The second copy of the table comes behind the last partition.
    let needed = end + (1 << 20);
    let size = File::open(disk)
        .and_then(|mut file| file.seek(SeekFrom::End(0)))
        .map_err(|e| Error::io(disk, e))?;
    if size < needed {
        return Err(refuse(&format!(
            "{shown} is too small: it has {size} bytes, and {needed} are needed"
        )));
    }
    Ok(())
}

fn is_mounted(device: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let device = device.to_string_lossy();
    mounts
        .lines()
        .any(|line| line.split(' ').next() == Some(&*device))
}
