//! Second factors of users.

use super::NoParams;
use super::users::UserPath;
use crate::endpoints;
use crate::permission::Permission;
use basalt_model::access::Privilege::{SysAudit, UserModify};
use basalt_model::userid::Userid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const LOOK: Permission = Permission::Any(&[
    Permission::Own("userid"),
    Permission::UserGroup(&[UserModify, SysAudit]),
]);
const MODIFY: Permission = Permission::Any(&[
    Permission::Own("userid"),
    Permission::UserGroup(&[UserModify]),
]);

/// Kind of a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FactorType {
    /// Time-based codes.
    Totp,
    /// Codes on paper, each good for one login.
    Recovery,
    /// A security key.
    Webauthn,
}

/// A second factor of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Factor {
    /// Its id.
    pub id: String,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: FactorType,
    /// What the user calls it.
    pub description: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// Whether it counts.
    pub enable: bool,
}

/// A user's second factors.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UserFactors {
    /// The user.
    pub userid: Userid,
    /// The factors.
    pub entries: Vec<Factor>,
    /// Whether too many wrong time-based codes were given: none is taken until a recovery code
    /// or an administrator unlocks them.
    pub totp_locked: Option<bool>,
}

/// A second factor by its id.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FactorPath {
    /// The user, name@realm.
    pub userid: Userid,
    /// Id of the factor.
    pub id: String,
}

/// A second factor to be removed.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct FactorRemoval {
    /// The user, name@realm.
    pub userid: Userid,
    /// Id of the factor.
    pub id: String,
    /// The caller's own password; root@pam needs none.
    #[schemars(length(min = 5, max = 64))]
    pub password: Option<String>,
}

/// A changed second factor.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct FactorChange {
    /// The user, name@realm.
    pub userid: Userid,
    /// Id of the factor.
    pub id: String,
    /// What the user calls it.
    #[schemars(length(max = 255))]
    pub description: Option<String>,
    /// Whether it counts.
    pub enable: Option<bool>,
    /// The caller's own password; root@pam needs none.
    #[schemars(length(min = 5, max = 64))]
    pub password: Option<String>,
}

/// A new second factor.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct FactorNew {
    /// The user, name@realm.
    pub userid: Userid,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: FactorType,
    /// What the user calls it.
    #[schemars(length(max = 255))]
    pub description: Option<String>,
    /// For `totp`: the secret as `otpauth://totp/NAME?secret=BASE32`.
    #[schemars(length(max = 1024))]
    pub totp: Option<String>,
    /// For `totp`: the present code, which proves that the secret arrived. For `webauthn`: what
    /// `navigator.credentials.create` answered, as JSON with base64url for bytes; without, the answer
    /// is the challenge for it.
    #[schemars(length(max = 65536))]
    pub value: Option<String>,
    /// For `webauthn`: the challenge that `value` answers.
    #[schemars(length(max = 1024))]
    pub challenge: Option<String>,
    /// The caller's own password; root@pam needs none.
    #[schemars(length(min = 5, max = 64))]
    pub password: Option<String>,
}

/// A second factor that was made.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct FactorMade {
    /// Its id; none when a challenge is due first.
    pub id: Option<String>,
    /// For `webauthn`: options of `navigator.credentials.create`, as JSON with base64url for bytes.
    pub challenge: Option<String>,
    /// For `recovery`: the codes, which are shown this once.
    pub recovery: Option<Vec<String>>,
}

/// Which second factors to name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FactorTypesQuery {
    /// The user, name@realm.
    pub userid: Userid,
    /// All kinds, instead of one.
    pub multiple: Option<bool>,
}

/// What kinds of second factors a user has.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FactorTypes {
    /// What the realm demands.
    pub realm: Option<String>,
    /// What the user has, unless `multiple`: `oath` for time-based codes.
    pub user: Option<String>,
    /// What the user has; only with `multiple`.
    pub types: Option<Vec<FactorType>>,
}

endpoints! {
    /// Lists the second factors of the users that the caller may see.
    TfaList: Get "/access/tfa" {
        params: NoParams,
        output: Vec<UserFactors>,
        permission: Permission::AnyUser,
        cli: "tfa list",
    }

    /// Lists the second factors of a user.
    TfaUser: Get "/access/tfa/{userid}" {
        params: UserPath,
        output: Vec<Factor>,
        permission: LOOK,
        cli: "tfa user",
    }

    /// Adds a second factor.
    TfaCreate: Post "/access/tfa/{userid}" {
        params: FactorNew,
        output: FactorMade,
        permission: MODIFY,
        cli: "tfa create",
    }

    /// Shows a second factor.
    TfaGet: Get "/access/tfa/{userid}/{id}" {
        params: FactorPath,
        output: Factor,
        permission: LOOK,
        cli: "tfa show",
    }

    /// Changes a second factor.
    TfaUpdate: Put "/access/tfa/{userid}/{id}" {
        params: FactorChange,
        output: (),
        permission: MODIFY,
        cli: "tfa set",
    }

    /// Removes a second factor.
    TfaDelete: Delete "/access/tfa/{userid}/{id}" {
        params: FactorRemoval,
        output: (),
        permission: MODIFY,
        cli: "tfa delete",
    }

    /// Says what kinds of second factors a user has.
    TfaTypes: Get "/access/users/{userid}/tfa" {
        params: FactorTypesQuery,
        output: FactorTypes,
        permission: LOOK,
    }

    /// Takes a user's time-based codes again, after too many wrong ones.
    TfaUnlock: Put "/access/users/{userid}/unlock-tfa" {
        params: UserPath,
        output: bool,
        permission: Permission::UserGroup(&[UserModify]),
        cli: "tfa unlock",
    }
}
