//! What jobs do for guests by themselves. There are no jobs of these kinds yet, and clients that watch a
//! host ask for them all the same.

use super::NoParams;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::SysAudit;
use basalt_model::vmid::Vmid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A guest that no backup job covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotBackedUp {
    /// Number.
    pub vmid: Vmid,
    /// Name.
    pub name: Option<String>,
    /// `qemu` or `lxc`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Which replication jobs to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicationQuery {
    /// Name of the node.
    pub node: String,
    /// Only those of this guest.
    pub guest: Option<Vmid>,
}

/// A job that copies a guest's disks to another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicationJob {
    /// Name.
    pub id: String,
    /// The guest.
    pub guest: Vmid,
}

endpoints! {
    /// Lists the guests that no backup job covers: without backup jobs, that is every one.
    NotBackedUpList: Get "/cluster/backup-info/not-backed-up" {
        params: NoParams,
        output: Vec<NotBackedUp>,
        permission: perm("/", &[SysAudit]),
        cli: "cluster unprotected",
    }

    /// Lists the jobs that copy guests of a node to others; one node alone has none.
    ReplicationList: Get "/nodes/{node}/replication" {
        params: ReplicationQuery,
        output: Vec<ReplicationJob>,
        permission: Permission::AnyUser,
    }
}
