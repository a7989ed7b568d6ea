//! A virtual machine's memory balloon, as its monitor reports it.

use serde::{Deserialize, Serialize};

/// How much memory a guest gave back, and how it uses the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalloonStatus {
    /// Bytes that the guest is to use.
    pub target: u64,
    /// Bytes that it has.
    pub actual: u64,
    /// What it said last.
    pub figures: MemoryFigures,
}

/// What a guest says about its memory, in bytes where nothing else is said; a guest may leave
/// anything out, and may lie.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryFigures {
    /// When it said so, in seconds since 1970; 0 when it never did.
    pub updated: u64,
    /// Memory that nobody uses.
    pub free: Option<u64>,
    /// All memory, as its kernel sees it.
    pub total: Option<u64>,
    /// What programs could still get without swapping.
    pub available: Option<u64>,
    /// Caches of files.
    pub caches: Option<u64>,
    /// Read from its swap space.
    pub swapped_in: Option<u64>,
    /// Written to its swap space.
    pub swapped_out: Option<u64>,
    /// Number of page faults that took a disk.
    pub major_faults: Option<u64>,
    /// Number of other page faults.
    pub minor_faults: Option<u64>,
}

impl MemoryFigures {
    /// Bytes in use, if the guest tells and makes sense.
    pub fn used(&self) -> Option<u64> {
        self.total?.checked_sub(self.free?)
    }
}
