//! Block devices as sysfs describes them: what the root file system lies on, and which disk that
//! is part of.

use std::fs;
use std::path::{Path, PathBuf};

use basalt_layout::SlotLabel;
use basalt_layout::mirror::ROOT_PARTITION;

use crate::Error;

/// The kernel's view of block devices.
#[derive(Debug, Clone)]
pub struct Blocks {
    sys: PathBuf,
    booted: PathBuf,
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            sys: PathBuf::from("/sys"),
            booted: Path::new("/run").join(ROOT_PARTITION),
        }
    }
}

/// A partition of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Kernel name, as `vda2`.
    pub name: String,
    /// Kernel name of its disk, as `vda`.
    pub disk: String,
    /// Its number.
    pub number: u32,
    /// Its partition label, where the kernel knows it.
    pub label: Option<String>,
}

impl Partition {
    /// The device's path.
    pub fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// The path of the disk it is part of.
    pub fn disk_path(&self) -> PathBuf {
        Path::new("/dev").join(&self.disk)
    }
}

impl Blocks {
    /// Reads below another folder than `/sys`, which has `run` beside it.
    pub fn at(sys: &Path) -> Self {
        Self {
            sys: sys.to_owned(),
            booted: sys.with_file_name("run").join(ROOT_PARTITION),
        }
    }

    fn block(&self) -> PathBuf {
        self.sys.join("class/block")
    }

    /// Names of all block devices.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let folder = self.block();
        let entries = fs::read_dir(&folder).map_err(|e| Error::io(&folder, e))?;
        let mut names: Vec<String> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    /// The partitions below the device-mapper device called `dm_name`, those too that lie below
    /// other mapped devices; those of the disk that was booted from come first.
    pub fn below_mapped(&self, dm_name: &str) -> Result<Vec<Partition>, Error> {
        let names = self.names()?;
        let is_it = |name: &&String| self.attribute(name, "dm/name").as_deref() == Some(dm_name);
        let top = names
            .iter()
            .find(is_it)
            .ok_or_else(|| Error::NotInstalled {
                reason: format!("there is no device /dev/mapper/{dm_name}"),
            })?;
        let mut pending = vec![top.clone()];
        let mut found: Vec<Partition> = Vec::new();
        while let Some(name) = pending.pop() {
            for slave in self.slaves(&name) {
                match self.partition(&slave) {
                    Some(partition) => found.push(partition),
                    None => pending.push(slave),
                }
            }
        }
        let booted = fs::read_to_string(&self.booted).unwrap_or_default();
        let disk = self
            .partition(booted.trim())
            .map(|partition| partition.disk);
        found.sort_by_key(|p| (Some(&p.disk) != disk.as_ref(), p.name.clone()));
        Ok(found)
    }

    /// The partition that the running root file system lies on. It is known by its label: not
    /// every kernel tells the UUIDs of partitions.
    pub fn running_root(&self) -> Result<Partition, Error> {
        self.running_roots()?
            .into_iter()
            .next()
            .ok_or_else(|| Error::NotInstalled {
                reason: "the root file system does not lie on a partition of ours".to_owned(),
            })
    }

    /// All partitions that the running root file system lies on: with a mirror, one on each disk.
    pub fn running_roots(&self) -> Result<Vec<Partition>, Error> {
        let is_root = |partition: &Partition| {
            let label = partition.label.as_deref().and_then(SlotLabel::parse);
            matches!(label, Some(SlotLabel::Root(_)))
        };
        let mut found = self.below_mapped("root")?;
        found.retain(is_root);
        Ok(found)
    }

    /// Kernel names of the devices a device is made of.
    pub fn slaves(&self, name: &str) -> Vec<String> {
        self.children(name, "slaves")
    }

    /// Kernel names of the devices made of a device.
    pub fn holders(&self, name: &str) -> Vec<String> {
        self.children(name, "holders")
    }

    /// Names of what a device has in one of its folders.
    pub fn children(&self, name: &str, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.block().join(name).join(folder)) else {
            return Vec::new();
        };
        entries
            .filter_map(Result::ok)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// The partition with this kernel name, if it is one.
    pub fn partition(&self, name: &str) -> Option<Partition> {
        let number = self.attribute(name, "partition")?.parse().ok()?;
        let real = fs::canonicalize(self.block().join(name)).ok()?;
        let disk = real.parent()?.file_name()?.to_string_lossy().into_owned();
        let event = self.attribute(name, "uevent").unwrap_or_default();
        let value = |key: &str| {
            event
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .map(str::to_owned)
        };
        Some(Partition {
            name: name.to_owned(),
            disk,
            number,
            label: value("PARTNAME="),
        })
    }

