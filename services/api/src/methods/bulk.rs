//! One order to many guests.

use crate::endpoints;
use crate::permission::Permission;
use basalt_model::storage::StorageId;
use basalt_model::upid::Upid;
use basalt_model::vmid::Vmid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which guests of a node to start.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StartAllParams {
    /// Name of the node.
    pub node: String,
    /// Only these, separated by commas; otherwise those that start with the host.
    #[schemars(extend("format" = "list"))]
    pub vms: Option<String>,
    /// Those, too, that do not start with the host.
    pub force: Option<bool>,
    /// So many at the same time (default 4).
    #[schemars(range(min = 1, max = 64))]
    pub max_workers: Option<u8>,
}

/// Which guests of a node to shut down, and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StopAllParams {
    /// Name of the node.
    pub node: String,
    /// Only these, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub vms: Option<String>,
    /// Stop guests that have not shut down in time (default yes).
    pub force_stop: Option<bool>,
    /// Seconds to wait for each (default 180).
    #[schemars(range(max = 7200))]
    pub timeout: Option<u32>,
    /// So many at the same time (default 4).
    #[schemars(range(min = 1, max = 64))]
    pub max_workers: Option<u8>,
}

/// Which virtual machines of a node to pause.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SuspendAllParams {
    /// Name of the node.
    pub node: String,
    /// Only these, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub vms: Option<String>,
    /// So many at the same time (default 4).
    #[schemars(range(min = 1, max = 64))]
    pub max_workers: Option<u8>,
}

/// Which guests to start.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct BulkStartParams {
    /// Only these.
    pub vms: Option<Vec<Vmid>>,
    /// Seconds to wait for each; a start does not take that long here.
    pub timeout: Option<u32>,
    /// So many at the same time (default 4).
    #[schemars(range(min = 1, max = 64))]
    pub max_workers: Option<u8>,
    /// The same by its old name.
    #[serde(rename = "maxworkers")]
    #[schemars(range(min = 1, max = 64))]
    pub old_max_workers: Option<u8>,
}

/// Which guests to shut down, and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct BulkShutdownParams {
    /// Only these.
    pub vms: Option<Vec<Vmid>>,
    /// Stop guests that have not shut down in time (default yes).
    pub force_stop: Option<bool>,
    /// Seconds to wait for each (default 180).
    #[schemars(range(max = 7200))]
    pub timeout: Option<u32>,
    /// So many at the same time (default 4).
    #[schemars(range(min = 1, max = 64))]
    pub max_workers: Option<u8>,
    /// The same by its old name.
    #[serde(rename = "maxworkers")]
    #[schemars(range(min = 1, max = 64))]
    pub old_max_workers: Option<u8>,
}

/// Which virtual machines to suspend, and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct BulkSuspendParams {
    /// Only these.
    pub vms: Option<Vec<Vmid>>,
    /// Save their states and stop them, rather than pausing them.
    pub to_disk: Option<bool>,
    /// Storage for the states (default: the one of each machine's first disk).
    #[serde(rename = "statestorage")]
    pub state_storage: Option<StorageId>,
    /// So many at the same time (default 4).
    #[schemars(range(min = 1, max = 64))]
    pub max_workers: Option<u8>,
    /// The same by its old name.
    #[serde(rename = "maxworkers")]
    #[schemars(range(min = 1, max = 64))]
    pub old_max_workers: Option<u8>,
}

endpoints! {
    /// Starts guests of a node in their order.
    ///
    /// It takes the right to on each that is named, or on all.
    StartAll: Post "/nodes/{node}/startall" {
        params: StartAllParams,
        output: Upid,
        permission: Permission::AnyUser,
        kind: Task,
        cli: "node startall",
    }

    /// Shuts guests of a node down in the reverse of their order.
    ///
    /// It takes the right to on each that is named, or on all.
    StopAll: Post "/nodes/{node}/stopall" {
        params: StopAllParams,
        output: Upid,
        permission: Permission::AnyUser,
        kind: Task,
        cli: "node stopall",
    }

    /// Pauses virtual machines of a node. It takes the right to on each that is named, or on all.
    SuspendAll: Post "/nodes/{node}/suspendall" {
        params: SuspendAllParams,
        output: Upid,
        permission: Permission::AnyUser,
        kind: Task,
        cli: "node suspendall",
    }

    /// Starts guests. It takes the right to on each that is named, or on all.
    BulkStart: Post "/cluster/bulk-action/guest/start" {
        params: BulkStartParams,
        output: Upid,
        permission: Permission::AnyUser,
        kind: Task,
    }

    /// Shuts guests down. It takes the right to on each that is named, or on all.
    BulkShutdown: Post "/cluster/bulk-action/guest/shutdown" {
        params: BulkShutdownParams,
        output: Upid,
        permission: Permission::AnyUser,
        kind: Task,
    }

    /// Suspends virtual machines. It takes the right to on each that is named, or on all.
    BulkSuspend: Post "/cluster/bulk-action/guest/suspend" {
        params: BulkSuspendParams,
        output: Upid,
        permission: Permission::AnyUser,
        kind: Task,
    }
}
