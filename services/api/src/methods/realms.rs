//! Realms: where users come from and how they prove who they are.

use super::NoParams;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{RealmAllocate, RealmAllocateUser, SysAudit, UserModify};
use basalt_model::upid::Upid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const ALLOCATE: Permission = perm("/access/realm", &[RealmAllocate]);

/// Kind of a realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RealmType {
    /// Accounts of the host.
    Pam,
    /// Accounts of this system, with their passwords kept here.
    Pve,
    /// A directory that speaks LDAP.
    Ldap,
    /// Active Directory.
    Ad,
    /// An OpenID Connect provider.
    Openid,
}

/// How a directory is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DirectoryMode {
    /// In the clear (port 389): every password can be read on the way.
    #[default]
    #[serde(rename = "ldap")]
    Ldap,
    /// TLS from the first byte (port 636).
    #[serde(rename = "ldaps")]
    Ldaps,
    /// TLS begun on the plain port 389 before anything is said.
    #[serde(rename = "ldap+starttls")]
    Starttls,
}

/// What a synchronisation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SyncScope {
    /// Users alone.
    Users,
    /// Groups alone.
    Groups,
    /// Both.
    Both,
}

/// A realm that users can log in to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Realm {
    /// Name.
    pub realm: String,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: RealmType,
    /// Description.
    pub comment: Option<String>,
    /// Whether a login page should choose it first.
    pub default: Option<bool>,
    /// Kind of the second factor that everybody of the realm must have.
    pub tfa: Option<String>,
}

/// A realm by its name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RealmPath {
    /// Name of the realm.
    pub realm: String,
}

/// What is configured of a realm. `comment`, `default` and `tfa` are for every kind, `capath` for
/// `ldap`, `ad` and `openid`, what is from `issuer-url` on for `openid`, and the rest for `ldap` and
/// `ad`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RealmFields {
    /// Description.
    #[schemars(length(max = 4096))]
    pub comment: Option<String>,
    /// Whether a login page should choose it first; takes that from the realm that had it.
    pub default: Option<bool>,
    /// Second factor that everybody of the realm must have: `type=oath[,digits=6][,step=30]`; a
    /// security key does as well.
    #[schemars(length(max = 128))]
    pub tfa: Option<String>,
    /// Name or address of the server.
    #[schemars(length(max = 256))]
    pub server1: Option<String>,
    /// Name or address of the server that is asked when the first cannot be reached.
    #[schemars(length(max = 256))]
    pub server2: Option<String>,
    /// Port (default 636 for `ldaps`, else 389).
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// How the server is reached (default `ldap`).
    pub mode: Option<DirectoryMode>,
    /// Older spelling of `mode`: 1 is `ldaps`.
    pub secure: Option<bool>,
    /// Whether the server's certificate must be valid and made out to its name. Default 0, as in
    /// Proxmox VE: then whoever is on the way can pose as the server and read every password. Set
    /// it to 1 wherever the server has a certificate.
    pub verify: Option<bool>,
    /// File, or for directories also folder, of the authorities that are believed (default those of
    /// the host, in /etc/ssl/certs).
    pub capath: Option<String>,
    /// Whether upper and lower case differ in user names (default 1).
    #[serde(rename = "case-sensitive")]
    pub case_sensitive: Option<bool>,
    /// DNS name of the domain, for `ad`: users bind as name@domain.
    #[schemars(length(max = 256))]
    pub domain: Option<String>,
    /// Where users are, for `ldap`; for `ad` only a synchronisation needs it.
    #[schemars(length(max = 256))]
    pub base_dn: Option<String>,
    /// Who searches; without, the search is anonymous.
    #[schemars(length(max = 256))]
    pub bind_dn: Option<String>,
    /// Attribute with the user's name (for `ad` default sAMAccountName).
    #[schemars(length(min = 2, max = 256))]
    pub user_attr: Option<String>,
    /// Filter that users must pass to be synchronised.
    #[schemars(length(max = 2048))]
    pub filter: Option<String>,
    /// Object classes of users (default inetorgperson, posixaccount, person, user).
    pub user_classes: Option<String>,
    /// What of a user comes from which attribute: `email=mail,firstname=givenName,…`.
    pub sync_attributes: Option<String>,
    /// Where groups are (default base_dn).
    #[schemars(length(max = 256))]
    pub group_dn: Option<String>,
    /// Filter that groups must pass to be synchronised.
    #[schemars(length(max = 2048))]
    pub group_filter: Option<String>,
    /// Attribute with the group's name (default the first part of its DN).
    #[schemars(length(max = 256))]
    pub group_name_attr: Option<String>,
    /// Object classes of groups (default groupOfNames, group, univentionGroup, ipausergroup).
    pub group_classes: Option<String>,
    /// What a synchronisation does unless told:
    /// `scope=users|groups|both,remove-vanished=acl;entry;properties|none,enable-new=0|1`.
    #[serde(rename = "sync-defaults-options")]
    pub sync_defaults_options: Option<String>,
    /// Address of the provider, `https://…`, as it calls itself.
    #[serde(rename = "issuer-url")]
    #[schemars(length(max = 256))]
    pub issuer_url: Option<String>,
    /// Who Basalt is at the provider.
    #[serde(rename = "client-id")]
    #[schemars(length(max = 256))]
    pub client_id: Option<String>,
    /// Claim with a user's name: `subject` (default), `username`, `email` or any other; it cannot be
    /// changed.
    #[serde(rename = "username-claim")]
    pub username_claim: Option<String>,
    /// Whether whoever is new here gets an account, without any permission (default 0).
    pub autocreate: Option<bool>,
    /// What the provider is asked for besides `openid` (default `email profile`).
    #[schemars(length(max = 1024))]
    pub scopes: Option<String>,
    /// Whether and what the provider asks the user: `none`, `login`, `consent`, `select_account`.
    #[schemars(length(max = 256))]
    pub prompt: Option<String>,
    /// What kinds of login are wanted of the provider.
    #[serde(rename = "acr-values")]
    #[schemars(length(max = 1024))]
    pub acr_values: Option<String>,
    /// Whether the provider is asked for claims that are not in its token (default 1).
    #[serde(rename = "query-userinfo")]
    pub query_userinfo: Option<bool>,
    /// Claim with the names of the user's groups, which are called NAME-REALM here.
    #[serde(rename = "groups-claim")]
    #[schemars(length(max = 256))]
    pub groups_claim: Option<String>,
    /// Whether groups that are not here are made (default 0).
    #[serde(rename = "groups-autocreate")]
    pub groups_autocreate: Option<bool>,
    /// Whether a user leaves, at each login, every group that is not named (default 0).
    #[serde(rename = "groups-overwrite")]
    pub groups_overwrite: Option<bool>,
}

