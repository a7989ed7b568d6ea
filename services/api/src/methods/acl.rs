//! Roles, and who has which role on what.

use super::NoParams;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::SysModify;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const ROLES: Permission = perm("/access", &[SysModify]);

/// A role.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RolePath {
    /// Name of the role.
    pub roleid: String,
}

/// A new role.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RoleNew {
    /// Name of the role.
    #[schemars(length(min = 1, max = 64))]
    pub roleid: String,
    /// Privileges, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub privs: Option<String>,
}

/// A changed role.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RoleChange {
    /// Name of the role.
    pub roleid: String,
    /// Privileges, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub privs: Option<String>,
    /// Add to the privileges instead of replacing them.
    pub append: Option<bool>,
}

/// A role in a list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RoleEntry {
    /// Name of the role.
    pub roleid: String,
    /// Privileges, separated by commas.
    pub privs: String,
    /// Whether it is built in and cannot be changed.
    pub special: bool,
}

/// A change of who has a role on a path.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AclChange {
    /// Path, e.g. `/vms/100`, `/storage/local` or `/`.
    #[schemars(length(max = 1024))]
    pub path: String,
    /// Roles, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub roles: String,
    /// Users, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub users: Option<String>,
    /// Groups, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub groups: Option<String>,
    /// API tokens, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub tokens: Option<String>,
    /// Whether it holds for what lies below, too (default 1).
    pub propagate: Option<bool>,
    /// Take the roles away instead of giving them.
    pub delete: Option<bool>,
}

/// One role of one user, group or token on one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AclEntry {
    /// Path.
    pub path: String,
    /// Kind of `ugid`.
    #[serde(rename = "type")]
    pub kind: AclKind,
    /// User, group or token.
    pub ugid: String,
    /// Role.
    pub roleid: String,
    /// Whether it holds for what lies below, too.
    pub propagate: bool,
}

/// Who an entry is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum AclKind {
    /// A user.
    User,
    /// A group.
    Group,
    /// An API token.
    Token,
}

endpoints! {
    /// Lists the roles.
    RoleList: Get "/access/roles" {
        params: NoParams,
        output: Vec<RoleEntry>,
        permission: Permission::AnyUser,
        cli: "role list",
    }

    /// Creates a role.
    RoleCreate: Post "/access/roles" {
        params: RoleNew,
        output: (),
        permission: ROLES,
        cli: "role create",
    }

    /// Shows the privileges of a role.
    RoleGet: Get "/access/roles/{roleid}" {
        params: RolePath,
        output: BTreeMap<String, bool>,
        permission: Permission::AnyUser,
        cli: "role show",
    }

    /// Changes a role that is not built in.
    RoleUpdate: Put "/access/roles/{roleid}" {
        params: RoleChange,
        output: (),
        permission: ROLES,
        cli: "role set",
    }

    /// Deletes a role that is not built in, with what was given by it.
    RoleDelete: Delete "/access/roles/{roleid}" {
        params: RolePath,
        output: (),
        permission: ROLES,
        cli: "role delete",
    }

    /// Lists who has which role on what, as far as the caller may see it.
    AclList: Get "/access/acl" {
        params: NoParams,
        output: Vec<AclEntry>,
        permission: Permission::AnyUser,
        cli: "acl list",
    }

    /// Gives or takes roles on a path.
    ///
    /// Who may not change permissions there but is master of what lies there gives and takes only
    /// roles whose privileges the caller has.
    AclUpdate: Put "/access/acl" {
        params: AclChange,
        output: (),
        permission: Permission::Delegate,
        cli: "acl set",
    }
}
