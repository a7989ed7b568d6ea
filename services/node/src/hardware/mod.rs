//! What the host is made of, as the kernel and udev tell it below `/sys` and `/run/udev`.

pub mod disks;
pub mod pci;
pub mod smart;
pub mod usb;
pub mod vfio;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the kernel and udev tell about devices.
#[derive(Debug, Clone)]
pub struct Tree {
    sys: PathBuf,
    udev: PathBuf,
    mounts: PathBuf,
    swaps: PathBuf,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            sys: "/sys".into(),
            udev: "/run/udev/data".into(),
            mounts: "/proc/self/mounts".into(),
            swaps: "/proc/swaps".into(),
        }
    }
}

impl Tree {
    /// Names in a folder below `/sys`, sorted; none when it is not there.
    fn names(&self, folder: &str) -> Vec<String> {
        names(&self.sys.join(folder))
    }

    /// What udev found out about a device, by its name there: `b8:0`, `+pci:0000:00:02.0`.
    fn udev(&self, device: &str) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(self.udev.join(device)).unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.strip_prefix("E:"));
        let pairs = pairs.filter_map(|line| line.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A file of the kernel's, without blanks around; none when it is not there or empty.
fn attribute(folder: &Path, name: &str) -> Option<String> {
    let text = std::fs::read(folder.join(name)).ok()?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}

/// Made-up folders of the kernel's, for tests.
#[cfg(test)]
pub mod testing {
    use super::Tree;
    use std::path::Path;

    /// An empty tree in a folder.
    pub fn tree(folder: &Path) -> Tree {
        for name in ["sys", "udev"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        Tree {
            sys: folder.join("sys"),
            udev: folder.join("udev"),
            mounts: folder.join("mounts"),
            swaps: folder.join("swaps"),
        }
    }

    /// Files of a folder, each with its content.
    pub fn write(folder: &Path, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }
}
