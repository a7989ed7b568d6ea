//! Ends a factory reset that was decided: everything on the data partition goes but the decision, and
//! the key of a pool, whose volumes lie elsewhere and stay.
//!
//! The running system only writes the marker ([`basalt_layout::mode::RESET_MARKER`]); the work is
//! done here, where nothing is in use yet. Power may fail at any instant: as long as the marker is
//! there, each boot goes on with it.

use crate::error::{At, Result};
use crate::root::say;
use basalt_layout::encryption::POOL_KEY;
use basalt_layout::mode::{CONFIG, RESET_MARKER};
use std::fs::{self, File};
use std::path::Path;

/// Goes on with a factory reset, if there is one.
pub fn finish(var: &Path) -> Result<()> {
    let marker = var.join(RESET_MARKER);
    if !fs::symlink_metadata(&marker).is_ok_and(|meta| meta.is_file()) {
        return Ok(());
    }
    say("factory reset: removing everything on the data partition");
    clear(var, &[Path::new(RESET_MARKER), Path::new(POOL_KEY)])?;
    flush(var)?;
    fs::rename(&marker, var.join(CONFIG)).at("rename", &marker)?;
    flush(var)?;
    say("factory reset: done");
    Ok(())
}

/// Removes everything below `folder` but the files `kept`, which are named from there.
fn clear(folder: &Path, kept: &[&Path]) -> Result<()> {
    for entry in fs::read_dir(folder).at("read", folder)? {
        let entry = entry.at("read", folder)?;
        let path = entry.path();
        let name = entry.file_name();
        let is_folder = entry.file_type().at("read", &path)?.is_dir();
        let inside: Vec<&Path> = kept
            .iter()
            .filter_map(|kept| kept.strip_prefix(&name).ok())
            .collect();
        if inside.is_empty() && is_folder {
            fs::remove_dir_all(&path).at("remove", &path)?;
        } else if inside.is_empty() {
            fs::remove_file(&path).at("remove", &path)?;
        } else if is_folder && inside.iter().all(|rest| !rest.as_os_str().is_empty()) {
            clear(&path, &inside)?;
        }
    }
    Ok(())
}

fn flush(var: &Path) -> Result<()> {
    let synced = File::open(var).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    synced.at("flush", var)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A data partition in use, with a way out of it.
    fn used(outside: &Path) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let var = dir.path();
        for folder in ["lib/basalt/ssh", "lib/vz/images/100", "log", "lost+found"] {
            fs::create_dir_all(var.join(folder)).unwrap();
        }
        for file in [
            CONFIG,
            "lib/basalt/store.db",
            "lib/vz/images/100/disk.raw",
            "log/x",
        ] {
            fs::write(var.join(file), "old").unwrap();
        }
        symlink(outside, var.join("lib/link")).unwrap();
        dir
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn nothing_is_left_but_the_new_configuration() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("precious"), "").unwrap();
        let dir = used(outside.path());
        let var = dir.path();
        fs::write(var.join(RESET_MARKER), "new").unwrap();
        finish(var).unwrap();
        assert_eq!(names(var), ["lib"]);
        assert_eq!(names(&var.join("lib")), ["basalt"]);
        assert_eq!(names(&var.join("lib/basalt")), ["host.json"]);
        assert_eq!(fs::read_to_string(var.join(CONFIG)).unwrap(), "new");
        assert!(outside.path().join("precious").exists());
    }

    #[test]
    fn the_key_of_a_pool_stays_with_the_pool() {
        let outside = tempfile::tempdir().unwrap();
        let dir = used(outside.path());
        let var = dir.path();
        fs::write(var.join(RESET_MARKER), "new").unwrap();
        fs::write(var.join(POOL_KEY), "key").unwrap();
        finish(var).unwrap();
        let mut left = names(&var.join("lib/basalt"));
        left.sort();
        assert_eq!(left, ["host.json", "pool.key"]);
        assert_eq!(fs::read_to_string(var.join(POOL_KEY)).unwrap(), "key");
    }

    #[test]
    fn without_a_decision_everything_stays() {
        let outside = tempfile::tempdir().unwrap();
        let dir = used(outside.path());
        finish(dir.path()).unwrap();
        assert!(dir.path().join("lib/vz/images/100/disk.raw").exists());
    }

    #[test]
    fn an_interrupted_reset_is_ended_by_the_next_boot() {
        let outside = tempfile::tempdir().unwrap();
        let dir = used(outside.path());
        let var = dir.path();
        fs::write(var.join(RESET_MARKER), "new").unwrap();
        // As a power cut in the middle leaves it.
        fs::remove_dir_all(var.join("lib/vz")).unwrap();
        fs::remove_file(var.join(CONFIG)).unwrap();
        finish(var).unwrap();
        assert_eq!(names(&var.join("lib/basalt")), ["host.json"]);
    }
}
