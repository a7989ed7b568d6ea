//! System containers.

use super::NodePath;
use super::guest::{
    ConfigChange, ConfigQuery, ConsoleSocket, ConsoleTicket, GuestCurrent, GuestDelete, GuestPath,
    GuestResize, GuestShutdown, GuestStart, GuestStatus, GuestStop, PendingEntry, WithDigest,
};
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{
    VmAllocate, VmAudit, VmConfigCpu, VmConfigDisk, VmConfigMemory, VmConfigNetwork,
    VmConfigOptions, VmConsole, VmPowerMgmt,
};
use basalt_model::lxc::LxcConfig;
use basalt_model::pool::PoolId;
use basalt_model::storage::{StorageId, VolumeId};
use basalt_model::upid::Upid;
use basalt_model::vmid::Vmid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const POWER: Permission = perm("/vms/{vmid}", &[VmPowerMgmt]);
const AUDIT: Permission = perm("/vms/{vmid}", &[VmAudit]);
const CONSOLE: Permission = perm("/vms/{vmid}", &[VmConsole]);
const CREATE: Permission = Permission::Any(&[
    perm("/vms/{vmid}", &[VmAllocate]),
    perm("/pool/{pool}", &[VmAllocate]),
]);
const CONFIG: Permission = perm(
    "/vms/{vmid}",
    &[
        VmConfigDisk,
        VmConfigCpu,
        VmConfigMemory,
        VmConfigNetwork,
        VmConfigOptions,
    ],
);

/// A new container.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CtNew {
    /// Name of the node.
    pub node: String,
    /// Number, free in the whole cluster.
    pub vmid: Vmid,
    /// Archive of its root file system: a volume of content kind `vztmpl`.
    pub ostemplate: VolumeId,
    /// Storage of the root file system when `rootfs` names none (default local).
    pub storage: Option<StorageId>,
    /// Password of root inside.
    #[schemars(length(min = 5, max = 256))]
    pub password: Option<String>,
    /// Keys that may log in as root over SSH, one a line.
    #[schemars(length(max = 65536))]
    pub ssh_public_keys: Option<String>,
    /// Start it when it is made.
    pub start: Option<bool>,
    /// Pool to put it into.
    pub pool: Option<PoolId>,
    /// Let a backup replace the container of that number; a new container never does.
    pub force: Option<bool>,
    /// Its configuration.
    #[serde(flatten)]
    pub config: LxcConfig,
}

/// A network interface inside a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CtInterface {
    /// Name.
    pub name: String,
    /// Hardware address.
    pub hwaddr: String,
    /// Hardware address, once more.
    pub hardware_address: String,
    /// First IPv4 address with its prefix length.
    pub inet: Option<String>,
    /// First IPv6 address with its prefix length.
    pub inet6: Option<String>,
    /// All addresses.
    pub ip_addresses: Vec<CtAddress>,
}

/// An address inside a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CtAddress {
    /// The address.
    pub ip_address: String,
    /// `inet` or `inet6`.
    pub ip_address_type: String,
    /// Prefix length.
    pub prefix: u8,
}

endpoints! {
    /// Lists the containers that the caller may see.
    CtList: Get "/nodes/{node}/lxc" {
        params: NodePath,
        output: Vec<GuestStatus>,
        permission: Permission::AnyUser,
        cli: "ct list",
    }

    /// Creates a container.
    CtCreate: Post "/nodes/{node}/lxc" {
        params: CtNew,
        output: Upid,
        permission: CREATE,
        kind: Task,
        cli: "ct create",
    }

    /// Deletes a container with its volumes.
    CtDelete: Delete "/nodes/{node}/lxc/{vmid}" {
        params: GuestDelete,
        output: Upid,
        permission: perm("/vms/{vmid}", &[VmAllocate]),
        kind: Task,
        cli: "ct delete",
    }

    /// Shows the configuration of a container.
    CtConfigGet: Get "/nodes/{node}/lxc/{vmid}/config" {
        params: ConfigQuery,
        output: WithDigest<LxcConfig>,
        permission: AUDIT,
        cli: "ct config",
    }

    /// Changes the configuration of a container.
    CtConfigPut: Put "/nodes/{node}/lxc/{vmid}/config" {
        params: ConfigChange<LxcConfig>,
        output: (),
        permission: CONFIG,
        cli: "ct set",
    }

    /// Shows which settings of a container wait for its next start.
    CtPending: Get "/nodes/{node}/lxc/{vmid}/pending" {
        params: GuestPath,
        output: Vec<PendingEntry>,
        permission: AUDIT,
        cli: "ct pending",
    }

    /// Shows state and figures of a container.
    CtCurrent: Get "/nodes/{node}/lxc/{vmid}/status/current" {
        params: GuestPath,
        output: GuestCurrent,
        permission: AUDIT,
        cli: "ct status",
    }

    /// Lists the network interfaces inside a running container.
    CtInterfaces: Get "/nodes/{node}/lxc/{vmid}/interfaces" {
        params: GuestPath,
        output: Vec<CtInterface>,
        permission: AUDIT,
        cli: "ct interfaces",
    }

    /// Starts a container.
    CtStart: Post "/nodes/{node}/lxc/{vmid}/status/start" {
        params: GuestStart,
        output: Upid,
        permission: POWER,
        kind: Task,
        cli: "ct start",
    }

    /// Stops a container at once.
    CtStop: Post "/nodes/{node}/lxc/{vmid}/status/stop" {
        params: GuestStop,
        output: Upid,
        permission: POWER,
        kind: Task,
        cli: "ct stop",
    }

    /// Asks a container to shut down and waits for it.
    CtShutdown: Post "/nodes/{node}/lxc/{vmid}/status/shutdown" {
        params: GuestShutdown,
        output: Upid,
        permission: POWER,
        kind: Task,
        cli: "ct shutdown",
    }

    /// Shuts a container down and starts it again, with settings that waited.
    CtReboot: Post "/nodes/{node}/lxc/{vmid}/status/reboot" {
        params: GuestStart,
        output: Upid,
        permission: POWER,
        kind: Task,
        cli: "ct reboot",
    }

    /// Makes a volume of a container larger, and the file system on it.
    CtResize: Put "/nodes/{node}/lxc/{vmid}/resize" {
        params: GuestResize,
        output: Upid,
        permission: perm("/vms/{vmid}", &[VmConfigDisk]),
        kind: Task,
        cli: "ct resize",
    }

    /// Prepares the console of a container.
    CtTermproxy: Post "/nodes/{node}/lxc/{vmid}/termproxy" {
        params: GuestPath,
        output: ConsoleTicket,
        permission: CONSOLE,
    }

    /// Opens the websocket of a console that was prepared.
    CtWebsocket: Get "/nodes/{node}/lxc/{vmid}/vncwebsocket" {
        params: ConsoleSocket,
        output: (),
        permission: CONSOLE,
        kind: Console,
    }
}
