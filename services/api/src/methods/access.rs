//! Login, realms, passwords and what the caller may do.

use super::NoParams;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{RealmAllocate, RealmAllocateUser, SysAudit, UserModify};
use basalt_model::userid::{Authid, Userid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Credentials of a login.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Login {
    /// Name, with or without its realm.
    #[schemars(length(max = 128))]
    pub username: String,
    /// Password, or a ticket that is still valid: it is renewed.
    #[schemars(length(max = 4096))]
    pub password: String,
    /// Realm, when the name has none (default pam).
    pub realm: Option<String>,
    /// Answer to a second factor.
    pub otp: Option<String>,
    /// Challenge of a second factor.
    pub tfa_challenge: Option<String>,
    /// Kind of ticket when a second factor is due; there is one kind.
    pub new_format: Option<bool>,
    /// Path to verify a permission on, together with `privs`.
    pub path: Option<String>,
    /// Privileges to verify on `path`.
    pub privs: Option<String>,
}

/// A successful login.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Ticket {
    /// Who is logged in.
    pub username: Userid,
    /// Goes into the cookie `PVEAuthCookie`; valid for two hours.
    pub ticket: String,
    /// Goes into the header of the same name with every call that changes something.
    #[serde(rename = "CSRFPreventionToken")]
    pub csrf_prevention_token: String,
    /// Privileges by kind of object, for what an interface should offer.
    pub cap: BTreeMap<String, BTreeMap<String, bool>>,
}

/// A realm that users can log in to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Realm {
    /// Name.
    pub realm: String,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Description.
    pub comment: Option<String>,
    /// Whether a login page should choose it first.
    pub default: Option<bool>,
}

/// A realm by its name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RealmPath {
    /// Name of the realm.
    pub realm: String,
}

/// What is configured of a realm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RealmInfo {
    /// Kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Description.
    pub comment: Option<String>,
    /// Whether a login page should choose it first.
    pub default: Option<bool>,
}

/// Whose permissions on what.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PermissionsQuery {
    /// Only this path.
    pub path: Option<String>,
    /// User or token (default the caller).
    pub userid: Option<Authid>,
}

/// A new password.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PasswordChange {
    /// Whose.
    pub userid: Userid,
    /// The new password.
    #[schemars(length(min = 8, max = 64))]
    pub password: String,
    /// The caller's own present password.
    pub confirmation_password: Option<String>,
}

endpoints! {
    /// Says nothing: for clients that look whether there is a login.
    TicketProbe: Get "/access/ticket" {
        params: NoParams,
        output: (),
        permission: Permission::World,
    }

    /// Logs in, or renews a login.
    ///
    /// The answer's ticket is valid for two hours and is itself accepted as password.
    TicketCreate: Post "/access/ticket" {
        params: Login,
        output: Ticket,
        permission: Permission::World,
    }

    /// Lists the realms.
    DomainList: Get "/access/domains" {
        params: NoParams,
        output: Vec<Realm>,
        permission: Permission::World,
        cli: "realm list",
    }

    /// Shows a realm.
    DomainGet: Get "/access/domains/{realm}" {
        params: RealmPath,
        output: RealmInfo,
        permission: perm("/access/realm", &[RealmAllocate, SysAudit]),
        cli: "realm show",
    }

    /// Shows the permissions of a user or token.
    ///
    /// Path by path, each privilege with whether it propagates to what lies below.
    PermissionList: Get "/access/permissions" {
        params: PermissionsQuery,
        output: BTreeMap<String, BTreeMap<String, bool>>,
        permission: Permission::AnyUser,
        cli: "user permissions",
    }

    /// Changes a password.
    PasswordSet: Put "/access/password" {
        params: PasswordChange,
        output: (),
        permission: Permission::Any(&[
            Permission::Own("userid"),
            Permission::All(&[
                perm("/access/realm/{realm(userid)}", &[RealmAllocateUser]),
                Permission::UserGroup(&[UserModify]),
            ]),
        ]),
        cli: "user password",
    }
}
