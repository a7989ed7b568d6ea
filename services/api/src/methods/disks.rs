//! What lies on the disks of a node: groups of LVM and pools of ZFS.

use super::NodePath;
use crate::endpoints;
use crate::permission::perm;
use basalt_model::access::Privilege::SysAudit;
use basalt_model::storage::ZfsName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The volume groups of a node, as the root of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeGroups {
    /// Whether it is the end of a branch; it is the root.
    pub leaf: bool,
    /// The groups.
    pub children: Vec<VolumeGroup>,
}

/// A volume group of LVM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeGroup {
    /// Its name.
    pub name: String,
    /// Whether it is the end of a branch; it is not.
    pub leaf: bool,
    /// Size in bytes.
    pub size: u64,
    /// What no logical volume has, in bytes.
    pub free: u64,
    /// The disks and partitions that it is made of.
    pub children: Vec<PhysicalVolume>,
}

/// A disk or partition that belongs to a volume group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhysicalVolume {
    /// Path of the device.
    pub name: String,
    /// Whether it is the end of a branch; it is.
    pub leaf: bool,
    /// Size in bytes.
    pub size: u64,
    /// What no logical volume has, in bytes.
    pub free: u64,
}

/// A thin pool of LVM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThinPool {
    /// Its name.
    pub lv: String,
    /// Its volume group.
    pub vg: String,
    /// Size in bytes.
    pub lv_size: u64,
    /// Bytes in use.
    pub used: u64,
    /// Size of its own records in bytes.
    pub metadata_size: u64,
    /// Bytes that its own records take.
    pub metadata_used: u64,
}

/// A pool of ZFS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ZfsPool {
    /// Its name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Bytes in use.
    pub alloc: u64,
    /// Free bytes.
    pub free: u64,
    /// How much the free room is in pieces, in percent.
    pub frag: u64,
    /// How many times more is stored than room taken, by blocks that are alike.
    pub dedup: f64,
    /// Its state: ONLINE, DEGRADED, FAULTED, ….
    pub health: String,
}

/// A pool of a node.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ZfsPoolPath {
    /// Name of the node.
    pub node: String,
    /// Name of the pool.
    pub name: ZfsName,
}

/// How a pool of ZFS is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ZfsPoolDetail {
    /// Its name.
    pub name: String,
    /// Its state: ONLINE, DEGRADED, FAULTED, ….
    pub state: String,
    /// What is the matter with it, if something is.
    pub status: Option<String>,
    /// What to do about that.
    pub action: Option<String>,
    /// The last check or repair of all data.
    pub scan: Option<String>,
    /// Which data is lost.
    pub errors: String,
    /// What it is made of.
    pub children: Vec<ZfsDevice>,
}

/// A part of a pool of ZFS: a group of parts, or a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ZfsDevice {
    /// Its name, or the path of the device.
    pub name: String,
    /// Its state.
    pub state: Option<String>,
    /// Failed reads.
    pub read: Option<u64>,
    /// Failed writes.
    pub write: Option<u64>,
    /// Blocks whose checksum was wrong.
    pub cksum: Option<u64>,
    /// What else is to be said.
    pub msg: String,
    /// Whether it has no parts.
    pub leaf: bool,
    /// Its parts.
    pub children: Option<Vec<ZfsDevice>>,
}

endpoints! {
    /// Lists the volume groups of LVM on a node, and what they are made of.
    VolumeGroupList: Get "/nodes/{node}/disks/lvm" {
        params: NodePath,
        output: VolumeGroups,
        permission: perm("/", &[SysAudit]),
        cli: "disk lvm list",
    }

    /// Lists the thin pools of LVM on a node.
    ThinPoolList: Get "/nodes/{node}/disks/lvmthin" {
        params: NodePath,
        output: Vec<ThinPool>,
        permission: perm("/", &[SysAudit]),
        cli: "disk lvmthin list",
    }

    /// Lists the pools of ZFS on a node.
    ZfsPoolList: Get "/nodes/{node}/disks/zfs" {
        params: NodePath,
        output: Vec<ZfsPool>,
        permission: perm("/", &[SysAudit]),
        cli: "disk zfs list",
    }

    /// Shows how a pool of ZFS is, and the devices that it is made of.
    ZfsPoolShow: Get "/nodes/{node}/disks/zfs/{name}" {
        params: ZfsPoolPath,
        output: ZfsPoolDetail,
        permission: perm("/", &[SysAudit]),
        cli: "disk zfs show",
    }
}
