//! Where guests' disks lie: in a directory beside the system's own files, or in a pool.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Size;
use super::fault::Reading;
use super::written::WrittenData;

/// Least size of the partition that the system keeps for itself, in bytes.
pub const MIN_SYSTEM_SIZE: u64 = 2 << 30;

/// Where guests' disks are to lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataChoice {
    /// On what; a directory when nothing is said. What a disk already has stays when its data does.
    pub storage: Option<GuestStorage>,
    /// With a pool: the size of the partition that the system keeps for itself.
    pub system_size: Option<Size>,
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

/// What can be said of the data's place before disks are looked at.
pub(super) fn choice(written: &WrittenData, reading: &mut Reading<'_>) -> DataChoice {
    let WrittenData {
        storage,
        system_size,
    } = *written;
    if let Some(size) = system_size {
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
        }
    }
    DataChoice {
        storage,
        system_size,
    }
}
