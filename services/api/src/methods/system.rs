//! What runs on a node besides guests, and what is written in its journal.

use super::NodePath;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{SysAudit, SysModify, SysSyslog};
use basalt_model::upid::Upid;
use basalt_model::vmid::Vmid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const AUDIT: Permission = perm("/nodes/{node}", &[SysAudit]);
const MODIFY: Permission = perm("/nodes/{node}", &[SysModify]);
const SYSLOG: Permission = perm("/nodes/{node}", &[SysSyslog]);

/// A service of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceName {
    /// What answers on port 8006.
    BasaltGateway,
    /// What does the work of the API.
    BasaltNode,
    /// The system bus.
    Dbus,
    /// The secure shell.
    Sshd,
    /// The journal.
    SystemdJournald,
    /// The host's network.
    SystemdNetworkd,
    /// Name resolution.
    SystemdResolved,
    /// The clock.
    SystemdTimesyncd,
    /// Devices.
    SystemdUdevd,
}

/// A service of a node by its name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ServicePath {
    /// Name of the node.
    pub node: String,
    /// Name of the service.
    pub service: ServiceName,
}

/// How a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceInfo {
    /// Name.
    pub name: ServiceName,
    /// Name, once more.
    pub service: ServiceName,
    /// Description.
    pub desc: String,
    /// What it does: running, exited, dead, failed, ….
    pub state: String,
    /// The same more coarsely: active, inactive, failed, ….
    pub active_state: String,
    /// Whether it starts with the host: enabled, static, disabled, ….
    pub unit_state: String,
}

/// Which part of the journal to read, by numbers of lines.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SyslogQuery {
    /// Name of the node.
    pub node: String,
    /// Number of the first line (default 0).
    pub start: Option<u64>,
    /// So many lines at most (default 50).
    #[schemars(range(max = 50000))]
    pub limit: Option<u64>,
    /// Since this local time, `YYYY-MM-DD` with or without `HH:MM` or `HH:MM:SS`.
    #[schemars(length(max = 19))]
    pub since: Option<String>,
    /// Until this local time.
    #[schemars(length(max = 19))]
    pub until: Option<String>,
    /// Only of this unit.
    #[schemars(length(max = 128))]
    pub service: Option<String>,
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyslogLine {
    /// Its number.
    pub n: u64,
    /// Its text.
    pub t: String,
}

/// Which part of the journal to read, by its own places.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct JournalQuery {
    /// Name of the node.
    pub node: String,
    /// Only the last so many entries (default 1000).
    #[schemars(range(max = 50000))]
    pub lastentries: Option<u64>,
    /// Since this second since 1970.
    pub since: Option<u64>,
    /// Until this second since 1970.
    pub until: Option<u64>,
    /// What comes after this place.
    #[schemars(length(max = 512))]
    pub startcursor: Option<String>,
    /// What comes before this place.
    #[schemars(length(max = 512))]
    pub endcursor: Option<String>,
}

/// A file of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostsFile {
    /// Its content.
    pub data: String,
    /// Changes whenever the content does.
    pub digest: String,
}

/// A changed file of host names.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HostsChange {
    /// Name of the node.
    pub node: String,
    /// Its content: an address and names in each line.
    #[schemars(length(max = 65536))]
    pub data: String,
    /// Refuse the change if the file has another digest.
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
}

/// Bytes through a card of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortTraffic {
    /// Number of the guest.
    pub vmid: Vmid,
    /// Setting of the card, e.g. `net0`.
    pub dev: String,
    /// Bytes that the guest received.
    #[serde(rename = "in")]
    pub received: u64,
    /// Bytes that the guest sent.
    #[serde(rename = "out")]
    pub sent: u64,
}

endpoints! {
    /// Lists the services of a node.
    ServiceList: Get "/nodes/{node}/services" {
        params: NodePath,
        output: Vec<ServiceInfo>,
        permission: AUDIT,
        cli: "service list",
    }

    /// Shows how a service of a node is.
    ServiceState: Get "/nodes/{node}/services/{service}/state" {
        params: ServicePath,
        output: ServiceInfo,
        permission: AUDIT,
        cli: "service status",
    }

    /// Starts a service of a node.
    ServiceStart: Post "/nodes/{node}/services/{service}/start" {
        params: ServicePath,
        output: Upid,
        permission: MODIFY,
        kind: Task,
        cli: "service start",
    }

    /// Stops a service of a node, if the node can be reached without it.
    ServiceStop: Post "/nodes/{node}/services/{service}/stop" {
        params: ServicePath,
        output: Upid,
        permission: MODIFY,
        kind: Task,
        cli: "service stop",
    }

    /// Stops a service of a node and starts it again.
    ServiceRestart: Post "/nodes/{node}/services/{service}/restart" {
        params: ServicePath,
        output: Upid,
        permission: MODIFY,
        kind: Task,
        cli: "service restart",
    }

    /// Lets a service of a node read its configuration again.
    ServiceReload: Post "/nodes/{node}/services/{service}/reload" {
        params: ServicePath,
        output: Upid,
        permission: MODIFY,
        kind: Task,
        cli: "service reload",
    }

    /// Reads the journal of a node line by line.
    SyslogRead: Get "/nodes/{node}/syslog" {
        params: SyslogQuery,
        output: Vec<SyslogLine>,
        permission: SYSLOG,
        cli: "node syslog",
    }

    /// Reads the journal of a node from place to place.
    ///
    /// The first line of the answer is the place where it begins, the last one where it ends; both
    /// can be given to the next call.
    JournalRead: Get "/nodes/{node}/journal" {
        params: JournalQuery,
        output: Vec<String>,
        permission: SYSLOG,
        cli: "node journal",
    }

    /// Shows the file of host names of a node.
    HostsGet: Get "/nodes/{node}/hosts" {
        params: NodePath,
        output: HostsFile,
        permission: perm("/", &[SysAudit]),
        cli: "node hosts",
    }

    /// Replaces the file of host names of a node.
    HostsSet: Post "/nodes/{node}/hosts" {
        params: HostsChange,
        output: (),
        permission: MODIFY,
        cli: "node hosts-set",
    }

    /// Describes a node in one text: for whoever looks for a fault.
    NodeReport: Get "/nodes/{node}/report" {
        params: NodePath,
        output: String,
        permission: AUDIT,
        cli: "node report",
    }

    /// Lists the bytes through the cards of running guests.
    NodeNetstat: Get "/nodes/{node}/netstat" {
        params: NodePath,
        output: Vec<PortTraffic>,
        permission: AUDIT,
    }
}
