//! What concerns all nodes together.

use super::NoParams;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{SysAudit, SysModify};
use basalt_model::network::MacPrefix;
use basalt_model::pool::PoolId;
use basalt_model::vmid::{NextIdRange, Vmid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which resources to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ResourceQuery {
    /// Only this kind.
    #[serde(rename = "type")]
    pub kind: Option<ResourceFilter>,
}

/// Kinds of resource to list; `vm` is both kinds of guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResourceFilter {
    /// Virtual machines and containers.
    Vm,
    /// Storages.
    Storage,
    /// Nodes.
    Node,
    /// Virtual networks; there are none.
    Sdn,
}

/// Kind of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResourceKind {
    /// A node.
    Node,
    /// A virtual machine.
    Qemu,
    /// A container.
    Lxc,
    /// A storage on a node.
    Storage,
    /// A pool.
    Pool,
}

/// A node, guest, storage or pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resource {
    /// Unique: `node/a`, `qemu/100`, `lxc/101`, `storage/a/local`, `/pool/dev`.
    pub id: String,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: ResourceKind,
    /// Node that it is on; a pool is on none.
    pub node: Option<String>,
    /// State: online, running, stopped, available, …; a pool has none.
    pub status: Option<String>,
    /// Pool of a guest, or the name of a pool.
    pub pool: Option<PoolId>,
    /// Name of a guest.
    pub name: Option<String>,
    /// Number of a guest.
    pub vmid: Option<Vmid>,
    /// Whether a guest is a template.
    pub template: Option<bool>,
    /// What holds a guest.
    pub lock: Option<String>,
    /// Tags of a guest, separated by ';'.
    pub tags: Option<String>,
    /// Load, as a part of `maxcpu` from 0 to 1.
    pub cpu: Option<f64>,
    /// Processors.
    pub maxcpu: Option<f64>,
    /// Memory in use in bytes.
    pub mem: Option<u64>,
    /// Memory in bytes.
    pub maxmem: Option<u64>,
    /// Disk space in use in bytes.
    pub disk: Option<u64>,
    /// Disk space in bytes.
    pub maxdisk: Option<u64>,
    /// Bytes read from disks since the start.
    pub diskread: Option<u64>,
    /// Bytes written to disks since the start.
    pub diskwrite: Option<u64>,
    /// Bytes received since the start.
    pub netin: Option<u64>,
    /// Bytes sent since the start.
    pub netout: Option<u64>,
    /// Seconds since the start.
    pub uptime: Option<u64>,
    /// Name of a storage.
    pub storage: Option<String>,
    /// Driver of a storage.
    pub plugintype: Option<String>,
    /// What may lie on a storage, separated by commas.
    pub content: Option<String>,
    /// Whether all nodes see the same volumes of a storage.
    pub shared: Option<bool>,
    /// Level of support of a node; empty.
    pub level: Option<String>,
}

/// A node, or the cluster itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterEntry {
    /// Name.
    pub name: String,
    /// `node/` and the name, or `cluster`.
    pub id: String,
    /// `node` or `cluster`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Number of a node.
    pub nodeid: Option<u32>,
    /// Address of a node.
    pub ip: Option<String>,
    /// Whether a node answers.
    pub online: Option<bool>,
    /// Whether this node answered the call.
    pub local: Option<bool>,
    /// Level of support; empty.
    pub level: Option<String>,
    /// Number of nodes of a cluster.
    pub nodes: Option<u32>,
    /// Whether a cluster has a majority.
    pub quorate: Option<bool>,
    /// Version of a cluster's configuration.
    pub version: Option<u32>,
}

/// A number to find free.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NextIdQuery {
    /// Only say whether this number is free.
    pub vmid: Option<Vmid>,
}

