//! Nodes: the machines themselves.

use super::{NoParams, NodePath};
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{SysAudit, SysModify, SysPowerMgmt};
use basalt_model::acme::NodeAcme;
use basalt_model::guest::HostShutdown;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

const AUDIT: Permission = perm("/nodes/{node}", &[SysAudit]);
const MODIFY: Permission = perm("/nodes/{node}", &[SysModify]);

/// Settings of a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct NodeConfig {
    /// What happens to running virtual machines that do not say themselves when the node goes
    /// down (default: they are shut down).
    pub on_host_shutdown: Option<HostShutdown>,
    /// Free text about the node.
    #[schemars(length(max = 65536))]
    pub description: Option<String>,
    /// The certificate that the node orders.
    #[serde(flatten)]
    pub acme: NodeAcme,
}

/// Which settings of a node to show.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NodeConfigQuery {
    /// Name of the node.
    pub node: String,
    /// Only this one.
    #[schemars(extend("enum" = [
        "acme", "acmedomain0", "acmedomain1", "acmedomain2", "acmedomain3", "acmedomain4",
        "acmedomain5", "description", "on-host-shutdown",
    ]))]
    pub property: Option<String>,
}

/// Settings of a node as they are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NodeConfigShown {
    /// The settings.
    #[serde(flatten)]
    pub config: NodeConfig,
    /// Changes whenever the settings do; give it back with a change to be sure that nobody changed
    /// them in between.
    pub digest: Option<String>,
}

/// Settings of a node to change; what is absent stays.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NodeConfigSet {
    /// Name of the node.
    pub node: String,
    /// Settings to set.
    #[serde(flatten)]
    pub config: NodeConfig,
    /// Settings to put back to their defaults, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub delete: Option<String>,
    /// Refuse the change if the settings have another digest.
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
}

/// A child of a folder of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Child {
    /// Name.
    pub subdir: String,
}

/// Whether a node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It answers.
    Online,
    /// It does not.
    Offline,
}

/// A node in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeEntry {
    /// Name.
    pub node: String,
    /// Always `node`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `node/` and the name.
    pub id: String,
    /// Whether it answers.
    pub status: NodeState,
    /// Load, as a part of `maxcpu` from 0 to 1.
    pub cpu: f64,
    /// Logical processors.
    pub maxcpu: u64,
    /// Memory in use in bytes.
    pub mem: u64,
    /// Memory in bytes.
    pub maxmem: u64,
    /// Bytes in use on the data partition.
    pub disk: u64,
    /// Size of the data partition in bytes.
    pub maxdisk: u64,
    /// Seconds since the boot.
    pub uptime: u64,
    /// Level of support; empty.
    pub level: String,
    /// SHA-256 of the certificate.
    pub ssl_fingerprint: Option<String>,
}

/// Bytes in use and in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// In all.
    pub total: u64,
    /// In use.
    pub used: u64,
    /// Free.
    pub free: u64,
    /// Free for new use, caches counted.
    pub available: Option<u64>,
    /// Free for ordinary users, for a file system.
    pub avail: Option<u64>,
}

/// The processors of a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CpuInfo {
    /// Model name.
    pub model: String,
    /// Sockets.
    pub sockets: u64,
    /// Cores in all.
    pub cores: u64,
    /// Logical processors.
    pub cpus: u64,
    /// Clock rate in MHz.
    pub mhz: String,
    /// Flags, separated by blanks.
    pub flags: String,
    /// Virtualization the processors offer: 1 when any.
    pub hvm: String,
}

/// The kernel of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KernelInfo {
    /// Machine, e.g. `x86_64`.
    pub machine: String,
    /// Release, as `uname -r` shows.
    pub release: String,
    /// System, `Linux`.
    pub sysname: String,
    /// Version, as `uname -v` shows.
    pub version: String,
}

/// How a node booted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BootInfo {
    /// `efi` or `legacy-bios`.
    pub mode: String,
    /// Whether secure boot is on.
    pub secureboot: Option<bool>,
}

