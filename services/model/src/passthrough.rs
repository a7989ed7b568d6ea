//! Devices of the host that a machine has for itself, as its monitor is told of them.

use crate::machine::Slot;
use serde::{Deserialize, Serialize};

/// Devices of the host and what they are opened by. A machine that has any has no balloon, and can be
/// neither saved nor moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passthrough {
    /// `/dev/vfio/vfio`, fresh, open for reading and writing.
    pub container: Slot,
    /// Groups (`/dev/vfio/N`), fresh, open for reading and writing.
    pub groups: Vec<Slot>,
    /// The devices, each function one.
    pub devices: Vec<HostDevice>,
}

/// One function of a PCI device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostDevice {
    /// Configuration key, e.g. `hostpci0`; several functions may share it.
    pub id: String,
    /// Its address on the host, e.g. `0000:01:00.0`.
    pub address: String,
    /// Which of [`Passthrough::groups`] it is in.
    pub group: usize,
    /// Whether the guest sees it as part of PCI Express.
    #[serde(default)]
    pub express: bool,
    /// Whether the guest sees its expansion ROM.
    #[serde(default)]
    pub rom: bool,
    /// Vendor that the guest reads, in place of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<u16>,
    /// Device number that the guest reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u16>,
    /// Vendor of the card that the guest reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_vendor: Option<u16>,
    /// Number of the card that the guest reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_device: Option<u16>,
}
