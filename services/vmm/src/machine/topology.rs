//! How the virtual CPUs are divided into sockets and nodes, and by which numbers guests tell them apart.
//!
//! A guest reads socket and core of a processor out of the number of its local APIC: the lowest bits, as many
//! as the cores of one socket need, number the core, the rest the socket. So where a socket's cores are
//! no power of two, some numbers are nobody's. In a machine of one socket both numbers are the same.

use basalt_model::numa::{MAX_NODES, Numa};

use super::layout::{HIGH_MEMORY, MIB, PCI_WINDOW, Span};
use crate::spec::MAX_VCPUS;

/// The division; that of a machine without nodes has one socket and one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    vcpus: u8,
    sockets: u8,
    /// Node of each virtual CPU.
    homes: [u8; MAX_VCPUS as usize],
    /// Bytes of memory of each node.
    memory: [u64; MAX_NODES],
    nodes: usize,
}

impl Topology {
    /// So many virtual CPUs in one socket and one node, with `memory` bytes.
    pub fn flat(vcpus: u8, memory: u64) -> Self {
        let mut all = [0; MAX_NODES];
        all[0] = memory;
        Self {
            vcpus,
            sockets: 1,
            homes: [0; MAX_VCPUS as usize],
            memory: all,
            nodes: 1,
        }
    }

    /// As a specification says, which was checked.
    pub fn of(vcpus: u8, memory: u64, numa: Option<&Numa>) -> Self {
        let mut topology = Self::flat(vcpus, memory);
        let Some(numa) = numa else {
            return topology;
        };
        topology.sockets = numa.sockets;
        topology.nodes = numa.nodes.len().min(MAX_NODES);
        for (index, node) in numa.nodes.iter().take(MAX_NODES).enumerate() {
            topology.memory[index] = node.memory_mib * MIB;
            for cpu in &node.vcpus {
                if let Some(home) = topology.homes.get_mut(usize::from(*cpu)) {
                    *home = index as u8;
                }
            }
        }
        topology
    }

    /// Number of virtual CPUs.
    pub fn vcpus(&self) -> u8 {
        self.vcpus
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Cores of a socket.
    pub fn cores(&self) -> u8 {
        self.vcpus / self.sockets
    }

    /// Bits of a local APIC's number that tell cores apart.
    pub fn bits(&self) -> u32 {
        self.cores().next_power_of_two().trailing_zeros()
    }

    /// Socket of a virtual CPU.
    pub fn socket(&self, cpu: u8) -> u8 {
        cpu / self.cores()
    }

    /// Node of a virtual CPU.
    pub fn node(&self, cpu: u8) -> u8 {
        self.homes.get(usize::from(cpu)).copied().unwrap_or(0)
    }

    /// Number of a virtual CPU's local APIC. It fits: there are at most as many sockets as processors, and
    /// [`MAX_VCPUS`] of those.
    pub fn apic_id(&self, cpu: u8) -> u8 {
        let socket = self.socket(cpu) << self.bits();
        socket | (cpu % self.cores())
    }

    /// The first number that no local APIC has, nor any above it.
    pub fn apic_end(&self) -> u8 {
        self.apic_id(self.vcpus - 1) + 1
    }

    /// Whether the processors of a socket have a cache together: they are of one node, or their guest would
    /// believe neither.
    pub fn shares_cache(&self) -> bool {
        (1..self.vcpus).all(|cpu| {
            self.socket(cpu) != self.socket(cpu - 1) || self.node(cpu) == self.node(cpu - 1)
        })
    }

    /// Memory of every node, in the guest's address space: one after the other, around the hole.
    pub fn ranges(&self) -> Vec<(u8, Span)> {
        let mut ranges = Vec::new();
        let mut start = 0;
        for (node, len) in (0..).zip(&self.memory[..self.nodes]) {
            ranges.extend(spans(start, *len).into_iter().map(|span| (node, span)));
            start += len;
        }
        ranges
    }
}

/// Where `len` bytes of memory lie in the guest's address space that come after `start` others.
pub fn spans(start: u64, len: u64) -> Vec<Span> {
    let end = start + len;
    let low = (start, end.min(PCI_WINDOW).saturating_sub(start));
    let from = start.max(PCI_WINDOW);
    let high = (from - PCI_WINDOW + HIGH_MEMORY, end.saturating_sub(from));
    [low, high].into_iter().filter(|span| span.1 > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_model::numa::Node;

    fn node(vcpus: &[u8], memory_mib: u64) -> Node {
        Node {
            vcpus: vcpus.to_vec(),
            memory_mib,
            host: None,
        }
    }

    #[test]
    fn numbers_tell_socket_and_core() {
        let flat = Topology::flat(6, MIB);
        let ids: Vec<u8> = (0..6).map(|cpu| flat.apic_id(cpu)).collect();
        assert_eq!((ids, flat.bits()), (vec![0, 1, 2, 3, 4, 5], 3));
        let numa = Numa {
            sockets: 2,
            nodes: vec![node(&[0, 1, 2], 1), node(&[3, 4, 5], 1)],
        };
        let two = Topology::of(6, 2 * MIB, Some(&numa));
        let ids: Vec<u8> = (0..6).map(|cpu| two.apic_id(cpu)).collect();
        assert_eq!((ids, two.apic_end()), (vec![0, 1, 2, 4, 5, 6], 7));
        assert_eq!((two.node(2), two.node(3)), (0, 1));
        let wide = Numa {
            sockets: 3,
            nodes: vec![node(&[], 1)],
        };
        assert_eq!(Topology::of(63, MIB, Some(&wide)).apic_end(), 85);
        let narrow = Numa {
            sockets: 64,
            nodes: vec![node(&[], 1)],
        };
        assert_eq!(Topology::of(64, MIB, Some(&narrow)).apic_end(), 64);
    }

    #[test]
    fn a_cache_is_no_bridge_between_nodes() {
        let shares = |sockets: u8, first: &[u8], second: &[u8]| {
            let numa = Numa {
                sockets,
                nodes: vec![node(first, 1), node(second, 1)],
            };
            Topology::of(4, 2 * MIB, Some(&numa)).shares_cache()
        };
        assert!(Topology::flat(4, MIB).shares_cache());
        assert!(shares(2, &[0, 1], &[2, 3]));
        assert!(!shares(1, &[0, 1], &[2, 3]));
        assert!(!shares(2, &[0, 2], &[1, 3]));
    }

    #[test]
    fn memory_of_a_node_goes_on_behind_the_hole() {
        let gib = 1u64 << 30;
        assert_eq!(spans(gib, 2 * gib), [(gib, 2 * gib)]);
        assert_eq!(
            spans(2 * gib, 4 * gib),
            [(2 * gib, gib), (HIGH_MEMORY, 3 * gib)]
        );
        assert_eq!(spans(6 * gib, gib), [(7 * gib, gib)]);
        let numa = Numa {
            sockets: 1,
            nodes: vec![node(&[0], 2048), node(&[1], 2048)],
        };
        let ranges = Topology::of(2, 4 * gib, Some(&numa)).ranges();
        let second = [(1, (2 * gib, gib)), (1, (HIGH_MEMORY, gib))];
        assert_eq!(ranges[0], (0, (0, 2 * gib)));
        assert_eq!(ranges[1..], second);
    }
}
