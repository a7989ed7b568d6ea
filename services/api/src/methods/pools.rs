//! Pools: guests and storages that permissions are given on together.

use super::cluster::Resource;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{PoolAllocate, PoolAudit};
use basalt_model::pool::PoolId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const ALLOCATE: Permission = perm("/pool/{poolid}", &[PoolAllocate]);

/// A pool by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolPath {
    /// Name of the pool.
    pub poolid: PoolId,
}

/// Which pools to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PoolQuery {
    /// Only this one, with what is in it.
    pub poolid: Option<PoolId>,
    /// Only what is of this kind in it.
    #[serde(rename = "type")]
    pub kind: Option<MemberKind>,
}

/// A pool with what is in it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PoolShow {
    /// Name of the pool.
    pub poolid: PoolId,
    /// Only what is of this kind in it.
    #[serde(rename = "type")]
    pub kind: Option<MemberKind>,
}

/// Kinds of thing in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemberKind {
    /// Virtual machines.
    Qemu,
    /// Containers.
    Lxc,
    /// Storages.
    Storage,
}

/// A new pool.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PoolNew {
    /// Name of the pool; `parent/child` lies in the pool `parent`.
    pub poolid: PoolId,
    /// Description.
    #[schemars(length(max = 4096))]
    pub comment: Option<String>,
}

/// A changed pool.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PoolChange {
    /// Name of the pool.
    pub poolid: PoolId,
    /// Description.
    #[schemars(length(max = 4096))]
    pub comment: Option<String>,
    /// Guests to put into the pool, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub vms: Option<String>,
    /// Storages to put into the pool, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub storage: Option<String>,
    /// Take guests and storages out of the pool instead.
    pub delete: Option<bool>,
    /// Take guests out of the pools that they are in.
    pub allow_move: Option<bool>,
}

/// A pool in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolEntry {
    /// Name of the pool.
    pub poolid: PoolId,
    /// Description.
    pub comment: Option<String>,
    /// What is in it; only when one pool is asked for.
    pub members: Option<Vec<Resource>>,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pool {
    /// Description.
    pub comment: Option<String>,
    /// What is in it.
    pub members: Vec<Resource>,
}

endpoints! {
    /// Lists the pools that the caller may see, or shows one.
    PoolList: Get "/pools" {
        params: PoolQuery,
        output: Vec<PoolEntry>,
        permission: Permission::AnyUser,
        cli: "pool list",
    }

    /// Creates a pool.
    PoolCreate: Post "/pools" {
        params: PoolNew,
        output: (),
        permission: ALLOCATE,
        cli: "pool create",
    }

    /// Changes a pool, or puts guests and storages into it or takes them out.
    PoolUpdate: Put "/pools" {
        params: PoolChange,
        output: (),
        permission: ALLOCATE,
        cli: "pool set",
    }

    /// Deletes a pool with nothing in it.
    PoolDelete: Delete "/pools" {
        params: PoolPath,
        output: (),
        permission: ALLOCATE,
        cli: "pool delete",
    }

    /// Shows a pool with what is in it.
    PoolGet: Get "/pools/{poolid}" {
        params: PoolShow,
        output: Pool,
        permission: perm("/pool/{poolid}", &[PoolAudit]),
        cli: "pool show",
    }

    /// Changes a pool, as `PUT /pools` does.
    PoolUpdateByPath: Put "/pools/{poolid}" {
        params: PoolChange,
        output: (),
        permission: ALLOCATE,
    }

    /// Deletes a pool with nothing in it, as `DELETE /pools` does.
    PoolDeleteByPath: Delete "/pools/{poolid}" {
        params: PoolPath,
        output: (),
        permission: ALLOCATE,
    }
}
