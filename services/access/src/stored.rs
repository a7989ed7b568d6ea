//! How users, groups, roles and permissions lie in the store.
//!
//! The release before must be able to read it. A role there has only privileges that it knows, or
//! none of the configuration is understood; so privileges that came later lie beside it, where it
//! does not look. A name that this release does not know grants nothing.

use crate::config::{AccessConfig, Group, User};
use basalt_api::methods::acl::AclEntry;
use basalt_model::access::Privilege;
use basalt_model::userid::Userid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Privileges that the first release does not know.
const LATER: [Privilege; 6] = [
    Privilege::VmGuestAgentAudit,
    Privilege::VmGuestAgentFileRead,
    Privilege::VmGuestAgentFileSystemMgmt,
    Privilege::VmGuestAgentFileWrite,
    Privilege::VmGuestAgentUnrestricted,
    Privilege::VmReplicate,
];

type Roles = BTreeMap<String, BTreeSet<String>>;

/// [`AccessConfig`] as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Stored {
    users: BTreeMap<Userid, User>,
    groups: BTreeMap<String, Group>,
    roles: Roles,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    later_privileges: Roles,
    acl: Vec<AclEntry>,
}

impl Default for Stored {
    fn default() -> Self {
        AccessConfig::default().into()
    }
}

impl From<AccessConfig> for Stored {
    fn from(config: AccessConfig) -> Self {
        let (mut roles, mut later_privileges) = (Roles::new(), Roles::new());
        for (name, privileges) in config.roles {
            let (later, first): (BTreeSet<Privilege>, BTreeSet<Privilege>) =
                privileges.into_iter().partition(|p| LATER.contains(p));
            let names = |of: BTreeSet<Privilege>| of.iter().map(|p| p.name().to_owned()).collect();
            if !later.is_empty() {
                later_privileges.insert(name.clone(), names(later));
            }
            roles.insert(name, names(first));
        }
        Self {
            users: config.users,
            groups: config.groups,
            roles,
            later_privileges,
            acl: config.acl,
        }
    }
}

impl From<Stored> for AccessConfig {
    fn from(mut stored: Stored) -> Self {
        let known = |name: &String| name.parse::<Privilege>().ok();
        let role = |(name, first): (String, BTreeSet<String>)| {
            let later = stored.later_privileges.remove(&name).unwrap_or_default();
            let all = first.iter().chain(&later).filter_map(known).collect();
            (name, all)
        };
        Self {
            roles: stored.roles.into_iter().map(role).collect(),
            users: stored.users,
            groups: stored.groups,
            acl: stored.acl,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_release_before_reads_roles_with_later_privileges() {
        let mut config = AccessConfig::default();
        let privileges = [Privilege::VmAudit, Privilege::VmGuestAgentAudit];
        config.roles.insert("Look".into(), privileges.into());
        let stored = serde_json::to_value(&config).unwrap();
        assert_eq!(stored["roles"], json!({"Look": ["VM.Audit"]}));
        assert_eq!(
            serde_json::from_value::<AccessConfig>(stored).unwrap(),
            config
        );
    }

    #[test]
    fn a_privilege_of_a_release_to_come_grants_nothing() {
        let stored = json!({"roles": {"New": ["VM.Audit", "VM.Teleport"]}});
        let config: AccessConfig = serde_json::from_value(stored).unwrap();
        assert_eq!(config.roles["New"], [Privilege::VmAudit].into());
        assert!(config.users.contains_key(&Userid::root()));
    }
}
