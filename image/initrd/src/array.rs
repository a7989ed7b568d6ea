//! The mirrored data partition: found on every disk, and started from what is newest.
//!
//! [`basalt_layout::mirror`] knows the superblocks and who may start with whom; the kernel does the
//! rest. Whoever is left out here is brought up to date by the running system.

use crate::device;
use crate::error::{At, Result};
use crate::root::say;
use basalt_layout::disk::partition_path;
use basalt_layout::mirror::{
    DATA_PARTITION, DEVICE, MEMBERS, Member, POOL_PARTITION, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE,
    start_from,
};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Makes an array's device when a name is written to it.
const NEW_ARRAY: &str = "/sys/module/md_mod/parameters/new_array";

/// A partition that is a member of a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its device.
    pub path: PathBuf,
    /// What it knows.
    pub member: Member,
}

/// Reads a partition's superblock; `None` when it is no member of a mirror.
pub fn read(path: &Path) -> Option<Member> {
    let mut bytes = [0; SUPERBLOCK_SIZE];
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(SUPERBLOCK_OFFSET)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Member::parse(&bytes)
}

/// The members of the array that `data` belongs to, on whichever disk; none when it is no member.
pub fn members_of(data: &Path, all: &[PathBuf]) -> Vec<Part> {
    let Some(own) = read(data) else {
        return Vec::new();
    };
    all.iter()
        .filter_map(|path| {
            let member = read(path).filter(|member| member.array == own.array)?;
            let path = path.clone();
            Some(Part { path, member })
        })
        .collect()
}

/// Whether waiting could still bring a member.
pub fn is_missing_one(parts: &[Part]) -> bool {
    (1..MEMBERS).contains(&parts.len())
}

/// Starts the array, and returns the device that the data is on.
pub fn start(parts: &[Part]) -> Result<PathBuf> {
    let known: Vec<&Member> = parts.iter().map(|part| &part.member).collect();
    let chosen: Vec<&Path> = start_from(&known)
        .into_iter()
        .map(|index| parts[index].path.as_path())
        .collect();
    if chosen.len() < MEMBERS {
        let names: Vec<String> = chosen
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        say(&format!(
            "the mirror is degraded: data from {} alone",
            names.join(", ")
        ));
    }
    fs::write(NEW_ARRAY, DEVICE).at("write", NEW_ARRAY)?;
    let device = Path::new("/dev").join(DEVICE);
    device::run_array(&device, &chosen).at("start", &device)?;
    // The kernel looks for partitions when a started array is opened for the first time.
    File::open(&device).at("open", &device)?;
    Ok(data_in(device))
}

/// The started array's own partition for a pool, if it has one.
pub fn pool() -> Option<PathBuf> {
    let array = format!("/dev/{DEVICE}");
    Some(PathBuf::from(partition_path(&array, POOL_PARTITION))).filter(|part| part.exists())
}

/// The array's own partition for the data, where it shares the array with a pool.
fn data_in(array: PathBuf) -> PathBuf {
    let part = PathBuf::from(partition_path(&array.to_string_lossy(), DATA_PARTITION));
    if part.exists() { part } else { array }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_in_the_arrays_own_partition_or_on_the_whole_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let array = dir.path().join("md0");
        assert_eq!(data_in(array.clone()), array);
        let part = dir.path().join("md0p1");
        fs::write(&part, "").unwrap();
        assert_eq!(data_in(array), part);
    }

    #[test]
    fn a_plain_partition_has_no_members() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        fs::write(&plain, vec![0; 16384]).unwrap();
        assert_eq!(members_of(&plain, std::slice::from_ref(&plain)), []);
        assert!(!is_missing_one(&[]));
    }
}
