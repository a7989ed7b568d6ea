//! Types that the declarations of virtual machines and containers share.

use basalt_model::storage::SnapshotName;
use basalt_model::vmid::Vmid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A guest of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuestPath {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
}

/// Start of a guest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GuestStart {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Seconds to wait for the start.
    pub timeout: Option<u32>,
}

/// Stop of a guest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct GuestStop {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Seconds to wait for the stop.
    pub timeout: Option<u32>,
    /// End a shutdown of the guest that is under way.
    pub overrule_shutdown: Option<bool>,
}

/// Shutdown of a guest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GuestShutdown {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Seconds to wait for the guest (default 180 for a virtual machine, 60 for a container).
    pub timeout: Option<u32>,
    /// Stop the guest when it has not shut down in time.
    #[serde(rename = "forceStop")]
    pub force_stop: Option<bool>,
}

/// Removal of a guest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct GuestDelete {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Also remove what else names the guest. Permissions on it and its place in a pool go in
    /// any case.
    pub purge: Option<bool>,
    /// Also remove volumes of the guest that its configuration does not name.
    pub destroy_unreferenced_disks: Option<bool>,
    /// Stop the guest first if it runs.
    pub force: Option<bool>,
}

/// Which disk grows, and to what size.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GuestResize {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// The disk, e.g. `virtio0`; of a container `rootfs`.
    pub disk: String,
    /// Its new size, `32G`, or what is added to it, `+4G`.
    pub size: String,
    /// Refuse if the configuration has another digest.
    pub digest: Option<String>,
}

/// Which configuration to read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConfigQuery {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// The configuration that runs, rather than the one of the next start.
    pub current: Option<bool>,
    /// The configuration of this snapshot.
    pub snapshot: Option<SnapshotName>,
}

/// A configuration with its digest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WithDigest<C> {
    /// Changes whenever the configuration does; give it back with a change to be sure that
    /// nobody changed it in between.
    pub digest: String,
    /// The configuration.
    #[serde(flatten)]
    pub config: C,
}

/// A change of a configuration.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConfigChange<C> {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// Settings to remove, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub delete: Option<String>,
    /// Refuse the change if the configuration has another digest.
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
    /// Settings to set.
    #[serde(flatten)]
    pub config: C,
}

/// One setting, with the value that the next start brings.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PendingEntry {
    /// Name of the setting.
    pub key: String,
    /// Value that runs.
    pub value: Option<String>,
    /// Value after the next start.
    pub pending: Option<String>,
    /// 1 when the next start removes it.
    pub delete: Option<u8>,
}

/// Whether a guest runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GuestState {
    /// It runs.
    Running,
    /// It does not.
    Stopped,
}

/// What the balloon of a virtual machine tells. The guest is the author of most of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BalloonInfo {
    /// Bytes that the guest has.
    pub actual: u64,
    /// Bytes that it can have at most.
    pub max_mem: u64,
    /// Bytes that it does not use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_mem: Option<u64>,
    /// Bytes that its kernel sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_mem: Option<u64>,
    /// Bytes read from its swap space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_swapped_in: Option<u64>,
    /// Bytes written to its swap space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_swapped_out: Option<u64>,
    /// Page faults that took a disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major_page_faults: Option<u64>,
    /// Other page faults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor_page_faults: Option<u64>,
    /// When the guest said so, in seconds since 1970; 0 when it never did.
    pub last_update: u64,
}

/// State and figures of a guest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GuestStatus {
    /// Number.
    pub vmid: Vmid,
    /// Name.
    pub name: String,
    /// Whether it runs.
    pub status: GuestState,
    /// Finer state of a virtual machine: running, paused, stopped, io-error or guest-panicked.
    pub qmpstatus: Option<String>,
    /// `lxc` for a container.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Cores.
    pub cpus: f64,
    /// Load, as a part of `cpus` from 0 to 1.
    pub cpu: f64,
    /// Memory limit in bytes.
    pub maxmem: u64,
    /// Memory in use in bytes.
    pub mem: u64,
    /// Memory that its guest does not use in bytes, if it tells; virtual machines only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freemem: Option<u64>,
    /// Memory that its balloon leaves it in bytes; virtual machines only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balloon: Option<u64>,
    /// What its balloon tells; virtual machines only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ballooninfo: Option<BalloonInfo>,
    /// Swap limit in bytes; containers only.
    pub maxswap: Option<u64>,
    /// Swap in use in bytes; containers only.
    pub swap: Option<u64>,
    /// Size of the first disk in bytes.
    pub maxdisk: u64,
    /// Space in use on it in bytes, where that is known.
    pub disk: u64,
    /// Bytes read from disks since the start.
    pub diskread: u64,
    /// Bytes written to disks since the start.
    pub diskwrite: u64,
    /// Bytes received since the start.
    pub netin: u64,
    /// Bytes sent since the start.
    pub netout: u64,
    /// Seconds since the start; 0 when stopped.
    pub uptime: u64,
    /// Process of the guest on the node.
    pub pid: Option<u32>,
    /// What holds the guest, e.g. `create`.
    pub lock: Option<String>,
    /// Tags, separated by ';'.
    pub tags: Option<String>,
    /// Whether it is a template.
    pub template: Option<bool>,
    /// Whether the guest has a serial console; virtual machines only.
    pub serial: Option<bool>,
}

/// State and figures of one guest, with what concerns the cluster.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GuestCurrent {
    /// State and figures.
    #[serde(flatten)]
    pub status: GuestStatus,
    /// High availability of the guest.
    pub ha: HaState,
}

/// High availability of a guest.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct HaState {
    /// Whether it is managed.
    pub managed: bool,
}

/// A console that waits for its websocket.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleTicket {
    /// The caller.
    pub user: String,
    /// Goes into `vncticket` of the websocket and into its first line; valid for 40 seconds.
    pub ticket: String,
    /// Goes into `port` of the websocket.
    pub port: u16,
    /// The task of the console.
    pub upid: basalt_model::upid::Upid,
}

/// A graphical console that waits for its websocket.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct ScreenTicket {
    /// The caller.
    pub user: String,
    /// Goes into `vncticket` of the websocket; valid for 40 seconds. It is the password for VNC,
    /// too, unless one was generated.
    pub ticket: String,
    /// The password for VNC, if one was to be generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The certificate of the node, in PEM.
    pub cert: String,
    /// Goes into `port` of the websocket.
    pub port: u16,
    /// The task of the console.
    pub upid: basalt_model::upid::Upid,
}

/// The websocket of a console.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleSocket {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// From the console's ticket.
    #[schemars(range(min = 5900, max = 5999))]
    pub port: u16,
    /// From the console's ticket.
    #[schemars(length(max = 512))]
    pub vncticket: String,
}
