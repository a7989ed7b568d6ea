//! The data partition takes the whole disk, also after the disk has grown; not where a pool lies behind
//! it, for which the disk was divided when the host was installed.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::Context;
use basalt_layout::disk::{DATA_LABEL, DATA_PARTITION, POOL_PARTITION};
use basalt_update::block::{Blocks, Partition};
use basalt_update::command;

use crate::paths::Paths;

/// What may stay unused at the end of a disk.
const SLACK: u64 = 16 << 20;

/// Grows the data partition and its file system to the end of the disk.
pub fn grow(paths: &Paths) -> anyhow::Result<()> {
    let blocks = Blocks::at(&paths.sys());
    let mounts = fs::read_to_string(paths.at("/proc/self/mountinfo")).unwrap_or_default();
    // In the installer, /var is memory.
    let Some(mounted) = mounted_on(&mounts, "/var") else {
        return Ok(());
    };
    let mapped = mounted.strip_prefix("mapper/");
    let below = match mapped {
        Some(name) => lies_on(&blocks, name)?,
        None => Some(mounted.clone()),
    };
    let Some(partition) = below.and_then(|name| blocks.partition(&name)) else {
        return Ok(());
    };
    let is_data = partition.label.as_deref() == Some(DATA_LABEL);
    if !is_data || partition.number != DATA_PARTITION {
        return Ok(());
    }
    let parts = blocks.partitions(&partition.disk)?;
    if parts.iter().any(|part| part.number == POOL_PARTITION) {
        return Ok(());
    }
    grow_partition(&blocks, &partition)?;
    // What is encrypted takes the whole partition when it is opened the next time, and is grown then.
    let name = match mapped {
        Some(name) => mapped_device(&blocks, name)?.unwrap_or(partition.name),
        None => partition.name,
    };
    let device = Path::new("/dev").join(&name);
    let size = blocks.size(&name).context("the data has no size")?;
    if file_system_size(&device)? + SLACK < size {
        tracing::info!(device = %device.display(), size, "growing the data file system");
        command::run("resize2fs", &[&device.to_string_lossy()], "")?;
    }
    Ok(())
}

/// The kernel name of a mapped device.
fn mapped_device(blocks: &Blocks, name: &str) -> anyhow::Result<Option<String>> {
    let names = blocks.names().context("looking at disks")?;
    let is_it = |device: &String| blocks.attribute(device, "dm/name").as_deref() == Some(name);
    Ok(names.into_iter().find(is_it))
}

/// The only device that a mapped device lies on.
fn lies_on(blocks: &Blocks, name: &str) -> anyhow::Result<Option<String>> {
    let device = mapped_device(blocks, name)?;
    let mut below = device.map_or_else(Vec::new, |device| blocks.slaves(&device));
    Ok(below.pop().filter(|_| below.is_empty()))
}

fn grow_partition(blocks: &Blocks, partition: &Partition) -> anyhow::Result<()> {
    let start = blocks
        .attribute(&partition.name, "start")
        .and_then(|text| text.parse::<u64>().ok())
        .context("the partition has no start")?;
    let size = blocks
        .size(&partition.name)
        .context("the partition has no size")?;
    let disk_size = blocks
        .size(&partition.disk)
        .context("the disk has no size")?;
    if start * 512 + size + SLACK >= disk_size {
        return Ok(());
    }
    let disk = partition.disk_path();
    let disk = disk.to_string_lossy();
    tracing::info!(%disk, disk_size, "growing the data partition");
    // The second copy of the table still lies where the smaller disk ended.
    command::run(
        "sfdisk",
        &["--no-reread", "--force", "--relocate", "gpt-bak-std", &disk],
        "",
    )?;
    let number = partition.number.to_string();
    let arguments = [
        "--no-reread",
        "--force",
        "--wipe",
        "never",
        "--quiet",
        "-N",
        &number,
        &disk,
    ];
    command::run("sfdisk", &arguments, ",+\n")?;
    Ok(())
}

/// The kernel name of what is mounted on a folder.
fn mounted_on(mountinfo: &str, folder: &str) -> Option<String> {
    mountinfo.lines().rev().find_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        (head.split(' ').nth(4)? == folder)
            .then(|| {
                tail.split(' ')
                    .nth(1)?
                    .strip_prefix("/dev/")
                    .map(str::to_owned)
            })
            .flatten()
    })
}

/// Size of an ext4 file system, from its superblock.
fn file_system_size(device: &Path) -> anyhow::Result<u64> {
    let mut superblock = [0; 1024];
    File::open(device)
        .and_then(|mut file| {
            file.seek(SeekFrom::Start(1024))?;
            file.read_exact(&mut superblock)
        })
        .with_context(|| device.display().to_string())?;
    let word = |at: usize| {
        u64::from(u32::from_le_bytes([
            superblock[at],
            superblock[at + 1],
            superblock[at + 2],
            superblock[at + 3],
        ]))
    };
    let is_ext4 = superblock[56..58] == [0x53, 0xef];
    anyhow::ensure!(is_ext4 && word(24) <= 6, "{} is not ext4", device.display());
    let has_64_bits = word(96) & 0x80 != 0;
    let blocks = word(4) | if has_64_bits { word(0x150) << 32 } else { 0 };
    Ok(blocks * (1024 << word(24)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_file_system() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64 << 20).unwrap();
        let path = file.path().to_string_lossy().into_owned();
        command::run("mkfs.ext4", &["-q", &path], "").unwrap();
        assert_eq!(file_system_size(file.path()).unwrap(), 64 << 20);
        file.as_file().set_len(128 << 20).unwrap();
        command::run("resize2fs", &[&path], "").unwrap();
        assert_eq!(file_system_size(file.path()).unwrap(), 128 << 20);
    }

    #[test]
    fn mounts_are_found() {
        let info = "22 1 254:0 / / ro - erofs /dev/mapper/root ro\n\
                    30 22 252:6 / /var rw,nosuid shared:1 - ext4 /dev/vda6 rw\n";
        assert_eq!(mounted_on(info, "/var").as_deref(), Some("vda6"));
        assert_eq!(mounted_on(info, "/tmp"), None);
    }

    #[test]
    fn encrypted_data_is_followed_to_its_partition() {
        let dir = tempfile::tempdir().unwrap();
        let block = dir.path().join("class/block");
        fs::create_dir_all(block.join("dm-1/dm")).unwrap();
        fs::write(block.join("dm-1/dm/name"), "basalt-data\n").unwrap();
        fs::create_dir_all(block.join("dm-1/slaves/vda6")).unwrap();
        let blocks = Blocks::at(dir.path());
        let found = |name| lies_on(&blocks, name).unwrap();
        assert_eq!(found("basalt-data").as_deref(), Some("vda6"));
        assert_eq!(found("root"), None);
        fs::create_dir_all(block.join("dm-1/slaves/vdb6")).unwrap();
        assert_eq!(found("basalt-data"), None);
    }
}