    /// All partitions of a disk, by number.
    pub fn partitions(&self, disk: &str) -> Result<Vec<Partition>, Error> {
        let mut found: Vec<Partition> = self
            .names()?
            .iter()
            .filter_map(|name| self.partition(name))
            .filter(|partition| partition.disk == disk)
            .collect();
        found.sort_by_key(|partition| partition.number);
        Ok(found)
    }

    /// Size of a device in bytes.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.attribute(name, "size")?
            .parse::<u64>()
            .ok()?
            .checked_mul(512)
    }

    /// The trimmed text of one attribute.
    pub fn attribute(&self, name: &str, attribute: &str) -> Option<String> {
        let text = fs::read(self.block().join(name).join(attribute)).ok()?;
        Some(String::from_utf8_lossy(&text).trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder shaped like sysfs: vda with two partitions, and a mapped device on them.
    fn fake() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let class = dir.path().join("class/block");
        fs::create_dir_all(&class).unwrap();
        let make = |path: &str, files: &[(&str, &str)]| {
            let folder = dir.path().join("devices").join(path);
            fs::create_dir_all(&folder).unwrap();
            for (name, text) in files {
                let file = folder.join(name);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
            let name = Path::new(path).file_name().unwrap();
            std::os::unix::fs::symlink(&folder, class.join(name)).unwrap();
        };
        make("vda", &[("size", "2048\n")]);
        let event = "DEVNAME=vda2\nPARTNAME=basalt_0.1.0\n";
        make(
            "vda/vda2",
            &[("partition", "2\n"), ("uevent", event), ("size", "1024\n")],
        );
        make("vda/vda3", &[("partition", "3\n"), ("uevent", "")]);
        make(
            "dm-0",
            &[
                ("dm/name", "root\n"),
                ("slaves/vda2", ""),
                ("slaves/vda3", ""),
            ],
        );
        dir
    }

    #[test]
    fn the_root_is_traced_to_its_disk() {
        let dir = fake();
        let blocks = Blocks::at(dir.path());
        let mut below = blocks.below_mapped("root").unwrap();
        below.sort_by_key(|partition| partition.number);
        assert_eq!(below.len(), 2);
        assert_eq!(below[0].disk_path(), Path::new("/dev/vda"));
        assert_eq!(below[0].label.as_deref(), Some("basalt_0.1.0"));
        assert_eq!(blocks.size("vda2"), Some(512 * 1024));
        assert_eq!(blocks.partitions("vda").unwrap().len(), 2);
        assert_eq!(blocks.running_root().unwrap().number, 2);
        assert!(blocks.below_mapped("other").is_err());
    }

    #[test]
    fn of_two_roots_the_booted_one_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let (sys, run) = (dir.path().join("sys"), dir.path().join("run"));
        let class = sys.join("class/block");
        for folder in [&class, &run] {
            fs::create_dir_all(folder).unwrap();
        }
        let make = |path: &str, files: &[(&str, &str)]| {
            let folder = sys.join("devices").join(path);
            for (name, text) in files {
                let file = folder.join(name);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
            let name = Path::new(path).file_name().unwrap();
            std::os::unix::fs::symlink(&folder, class.join(name)).unwrap();
        };
        for disk in ["vda", "vdb"] {
            let event = "PARTNAME=basalt_0.1.0\n";
            let path = format!("{disk}/{disk}2");
            make(&path, &[("partition", "2\n"), ("uevent", event)]);
        }
        make(
            "dm-0",
            &[
                ("dm/name", "image"),
                ("slaves/vda2", ""),
                ("slaves/vdb2", ""),
            ],
        );
        make("dm-1", &[("dm/name", "root"), ("slaves/dm-0", "")]);
        let blocks = Blocks::at(&sys);
        assert_eq!(blocks.running_root().unwrap().disk, "vda");
        fs::write(run.join("basalt-root"), "vdb2").unwrap();
        let disks: Vec<String> = blocks
            .running_roots()
            .unwrap()
            .into_iter()
            .map(|p| p.disk)
            .collect();
        assert_eq!(disks, ["vdb", "vda"]);
    }
}
