//! Virtual machines.

use super::guest::{
    ConfigChange, ConfigQuery, ConsoleSocket, ConsoleTicket, GuestCurrent, GuestDelete, GuestPath,
    GuestResize, GuestShutdown, GuestStart, GuestStatus, GuestStop, PendingEntry, ScreenTicket,
    WithDigest,
};
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{
    VmAllocate, VmAudit, VmConfigCdrom, VmConfigCloudinit, VmConfigCpu, VmConfigDisk,
    VmConfigHwType, VmConfigMemory, VmConfigNetwork, VmConfigOptions, VmConsole, VmPowerMgmt,
};
use basalt_model::pool::PoolId;
use basalt_model::qemu::QemuConfig;
use basalt_model::qemu::serial::SerialName;
use basalt_model::storage::StorageId;
use basalt_model::upid::Upid;
use basalt_model::vmid::Vmid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const POWER: Permission = perm("/vms/{vmid}", &[VmPowerMgmt]);
const AUDIT: Permission = perm("/vms/{vmid}", &[VmAudit]);
const CONSOLE: Permission = perm("/vms/{vmid}", &[VmConsole]);
const DISK: Permission = perm("/vms/{vmid}", &[VmConfigDisk]);
const CREATE: Permission = Permission::Any(&[
    perm("/vms/{vmid}", &[VmAllocate]),
    perm("/pool/{pool}", &[VmAllocate]),
]);
const CONFIG: Permission = perm(
    "/vms/{vmid}",
    &[
        VmConfigDisk,
        VmConfigCdrom,
        VmConfigCpu,
        VmConfigMemory,
        VmConfigNetwork,
        VmConfigHwType,
        VmConfigOptions,
        VmConfigCloudinit,
    ],
);

/// A new virtual machine.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmNew {
    /// Name of the node.
    pub node: String,
    /// Number, free in the whole cluster.
    pub vmid: Vmid,
    /// Start it when it is made.
    pub start: Option<bool>,
    /// Storage of disks that name none.
    pub storage: Option<StorageId>,
    /// Pool to put it into.
    pub pool: Option<PoolId>,
    /// Its configuration.
    #[serde(flatten)]
    pub config: QemuConfig,
}

/// Which virtual machines to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmQuery {
    /// Name of the node.
    pub node: String,
    /// With the figures of those that run; they are always there.
    pub full: Option<bool>,
}

/// Which keys to type.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmSendkeyParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Names of the keys that are pressed together, joined by dashes, e.g. `ctrl-alt-delete`.
    #[schemars(length(min = 1, max = 100))]
    pub key: String,
}

/// Which disks to take away.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmUnlinkParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// The disks, separated by commas, e.g. `scsi1,unused0`.
    #[schemars(extend("format" = "list"))]
    pub idlist: String,
    /// Remove the volumes of disks that are in use, too, rather than keeping them unused.
    pub force: Option<bool>,
}

/// Which serial port to open.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmTermproxyParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Serial port (default: the one that `vga` names, or serial0).
    pub serial: Option<SerialName>,
}

/// How a graphical console is prepared.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct VmVncproxyParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Prepare for a websocket; there is no other way.
    pub websocket: Option<bool>,
    /// Generate a short password for VNC in place of the ticket (default off).
    pub generate_password: Option<bool>,
}

/// Which document of cloud-init to show.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmCloudinitDumpParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// The document.
    #[serde(rename = "type")]
    pub kind: CloudinitDocument,
}

/// A document that cloud-init reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CloudinitDocument {
    /// User, keys, host name.
    User,
    /// Addresses of the network cards.
    Network,
    /// What tells one configuration from another.
    Meta,
}

/// How to suspend a virtual machine.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmSuspendParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Save its state and stop it; its next start goes on from there. Otherwise it is paused.
    pub todisk: Option<bool>,
    /// Storage for the state (default: the one of the first disk).
    pub statestorage: Option<StorageId>,
}

