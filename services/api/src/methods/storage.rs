//! Storages and the volumes on them.

use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{
    DatastoreAllocate, DatastoreAllocateSpace, DatastoreAllocateTemplate, DatastoreAudit,
};
use basalt_model::storage::{
    ContentKind, DiskSize, LvmName, StorageId, StorageKind, ZfsBlockSize, ZfsName,
};
use basalt_model::upid::Upid;
use basalt_model::vmid::Vmid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const LOOK: Permission = perm(
    "/storage/{storage}",
    &[DatastoreAudit, DatastoreAllocateSpace],
);

/// A storage.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StoragePath {
    /// Name of the storage.
    pub storage: StorageId,
}

/// A storage of a node.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NodeStoragePath {
    /// Name of the node.
    pub node: String,
    /// Name of the storage.
    pub storage: StorageId,
}

/// Which storages to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StorageQuery {
    /// Only those with this driver.
    #[serde(rename = "type")]
    pub kind: Option<StorageKind>,
}

/// The configuration of a storage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StorageInfo {
    /// Name.
    pub storage: StorageId,
    /// Driver, e.g. `dir`.
    #[serde(rename = "type")]
    pub kind: StorageKind,
    /// What may lie on it, separated by commas.
    pub content: String,
    /// Directory of a `dir` storage.
    pub path: Option<String>,
    /// Volume group of an `lvmthin` storage.
    pub vgname: Option<LvmName>,
    /// Thin pool of an `lvmthin` storage.
    pub thinpool: Option<LvmName>,
    /// Dataset of a `zfspool` storage.
    pub pool: Option<ZfsName>,
    /// Block size of new volumes of a `zfspool` storage.
    pub blocksize: Option<ZfsBlockSize>,
    /// Whether new volumes of a `zfspool` storage take no room before they are written.
    pub sparse: Option<bool>,
    /// Whether all nodes see the same volumes.
    pub shared: Option<bool>,
    /// Nodes that have it, separated by commas; otherwise all.
    pub nodes: Option<String>,
    /// Whether it is switched off.
    pub disable: Option<bool>,
    /// Changes whenever the configuration does.
    pub digest: String,
}

/// Which storages of a node to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NodeStorageQuery {
    /// Name of the node.
    pub node: String,
    /// Only those for one of these kinds of content, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub content: Option<String>,
    /// Only this one.
    pub storage: Option<StorageId>,
    /// Only those that are switched on.
    pub enabled: Option<bool>,
}

/// State and space of a storage on a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StorageStatus {
    /// Name.
    pub storage: StorageId,
    /// Driver, e.g. `dir`.
    #[serde(rename = "type")]
    pub kind: StorageKind,
    /// What may lie on it, separated by commas.
    pub content: String,
    /// Whether it is reachable.
    pub active: bool,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Whether all nodes see the same volumes.
    pub shared: bool,
    /// Size in bytes.
    pub total: u64,
    /// Bytes in use.
    pub used: u64,
    /// Bytes free.
    pub avail: u64,
    /// `used` as a part of `total`, from 0 to 1.
    pub used_fraction: f64,
    /// How much of the room for a pool's own records is in use, from 0 to 1, where that is limited.
    pub metadata_fraction: Option<f64>,
}

/// Which volumes to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ContentQuery {
    /// Name of the node.
    pub node: String,
    /// Name of the storage.
    pub storage: StorageId,
    /// Only this kind of content.
    pub content: Option<ContentKind>,
    /// Only volumes of this guest.
    pub vmid: Option<Vmid>,
}

/// A volume in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeEntry {
    /// Id of the volume.
    pub volid: String,
    /// Kind of content.
    pub content: ContentKind,
    /// Format, e.g. `raw`, `iso`, `tzst`.
    pub format: String,
    /// Size in bytes.
    pub size: u64,
    /// Bytes it takes, where that is known.
    pub used: Option<u64>,
    /// When it was made, in seconds since 1970.
    pub ctime: Option<u64>,
    /// Guest that it belongs to.
    pub vmid: Option<Vmid>,
}

/// A volume of a storage.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VolumePath {
    /// Name of the node.
    pub node: String,
    /// Name of the storage.
    pub storage: StorageId,
    /// Id of the volume, with or without the storage's name before it.
    pub volume: String,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeInfo {
    /// Where it lies on the node.
    pub path: String,
    /// Format, e.g. `raw`, `iso`, `tzst`.
    pub format: String,
    /// Size in bytes.
    pub size: u64,
    /// Bytes it takes.
    pub used: u64,
}

/// A new volume.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VolumeNew {
    /// Name of the node.
    pub node: String,
    /// Name of the storage.
    pub storage: StorageId,
    /// Guest that it belongs to.
    pub vmid: Vmid,
    /// Name, e.g. `vm-100-disk-0`; in a directory with its format behind it, `vm-100-disk-0.raw`.
    pub filename: String,
    /// Size, e.g. `4G`; a bare number is KiB.
    pub size: String,
    /// Format; only raw.
    pub format: Option<basalt_model::qemu::DiskFormat>,
}

/// A file for a storage. The file itself is the part `filename` of the multipart body.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UploadParams {
    /// Name of the node.
    pub node: String,
    /// Name of the storage.
    pub storage: StorageId,
    /// What the file is: iso, vztmpl, import or kernel.
    pub content: ContentKind,
    /// Name of the file on the storage (default the file's own).
    #[schemars(length(min = 1, max = 255))]
    pub filename: String,
    /// Checksum that the file must have, in hexadecimal.
    #[schemars(length(max = 128))]
    pub checksum: Option<String>,
    /// Kind of `checksum`.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
}

