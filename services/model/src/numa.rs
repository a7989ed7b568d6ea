//! Nodes of memory and processors of one virtual machine (NUMA), resolved.

use serde::{Deserialize, Serialize};

/// Most nodes of a machine.
pub const MAX_NODES: usize = 8;
/// Most nodes of a host, as Linux on x86 counts them.
pub const MAX_HOST_NODES: u16 = 1024;

/// How memory and processors of a machine belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numa {
    /// Sockets, which all have equally many of the virtual CPUs, in order.
    pub sockets: u8,
    /// Nodes in order, at most [`MAX_NODES`]. Their memory lies in the machine's one after the other, and every
    /// virtual CPU is in one of them.
    pub nodes: Vec<Node>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Numbers of its virtual CPUs.
    pub vcpus: Vec<u8>,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// Where on the host that is, if not anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostNodes>,
}

/// Nodes of the host from which memory is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostNodes {
    /// Their numbers, each below [`MAX_HOST_NODES`].
    pub nodes: Vec<u16>,
    /// How it is taken from them.
    pub policy: NodePolicy,
}

/// How memory is taken from nodes of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodePolicy {
    /// From others when they have none.
    Preferred,
    /// From no others.
    Bind,
    /// From each in turn.
    Interleave,
}
