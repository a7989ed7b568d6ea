//! Keeping the cache small: what no build has used for a while is removed.

use super::command::step;
use super::error::{At, Result};
use super::fetch::PACKAGES;
use super::tree;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is named like this in the cache can be made again from packages and sources.
const MADE: [&str; 9] = [
    "base-",
    "system-",
    "toolbox-",
    "modules-",
    "zfs-",
    "guests-",
    "bench-",
    "debian-",
    "reproduce-",
];

/// How long something may lie unused: branches with another package lock come back within weeks.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);

/// Notes that a build uses this file or folder of the cache, by setting its time.
/// A cache that may only be read is none to be pruned either, so failure means nothing.
pub(crate) fn mark(path: &Path) {
    let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Removes what was made by, or fetched for, builds of long ago.
pub(super) fn prune(cache: &Path) -> Result<()> {
    for path in unused(cache, SystemTime::now())? {
        step(&format!("removing {}, long unused", path.display()));
        tree::remove(&path)?;
    }
    Ok(())
}

fn unused(cache: &Path, now: SystemTime) -> Result<Vec<PathBuf>> {
    let mut unused = Vec::new();
    for (dir, starts) in [
        (cache.to_owned(), &MADE[..]),
        (cache.join(PACKAGES), &[""][..]),
    ] {
        if !dir.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&dir).at("read", &dir)? {
            let path = entry.at("read", &dir)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let ours = starts.iter().any(|start| name.starts_with(start));
            // What another build removes at this moment is gone, and that is all right.
            // The time of the last change to the entry itself: files keep the times of their origin.
            let changed = fs::symlink_metadata(&path).map(|meta| meta.ctime());
            let changed = changed.ok().and_then(|seconds| u64::try_from(seconds).ok());
            let age = changed.and_then(|seconds| {
                now.duration_since(UNIX_EPOCH + Duration::from_secs(seconds))
                    .ok()
            });
            if ours && age.is_some_and(|age| age > UNUSED) {
                unused.push(path);
            }
        }
    }
    unused.sort();
    Ok(unused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_made_again_and_lay_unused_for_long_goes() {
        let dir = tempfile::tempdir().unwrap();
        let later = SystemTime::now() + UNUSED + Duration::from_secs(60);
        fs::create_dir_all(dir.path().join("packages")).unwrap();
        fs::create_dir_all(dir.path().join("system-1")).unwrap();
        fs::create_dir_all(dir.path().join("keys")).unwrap();
        for name in ["base-1.tar", "build.lock", "packages/a_1_all.deb"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert!(unused(dir.path(), SystemTime::now()).unwrap().is_empty());
        assert_eq!(
            unused(dir.path(), later).unwrap(),
            ["base-1.tar", "packages/a_1_all.deb", "system-1"].map(|name| dir.path().join(name))
        );
    }

    #[test]
    fn a_mark_makes_old_things_new() {
        let dir = tempfile::tempdir().unwrap();
        let changed = || fs::metadata(dir.path()).unwrap();
        let before = (changed().ctime(), changed().ctime_nsec());
        while (changed().ctime(), changed().ctime_nsec()) == before {
            mark(dir.path());
        }
    }
}
