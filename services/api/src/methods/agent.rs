//! The guest agent of a virtual machine.

use super::guest::GuestPath;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{
    VmGuestAgentAudit, VmGuestAgentFileRead, VmGuestAgentFileSystemMgmt, VmGuestAgentFileWrite,
    VmGuestAgentUnrestricted, VmPowerMgmt,
};
use basalt_model::vmid::Vmid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const LOOK: Permission = perm(
    "/vms/{vmid}",
    &[VmGuestAgentAudit, VmGuestAgentUnrestricted],
);
const FILE_SYSTEMS: Permission = perm(
    "/vms/{vmid}",
    &[VmGuestAgentFileSystemMgmt, VmGuestAgentUnrestricted],
);
const FREEZE_STATUS: Permission = perm(
    "/vms/{vmid}",
    &[
        VmGuestAgentAudit,
        VmGuestAgentFileSystemMgmt,
        VmGuestAgentUnrestricted,
    ],
);
const POWER: Permission = perm("/vms/{vmid}", &[VmPowerMgmt, VmGuestAgentUnrestricted]);
const READ: Permission = perm(
    "/vms/{vmid}",
    &[VmGuestAgentFileRead, VmGuestAgentUnrestricted],
);
const WRITE: Permission = perm(
    "/vms/{vmid}",
    &[VmGuestAgentFileWrite, VmGuestAgentUnrestricted],
);
const ANYTHING: Permission = perm("/vms/{vmid}", &[VmGuestAgentUnrestricted]);

/// What the agent answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentResult {
    /// As the agent said it; the guest is its author.
    pub result: Value,
}

/// A command of the agent that takes no arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentCommand {
    /// Stops writing to all file systems.
    FsfreezeFreeze,
    /// Whether file systems are frozen.
    FsfreezeStatus,
    /// Lets file systems be written again.
    FsfreezeThaw,
    /// Gives unused blocks of file systems back.
    Fstrim,
    /// File systems.
    GetFsinfo,
    /// Name.
    GetHostName,
    /// Size of a block of memory.
    GetMemoryBlockInfo,
    /// Blocks of memory.
    GetMemoryBlocks,
    /// Operating system.
    GetOsinfo,
    /// Time.
    GetTime,
    /// Time zone.
    GetTimezone,
    /// Who is logged in.
    GetUsers,
    /// Processors.
    GetVcpus,
    /// Version and commands of the agent.
    Info,
    /// Network interfaces.
    NetworkGetInterfaces,
    /// Whether the agent is there.
    Ping,
    /// Switches the guest off.
    Shutdown,
    /// Suspends the guest to its own disk.
    SuspendDisk,
    /// Suspends the guest to memory and disk.
    SuspendHybrid,
    /// Suspends the guest to memory.
    SuspendRam,
}

/// Which command to have done.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmAgentParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// The command.
    pub command: AgentCommand,
}

/// A program to run in the guest.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct VmAgentExecParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What the program reads.
    #[schemars(length(max = 65536))]
    pub input_data: Option<String>,
}

/// A program that was started in the guest.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct AgentExecuted {
    /// Its process number in the guest.
    pub pid: i64,
}

/// Which program to ask for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmAgentExecStatusParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Its process number in the guest.
    pub pid: i64,
}

/// What became of a program.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AgentFinished {
    /// Whether it has ended.
    pub exited: bool,
    /// Its exit status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exitcode: Option<i64>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i64>,
    /// What it printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_data: Option<String>,
    /// What it printed as errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_data: Option<String>,
    /// Whether some of what it printed is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_truncated: Option<bool>,
    /// Whether some of the errors is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_truncated: Option<bool>,
}

/// Which part of a file to read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmAgentFileReadParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Path of the file in the guest.
    pub file: String,
    /// Most bytes to read (default 16 MiB).
    #[schemars(range(min = 1, max = 16777216))]
    pub count: Option<u64>,
    /// Where in the file to begin, in bytes.
    pub offset: Option<u64>,
    /// Give the content as text (default); otherwise in base64.
    pub decode: Option<bool>,
}

/// A part of a file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AgentFile {
    /// The content; in text, what is no UTF-8 is replaced.
    pub content: String,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Whether the file goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
}

/// What to write to a file.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmAgentFileWriteParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Path of the file in the guest.
    pub file: String,
    /// What it will hold.
    #[schemars(length(max = 61440))]
    pub content: String,
    /// The content is text (default); otherwise it is base64.
    pub encode: Option<bool>,
}

/// A new password.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct VmAgentPasswordParams {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// The user in the guest.
    pub username: String,
    /// The password.
    #[schemars(length(min = 5, max = 1024))]
    pub password: String,
    /// The password is as the guest's system stores it (default off).
    pub crypted: Option<bool>,
}

