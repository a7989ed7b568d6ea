//! What one system container is made of when it runs, and the protocol its runtime speaks.
//!
//! # How a runtime starts
//!
//! `basalt-container run` has a connected Unix stream socket as file descriptor 0. The starter
//! sends one line of JSON ([`ContainerSpec`]) with the descriptors attached (`SCM_RIGHTS`), the
//! runtime answers one line of [`crate::machine::Started`] once the container's init runs, then
//! serves [`Request`] lines on the control listener. Its own cgroup is delegated by systemd
//! (`Delegate=yes`); the container gets a child of it.

use crate::machine::Slot;
use serde::{Deserialize, Serialize};

/// Version of the protocol and of [`ContainerSpec`].
pub const PROTOCOL: u32 = 1;

/// One system container, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerSpec {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The guest's number.
    pub vmid: u32,
    /// Host name inside.
    pub hostname: String,
    /// Root file system: a directory or detached mount, owned by unshifted ids.
    pub root: Slot,
    /// Listening Unix stream socket for [`Request`] lines.
    pub control: Slot,
    /// Listening Unix stream socket of the console (raw bytes both ways; the last 64 KiB of
    /// output are replayed to a new connection).
    pub console: Slot,
    /// First host id that container root maps to, and how many follow.
    pub id_map: IdMap,
    /// CPU limit in hundredths of a core; none means all.
    #[serde(default)]
    pub cpu_limit_percent: Option<u32>,
    /// CPU weight, 1–10000 (cgroup v2 `cpu.weight`).
    pub cpu_weight: u32,
    /// Memory limit in MiB.
    pub memory_mib: u64,
    /// Swap limit in MiB.
    pub swap_mib: u64,
    /// Network cards in order.
    #[serde(default)]
    pub nics: Vec<ContainerNic>,
    /// What the container asks for names; empty leaves that to the container.
    #[serde(default)]
    pub resolver: Resolver,
}

/// What is written into a container's `resolv.conf`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolver {
    /// Addresses of name servers; the host's when there are none.
    #[serde(default)]
    pub nameservers: Vec<String>,
    /// Domains in which short names are searched.
    #[serde(default)]
    pub search: Vec<String>,
}

impl Resolver {
    /// True when nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.nameservers.is_empty() && self.search.is_empty()
    }
}

/// A contiguous range of host ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdMap {
    /// First host id.
    pub host: u32,
    /// Number of ids.
    pub count: u32,
}

/// A network card: one end of a veth pair inside, the other on a bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerNic {
    /// Name inside, e.g. `eth0`.
    pub name: String,
    /// Name of the host's end, e.g. `veth101i0`.
    pub host_name: String,
    /// Bridge of the host that the host's end joins.
    pub bridge: String,
    /// Hardware address inside.
    pub mac: [u8; 6],
    /// How the card gets its IPv4 address.
    pub ipv4: Ipv4,
}

/// How a container's card gets its IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ipv4 {
    /// The container configures the card itself; nothing is written into it.
    Manual,
    /// DHCP, by the container's own network service.
    Dhcp,
    /// A fixed address.
    Static {
        /// Address and prefix length, e.g. `192.0.2.10/24`.
        address: String,
        /// Default gateway.
        #[serde(default)]
        gateway: Option<String>,
    },
}

/// One line on the control socket, answered by one [`Response`] line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// State and statistics.
    Status,
    /// Ask init to power off (`SIGRTMIN+3` for systemd, `SIGPWR` for others).
    Shutdown,
    /// Ask init to reboot; the runtime starts the container again.
    Reboot,
    /// Tell the container the size of the console's window.
    ConsoleResize {
        /// Characters in a line.
        columns: u16,
        /// Lines.
        rows: u16,
    },
    /// Kill every process of the container and end.
    Quit,
}

/// Answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// Done.
    Ok,
    /// Answer to [`Request::Status`].
    Status(Status),
    /// Not done, and why.
    Error(String),
}

/// State and statistics of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Process id of the container's init on the host.
    pub init_pid: u32,
    /// Cgroup of the container below the unit's, absolute under /sys/fs/cgroup.
    pub cgroup: String,
}