/// State and figures of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct NodeStatus {
    /// Load from 0 to 1.
    pub cpu: f64,
    /// Part of the time spent waiting for disks, from 0 to 1.
    pub wait: f64,
    /// Processors.
    pub cpuinfo: CpuInfo,
    /// Load averages over 1, 5 and 15 minutes.
    pub loadavg: Vec<String>,
    /// Memory.
    pub memory: Usage,
    /// Swap space.
    pub swap: Usage,
    /// The data partition, which holds all that can change.
    pub rootfs: Usage,
    /// Seconds since the boot.
    pub uptime: u64,
    /// Bytes received on all network cards since the boot.
    pub netin: u64,
    /// Bytes sent on all network cards since the boot.
    pub netout: u64,
    /// Name and version of the kernel.
    pub kversion: String,
    /// The kernel.
    pub current_kernel: KernelInfo,
    /// Name and version of the product.
    pub pveversion: String,
    /// How it booted.
    pub boot_info: BootInfo,
    /// The mirror of its system disks, when it has two.
    pub mirror: Option<MirrorInfo>,
}

/// The mirror of a node's system disks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MirrorInfo {
    /// Whether both disks have everything.
    pub whole: bool,
    /// The same in words.
    pub text: String,
    /// How much of a disk that is being brought up to date is done.
    pub percent: Option<u8>,
    /// Its members.
    pub members: Vec<MirrorMember>,
}

/// A member of the mirror of a node's system disks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MirrorMember {
    /// The partition.
    pub device: String,
    /// `whole`, `recovering` or `failed`.
    pub state: String,
}

/// What to do with a node.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NodeCommand {
    /// Name of the node.
    pub node: String,
    /// What to do.
    pub command: PowerCommand,
}

/// What to do with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PowerCommand {
    /// Start it anew.
    Reboot,
    /// Switch it off.
    Shutdown,
}

/// The time of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeTime {
    /// Time zone.
    pub timezone: String,
    /// Seconds since 1970.
    pub time: u64,
    /// Seconds since 1970 as if the local time were universal time.
    pub localtime: u64,
}

/// A changed time of a node.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NodeTimeSet {
    /// Name of the node.
    pub node: String,
    /// Time zone, e.g. `Europe/Berlin`.
    #[schemars(length(max = 64))]
    pub timezone: String,
}

/// Name servers of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeDns {
    /// Domain that short names are searched in.
    pub search: Option<String>,
    /// First name server.
    pub dns1: Option<String>,
    /// Second name server.
    pub dns2: Option<String>,
    /// Third name server.
    pub dns3: Option<String>,
}

/// Changed name servers of a node. All of them are set: what is absent is none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NodeDnsSet {
    /// Name of the node.
    pub node: String,
    /// Domain that short names are searched in.
    #[schemars(length(max = 253))]
    pub search: String,
    /// Address of the first name server.
    pub dns1: Option<IpAddr>,
    /// Address of the second name server.
    pub dns2: Option<IpAddr>,
    /// Address of the third name server.
    pub dns3: Option<IpAddr>,
}

/// Support contract; Basalt knows none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subscription {
    /// Always `notfound`.
    pub status: String,
    /// What that means.
    pub message: String,
}

/// Which network interfaces to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NetworkQuery {
    /// Name of the node.
    pub node: String,
    /// Only this kind; `any_bridge` is every kind of bridge.
    #[serde(rename = "type")]
    pub kind: Option<NetworkFilter>,
}

/// A network interface of a node by its name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NetworkPath {
    /// Name of the node.
    pub node: String,
    /// Name of the interface.
    #[schemars(length(min = 2, max = 20))]
    pub iface: String,
}

/// Kinds of network interface to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkFilter {
    /// Bridges.
    Bridge,
    /// Every kind of bridge.
    AnyBridge,
    /// Every kind of bridge that is no virtual network.
    AnyLocalBridge,
    /// Network cards.
    Eth,
    /// Bonds.
    Bond,
    /// VLANs.
    Vlan,
}