endpoints! {
    /// Has the guest agent do a command that takes no arguments.
    VmAgent: Post "/nodes/{node}/qemu/{vmid}/agent" {
        params: VmAgentParams,
        output: AgentResult,
        permission: ANYTHING,
        cli: "vm agent",
    }

    /// Checks that the guest agent answers.
    VmAgentPing: Post "/nodes/{node}/qemu/{vmid}/agent/ping" {
        params: GuestPath,
        output: AgentResult,
        permission: LOOK,
    }

    /// Shows version and commands of the guest agent.
    VmAgentInfo: Get "/nodes/{node}/qemu/{vmid}/agent/info" {
        params: GuestPath,
        output: AgentResult,
        permission: LOOK,
    }

    /// Shows the guest's network interfaces with their addresses.
    VmAgentInterfaces: Get "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces" {
        params: GuestPath,
        output: AgentResult,
        permission: LOOK,
    }

    /// Shows the guest's file systems.
    VmAgentFsinfo: Get "/nodes/{node}/qemu/{vmid}/agent/get-fsinfo" {
        params: GuestPath,
        output: AgentResult,
        permission: LOOK,
    }

    /// Shows the guest's operating system.
    VmAgentOsinfo: Get "/nodes/{node}/qemu/{vmid}/agent/get-osinfo" {
        params: GuestPath,
        output: AgentResult,
        permission: LOOK,
    }

    /// Shows the guest's name.
    VmAgentHostName: Get "/nodes/{node}/qemu/{vmid}/agent/get-host-name" {
        params: GuestPath,
        output: AgentResult,
        permission: LOOK,
    }

    /// Shows the guest's time in nanoseconds since 1970.
    VmAgentTime: Get "/nodes/{node}/qemu/{vmid}/agent/get-time" {
        params: GuestPath,
        output: AgentResult,
        permission: LOOK,
    }

    /// Shows the guest's time zone.
    VmAgentTimezone: Get "/nodes/{node}/qemu/{vmid}/agent/get-timezone" {
        params: GuestPath,
        output: AgentResult,
        permission: LOOK,
    }

    /// Shows who is logged in to the guest.
    VmAgentUsers: Get "/nodes/{node}/qemu/{vmid}/agent/get-users" {
        params: GuestPath,
        output: AgentResult,
        permission: LOOK,
    }

    /// Shows the guest's processors.
    VmAgentVcpus: Get "/nodes/{node}/qemu/{vmid}/agent/get-vcpus" {
        params: GuestPath,
        output: AgentResult,
        permission: LOOK,
    }

    /// Shows the guest's blocks of memory.
    VmAgentMemoryBlocks: Get "/nodes/{node}/qemu/{vmid}/agent/get-memory-blocks" {
        params: GuestPath,
        output: AgentResult,
        permission: LOOK,
    }

    /// Shows the size of the guest's blocks of memory.
    VmAgentMemoryBlockInfo: Get "/nodes/{node}/qemu/{vmid}/agent/get-memory-block-info" {
        params: GuestPath,
        output: AgentResult,
        permission: LOOK,
    }

    /// Freezes the guest's file systems, so that a copy of its disks is consistent.
    VmAgentFreeze: Post "/nodes/{node}/qemu/{vmid}/agent/fsfreeze-freeze" {
        params: GuestPath,
        output: AgentResult,
        permission: FILE_SYSTEMS,
    }

    /// Shows whether the guest's file systems are frozen.
    VmAgentFreezeStatus: Post "/nodes/{node}/qemu/{vmid}/agent/fsfreeze-status" {
        params: GuestPath,
        output: AgentResult,
        permission: FREEZE_STATUS,
    }

    /// Thaws the guest's file systems.
    VmAgentThaw: Post "/nodes/{node}/qemu/{vmid}/agent/fsfreeze-thaw" {
        params: GuestPath,
        output: AgentResult,
        permission: FILE_SYSTEMS,
    }

    /// Has the guest give unused blocks of its file systems back.
    VmAgentTrim: Post "/nodes/{node}/qemu/{vmid}/agent/fstrim" {
        params: GuestPath,
        output: AgentResult,
        permission: FILE_SYSTEMS,
    }

    /// Has the guest switch itself off.
    VmAgentShutdown: Post "/nodes/{node}/qemu/{vmid}/agent/shutdown" {
        params: GuestPath,
        output: AgentResult,
        permission: POWER,
    }

    /// Has the guest suspend itself to its own disk.
    VmAgentSuspendDisk: Post "/nodes/{node}/qemu/{vmid}/agent/suspend-disk" {
        params: GuestPath,
        output: AgentResult,
        permission: POWER,
    }

    /// Has the guest suspend itself to memory and disk.
    VmAgentSuspendHybrid: Post "/nodes/{node}/qemu/{vmid}/agent/suspend-hybrid" {
        params: GuestPath,
        output: AgentResult,
        permission: POWER,
    }

    /// Has the guest suspend itself to memory.
    VmAgentSuspendRam: Post "/nodes/{node}/qemu/{vmid}/agent/suspend-ram" {
        params: GuestPath,
        output: AgentResult,
        permission: POWER,
    }

    /// Starts a program in the guest.
    VmAgentExec: Post "/nodes/{node}/qemu/{vmid}/agent/exec" {
        params: VmAgentExecParams,
        output: AgentExecuted,
        permission: ANYTHING,
        cli: "vm exec",
    }

    /// Shows what became of a program that was started in the guest, and what it printed.
    VmAgentExecStatus: Get "/nodes/{node}/qemu/{vmid}/agent/exec-status" {
        params: VmAgentExecStatusParams,
        output: AgentFinished,
        permission: ANYTHING,
        cli: "vm exec-status",
    }

    /// Reads a file of the guest.
    VmAgentFileRead: Get "/nodes/{node}/qemu/{vmid}/agent/file-read" {
        params: VmAgentFileReadParams,
        output: AgentFile,
        permission: READ,
    }

    /// Writes a file of the guest.
    VmAgentFileWrite: Post "/nodes/{node}/qemu/{vmid}/agent/file-write" {
        params: VmAgentFileWriteParams,
        output: (),
        permission: WRITE,
    }

    /// Gives a user of the guest another password.
    VmAgentPassword: Post "/nodes/{node}/qemu/{vmid}/agent/set-user-password" {
        params: VmAgentPasswordParams,
        output: AgentResult,
        permission: ANYTHING,
    }
}
