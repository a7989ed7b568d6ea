//! Mappings: what is on hosts, under names that guests' settings use.

use super::NoParams;
use super::nodes::Child;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{MappingAudit, MappingModify, MappingUse};
use basalt_model::mapping::{DirEntry, MappingId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which directories to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DirMappingQuery {
    /// Look whether each of them is there on this node.
    pub check_node: Option<String>,
}

/// A mapped directory by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DirMappingPath {
    /// Name of the mapping.
    pub id: MappingId,
}

/// A new mapping of a directory.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DirMappingNew {
    /// Name of the mapping.
    pub id: MappingId,
    /// Description.
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Where it lies: `node=NAME,path=/DIRECTORY`, once for each node.
    pub map: Vec<String>,
}

/// A changed mapping of a directory.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DirMappingChange {
    /// Name of the mapping.
    pub id: MappingId,
    /// Description.
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Where it lies from now on, on all nodes.
    pub map: Option<Vec<DirEntry>>,
    /// Settings to remove, separated by commas; only `description`.
    #[schemars(length(max = 4096))]
    pub delete: Option<String>,
    /// Refuse if the mapping was changed since it had this digest.
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
}

/// How bad something about a mapping is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot be used on this node.
    Warning,
    /// It is wrong.
    Error,
}

/// Something about a mapping on the node that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MappingCheck {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub message: String,
}

/// A mapped directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DirMappingInfo {
    /// Name of the mapping.
    pub id: MappingId,
    /// Description.
    pub description: Option<String>,
    /// Where it lies on each node.
    pub map: Vec<DirEntry>,
    /// What is wrong with it; only when a node was asked for.
    pub checks: Option<Vec<MappingCheck>>,
    /// Changes with every change.
    pub digest: String,
}

endpoints! {
    /// Lists the kinds of mapping.
    MappingIndex: Get "/cluster/mapping" {
        params: NoParams,
        output: Vec<Child>,
        permission: Permission::AnyUser,
    }

    /// Lists the mapped directories that the caller may see.
    DirMappingList: Get "/cluster/mapping/dir" {
        params: DirMappingQuery,
        output: Vec<DirMappingInfo>,
        permission: Permission::AnyUser,
        cli: "dir-mapping list",
    }

    /// Maps a directory.
    DirMappingCreate: Post "/cluster/mapping/dir" {
        params: DirMappingNew,
        output: (),
        permission: perm("/mapping/dir", &[MappingModify]),
        cli: "dir-mapping create",
    }

    /// Shows a mapped directory.
    DirMappingGet: Get "/cluster/mapping/dir/{id}" {
        params: DirMappingPath,
        output: DirMappingInfo,
        permission: perm("/mapping/dir/{id}", &[MappingUse, MappingModify, MappingAudit]),
        cli: "dir-mapping show",
    }

    /// Changes a mapped directory. Guests that run keep what they were started with.
    DirMappingUpdate: Put "/cluster/mapping/dir/{id}" {
        params: DirMappingChange,
        output: (),
        permission: perm("/mapping/dir/{id}", &[MappingModify]),
        cli: "dir-mapping set",
    }

    /// Forgets the mapping of a directory, which stays as it is. Guests that use it do not start any more.
    DirMappingDelete: Delete "/cluster/mapping/dir/{id}" {
        params: DirMappingPath,
        output: (),
        permission: perm("/mapping/dir", &[MappingModify]),
        cli: "dir-mapping delete",
    }
}