endpoints! {
    /// Lists the virtual machines that the caller may see.
    VmList: Get "/nodes/{node}/qemu" {
        params: VmQuery,
        output: Vec<GuestStatus>,
        permission: Permission::AnyUser,
        cli: "vm list",
    }

    /// Creates a virtual machine.
    VmCreate: Post "/nodes/{node}/qemu" {
        params: VmNew,
        output: Upid,
        permission: CREATE,
        kind: Task,
        cli: "vm create",
    }

    /// Deletes a virtual machine with its disks.
    VmDelete: Delete "/nodes/{node}/qemu/{vmid}" {
        params: GuestDelete,
        output: Upid,
        permission: perm("/vms/{vmid}", &[VmAllocate]),
        kind: Task,
        cli: "vm delete",
    }

    /// Shows the configuration of a virtual machine.
    VmConfigGet: Get "/nodes/{node}/qemu/{vmid}/config" {
        params: ConfigQuery,
        output: WithDigest<QemuConfig>,
        permission: AUDIT,
        cli: "vm config",
    }

    /// Changes the configuration of a virtual machine and waits until that is done.
    VmConfigPut: Put "/nodes/{node}/qemu/{vmid}/config" {
        params: ConfigChange<QemuConfig>,
        output: (),
        permission: CONFIG,
        cli: "vm set",
    }

    /// Changes the configuration of a virtual machine as a task.
    VmConfigPost: Post "/nodes/{node}/qemu/{vmid}/config" {
        params: ConfigChange<QemuConfig>,
        output: Upid,
        permission: CONFIG,
        kind: Task,
    }

    /// Shows which settings of a virtual machine wait for its next start.
    VmPending: Get "/nodes/{node}/qemu/{vmid}/pending" {
        params: GuestPath,
        output: Vec<PendingEntry>,
        permission: AUDIT,
        cli: "vm pending",
    }

    /// Shows state and figures of a virtual machine.
    VmCurrent: Get "/nodes/{node}/qemu/{vmid}/status/current" {
        params: GuestPath,
        output: GuestCurrent,
        permission: AUDIT,
        cli: "vm status",
    }

    /// Starts a virtual machine.
    VmStart: Post "/nodes/{node}/qemu/{vmid}/status/start" {
        params: GuestStart,
        output: Upid,
        permission: POWER,
        kind: Task,
        cli: "vm start",
    }

    /// Stops a virtual machine at once, as pulling its plug would.
    VmStop: Post "/nodes/{node}/qemu/{vmid}/status/stop" {
        params: GuestStop,
        output: Upid,
        permission: POWER,
        kind: Task,
        cli: "vm stop",
    }

    /// Asks a virtual machine to shut down and waits for it.
    VmShutdown: Post "/nodes/{node}/qemu/{vmid}/status/shutdown" {
        params: GuestShutdown,
        output: Upid,
        permission: POWER,
        kind: Task,
        cli: "vm shutdown",
    }

    /// Shuts a virtual machine down and starts it again, with settings that waited.
    VmReboot: Post "/nodes/{node}/qemu/{vmid}/status/reboot" {
        params: GuestStart,
        output: Upid,
        permission: POWER,
        kind: Task,
        cli: "vm reboot",
    }

    /// Resets a virtual machine as its reset button would.
    VmReset: Post "/nodes/{node}/qemu/{vmid}/status/reset" {
        params: GuestPath,
        output: Upid,
        permission: POWER,
        kind: Task,
        cli: "vm reset",
    }

    /// Pauses a virtual machine, or saves its state to a volume and stops it.
    VmSuspend: Post "/nodes/{node}/qemu/{vmid}/status/suspend" {
        params: VmSuspendParams,
        output: Upid,
        permission: POWER,
        kind: Task,
        cli: "vm suspend",
    }

    /// Lets a paused or suspended virtual machine go on.
    VmResume: Post "/nodes/{node}/qemu/{vmid}/status/resume" {
        params: GuestPath,
        output: Upid,
        permission: POWER,
        kind: Task,
        cli: "vm resume",
    }

    /// Makes a disk of a virtual machine larger, while it runs or not.
    VmResize: Put "/nodes/{node}/qemu/{vmid}/resize" {
        params: GuestResize,
        output: Upid,
        permission: DISK,
        kind: Task,
        cli: "vm resize",
    }

    /// Takes disks away from a virtual machine.
    ///
    /// Volumes that were in use stay as unused ones, unless `force` is set; unused ones are removed.
    VmUnlink: Put "/nodes/{node}/qemu/{vmid}/unlink" {
        params: VmUnlinkParams,
        output: (),
        permission: DISK,
        cli: "vm unlink",
    }

    /// Shows what a virtual machine tells cloud-init, and what of it waits for the next start.
    VmCloudinitGet: Get "/nodes/{node}/qemu/{vmid}/cloudinit" {
        params: GuestPath,
        output: Vec<PendingEntry>,
        permission: AUDIT,
        cli: "vm cloudinit-pending",
    }

    /// Writes the disc of cloud-init anew and puts it into the drive of a virtual machine that runs.
    VmCloudinitPut: Put "/nodes/{node}/qemu/{vmid}/cloudinit" {
        params: GuestPath,
        output: (),
        permission: perm("/vms/{vmid}", &[VmConfigCloudinit]),
        cli: "vm cloudinit-update",
    }

    /// Shows a document that cloud-init reads in a virtual machine, without the password.
    VmCloudinitDump: Get "/nodes/{node}/qemu/{vmid}/cloudinit/dump" {
        params: VmCloudinitDumpParams,
        output: String,
        permission: AUDIT,
        cli: "vm cloudinit-dump",
    }

    /// Types a combination of keys at the screen of a running virtual machine.
    VmSendkey: Put "/nodes/{node}/qemu/{vmid}/sendkey" {
        params: VmSendkeyParams,
        output: (),
        permission: CONSOLE,
        cli: "vm sendkey",
    }

    /// Prepares the serial console of a virtual machine.
    VmTermproxy: Post "/nodes/{node}/qemu/{vmid}/termproxy" {
        params: VmTermproxyParams,
        output: ConsoleTicket,
        permission: CONSOLE,
    }

    /// Prepares the graphical console of a virtual machine.
    VmVncproxy: Post "/nodes/{node}/qemu/{vmid}/vncproxy" {
        params: VmVncproxyParams,
        output: ScreenTicket,
        permission: CONSOLE,
    }

    /// Opens the websocket of a console that was prepared.
    VmWebsocket: Get "/nodes/{node}/qemu/{vmid}/vncwebsocket" {
        params: ConsoleSocket,
        output: (),
        permission: CONSOLE,
        kind: Console,
    }
}
