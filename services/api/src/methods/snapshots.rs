//! What guests were at earlier times.

use super::guest::GuestPath;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::VmAudit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const AUDIT: Permission = perm("/vms/{vmid}", &[VmAudit]);

/// A state of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotEntry {
    /// Name; `current` is the guest as it is now.
    pub name: String,
    /// Description.
    pub description: String,
    /// Whether the guest runs, of `current`.
    pub running: Option<bool>,
    /// Digest of the configuration, of `current`.
    pub digest: Option<String>,
}

endpoints! {
    /// Lists the snapshots of a virtual machine; the last is what it is now.
    VmSnapshotList: Get "/nodes/{node}/qemu/{vmid}/snapshot" {
        params: GuestPath,
        output: Vec<SnapshotEntry>,
        permission: AUDIT,
        cli: "vm snapshots",
    }

    /// Lists the snapshots of a container; the last is what it is now.
    CtSnapshotList: Get "/nodes/{node}/lxc/{vmid}/snapshot" {
        params: GuestPath,
        output: Vec<SnapshotEntry>,
        permission: AUDIT,
        cli: "ct snapshots",
    }
}
