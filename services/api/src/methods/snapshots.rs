//! What guests were at earlier times.

use super::guest::GuestPath;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{
    VmAudit, VmSnapshot as MaySnapshot, VmSnapshotRollback as MayRollBack,
};
use basalt_model::guest::Description;
use basalt_model::lxc::LxcConfig;
use basalt_model::qemu::QemuConfig;
use basalt_model::storage::SnapshotName;
use basalt_model::upid::Upid;
use basalt_model::vmid::Vmid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const AUDIT: Permission = perm("/vms/{vmid}", &[VmAudit]);
const SNAPSHOT: Permission = perm("/vms/{vmid}", &[MaySnapshot]);
const ROLLBACK: Permission = perm("/vms/{vmid}", &[MaySnapshot, MayRollBack]);
const LOOK: Permission = perm("/vms/{vmid}", &[MaySnapshot, MayRollBack, VmAudit]);

/// A state of a guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotEntry {
    /// Name; `current` is the guest as it is now.
    pub name: String,
    /// Description.
    pub description: String,
    /// The snapshot that it began from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<SnapshotName>,
    /// When it was, in seconds since 1970; not of `current`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snaptime: Option<u64>,
    /// Whether it has the memory of the virtual machine; not of `current`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmstate: Option<bool>,
    /// What is being done with it, or was not finished: `prepare` or `delete`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapstate: Option<String>,
    /// Whether the guest runs, of `current`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
    /// Digest of the configuration, of `current`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// A new snapshot of a virtual machine.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmSnapshotNew {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Name of the snapshot.
    pub snapname: SnapshotName,
    /// Free text about it.
    pub description: Option<Description>,
    /// With the memory of a machine that runs.
    pub vmstate: Option<bool>,
}

/// A new snapshot of a container.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CtSnapshotNew {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Name of the snapshot.
    pub snapname: SnapshotName,
    /// Free text about it.
    pub description: Option<Description>,
}

/// A snapshot of a guest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotPath {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Name of the snapshot.
    pub snapname: SnapshotName,
}

/// Removal of a snapshot.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotDelete {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Name of the snapshot.
    pub snapname: SnapshotName,
    /// Forget it even if a storage cannot remove its part.
    pub force: Option<bool>,
}

/// Return to a snapshot.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotRollback {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Name of the snapshot.
    pub snapname: SnapshotName,
    /// Start the guest afterwards. A snapshot with memory goes on by itself.
    pub start: Option<bool>,
}

/// A change of what is said about a snapshot.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotChange {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Name of the snapshot.
    pub snapname: SnapshotName,
    /// Free text about it.
    pub description: Option<Description>,
}

/// What a guest was configured to be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotConfig<C> {
    /// When that was, in seconds since 1970.
    pub snaptime: u64,
    /// The snapshot that it began from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<SnapshotName>,
    /// The configuration, with the description of the snapshot.
    #[serde(flatten)]
    pub config: C,
}

endpoints! {
    /// Lists the snapshots of a virtual machine; the last is what it is now.
    VmSnapshotList: Get "/nodes/{node}/qemu/{vmid}/snapshot" {
        params: GuestPath,
        output: Vec<SnapshotEntry>,
        permission: AUDIT,
        cli: "vm snapshots",
    }

    /// Takes a snapshot of a virtual machine, which may run.
    VmSnapshotCreate: Post "/nodes/{node}/qemu/{vmid}/snapshot" {
        params: VmSnapshotNew,
        output: Upid,
        permission: SNAPSHOT,
        kind: Task,
        cli: "vm snapshot",
    }

    /// Removes a snapshot of a virtual machine.
    VmSnapshotDelete: Delete "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}" {
        params: SnapshotDelete,
        output: Upid,
        permission: SNAPSHOT,
        kind: Task,
        cli: "vm delete-snapshot",
    }

    /// Makes a virtual machine what it was at a snapshot; what it is now is lost.
    VmSnapshotRollback: Post "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback" {
        params: SnapshotRollback,
        output: Upid,
        permission: ROLLBACK,
        kind: Task,
        cli: "vm rollback",
    }

    /// Shows what a virtual machine was configured to be at a snapshot.
    VmSnapshotConfigGet: Get "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config" {
        params: SnapshotPath,
        output: SnapshotConfig<QemuConfig>,
        permission: LOOK,
        cli: "vm snapshot-config",
    }

    /// Changes the description of a snapshot of a virtual machine.
    VmSnapshotConfigPut: Put "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config" {
        params: SnapshotChange,
        output: (),
        permission: SNAPSHOT,
        cli: "vm snapshot-set",
    }

    /// Lists the snapshots of a container; the last is what it is now.
    CtSnapshotList: Get "/nodes/{node}/lxc/{vmid}/snapshot" {
        params: GuestPath,
        output: Vec<SnapshotEntry>,
        permission: AUDIT,
        cli: "ct snapshots",
    }

    /// Takes a snapshot of a container, which may run.
    CtSnapshotCreate: Post "/nodes/{node}/lxc/{vmid}/snapshot" {
        params: CtSnapshotNew,
        output: Upid,
        permission: SNAPSHOT,
        kind: Task,
        cli: "ct snapshot",
    }

    /// Removes a snapshot of a container.
    CtSnapshotDelete: Delete "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}" {
        params: SnapshotDelete,
        output: Upid,
        permission: SNAPSHOT,
        kind: Task,
        cli: "ct delete-snapshot",
    }

    /// Makes a container what it was at a snapshot; what it is now is lost.
    CtSnapshotRollback: Post "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback" {
        params: SnapshotRollback,
        output: Upid,
        permission: ROLLBACK,
        kind: Task,
        cli: "ct rollback",
    }

    /// Shows what a container was configured to be at a snapshot.
    CtSnapshotConfigGet: Get "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config" {
        params: SnapshotPath,
        output: SnapshotConfig<LxcConfig>,
        permission: LOOK,
        cli: "ct snapshot-config",
    }

    /// Changes the description of a snapshot of a container.
    CtSnapshotConfigPut: Put "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config" {
        params: SnapshotChange,
        output: (),
        permission: SNAPSHOT,
        cli: "ct snapshot-set",
    }
}
