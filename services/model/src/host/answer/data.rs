//! Where guests' disks lie: in a directory beside the system's own files, or in a pool.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fault::Reading;
use super::written::{WrittenData, WrittenPoolDisk};
use super::{DiskChoice, EncryptionChoice, Size, encryption};

/// Least size of the partition that the system keeps for itself, in bytes.
pub const MIN_SYSTEM_SIZE: u64 = 2 << 30;

/// Where guests' disks are to lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataChoice {
    /// On what; a directory when nothing is said. What a disk already has stays when its data does.
    pub storage: Option<GuestStorage>,
    /// With a pool: the size of the partition that the system keeps for itself.
    pub system_size: Option<Size>,
    /// The disks that a pool of ZFS has for itself; without them it lies on those of the system.
    pub apart: Option<ApartChoice>,
    /// Whether all this is encrypted.
    pub encryption: EncryptionChoice,
}

/// Disks that a pool has for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApartChoice {
    /// How the pool bears the loss of some.
    pub level: PoolLevel,
    /// Which ones, as many as the level needs or more.
    pub disks: Vec<DiskChoice>,
}

/// How a pool of ZFS on disks of its own bears the loss of some (zpoolconcepts(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PoolLevel {
    /// Not at all: it is one disk.
    Single,
    /// Every disk has everything: one has to be left.
    Mirror,
    /// One may be lost.
    Raidz,
    /// Two may be lost.
    Raidz2,
    /// Three may be lost.
    Raidz3,
}

impl PoolLevel {
    /// Every one there is, the simplest first.
    pub const ALL: [Self; 5] = [
        Self::Single,
        Self::Mirror,
        Self::Raidz,
        Self::Raidz2,
        Self::Raidz3,
    ];

    /// Its name in an answer file, and for `zpool`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Mirror => "mirror",
            Self::Raidz => "raidz",
            Self::Raidz2 => "raidz2",
            Self::Raidz3 => "raidz3",
        }
    }

    /// What it is, for who has to choose.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Single => "one disk",
            Self::Mirror => "a mirror: every disk has everything",
            Self::Raidz => "RAIDZ: one disk may fail",
            Self::Raidz2 => "RAIDZ2: two disks may fail",
            Self::Raidz3 => "RAIDZ3: three disks may fail",
        }
    }

    /// How many disks of the size of the smallest one are left for data, of so many.
    ///
    /// # Errors
    /// How many it needs, when these are too few or too many.
    pub fn data_disks(self, disks: usize) -> Result<usize, &'static str> {
        let (least, left, needs) = match self {
            Self::Single if disks > 1 => return Err("exactly one disk"),
            Self::Single => (1, 1, "exactly one disk"),
            Self::Mirror => (2, 1, "two disks or more"),
            Self::Raidz => (3, disks.saturating_sub(1), "three disks or more"),
            Self::Raidz2 => (4, disks.saturating_sub(2), "four disks or more"),
            Self::Raidz3 => (5, disks.saturating_sub(3), "five disks or more"),
        };
        if disks < least { Err(needs) } else { Ok(left) }
    }
}

/// What guests' disks lie on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GuestStorage {
    /// Files in the file system that everything else lies in, too.
    #[default]
    Directory,
    /// A thin pool of LVM: block devices with snapshots, which take room as they are written.
    LvmThin,
    /// A pool of ZFS: block devices with snapshots, checksums and compression; mirrored by ZFS itself
    /// on a host with two system disks.
    Zfs,
}

impl GuestStorage {
    /// Every one there is, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::Directory, Self::LvmThin, Self::Zfs];

    /// Its name in an answer file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::LvmThin => "lvm-thin",
            Self::Zfs => "zfs",
        }
    }

    /// What it is, for who has to choose.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Directory => "a directory: disks are files beside the system's own",
            Self::LvmThin => {
                "an LVM thin pool: disks are block devices, quick to snapshot and to copy"
            }
            Self::Zfs => "a ZFS pool: the same, checked and compressed; wants more memory",
        }
    }

    /// Whether it has a partition of its own.
    pub fn is_pool(self) -> bool {
        self != Self::Directory
    }
}

