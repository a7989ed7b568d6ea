//! How a running machine's disks are served: formats, caching, limits, and what a disk's failure
//! means for the machine. The configuration's spelling of the same is in [`crate::qemu`].

use crate::machine::Slot;
use serde::{Deserialize, Serialize};

/// Most images below one disk's own.
pub const MAX_BACKING: usize = 16;

/// What the bytes of an image mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageFormat {
    /// The disk itself, byte for byte; also what a block device holds.
    #[default]
    Raw,
    /// QEMU's image format, versions 2 and 3.
    Qcow2,
}

/// An image that another one is written on top of; never written itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backing {
    /// The image.
    pub image: Slot,
    /// What its bytes mean.
    pub format: ImageFormat,
}

/// How the host keeps a disk's data, in QEMU's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheMode {
    /// Past the host's page cache; durable when the guest flushes.
    None,
    /// Through the host's page cache; durable when the guest flushes.
    #[default]
    Writeback,
    /// Through the host's page cache; every write is durable.
    Writethrough,
    /// Past the host's page cache; every write is durable.
    Directsync,
    /// Through the host's page cache; the guest's flushes do nothing.
    Unsafe,
}

impl CacheMode {
    /// Whether the host's page cache is left out.
    pub fn is_direct(self) -> bool {
        matches!(self, Self::None | Self::Directsync)
    }

    /// Whether every single write must be durable.
    pub fn is_synchronous(self) -> bool {
        matches!(self, Self::Writethrough | Self::Directsync)
    }

    /// Whether a guest's flush does anything.
    pub fn honours_flush(self) -> bool {
        self != Self::Unsafe
    }
}

/// A steady rate and what may be used up faster than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Units a second in the long run, at least 1.
    pub average: u64,
    /// Units a second during a burst; none means that there are no bursts to speak of.
    #[serde(default)]
    pub burst: Option<u64>,
    /// Seconds that a burst may last, at least 1.
    #[serde(default = "one")]
    pub burst_seconds: u32,
}

fn one() -> u32 {
    1
}

/// Rates by direction; several may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Reads and writes together.
    #[serde(default)]
    pub total: Option<Rate>,
    /// Reads.
    #[serde(default)]
    pub read: Option<Rate>,
    /// Writes.
    #[serde(default)]
    pub write: Option<Rate>,
}

/// How fast a guest may use a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests a second.
    #[serde(default)]
    pub requests: Rates,
    /// Bytes a second.
    #[serde(default)]
    pub bytes: Rates,
}

/// A drive for optical discs, seen by the guest as a SCSI device (`/dev/sr0`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optical {
    /// Configuration key, e.g. `ide2`.
    pub id: String,
    /// The disc's image; none is an empty drive.
    #[serde(default)]
    pub medium: Option<Slot>,
}

/// A change of a running machine's disks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ResizeDisk {
    /// Configuration key of the disk.
    pub disk: String,
    /// Its new size in bytes, whole sectors, not less than it has. A raw image must have grown
    /// already; a qcow2 image is grown by the monitor.
    pub size: u64,
}

/// Another disc, or none, for a drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ChangeMedia {
    /// Configuration key of the drive.
    pub drive: String,
    /// Whether a disc comes with the request, as its only descriptor; otherwise the drive is
    /// emptied.
    pub insert: bool,
}

/// Why a machine stands still although nobody paused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum PauseReason {
    /// The host has no room for what the guest writes. The writes are held; resuming the machine
    /// tries them again.
    IoError {
        /// Configuration key of the disk.
        disk: String,
        /// What the host said.
        error: String,
    },
    /// The guest did not wind its watchdog up in time, and that is to pause it.
    Watchdog,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_modes_differ_in_three_ways() {
        let table = [
            (CacheMode::None, (true, false, true)),
            (CacheMode::Writeback, (false, false, true)),
            (CacheMode::Writethrough, (false, true, true)),
            (CacheMode::Directsync, (true, true, true)),
            (CacheMode::Unsafe, (false, false, false)),
        ];
        for (mode, expected) in table {
            let found = (
                mode.is_direct(),
                mode.is_synchronous(),
                mode.honours_flush(),
            );
            assert_eq!(found, expected, "{mode:?}");
        }
    }
}
