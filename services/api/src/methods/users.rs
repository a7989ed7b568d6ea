//! Users, their API tokens, and groups.

use super::NoParams;
use super::realms::RealmType;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{GroupAllocate, RealmAllocateUser, SysAudit, UserModify};
use basalt_model::userid::Userid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MODIFY: Permission = Permission::UserGroup(&[UserModify]);
const ALLOCATE: Permission = Permission::All(&[
    perm("/access/realm/{realm(userid)}", &[RealmAllocateUser]),
    MODIFY,
]);
const OWN_OR_MODIFY: Permission = Permission::Any(&[Permission::Own("userid"), MODIFY]);
const GROUPS: Permission = perm("/access/groups", &[GroupAllocate]);

/// A user.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserPath {
    /// The user, name@realm.
    pub userid: Userid,
}

/// What describes a user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserFields {
    /// Whether the user can log in (default 1).
    pub enable: Option<bool>,
    /// When the account ends, in seconds since 1970; 0 is never.
    pub expire: Option<u64>,
    /// First name.
    #[schemars(length(max = 1024))]
    pub firstname: Option<String>,
    /// Last name.
    #[schemars(length(max = 1024))]
    pub lastname: Option<String>,
    /// Address for mail.
    #[schemars(length(max = 254))]
    pub email: Option<String>,
    /// Description.
    #[schemars(length(max = 2048))]
    pub comment: Option<String>,
}

/// A new user.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserNew {
    /// The user, name@realm.
    pub userid: Userid,
    /// First password, for realms that keep passwords here.
    #[schemars(length(min = 8, max = 64))]
    pub password: Option<String>,
    /// Groups, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub groups: Option<String>,
    /// What describes the user.
    #[serde(flatten)]
    pub fields: UserFields,
}

/// A changed user.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserChange {
    /// The user, name@realm.
    pub userid: Userid,
    /// Groups, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub groups: Option<String>,
    /// Add to the groups instead of replacing them.
    pub append: Option<bool>,
    /// What describes the user.
    #[serde(flatten)]
    pub fields: UserFields,
}

/// Which users to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserQuery {
    /// Only those that can, or cannot, log in.
    pub enabled: Option<bool>,
    /// With groups and tokens.
    pub full: Option<bool>,
}

/// A user in a list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UserEntry {
    /// The user, name@realm.
    pub userid: Userid,
    /// Kind of the realm.
    pub realm_type: Option<RealmType>,
    /// Groups, separated by commas; only with `full`.
    pub groups: Option<String>,
    /// API tokens; only with `full`.
    pub tokens: Option<Vec<TokenEntry>>,
    /// What describes the user.
    #[serde(flatten)]
    pub fields: UserFields,
}

/// A user with groups and tokens.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// Groups.
    pub groups: Vec<String>,
    /// API tokens by name.
    pub tokens: BTreeMap<String, TokenInfo>,
    /// What describes the user.
    #[serde(flatten)]
    pub fields: UserFields,
}

/// An API token of a user.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenPath {
    /// The user, name@realm.
    pub userid: Userid,
    /// Name of the token.
    #[schemars(length(min = 2, max = 128))]
    pub tokenid: String,
}

/// A changed API token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenChange {
    /// Which, and what it becomes.
    #[serde(flatten)]
    pub token: TokenNew,
    /// Settings to put back to their defaults, separated by commas: comment, expire, privsep.
    #[schemars(extend("format" = "list"))]
    pub delete: Option<String>,
}

/// A new API token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenNew {
    /// The user, name@realm.
    pub userid: Userid,
    /// Name of the token.
    #[schemars(length(min = 2, max = 128))]
    pub tokenid: String,
    /// When the token ends, in seconds since 1970; 0 is never.
    pub expire: Option<u64>,
    /// Whether the token has permissions of its own, at most the user's (default 1).
    pub privsep: Option<bool>,
    /// Description.
    #[schemars(length(max = 2048))]
    pub comment: Option<String>,
}

/// What describes an API token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenInfo {
    /// When the token ends, in seconds since 1970; 0 is never.
    pub expire: u64,
    /// Whether the token has permissions of its own, at most the user's.
    pub privsep: bool,
    /// Description.
    pub comment: Option<String>,
}

