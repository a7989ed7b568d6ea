//! Privileges and the built-in roles, by the names that clients of Proxmox VE's API know.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

macro_rules! privileges {
    ($($variant:ident $name:literal $group:ident $level:ident)+) => {
        /// What a role can allow.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            schemars::JsonSchema,
        )]
        pub enum Privilege {
            $(#[doc = concat!("`", $name, "`")] #[serde(rename = $name)] $variant,)+
        }

        impl Privilege {
            /// Every privilege that is known here. `VM.Monitor` belongs to clients of version 8,
            /// those of the guest agent to clients of version 9.
            pub const ALL: &[Privilege] = &[$(Privilege::$variant),+];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Privilege::$variant => $name,)+ }
            }

            fn group(self) -> Group {
                match self { $(Privilege::$variant => Group::$group,)+ }
            }

            fn level(self) -> Level {
                match self { $(Privilege::$variant => Level::$level,)+ }
            }
        }
    };
}

/// What a privilege is about; each has its own administrator and user role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Vm,
    Sys,
    Datastore,
    Sdn,
    User,
    Pool,
    Mapping,
}

/// How much trust a privilege needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Audit,
    Use,
    Admin,
    Root,
}

privileges! {
    DatastoreAllocate "Datastore.Allocate" Datastore Admin
    DatastoreAllocateSpace "Datastore.AllocateSpace" Datastore Use
    DatastoreAllocateTemplate "Datastore.AllocateTemplate" Datastore Admin
    DatastoreAudit "Datastore.Audit" Datastore Audit
    GroupAllocate "Group.Allocate" User Admin
    MappingAudit "Mapping.Audit" Mapping Audit
    MappingModify "Mapping.Modify" Mapping Admin
    MappingUse "Mapping.Use" Mapping Use
    PermissionsModify "Permissions.Modify" Sys Root
    PoolAllocate "Pool.Allocate" Pool Admin
    PoolAudit "Pool.Audit" Pool Audit
    RealmAllocate "Realm.Allocate" User Root
    RealmAllocateUser "Realm.AllocateUser" User Admin
    SdnAllocate "SDN.Allocate" Sdn Admin
    SdnAudit "SDN.Audit" Sdn Audit
    SdnUse "SDN.Use" Sdn Use
    SysAccessNetwork "Sys.AccessNetwork" Sys Root
    SysAudit "Sys.Audit" Sys Audit
    SysConsole "Sys.Console" Sys Admin
    SysIncoming "Sys.Incoming" Sys Root
    SysModify "Sys.Modify" Sys Root
    SysPowerMgmt "Sys.PowerMgmt" Sys Root
    SysSyslog "Sys.Syslog" Sys Admin
    UserModify "User.Modify" User Admin
    VmAllocate "VM.Allocate" Vm Admin
    VmAudit "VM.Audit" Vm Audit
    VmBackup "VM.Backup" Vm Use
    VmClone "VM.Clone" Vm Admin
    VmConfigCdrom "VM.Config.CDROM" Vm Use
    VmConfigCloudinit "VM.Config.Cloudinit" Vm Use
    VmConfigCpu "VM.Config.CPU" Vm Admin
    VmConfigDisk "VM.Config.Disk" Vm Admin
    VmConfigHwType "VM.Config.HWType" Vm Admin
    VmConfigMemory "VM.Config.Memory" Vm Admin
    VmConfigNetwork "VM.Config.Network" Vm Admin
    VmConfigOptions "VM.Config.Options" Vm Admin
    VmConsole "VM.Console" Vm Use
    VmGuestAgentAudit "VM.GuestAgent.Audit" Vm Use
    VmGuestAgentFileRead "VM.GuestAgent.FileRead" Vm Use
    VmGuestAgentFileSystemMgmt "VM.GuestAgent.FileSystemMgmt" Vm Use
    VmGuestAgentFileWrite "VM.GuestAgent.FileWrite" Vm Use
    VmGuestAgentUnrestricted "VM.GuestAgent.Unrestricted" Vm Admin
    VmMigrate "VM.Migrate" Vm Admin
    VmMonitor "VM.Monitor" Vm Admin
    VmPowerMgmt "VM.PowerMgmt" Vm Use
    VmReplicate "VM.Replicate" Vm Admin
    VmSnapshot "VM.Snapshot" Vm Admin
    VmSnapshotRollback "VM.Snapshot.Rollback" Vm Admin
}