/// Options of the whole cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterOptions {
    /// Kind of console an interface should open.
    #[schemars(extend("enum" = ["applet", "vv", "html5", "xtermjs"]))]
    pub console: Option<String>,
    /// Keyboard layout that an interface should take for granted.
    #[schemars(extend("enum" = [
        "de", "de-ch", "da", "en-gb", "en-us", "es", "fi", "fr", "fr-be", "fr-ca", "fr-ch", "hu",
        "is", "it", "ja", "lt", "mk", "nl", "no", "pl", "pt", "pt-br", "sv", "sl", "tr",
    ]))]
    pub keyboard: Option<String>,
    /// Language that an interface should take for granted.
    #[schemars(extend("enum" = [
        "ar", "ca", "da", "de", "en", "es", "eu", "fa", "fr", "hr", "he", "it", "ja", "ka", "kr",
        "nb", "nl", "nn", "pl", "pt_BR", "ru", "sl", "sv", "tr", "ukr", "zh_CN", "zh_TW",
    ]))]
    pub language: Option<String>,
    /// First bytes of hardware addresses that are made up (default BC:24:11).
    pub mac_prefix: Option<MacPrefix>,
    /// Numbers to look among for a free one: `lower=100,upper=1000000`, without the upper.
    #[serde(rename = "next-id")]
    pub next_id: Option<NextIdRange>,
    /// Free text about the cluster.
    #[schemars(length(max = 65536))]
    pub description: Option<String>,
}

/// Changed options of the whole cluster.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClusterOptionsChange {
    /// Options to set.
    #[serde(flatten)]
    pub options: ClusterOptions,
    /// Options to put back to their defaults, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub delete: Option<String>,
}

/// Which entries of the log to show.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LogQuery {
    /// Most entries to show (default 50).
    #[schemars(range(min = 1, max = 10000))]
    pub max: Option<u32>,
}

/// Something that somebody did or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogEntry {
    /// Tells entries of one answer apart; the newest is 1.
    pub uid: u32,
    /// When, in seconds since 1970.
    pub time: u64,
    /// Name of the node.
    pub node: String,
    /// User or token.
    pub user: String,
    /// Severity as in syslog: 6 for what was done, 4 for what was refused or failed.
    pub pri: u8,
    /// What wrote the entry.
    pub tag: String,
    /// What was done, from which address, and why not if it was not.
    pub msg: String,
}

/// A member of the cluster's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfiguredNode {
    /// Name of the node.
    pub node: String,
}

/// Settings of the cluster by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterSettings(pub BTreeMap<String, String>);

endpoints! {
    /// Lists who changed what and who failed to log in, the newest first.
    ///
    /// Without the right to read the host's log only what the caller did.
    ClusterLog: Get "/cluster/log" {
        params: LogQuery,
        output: Vec<LogEntry>,
        permission: Permission::AnyUser,
        cli: "cluster log",
    }

    /// Lists nodes, guests, storages and pools that the caller may see, with their figures.
    ResourceList: Get "/cluster/resources" {
        params: ResourceQuery,
        output: Vec<Resource>,
        permission: Permission::AnyUser,
        cli: "resources",
    }

    /// Finds a free number for a guest.
    NextId: Get "/cluster/nextid" {
        params: NextIdQuery,
        output: String,
        permission: Permission::AnyUser,
        cli: "nextid",
    }

    /// Shows the members of the cluster.
    ClusterStatus: Get "/cluster/status" {
        params: NoParams,
        output: Vec<ClusterEntry>,
        permission: perm("/", &[SysAudit]),
        cli: "cluster status",
    }

    /// Shows the options of the whole cluster.
    ClusterOptionsGet: Get "/cluster/options" {
        params: NoParams,
        output: ClusterOptions,
        permission: Permission::AnyUser,
        cli: "cluster options",
    }

    /// Changes options of the whole cluster.
    ClusterOptionsSet: Put "/cluster/options" {
        params: ClusterOptionsChange,
        output: (),
        permission: perm("/", &[SysModify]),
        cli: "cluster set",
    }

    /// Lists the nodes of the cluster's configuration; a node that stands alone has none.
    ClusterConfigNodes: Get "/cluster/config/nodes" {
        params: NoParams,
        output: Vec<ConfiguredNode>,
        permission: perm("/", &[SysAudit]),
        cli: "cluster config nodes",
    }

    /// Shows how members of the cluster talk to one another; a node that stands alone has no settings.
    ClusterConfigTotem: Get "/cluster/config/totem" {
        params: NoParams,
        output: ClusterSettings,
        permission: perm("/", &[SysAudit]),
        cli: "cluster config totem",
    }

    /// Shows the device that votes in a cluster without a majority; a node that stands alone has none.
    ClusterConfigQdevice: Get "/cluster/config/qdevice" {
        params: NoParams,
        output: ClusterSettings,
        permission: perm("/", &[SysAudit]),
        cli: "cluster config qdevice",
    }
}
