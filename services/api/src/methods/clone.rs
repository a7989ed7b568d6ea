//! Copies of guests, and templates that guests are copied from.

use super::guest::GuestPath;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{VmAllocate, VmAudit, VmClone as MayClone};
use basalt_model::guest::{Description, GuestName};
use basalt_model::pool::PoolId;
use basalt_model::qemu::DiskFormat;
use basalt_model::storage::{SnapshotName, StorageId};
use basalt_model::upid::Upid;
use basalt_model::vmid::Vmid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const AUDIT: Permission = perm("/vms/{vmid}", &[VmAudit]);
const ALLOCATE: Permission = perm("/vms/{vmid}", &[VmAllocate]);
const CLONE: Permission = Permission::All(&[
    perm("/vms/{vmid}", &[MayClone]),
    Permission::Any(&[
        perm("/vms/{newid}", &[VmAllocate]),
        perm("/pool/{pool}", &[VmAllocate]),
    ]),
]);

/// How to clone a virtual machine.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmCloneParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Number of the clone, free in the whole cluster.
    pub newid: Vmid,
    /// Name of the clone.
    pub name: Option<GuestName>,
    /// Description of the clone (default: the one of the guest).
    pub description: Option<Description>,
    /// Pool to put the clone into.
    pub pool: Option<PoolId>,
    /// The snapshot that is cloned, rather than what the guest is now.
    pub snapname: Option<SnapshotName>,
    /// Copy every disk in full. A guest that is no template always is; of a template, the clone
    /// shares the disks otherwise.
    pub full: Option<bool>,
    /// Storage of full copies (default: each stays on the storage of its disk).
    pub storage: Option<StorageId>,
    /// Format of full copies (default: as the disk's, where the storage has it).
    pub format: Option<DiskFormat>,
    /// Node that gets the clone; only this one.
    pub target: Option<String>,
    /// Most KiB a second that are copied; 0 is no limit.
    pub bwlimit: Option<u64>,
}

/// How to clone a container.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CtCloneParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Number of the clone, free in the whole cluster.
    pub newid: Vmid,
    /// Host name of the clone.
    pub hostname: Option<GuestName>,
    /// Description of the clone (default: the one of the guest).
    pub description: Option<Description>,
    /// Pool to put the clone into.
    pub pool: Option<PoolId>,
    /// The snapshot that is cloned, rather than what the guest is now.
    pub snapname: Option<SnapshotName>,
    /// Copy every volume in full. A guest that is no template always is; of a template, the clone
    /// shares the volumes otherwise.
    pub full: Option<bool>,
    /// Storage of full copies (default: each stays on the storage of its volume).
    pub storage: Option<StorageId>,
    /// Node that gets the clone; only this one.
    pub target: Option<String>,
    /// Most KiB a second that are copied; 0 is no limit.
    pub bwlimit: Option<u64>,
}

/// Something that a guest's disks may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Feature {
    /// Snapshots.
    Snapshot,
    /// Clones that share the disks.
    Clone,
    /// Full clones.
    Copy,
}

/// What to ask of a guest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FeatureParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// What it is asked for.
    pub feature: Feature,
    /// The snapshot that is meant, rather than what the guest is now.
    pub snapname: Option<SnapshotName>,
}

/// Whether a guest has a feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeatureAnswer {
    /// Whether it has.
    #[serde(rename = "hasFeature")]
    pub has_feature: bool,
    /// The nodes on which it has; virtual machines only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<String>>,
}

endpoints! {
    /// Makes a copy of a virtual machine or of a template.
    VmClone: Post "/nodes/{node}/qemu/{vmid}/clone" {
        params: VmCloneParams,
        output: Upid,
        permission: CLONE,
        kind: Task,
        cli: "vm clone",
    }

    /// Turns a virtual machine into a template: it is never started again, and clones share its disks.
    VmTemplate: Post "/nodes/{node}/qemu/{vmid}/template" {
        params: GuestPath,
        output: Upid,
        permission: ALLOCATE,
        kind: Task,
        cli: "vm template",
    }

    /// Says whether the disks of a virtual machine allow something.
    VmFeature: Get "/nodes/{node}/qemu/{vmid}/feature" {
        params: FeatureParams,
        output: FeatureAnswer,
        permission: AUDIT,
        cli: "vm feature",
    }

    /// Makes a copy of a container or of a template.
    CtClone: Post "/nodes/{node}/lxc/{vmid}/clone" {
        params: CtCloneParams,
        output: Upid,
        permission: CLONE,
        kind: Task,
        cli: "ct clone",
    }

    /// Turns a container into a template: it is never started again, and clones share its volumes.
    CtTemplate: Post "/nodes/{node}/lxc/{vmid}/template" {
        params: GuestPath,
        output: (),
        permission: ALLOCATE,
        cli: "ct template",
    }

    /// Says whether the volumes of a container allow something.
    CtFeature: Get "/nodes/{node}/lxc/{vmid}/feature" {
        params: FeatureParams,
        output: FeatureAnswer,
        permission: AUDIT,
        cli: "ct feature",
    }
}