/// A network interface of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkInterface {
    /// Name.
    pub iface: String,
    /// Kind: eth, bridge, bond or vlan.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is up.
    pub active: bool,
    /// Whether it comes up with the host.
    pub autostart: bool,
    /// Whether the hardware is there.
    pub exists: Option<bool>,
    /// How it gets its IPv4 address: static, dhcp or manual.
    pub method: String,
    /// How it gets its IPv6 address.
    pub method6: String,
    /// IPv4 address.
    pub address: Option<String>,
    /// IPv4 prefix length.
    pub netmask: Option<String>,
    /// IPv4 address with prefix length.
    pub cidr: Option<String>,
    /// IPv4 gateway.
    pub gateway: Option<String>,
    /// IPv6 address.
    pub address6: Option<String>,
    /// IPv6 prefix length.
    pub netmask6: Option<u8>,
    /// IPv6 address with prefix length.
    pub cidr6: Option<String>,
    /// IPv6 gateway.
    pub gateway6: Option<String>,
    /// Members of a bridge, separated by blanks.
    pub bridge_ports: Option<String>,
    /// Hardware address.
    pub hwaddr: Option<String>,
    /// Families it is configured for.
    pub families: Vec<String>,
    /// Place in the list.
    pub priority: u32,
}

endpoints! {
    /// Lists the nodes.
    NodeList: Get "/nodes" {
        params: NoParams,
        output: Vec<NodeEntry>,
        permission: Permission::AnyUser,
        cli: "node list",
    }

    /// Shows what there is about a node.
    NodeIndex: Get "/nodes/{node}" {
        params: NodePath,
        output: Vec<Child>,
        permission: Permission::AnyUser,
    }

    /// Shows state and figures of a node.
    NodeStatusGet: Get "/nodes/{node}/status" {
        params: NodePath,
        output: NodeStatus,
        permission: AUDIT,
        cli: "node status",
    }

    /// Shows the settings of a node.
    NodeConfigGet: Get "/nodes/{node}/config" {
        params: NodeConfigQuery,
        output: NodeConfigShown,
        permission: AUDIT,
        cli: "node config",
    }

    /// Changes the settings of a node.
    NodeConfigPut: Put "/nodes/{node}/config" {
        params: NodeConfigSet,
        output: (),
        permission: MODIFY,
        cli: "node set",
    }

    /// Reboots a node or switches it off.
    NodePower: Post "/nodes/{node}/status" {
        params: NodeCommand,
        output: (),
        permission: perm("/nodes/{node}", &[SysPowerMgmt]),
        cli: "node power",
    }

    /// Shows the time of a node.
    NodeTimeGet: Get "/nodes/{node}/time" {
        params: NodePath,
        output: NodeTime,
        permission: AUDIT,
        cli: "node time",
    }

    /// Sets the time zone of a node.
    NodeTimePut: Put "/nodes/{node}/time" {
        params: NodeTimeSet,
        output: (),
        permission: MODIFY,
        cli: "node timezone",
    }

    /// Shows the name servers of a node.
    NodeDnsGet: Get "/nodes/{node}/dns" {
        params: NodePath,
        output: NodeDns,
        permission: AUDIT,
        cli: "node dns",
    }

    /// Sets the name servers of a node and the domain that it searches.
    NodeDnsPut: Put "/nodes/{node}/dns" {
        params: NodeDnsSet,
        output: (),
        permission: MODIFY,
        cli: "node nameservers",
    }

    /// Says that there is no support contract.
    NodeSubscription: Get "/nodes/{node}/subscription" {
        params: NodePath,
        output: Subscription,
        permission: Permission::AnyUser,
    }

    /// Lists the network interfaces of a node.
    NetworkList: Get "/nodes/{node}/network" {
        params: NetworkQuery,
        output: Vec<NetworkInterface>,
        permission: Permission::AnyUser,
        cli: "network list",
    }

    /// Shows a network interface of a node.
    NetworkGet: Get "/nodes/{node}/network/{iface}" {
        params: NetworkPath,
        output: NetworkInterface,
        permission: AUDIT,
        cli: "network show",
    }
}
