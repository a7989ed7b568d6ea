//! Mappings of PCI devices: names that guests' settings use in place of addresses.

use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{MappingAudit, MappingModify, MappingUse};
use basalt_model::qemu::hostpci::PciMappingId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A mapping by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PciMappingPath {
    /// Name of the mapping.
    pub id: PciMappingId,
}

/// How to list mappings.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PciMappingQuery {
    /// Node whose devices are compared with what the mappings say.
    pub check_node: Option<String>,
}

/// A new mapping.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PciMappingNew {
    /// Name of the mapping.
    pub id: PciMappingId,
    /// Description.
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Whether a guest that has such a device can be moved while it runs; none can.
    pub live_migration_capable: Option<bool>,
    /// Devices: `id=VENDOR:DEVICE,node=NODE,path=ADDRESS[;…][,iommugroup=…][,subsystem-id=…]`. A guest
    /// gets those of the first of its node that are free.
    pub map: Vec<String>,
    /// Whether the devices are divided among guests; none can be.
    pub mdev: Option<bool>,
}

/// A changed mapping.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PciMappingChange {
    /// Name of the mapping.
    pub id: PciMappingId,
    /// Settings to remove, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub delete: Option<String>,
    /// Description.
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Change only what has this digest.
    pub digest: Option<String>,
    /// Whether a guest that has such a device can be moved while it runs; none can.
    pub live_migration_capable: Option<bool>,
    /// Devices, in place of those before.
    pub map: Option<Vec<String>>,
    /// Whether the devices are divided among guests; none can be.
    pub mdev: Option<bool>,
}

/// A mapping in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PciMappingEntry {
    /// Name of the mapping.
    pub id: String,
    /// Description.
    pub description: Option<String>,
    /// Devices.
    pub map: Vec<String>,
    /// What is wrong with it on the node that was asked about.
    pub checks: Option<Vec<PciMappingCheck>>,
}

/// What is wrong with a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PciMappingCheck {
    /// How bad it is.
    pub severity: CheckSeverity,
    /// What it is.
    pub message: String,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckSeverity {
    /// Guests may not get what they are to have.
    Warning,
    /// Guests do not start.
    Error,
}

/// A mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PciMappingInfo {
    /// Name of the mapping.
    pub id: String,
    /// Description.
    pub description: Option<String>,
    /// Devices.
    pub map: Vec<String>,
    /// For changes that must meet what was read.
    pub digest: String,
}

endpoints! {
    /// Lists the mappings of PCI devices that the caller may see.
    PciMappingList: Get "/cluster/mapping/pci" {
        params: PciMappingQuery,
        output: Vec<PciMappingEntry>,
        permission: Permission::AnyUser,
        cli: "mapping pci list",
    }

    /// Creates a mapping of PCI devices.
    PciMappingCreate: Post "/cluster/mapping/pci" {
        params: PciMappingNew,
        output: (),
        permission: perm("/mapping/pci", &[MappingModify]),
        cli: "mapping pci create",
    }

    /// Shows a mapping of PCI devices.
    PciMappingGet: Get "/cluster/mapping/pci/{id}" {
        params: PciMappingPath,
        output: PciMappingInfo,
        permission: perm("/mapping/pci/{id}", &[MappingUse, MappingModify, MappingAudit]),
        cli: "mapping pci show",
    }

    /// Changes a mapping of PCI devices.
    PciMappingUpdate: Put "/cluster/mapping/pci/{id}" {
        params: PciMappingChange,
        output: (),
        permission: perm("/mapping/pci/{id}", &[MappingModify]),
        cli: "mapping pci set",
    }

    /// Removes a mapping of PCI devices. Machines that name it do not start any more.
    PciMappingDelete: Delete "/cluster/mapping/pci/{id}" {
        params: PciMappingPath,
        output: (),
        permission: perm("/mapping/pci", &[MappingModify]),
        cli: "mapping pci delete",
    }
}
