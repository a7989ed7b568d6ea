//! Login, passwords and what the caller may do.

use super::NoParams;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{RealmAllocateUser, UserModify};
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
    /// Password, or a ticket that is still valid: it is renewed; or the answer to `tfa-challenge`.
    #[schemars(length(max = 16384))]
    pub password: String,
    /// Realm, when the name has none (default pam).
    pub realm: Option<String>,
    /// Time-based code, given along with the password.
    #[schemars(length(max = 64))]
    pub otp: Option<String>,
    /// Challenge that an earlier login with the password answered.
    #[schemars(length(max = 65536))]
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
    /// Goes into the cookie `PVEAuthCookie`; valid for two hours. With `NeedTFA` it is no ticket
    /// but a challenge, valid for five minutes.
    pub ticket: String,
    /// Goes into the header of the same name with every call that changes something.
    #[serde(rename = "CSRFPreventionToken")]
    pub csrf_prevention_token: Option<String>,
    /// The password is right, and a second factor is due: log in again with the challenge as
    /// `tfa-challenge` and the answer as `password`: `totp:123456`, `recovery:CODE`, or `webauthn:`
    /// and what the browser says as JSON.
    #[serde(rename = "NeedTFA")]
    pub need_tfa: Option<bool>,
    /// Privileges by kind of object, for what an interface should offer.
    pub cap: BTreeMap<String, BTreeMap<String, bool>>,
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