/// Kind of a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// A new storage.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StorageNew {
    /// Name of the storage.
    pub storage: StorageId,
    /// Driver.
    #[serde(rename = "type")]
    pub kind: StorageKind,
    /// What may lie on it, separated by commas (default all that its driver can hold).
    #[schemars(extend("format" = "list"))]
    pub content: Option<String>,
    /// Nodes that have it, separated by commas (default all).
    #[schemars(extend("format" = "list"))]
    pub nodes: Option<String>,
    /// Whether it is switched off.
    pub disable: Option<bool>,
    /// Directory of a `dir` storage; made if it is not there.
    #[schemars(length(max = 1000))]
    pub path: Option<String>,
    /// Volume group of an `lvmthin` storage.
    pub vgname: Option<LvmName>,
    /// Thin pool of an `lvmthin` storage, which must be there.
    pub thinpool: Option<LvmName>,
    /// Dataset of a `zfspool` storage, which must be there: a pool, or a file system in one.
    pub pool: Option<ZfsName>,
    /// Block size of new volumes of a `zfspool` storage (default 16k).
    pub blocksize: Option<ZfsBlockSize>,
    /// Whether new volumes of a `zfspool` storage take no room before they are written.
    pub sparse: Option<bool>,
}

/// A storage that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StorageMade {
    /// Name.
    pub storage: StorageId,
    /// Driver.
    #[serde(rename = "type")]
    pub kind: StorageKind,
}

/// A change of a storage.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StorageChange {
    /// Name of the storage.
    pub storage: StorageId,
    /// What may lie on it, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub content: Option<String>,
    /// Nodes that have it, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub nodes: Option<String>,
    /// Whether it is switched off.
    pub disable: Option<bool>,
    /// Settings to put back to their defaults, separated by commas: content, disable, nodes.
    #[schemars(extend("format" = "list"))]
    pub delete: Option<String>,
    /// Refuse the change if the configuration has another digest.
    pub digest: Option<String>,
}

/// What a size in a parameter means: `4G` and the like, or a bare number of KiB.
pub fn parse_size(text: &str) -> Result<DiskSize, String> {
    match text.parse::<u64>() {
        Ok(kib) => {
            let bytes = kib
                .checked_mul(1024)
                .ok_or_else(|| format!("'{text}' is too large"))?;
            Ok(DiskSize::from_bytes(bytes))
        }
        Err(_) => text.parse(),
    }
}

endpoints! {
    /// Lists the storages that the caller may see.
    StorageList: Get "/storage" {
        params: StorageQuery,
        output: Vec<StorageInfo>,
        permission: Permission::AnyUser,
    }

    /// Shows the configuration of a storage.
    StorageGet: Get "/storage/{storage}" {
        params: StoragePath,
        output: StorageInfo,
        permission: perm("/storage/{storage}", &[DatastoreAllocate, DatastoreAudit]),
        cli: "storage show",
    }

    /// Adds a storage.
    StorageCreate: Post "/storage" {
        params: StorageNew,
        output: StorageMade,
        permission: perm("/storage", &[DatastoreAllocate]),
        cli: "storage add",
    }

    /// Changes the configuration of a storage.
    StorageUpdate: Put "/storage/{storage}" {
        params: StorageChange,
        output: (),
        permission: perm("/storage", &[DatastoreAllocate]),
        cli: "storage set",
    }

    /// Forgets a storage. What lies on it stays there.
    StorageDelete: Delete "/storage/{storage}" {
        params: StoragePath,
        output: (),
        permission: perm("/storage", &[DatastoreAllocate]),
        cli: "storage remove",
    }

    /// Lists the storages of a node with their space.
    NodeStorageList: Get "/nodes/{node}/storage" {
        params: NodeStorageQuery,
        output: Vec<StorageStatus>,
        permission: Permission::AnyUser,
        cli: "storage list",
    }

    /// Shows state and space of a storage.
    NodeStorageStatus: Get "/nodes/{node}/storage/{storage}/status" {
        params: NodeStoragePath,
        output: StorageStatus,
        permission: LOOK,
        cli: "storage status",
    }

    /// Lists the volumes of a storage.
    VolumeList: Get "/nodes/{node}/storage/{storage}/content" {
        params: ContentQuery,
        output: Vec<VolumeEntry>,
        permission: LOOK,
        cli: "volume list",
    }

    /// Makes an empty volume.
    VolumeCreate: Post "/nodes/{node}/storage/{storage}/content" {
        params: VolumeNew,
        output: String,
        permission: perm("/storage/{storage}", &[DatastoreAllocateSpace]),
        cli: "volume create",
    }

    /// Shows a volume.
    VolumeGet: Get "/nodes/{node}/storage/{storage}/content/{volume}" {
        params: VolumePath,
        output: VolumeInfo,
        permission: LOOK,
        cli: "volume show",
    }

    /// Deletes a volume.
    VolumeDelete: Delete "/nodes/{node}/storage/{storage}/content/{volume}" {
        params: VolumePath,
        output: Upid,
        permission: perm("/storage/{storage}", &[DatastoreAllocate, DatastoreAllocateSpace]),
        kind: Task,
        cli: "volume delete",
    }

    /// Uploads a file onto a storage, in place of one that has its name.
    ///
    /// Fields of the multipart body must come before the file.
    StorageUpload: Post "/nodes/{node}/storage/{storage}/upload" {
        params: UploadParams,
        output: Upid,
        permission: perm("/storage/{storage}", &[DatastoreAllocateTemplate]),
        kind: Upload,
        cli: "storage upload",
    }
}
