//! A Basalt that is already on a disk: recognised, so that nothing of it is lost by accident.
//!
//! Only one that has been in use counts. What an interrupted installation left behind holds nothing
//! of anybody's and may be overwritten by repeating it.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use basalt_layout::Version;
use basalt_layout::disk::{
    DATA_LABEL, DATA_PARTITION, ESP_LABEL, ESP_PARTITION, POOL_LABEL, POOL_PARTITION,
    PartitionType, Slot, partition_path,
};
use basalt_model::host::answer::GuestStorage;
use basalt_model::host::{HostConfig, Hostname, Pool};
use basalt_update::command;
use basalt_update::esp::Esp;
use basalt_update::table::Table;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Where its data partition is looked at.
const MOUNT_POINT: &str = "/run/basalt-installer/existing";

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// The versions in its slots, newest first.
    pub versions: Vec<Version>,
    /// The host's name, where its data can be read.
    pub host: Option<Hostname>,
    /// What its guests' disks lie on, where that can be seen.
    pub storage: Option<GuestStorage>,
    /// Whether its data is encrypted, where that can be seen.
    pub encrypted: Option<bool>,
}

impl fmt::Display for Existing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Basalt")?;
        for (index, version) in self.versions.iter().enumerate() {
            write!(f, "{}{version}", if index == 0 { " " } else { " and " })?;
        }
        match &self.host {
            Some(host) => write!(f, " of the host {host}"),
            None if self.encrypted == Some(true) => f.write_str(" with encrypted data"),
            None => f.write_str(" with data that cannot be read"),
        }
    }
}

/// Looks for a Basalt in use on a disk that nobody has mounted.
pub fn find(disk: &Path) -> Option<Existing> {
    let table = Table::read(disk).ok()?;
    let has = |number, label| table.entry(number).is_ok_and(|entry| entry.label == label);
    if !has(ESP_PARTITION, ESP_LABEL) || !has(DATA_PARTITION, DATA_LABEL) {
        return None;
    }
    let partition = |number| PathBuf::from(partition_path(&disk.to_string_lossy(), number));
    let esp = partition(ESP_PARTITION);
    let roots = Slot::ALL.map(|slot| partition(slot.root_partition()));
    let state = look(&partition(DATA_PARTITION), || never_booted(&esp, &roots));
    let encrypted = match state {
        State::Unused | State::Used(_) => Some(false),
        State::Encrypted => Some(true),
        State::Unknown => None,
    };
    let (host, known) = match state {
        State::Unused => return None,
        State::Used(Some(host)) => (Some(host.hostname), Some(storage_of(host.pool.as_ref()))),
        State::Used(None) => (None, Some(GuestStorage::Directory)),
        // In what cannot be looked into, there may be a pool, too.
        State::Encrypted | State::Unknown => (None, None),
    };
    let mut versions: Vec<Version> = Slot::ALL
        .into_iter()
        .filter_map(|slot| table.content_of(slot))
        .collect();
    versions.sort_by(|a, b| b.cmp(a));
    let storage = if has(POOL_PARTITION, POOL_LABEL) {
        Some(match table.entry(POOL_PARTITION) {
            Ok(entry) if entry.is_a(PartitionType::Zfs) => GuestStorage::Zfs,
            _ => GuestStorage::LvmThin,
        })
    } else {
        known
    };
    Some(Existing {
        versions,
        host,
        storage,
        encrypted,
    })
}

/// Whether a disk holds a pool of guests' disks that a Basalt has made.
pub fn has_pool(disk: &Path) -> bool {
    let labelled = |table: Table| {
        table
            .entries()
            .iter()
            .any(|entry| entry.label == POOL_LABEL)
    };
    Table::read(disk).is_ok_and(labelled)
}

/// A host whose pool is on no disk of the system knows of it all the same.
fn storage_of(pool: Option<&Pool>) -> GuestStorage {
    match pool {
        None => GuestStorage::Directory,
        Some(Pool::LvmThin { .. }) => GuestStorage::LvmThin,
        Some(Pool::Zfs { .. }) => GuestStorage::Zfs,
    }
}

/// What a data partition tells.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// No host has ever booted from it.
    Unused,
    /// A host lives on it, of this configuration where it can be read.
    Used(Option<Box<HostConfig>>),
    /// Somebody's, and encrypted.
    Encrypted,
    /// It cannot be looked into: damaged, a member of a mirror, or of another kind.
    Unknown,
}

fn look(data: &Path, never_booted: impl Fn() -> bool) -> State {
    if !is_readable(data) {
        return State::Unknown;
    }
    match content(data).as_deref() {
        None => State::Unused,
        Some("ext4") => match look_inside(data) {
            // Half a file system, and nothing yet that could boot: making it was interrupted.
            State::Unknown if never_booted() => State::Unused,
            state => state,
        },
        // The members of a mirror are made, and what is encrypted, before anything is written to it.
        Some("linux_raid_member" | "crypto_LUKS") if never_booted() => State::Unused,
        Some("crypto_LUKS") => State::Encrypted,
        Some(_) => State::Unknown,
    }
}

