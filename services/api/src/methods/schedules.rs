//! Jobs that the node does by itself at certain times.

use super::NoParams;
use super::realms::SyncScope;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{RealmAllocateUser, SysAudit, SysModify, UserModify};
use basalt_model::calendar::CalendarEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const AUDIT: Permission = perm("/", &[SysAudit]);
const USERS: Permission = perm("/access/groups", &[UserModify]);

/// A job by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobPath {
    /// Its name.
    pub id: String,
}

/// What may be set of a job that synchronises a realm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct SyncJobFields {
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub comment: Option<String>,
    /// Whether it is done (default 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether new users can log in (default as the realm says).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_new: Option<bool>,
    /// What of users and groups that the directory no longer has is removed, separated by semicolons:
    /// `acl`, `entry`, `properties`; or `none` (default as the realm says).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub remove_vanished: Option<String>,
    /// What is synchronised (default as the realm says).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<SyncScope>,
}

/// A job that brings users and groups of a directory here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncJob {
    /// The realm, of type ldap or ad.
    #[schemars(length(max = 32))]
    pub realm: String,
    /// When it is done, by the host's clock: e.g. `daily`, `mon..fri 22:30` or `0/15`.
    pub schedule: CalendarEvent,
    /// The rest.
    #[serde(flatten)]
    pub fields: SyncJobFields,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SyncJobEntry {
    /// Its name.
    pub id: String,
    /// Whether it is done.
    pub enabled: bool,
    /// The realm.
    pub realm: String,
    /// When it is done.
    pub schedule: CalendarEvent,
    /// Description.
    pub comment: Option<String>,
    /// What of users and groups that the directory no longer has is removed.
    pub remove_vanished: Option<String>,
    /// What is synchronised.
    pub scope: Option<SyncScope>,
    /// When it began last, in seconds since 1970.
    pub last_run: Option<u64>,
    /// When it begins next, in seconds since 1970.
    pub next_run: Option<u64>,
}

/// A job as it is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncJobShown {
    /// Its name.
    pub id: String,
    /// The settings.
    #[serde(flatten)]
    pub job: SyncJob,
}

/// A new job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncJobNew {
    /// Its name: 2 to 64 letters, digits, `-` and `_`, a letter first.
    #[schemars(length(min = 2, max = 64))]
    pub id: String,
    /// The realm, of type ldap or ad.
    #[schemars(length(max = 32))]
    pub realm: String,
    /// When it is done, by the host's clock: e.g. `daily`, `mon..fri 22:30` or `0/15`.
    pub schedule: CalendarEvent,
    /// The rest.
    #[serde(flatten)]
    pub fields: SyncJobFields,
}

/// A changed job; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncJobChange {
    /// Its name.
    pub id: String,
    /// When it is done, by the host's clock.
    pub schedule: Option<CalendarEvent>,
    /// Other settings.
    #[serde(flatten)]
    pub fields: SyncJobFields,
    /// Settings to put back to their defaults, separated by commas.
    #[schemars(extend("format" = "list"), length(max = 4096))]
    pub delete: Option<String>,
}

/// A schedule to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleQuery {
    /// The schedule.
    pub schedule: CalendarEvent,
    /// After when, in seconds since 1970 (default now).
    pub starttime: Option<u64>,
    /// How many instants to show (default 10).
    #[schemars(range(min = 1, max = 100))]
    pub iterations: Option<u32>,
}

/// An instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduledTime {
    /// Seconds since 1970.
    pub timestamp: u64,
    /// In words, in universal time.
    pub utc: String,
}

endpoints! {
    /// Lists the jobs that synchronise realms.
    SyncJobList: Get "/cluster/jobs/realm-sync" {
        params: NoParams,
        output: Vec<SyncJobEntry>,
        permission: AUDIT,
        cli: "job realm-sync list",
    }

    /// Shows a job that synchronises a realm.
    SyncJobGet: Get "/cluster/jobs/realm-sync/{id}" {
        params: JobPath,
        output: SyncJobShown,
        permission: AUDIT,
        cli: "job realm-sync show",
    }

    /// Adds a job that synchronises a realm.
    SyncJobCreate: Post "/cluster/jobs/realm-sync/{id}" {
        params: SyncJobNew,
        output: (),
        permission: Permission::All(&[perm("/access/realm/{realm}", &[RealmAllocateUser]), USERS]),
        cli: "job realm-sync create",
    }

    /// Changes a job that synchronises a realm. One also needs Realm.AllocateUser for its realm.
    SyncJobUpdate: Put "/cluster/jobs/realm-sync/{id}" {
        params: SyncJobChange,
        output: (),
        permission: USERS,
        cli: "job realm-sync set",
    }

    /// Removes a job that synchronises a realm. What was brought here stays.
    SyncJobDelete: Delete "/cluster/jobs/realm-sync/{id}" {
        params: JobPath,
        output: (),
        permission: perm("/", &[SysModify]),
        cli: "job realm-sync delete",
    }

    /// Shows when a schedule comes next.
    ScheduleAnalyze: Get "/cluster/jobs/schedule-analyze" {
        params: ScheduleQuery,
        output: Vec<ScheduledTime>,
        permission: Permission::AnyUser,
        cli: "job analyze",
    }
}