/// What can be said of the data's place before disks are looked at; `taken` are the disks that the
/// system is installed on.
pub(super) fn choice(
    written: &WrittenData,
    taken: &[&DiskChoice],
    reading: &mut Reading<'_>,
) -> DataChoice {
    let storage = written.storage;
    if let Some(size) = written.system_size {
        if !storage.unwrap_or_default().is_pool() && !reading.is_wrong("data.storage") {
            reading.wrong(
                "data.system_size",
                "only used with a pool beside the system; give `data.storage = \"lvm-thin\"` too",
            );
        } else if size.bytes() < MIN_SYSTEM_SIZE {
            reading.wrong(
                "data.system_size",
                format!(
                    "too small: the system keeps {} GiB at least",
                    MIN_SYSTEM_SIZE >> 30
                ),
            );
        } else if !written.disks.is_empty() {
            reading.wrong(
                "data.system_size",
                "only used with a pool beside the system, and `data.disks` names other disks for it",
            );
        }
    }
    DataChoice {
        storage,
        system_size: written.system_size,
        apart: apart(written, taken, reading),
        encryption: encryption::choice(written, reading),
    }
}

/// The disks that the pool has for itself.
fn apart(
    written: &WrittenData,
    taken: &[&DiskChoice],
    reading: &mut Reading<'_>,
) -> Option<ApartChoice> {
    if written.disks.is_empty() {
        if written.level.is_some() && !reading.is_wrong("data.disks") {
            reading.wrong(
                "data.level",
                "only used with `data.disks`: on the disk of the system a pool is single, and with a \
                 `[mirror]` it is mirrored",
            );
        }
        return None;
    }
    if written.storage != Some(GuestStorage::Zfs) && !reading.is_wrong("data.storage") {
        reading.wrong(
            "data.disks",
            "only a pool of ZFS has disks for itself; give `data.storage = \"zfs\"` too",
        );
    }
    let level = match written.level {
        Some(level) => level,
        None if written.disks.len() == 1 => PoolLevel::Single,
        None => {
            let count = written.disks.len();
            let fits = |level: &PoolLevel| level.data_disks(count).is_ok();
            let fitting: Vec<&str> = PoolLevel::ALL
                .into_iter()
                .filter(fits)
                .map(PoolLevel::as_str)
                .collect();
            let fitting = fitting.join(", ");
            reading.wrong(
                "data.level",
                format!("missing: with {count} disks it may be {fitting}"),
            );
            return None;
        }
    };
    if let Err(needs) = level.data_disks(written.disks.len()) {
        let name = level.as_str();
        reading.wrong("data.disks", format!("`{name}` needs {needs}"));
    }
    let disks: Vec<DiskChoice> = written
        .disks
        .iter()
        .filter_map(|disk| match pool_disk(disk) {
            Ok(choice) => Some(choice),
            Err(message) => {
                reading.wrong("data.disks", message);
                None
            }
        })
        .collect();
    for (index, disk) in disks.iter().enumerate() {
        if taken.contains(&disk) {
            reading.wrong("data.disks", "one of them is a disk of the system already");
        } else if disks[..index].contains(disk) {
            reading.wrong("data.disks", "one of them is there twice");
        }
    }
    Some(ApartChoice { level, disks })
}

fn pool_disk(written: &WrittenPoolDisk) -> Result<DiskChoice, &'static str> {
    match (&written.device, &written.serial) {
        (Some(device), None) if device.starts_with("/dev/") => {
            Ok(DiskChoice::Device(device.clone()))
        }
        (Some(_), None) => Err("expected a path below /dev, as { device = \"/dev/sdb\" }"),
        (None, Some(serial)) if !serial.trim().is_empty() => Ok(DiskChoice::Serial(serial.clone())),
        _ => Err("give each disk either a `device` or a `serial`, as { serial = \"…\" }"),
    }
}