fn is_readable(device: &Path) -> bool {
    let read = File::open(device).and_then(|mut file| file.read_exact(&mut [0; 4096]));
    read.is_ok()
}

/// What kind of file system, or of something else, a device says that it holds.
fn content(device: &Path) -> Option<String> {
    let arguments = ["--probe", "--output", "value", "--match-tag", "TYPE", "--"];
    let device = device.to_string_lossy();
    let kind = command::run("blkid", &[&arguments[..], &[&device]].concat(), "").ok()?;
    // Of an empty partition it knows the table that it is in, and says nothing of its type.
    Some(kind.trim().to_owned()).filter(|kind| !kind.is_empty())
}

/// Whether no host can ever have booted from a disk: its slots are empty, or no kernel is on its
/// ESP. The slots are filled when everything else is made, so while they are empty the ESP may be
/// half a file system.
fn never_booted(esp: &Path, roots: &[PathBuf]) -> bool {
    let empty = |root: &PathBuf| is_readable(root) && content(root).is_none();
    roots.iter().all(empty) || has_no_kernel(esp)
}

fn has_no_kernel(esp: &Path) -> bool {
    Esp::mount_at(esp, Path::new(MOUNT_POINT), MountFlags::RDONLY)
        .and_then(|esp| esp.ukis())
        .is_ok_and(|ukis| ukis.is_empty())
}

fn look_inside(data: &Path) -> State {
    let folder = Path::new(MOUNT_POINT);
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    // Without replaying the journal, looking changes nothing.
    let mounted =
        fs::create_dir_all(folder).is_ok() && mount(data, folder, "ext4", flags, c"noload").is_ok();
    if !mounted {
        return State::Unknown;
    }
    let state = judge(folder);
    if let Err(errno) = unmount(folder, UnmountFlags::DETACH) {
        tracing::warn!(%errno, "{MOUNT_POINT} is not unmounted");
    }
    state
}

/// The first boot makes the machine id; before it, a data partition is what the installer wrote.
fn judge(var: &Path) -> State {
    let state = var.join("lib/basalt");
    if !state.join("machine-id").exists() {
        return State::Unused;
    }
    let host = fs::read(state.join("host.json"))
        .ok()
        .and_then(|text| serde_json::from_slice::<HostConfig>(&text).ok());
    State::Used(host.map(Box::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_lives_there_once_it_has_booted() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(judge(dir.path()), State::Unused);
        let state = dir.path().join("lib/basalt");
        fs::create_dir_all(&state).unwrap();
        let text = r#"{"hostname": "node1", "pool": {"kind": "zfs", "pool": "basalt_1/data"}}"#;
        fs::write(state.join("host.json"), text).unwrap();
        assert_eq!(judge(dir.path()), State::Unused, "never booted");
        fs::write(state.join("machine-id"), "x").unwrap();
        let State::Used(Some(host)) = judge(dir.path()) else {
            panic!("nobody lives there");
        };
        assert_eq!(host.hostname.as_str(), "node1");
        assert_eq!(storage_of(host.pool.as_ref()), GuestStorage::Zfs);
        fs::write(state.join("host.json"), "{").unwrap();
        assert_eq!(judge(dir.path()), State::Used(None));
    }

    #[test]
    fn no_host_has_booted_while_the_slots_are_empty() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = dir.path().join(name);
            File::create(&path).unwrap().set_len(8 << 20).unwrap();
            path
        };
        let (esp, roots) = (file("esp"), [file("a"), file("b")]);
        assert!(never_booted(&esp, &roots));
        command::run("mkfs.ext4", &["-q", &roots[1].to_string_lossy()], "").unwrap();
        assert!(!never_booted(&esp, &roots), "the ESP cannot be read");
        let gone = [dir.path().join("gone")];
        assert!(!never_booted(&esp, &gone), "a slot cannot be read");
    }

    #[test]
    fn a_disk_of_somebody_else_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("disk");
        File::create(&disk).unwrap().set_len(8 << 20).unwrap();
        assert_eq!(find(&disk), None);
        let script = "label: gpt\nsize=1MiB, name=\"basalt-esp\"\n";
        command::run("sfdisk", &["--quiet", &disk.to_string_lossy()], script).unwrap();
        assert_eq!(find(&disk), None);
    }

    #[test]
    fn it_is_described_in_words() {
        let existing = Existing {
            versions: vec!["0.2.0".parse().unwrap(), "0.1.0".parse().unwrap()],
            host: Some("node1".parse().unwrap()),
            storage: Some(GuestStorage::Directory),
            encrypted: Some(false),
        };
        assert_eq!(
            existing.to_string(),
            "Basalt 0.2.0 and 0.1.0 of the host node1"
        );
        let encrypted = Existing {
            host: None,
            encrypted: Some(true),
            ..existing
        };
        assert!(encrypted.to_string().ends_with(" with encrypted data"));
    }
}