/// A new realm.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct RealmNew {
    /// Name of the realm.
    #[schemars(length(min = 2, max = 32))]
    pub realm: String,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: RealmType,
    /// Password of `bind_dn`; kept apart and never shown.
    #[schemars(length(min = 1, max = 4096))]
    pub password: Option<String>,
    /// Secret of `client-id`, for `openid`; kept apart and never shown.
    #[serde(rename = "client-key")]
    #[schemars(length(min = 1, max = 256))]
    pub client_key: Option<String>,
    /// Refuse unless the server can be reached and takes `bind_dn` (default 0).
    #[serde(rename = "check-connection")]
    pub check_connection: Option<bool>,
    /// What is configured.
    #[serde(flatten)]
    pub fields: RealmFields,
}

/// A changed realm.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct RealmChange {
    /// Name of the realm.
    pub realm: String,
    /// Password of `bind_dn`; kept apart and never shown. Needed again when the server, or how it
    /// is reached or believed, changes.
    #[schemars(length(min = 1, max = 4096))]
    pub password: Option<String>,
    /// Secret of `client-id`, for `openid`; kept apart and never shown. Needed again when the
    /// provider, or how it is believed, changes.
    #[serde(rename = "client-key")]
    #[schemars(length(min = 1, max = 256))]
    pub client_key: Option<String>,
    /// Refuse unless the server can be reached and takes `bind_dn` (default 0).
    #[serde(rename = "check-connection")]
    pub check_connection: Option<bool>,
    /// Settings to put back to their defaults, separated by commas.
    #[schemars(extend("format" = "list"))]
    #[schemars(length(max = 4096))]
    pub delete: Option<String>,
    /// Refuse the change if the configuration has another digest.
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
    /// What is configured.
    #[serde(flatten)]
    pub fields: RealmFields,
}

/// A realm with all that is configured but secrets.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RealmInfo {
    /// Kind.
    #[serde(rename = "type")]
    pub kind: RealmType,
    /// Digest of the configuration of all realms.
    pub digest: String,
    /// What is configured.
    #[serde(flatten)]
    pub fields: RealmFields,
}

/// A synchronisation. What is not said is as the realm's `sync-defaults-options` say.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RealmSync {
    /// Name of the realm.
    pub realm: String,
    /// Only write into the task's log what would change (default 0).
    pub dry_run: Option<bool>,
    /// What is synchronised.
    pub scope: Option<SyncScope>,
    /// What of users and groups that the directory no longer has is removed, separated by
    /// semicolons: `acl` their permissions, `entry` they themselves, `properties` what describes
    /// those that are still there but no longer has a value; or `none` (default).
    pub remove_vanished: Option<String>,
    /// Whether new users can log in (default 1).
    pub enable_new: Option<bool>,
    /// Older spelling of `remove-vanished=entry;properties`.
    pub full: Option<bool>,
    /// Older spelling of `remove-vanished=acl`.
    pub purge: Option<bool>,
}

endpoints! {
    /// Lists the realms.
    DomainList: Get "/access/domains" {
        params: NoParams,
        output: Vec<Realm>,
        permission: Permission::World,
        cli: "realm list",
    }

    /// Creates a realm.
    DomainCreate: Post "/access/domains" {
        params: RealmNew,
        output: (),
        permission: ALLOCATE,
        cli: "realm create",
    }

    /// Shows a realm.
    DomainGet: Get "/access/domains/{realm}" {
        params: RealmPath,
        output: RealmInfo,
        permission: perm("/access/realm", &[RealmAllocate, SysAudit]),
        cli: "realm show",
    }

    /// Changes a realm.
    DomainUpdate: Put "/access/domains/{realm}" {
        params: RealmChange,
        output: (),
        permission: ALLOCATE,
        cli: "realm set",
    }

    /// Deletes a realm.
    ///
    /// Its users stay, but they and their API tokens can do nothing until a realm of this name is
    /// created again.
    DomainDelete: Delete "/access/domains/{realm}" {
        params: RealmPath,
        output: (),
        permission: ALLOCATE,
        cli: "realm delete",
    }

    /// Brings users and groups of a directory here.
    DomainSync: Post "/access/domains/{realm}/sync" {
        params: RealmSync,
        output: Upid,
        permission: Permission::All(&[
            perm("/access/realm/{realm}", &[RealmAllocateUser]),
            perm("/access/groups", &[UserModify]),
        ]),
        kind: Task,
        cli: "realm sync",
    }
}