/// A name that is no privilege.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown privilege '{0}'")]
pub struct UnknownPrivilege(pub String);

impl FromStr for Privilege {
    type Err = UnknownPrivilege;

    fn from_str(name: &str) -> Result<Self, UnknownPrivilege> {
        let found = Self::ALL.iter().copied().find(|p| p.name() == name);
        found.ok_or_else(|| UnknownPrivilege(name.into()))
    }
}

/// Names of the built-in roles.
pub const BUILT_IN_ROLES: &[&str] = &[
    "Administrator",
    "NoAccess",
    "PVEAdmin",
    "PVEAuditor",
    "PVEDatastoreAdmin",
    "PVEDatastoreUser",
    "PVEMappingAdmin",
    "PVEMappingUser",
    "PVEPoolAdmin",
    "PVEPoolUser",
    "PVESDNAdmin",
    "PVESDNUser",
    "PVESysAdmin",
    "PVETemplateUser",
    "PVEUserAdmin",
    "PVEVMAdmin",
    "PVEVMUser",
];

/// The privileges of a built-in role; none when there is no such role.
pub fn built_in_role(name: &str) -> Option<Vec<Privilege>> {
    let all = Privilege::ALL.iter().copied();
    all.map(|p| Some((p, built_in_role_has(name, p)?)))
        .filter(|found| found.is_none_or(|(_, has)| has))
        .map(|found| found.map(|(p, _)| p))
        .collect()
}

/// Whether a built-in role has a privilege; none when there is no such role.
pub fn built_in_role_has(name: &str, p: Privilege) -> Option<bool> {
    let up_to = |group: Group, level: Level| p.group() == group && p.level() <= level;
    Some(match name {
        "Administrator" => true,
        "NoAccess" => false,
        // Which hardware is mapped is decided by who may everything, or by that role alone.
        "PVEAdmin" => p.level() <= Level::Admin && p != Privilege::MappingModify,
        "PVEAuditor" => p.level() == Level::Audit,
        "PVEDatastoreAdmin" => up_to(Group::Datastore, Level::Admin),
        "PVEDatastoreUser" => up_to(Group::Datastore, Level::Use),
        "PVEMappingAdmin" => up_to(Group::Mapping, Level::Admin),
        "PVEMappingUser" => up_to(Group::Mapping, Level::Use),
        "PVEPoolAdmin" => up_to(Group::Pool, Level::Admin),
        "PVEPoolUser" => up_to(Group::Pool, Level::Use),
        "PVESDNAdmin" => up_to(Group::Sdn, Level::Admin),
        "PVESDNUser" => up_to(Group::Sdn, Level::Use),
        "PVESysAdmin" => up_to(Group::Sys, Level::Admin),
        "PVETemplateUser" => matches!(p, Privilege::VmAudit | Privilege::VmClone),
        "PVEUserAdmin" => up_to(Group::User, Level::Admin),
        "PVEVMAdmin" => up_to(Group::Vm, Level::Admin),
        "PVEVMUser" => up_to(Group::Vm, Level::Use),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_role_exists() {
        for role in BUILT_IN_ROLES {
            assert!(built_in_role(role).is_some(), "{role}");
        }
        assert_eq!(built_in_role("NoAccess"), Some(Vec::new()));
        assert_eq!(built_in_role("Nothing"), None);
    }

    #[test]
    fn auditor_only_looks() {
        let auditor = built_in_role("PVEAuditor").unwrap();
        assert!(auditor.iter().all(|p| p.name().ends_with(".Audit")));
        assert!(auditor.contains(&Privilege::VmAudit));
    }

    #[test]
    fn administrators_below_root_cannot_grant_rights() {
        let admin = built_in_role("PVEAdmin").unwrap();
        assert!(admin.contains(&Privilege::VmAllocate));
        assert!(!admin.contains(&Privilege::PermissionsModify));
        assert!(!admin.contains(&Privilege::SysModify));
    }
}
