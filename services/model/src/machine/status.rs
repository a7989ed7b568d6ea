//! What a machine's monitor says of it when it is asked.

use crate::balloon::BalloonStatus;
use crate::disk::PauseReason;
use crate::hotplug::MemoryStatus;
use serde::{Deserialize, Serialize};

/// Whether the virtual CPUs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// They run.
    Running,
    /// They are paused.
    Paused,
}

/// State and statistics of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether the virtual CPUs run.
    pub state: RunState,
    /// Why the machine stands still, when nobody paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<PauseReason>,
    /// When the guest said that it panicked, in seconds since 1970, unless the machine was reset since. Older
    /// monitors do not hear it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panicked: Option<u64>,
    /// How far a [`super::Request::Save`] or [`super::Request::Migrate`] is, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<Progress>,
    /// Virtual CPUs that are there.
    pub vcpus: u8,
    /// Whether a program of the guest listens at the agent's port, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<bool>,
    /// The balloon, if there is one. Its figures are those that the guest was asked for before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balloon: Option<BalloonStatus>,
    /// The memory, if more may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryStatus>,
    /// Keys of the devices that the guest is asked to let go of, and of figures that it is to change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removing: Vec<String>,
    /// Per disk, in the order of the specification; those that came later follow.
    pub disks: Vec<DiskStats>,
    /// Per network card, in the order of the specification; those that came later follow.
    pub nics: Vec<NicStats>,
}

/// Counters of one disk since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStats {
    /// Configuration key.
    pub id: String,
    /// Bytes the guest read.
    pub read_bytes: u64,
    /// Bytes the guest wrote.
    pub written_bytes: u64,
}

/// Counters of one network card since the start, of what the monitor moved: what the kernel moves by
/// itself is in its counters of the tap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicStats {
    /// Configuration key.
    pub id: String,
    /// Bytes towards the guest.
    pub rx_bytes: u64,
    /// Bytes from the guest.
    pub tx_bytes: u64,
}

/// How far the memory is saved or sent, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Dealt with.
    pub done: u64,
    /// All there is.
    pub total: u64,
}
