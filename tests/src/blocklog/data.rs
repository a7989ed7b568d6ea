//! The data partition as the host would find it: its file system repaired like at boot, then read.

use anyhow::{Context, Result, bail, ensure};
use basalt_store::{SqliteStore, Store};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the host's state lies on the partition, which becomes `/var`.
const STATE: &str = "/lib/basalt";

/// A copy of a data partition; its file is removed with it.
#[derive(Debug)]
pub struct Data {
    copy: PathBuf,
}

impl Data {
    /// Copies the partition at `range` and repairs the copy as the initial RAM disk does: with what
    /// is certainly right, and if that is not enough (a superblock of which half was written) with
    /// every answer `yes`. The check is a full one; what was lost in it, the caller will miss.
    pub fn repaired(disk: &File, range: &Range<u64>, copy: &Path) -> Result<Self> {
        let data = Self { copy: copy.into() };
        let target = File::create(&data.copy)?;
        target.set_len(range.end - range.start)?;
        copy_sparse(disk, range, &target)?;
        let mut said = String::new();
        for option in ["-fp", "-fy"] {
            let output = Command::new("/usr/sbin/e2fsck")
                .arg(option)
                .arg(&data.copy)
                .output()
                .context("cannot run e2fsck")?;
            // 1 and 2: something was corrected.
            if matches!(output.status.code(), Some(0..=2)) {
                return Ok(data);
            }
            said.push_str(&String::from_utf8_lossy(&output.stdout));
            said.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        bail!("e2fsck: {said}")
    }

    /// A file's first bytes, `most` at most.
    pub fn file(&self, path: &str, most: u64) -> Result<Vec<u8>> {
        let mut debugfs = Command::new("/usr/sbin/debugfs")
            .arg("-R")
            .arg(format!("cat {path}"))
            .arg(&self.copy)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run debugfs")?;
        let mut bytes = Vec::new();
        if let Some(output) = debugfs.stdout.take() {
            // Closing the pipe ends a debugfs that has more.
            output.take(most).read_to_end(&mut bytes)?;
        }
        debugfs.wait()?;
        Ok(bytes)
    }

    /// The host's configuration as the installer wrote it.
    pub fn host_config(&self) -> Result<Vec<u8>> {
        self.file(&format!("{STATE}/host.json"), 1 << 20)
    }

    /// Opens a copy of the configuration store in `folder`, as the node does.
    pub fn store(&self, folder: &Path) -> Result<SqliteStore> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir(folder)?;
        for (name, needed) in [("store.db", true), ("store.db-wal", false)] {
            let bytes = self.file(&format!("{STATE}/{name}"), 1 << 30)?;
            if !bytes.is_empty() {
                fs::write(folder.join(name), bytes)?;
            } else if needed {
                bail!("there is no {name}");
            }
        }
        Ok(SqliteStore::open(folder.join("store.db"))?)
    }

    /// The number that is a guest's description; 0 when it has none.
    pub fn description(&self, vmid: u32, folder: &Path) -> Result<u64> {
        let store = self.store(folder)?;
        let entry = store
            .get(&format!("guests/{vmid}"))
            .with_context(|| format!("guest {vmid} is gone"))?;
        let value: serde_json::Value = serde_json::from_str(&entry.value)?;
        let text = value["config"]["description"].as_str().unwrap_or("0");
        text.trim()
            .parse()
            .with_context(|| format!("the description is {text:?}"))
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // It lies in a work folder that goes too.
        let _ = fs::remove_file(&self.copy);
    }
}

/// Copies what is no hole.
fn copy_sparse(disk: &File, range: &Range<u64>, target: &File) -> Result<()> {
    let mut at = range.start;
    while at < range.end {
        let start = match seek(disk, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(disk, SeekFrom::Hole(start))?.min(range.end);
        let (mut from, mut to) = (start, start.saturating_sub(range.start));
        while from < end {
            let left = usize::try_from(end - from)?;
            let copied =
                rustix::fs::copy_file_range(disk, Some(&mut from), target, Some(&mut to), left)?;
            ensure!(copied > 0, "the disk ends too early");
        }
        at = end.max(start);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    /// A disk with an ext4 file system at 1 MiB that holds a file.
    fn disk(dir: &Path) -> (File, Range<u64>) {
        let tree = dir.join("tree");
        fs::create_dir_all(tree.join("lib/basalt")).unwrap();
        fs::write(tree.join("lib/basalt/host.json"), "{}\n").unwrap();
        let path = dir.join("disk");
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        file.set_len(65 << 20).unwrap();
        let made = Command::new("/usr/sbin/mkfs.ext4")
            .args(["-q", "-E", "offset=1048576", "-d"])
            .args([&tree, &path])
            .arg("64M")
            .status()
            .unwrap();
        assert!(made.success());
        (file, 1 << 20..65 << 20)
    }

    #[test]
    fn files_of_a_sound_file_system_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, range) = disk(dir.path());
        let data = Data::repaired(&disk, &range, &dir.path().join("copy")).unwrap();
        assert_eq!(data.host_config().unwrap(), b"{}\n");
        assert_eq!(data.file("/lib/basalt/host.json", 1).unwrap(), b"{");
        assert_eq!(data.file("/nothing", 100).unwrap(), b"");
        assert!(data.store(&dir.path().join("store")).is_err());
    }

    #[test]
    fn a_half_written_superblock_is_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, range) = disk(dir.path());
        disk.write_all_at(&[0x5a; 512], range.start + 1024).unwrap();
        let data = Data::repaired(&disk, &range, &dir.path().join("copy")).unwrap();
        assert_eq!(data.host_config().unwrap(), b"{}\n");
    }

    #[test]
    fn what_a_damaged_file_system_has_lost_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, range) = disk(dir.path());
        for block in 16..200 {
            disk.write_all_at(&[0x5a; 4096], range.start + block * 4096)
                .unwrap();
        }
        let repaired = Data::repaired(&disk, &range, &dir.path().join("copy"));
        let found = repaired.and_then(|data| data.host_config());
        assert!(!found.is_ok_and(|text| text == b"{}\n"));
    }
}