/// An API token in a list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenEntry {
    /// Name of the token.
    pub tokenid: String,
    /// What describes the token.
    #[serde(flatten)]
    pub info: TokenInfo,
}

/// A new API token with its secret, which is shown this once.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TokenSecret {
    /// The whole id, user@realm!name.
    pub full_tokenid: String,
    /// What describes the token.
    pub info: TokenInfo,
    /// The secret.
    pub value: String,
}

/// A group.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupPath {
    /// Name of the group.
    pub groupid: String,
}

/// A new or changed group.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupChange {
    /// Name of the group.
    #[schemars(length(min = 1, max = 128))]
    pub groupid: String,
    /// Description.
    #[schemars(length(max = 2048))]
    pub comment: Option<String>,
}

/// A group in a list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupEntry {
    /// Name of the group.
    pub groupid: String,
    /// Members, separated by commas.
    pub users: String,
    /// Description.
    pub comment: Option<String>,
}

/// A group with its members.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// Members.
    pub members: Vec<Userid>,
    /// Description.
    pub comment: Option<String>,
}

endpoints! {
    /// Lists the users that the caller may see.
    UserList: Get "/access/users" {
        params: UserQuery,
        output: Vec<UserEntry>,
        permission: Permission::AnyUser,
        cli: "user list",
    }

    /// Creates a user.
    UserCreate: Post "/access/users" {
        params: UserNew,
        output: (),
        permission: ALLOCATE,
        cli: "user create",
    }

    /// Shows a user.
    UserGet: Get "/access/users/{userid}" {
        params: UserPath,
        output: User,
        permission: Permission::Any(&[
            Permission::Own("userid"),
            Permission::UserGroup(&[UserModify, SysAudit]),
        ]),
        cli: "user show",
    }

    /// Changes a user.
    UserUpdate: Put "/access/users/{userid}" {
        params: UserChange,
        output: (),
        permission: MODIFY,
        cli: "user set",
    }

    /// Deletes a user with its tokens and permissions.
    UserDelete: Delete "/access/users/{userid}" {
        params: UserPath,
        output: (),
        permission: ALLOCATE,
        cli: "user delete",
    }

    /// Lists the API tokens of a user.
    TokenList: Get "/access/users/{userid}/token" {
        params: UserPath,
        output: Vec<TokenEntry>,
        permission: OWN_OR_MODIFY,
        cli: "token list",
    }

    /// Shows an API token.
    TokenGet: Get "/access/users/{userid}/token/{tokenid}" {
        params: TokenPath,
        output: TokenInfo,
        permission: OWN_OR_MODIFY,
        cli: "token show",
    }

    /// Creates an API token. Its secret is shown only in this answer.
    TokenCreate: Post "/access/users/{userid}/token/{tokenid}" {
        params: TokenNew,
        output: TokenSecret,
        permission: OWN_OR_MODIFY,
        cli: "token create",
    }

    /// Changes an API token.
    TokenUpdate: Put "/access/users/{userid}/token/{tokenid}" {
        params: TokenChange,
        output: TokenInfo,
        permission: OWN_OR_MODIFY,
        cli: "token set",
    }

    /// Deletes an API token.
    TokenDelete: Delete "/access/users/{userid}/token/{tokenid}" {
        params: TokenPath,
        output: (),
        permission: OWN_OR_MODIFY,
        cli: "token delete",
    }

    /// Lists the groups that the caller may see.
    GroupList: Get "/access/groups" {
        params: NoParams,
        output: Vec<GroupEntry>,
        permission: Permission::AnyUser,
        cli: "group list",
    }

    /// Creates a group.
    GroupCreate: Post "/access/groups" {
        params: GroupChange,
        output: (),
        permission: GROUPS,
        cli: "group create",
    }

    /// Shows a group.
    GroupGet: Get "/access/groups/{groupid}" {
        params: GroupPath,
        output: Group,
        permission: perm("/access/groups", &[SysAudit, GroupAllocate]),
        cli: "group show",
    }

    /// Changes a group's description.
    GroupUpdate: Put "/access/groups/{groupid}" {
        params: GroupChange,
        output: (),
        permission: GROUPS,
        cli: "group set",
    }

    /// Deletes a group with its permissions.
    GroupDelete: Delete "/access/groups/{groupid}" {
        params: GroupPath,
        output: (),
        permission: GROUPS,
        cli: "group delete",
    }
}
