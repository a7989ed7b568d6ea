//! Loads ZFS's modules on hosts that use it.
//!
//! They are too large for the RAM disk, and the verified root has them. After [`crate::lockdown`] the
//! kernel takes them only with Secure Boot, so it is decided here: a partition of ZFS's type on any
//! disk, or a note on the data partition for a host whose pools are elsewhere or not yet there. The
//! installer always may make a pool.

use crate::cmdline::Mode;
use crate::modules;
use crate::root::{SYSROOT, say};
use basalt_layout::disk::ZFS_WANTED;
use std::fs;
use std::path::Path;

/// Where the modules lie below the kernel's folder, in the order in which they depend on each other.
const MODULES: [&str; 2] = ["extra/spl.ko.xz", "extra/zfs.ko.xz"];

const MIB: u64 = 1 << 20;
/// ZFS caches what it reads in memory that guests then lack: it may take this part of it,
const CACHE_SHARE: u64 = 10;
/// but not less than works well for a small pool,
const CACHE_LEAST: u64 = 64 * MIB;
/// nor more than a host with much memory gains from.
const CACHE_MOST: u64 = 16 << 30;

/// Loads the modules if they are wanted. `partition` says whether a disk has a partition of ZFS's type.
/// A failure is told and no more: a host without its pool is still there to be looked at.
pub fn load_if_wanted(mode: Mode, partition: bool) {
    let state = Path::new(SYSROOT).join("var/lib/basalt");
    let noted = || state.join(ZFS_WANTED).exists();
    if mode == Mode::Install || partition || noted() {
        load();
    }
}

fn load() {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let cache = cache_size(total_memory(&memory).unwrap_or_default());
    let folder =
        Path::new(SYSROOT).join(modules::folder().strip_prefix("/").unwrap_or(Path::new("")));
    for file in MODULES {
        let options = match file.contains("zfs.ko") {
            true => format!("zfs_arc_max={cache}"),
            false => String::new(),
        };
        let path = folder.join(file);
        if let Err(error) = modules::insert_compressed(&path, &options) {
            return say(&format!("cannot load {}: {error}", path.display()));
        }
    }
}

/// The most that ZFS's cache takes on a host with so much memory; all in bytes.
fn cache_size(memory: u64) -> u64 {
    (memory / CACHE_SHARE).clamp(CACHE_LEAST, CACHE_MOST)
}

/// The host's memory in bytes, from `/proc/meminfo`.
fn total_memory(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_leaves_memory_to_guests() {
        let memory = total_memory("MemTotal:       16384 kB\nMemFree: 1 kB\n").unwrap();
        assert_eq!(memory, 16 * MIB);
        assert_eq!(cache_size(memory), CACHE_LEAST);
        assert_eq!(cache_size(100 << 30), 10 << 30);
        assert_eq!(cache_size(1 << 40), CACHE_MOST);
        assert_eq!(total_memory("MemTotal: much\n"), None);
    }
}
