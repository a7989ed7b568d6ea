//! The tables of nodes: which processors and which memory belong together (SRAT, ACPI 6.5 §5.2.16), and how
//! far nodes are from each other (SLIT, §5.2.17). A machine of one node has the first for what it says
//! besides, where memory may come; guests keep room for it in their tables, and know up to which address they
//! may find memory one day. That memory is of the first node.

use acpi_tables::sdt::Sdt;

use super::{OEM, REVISION, SDT_HEADER, TABLE};
use crate::machine::layout::Span;
use crate::machine::topology::Topology;

/// An entry counts.
const ENABLED: u32 = 1 << 0;
/// Memory comes and goes.
const HOT_PLUGGABLE: u32 = 1 << 1;
/// Distance of a node from itself, by definition.
const HERE: u8 = 10;
/// Distance of every other one.
const THERE: u8 = 20;

/// The affinities in a machine that may have `room` for more memory. Processors that may come are in it like
/// those that are there.
pub(super) fn affinities(topology: &Topology, room: Option<Span>) -> Sdt {
    let mut srat = Sdt::new(*b"SRAT", SDT_HEADER, 3, OEM, TABLE, REVISION);
    // Reserved, the first of it always 1.
    srat.append_slice(&1u32.to_le_bytes());
    srat.append_slice(&[0; 8]);
    for cpu in 0..topology.vcpus() {
        srat.append_slice(&processor(topology.node(cpu), topology.apic_id(cpu)));
    }
    for (node, span) in topology.ranges() {
        srat.append_slice(&range(node, span, ENABLED));
    }
    if let Some(room) = room {
        srat.append_slice(&range(0, room, ENABLED | HOT_PLUGGABLE));
    }
    srat
}

/// The distances between so many nodes: all are equally far from each other.
pub(super) fn distances(nodes: usize) -> Sdt {
    let mut slit = Sdt::new(*b"SLIT", SDT_HEADER, 1, OEM, TABLE, REVISION);
    slit.append_slice(&(nodes as u64).to_le_bytes());
    for from in 0..nodes {
        for to in 0..nodes {
            slit.append_slice(&[if from == to { HERE } else { THERE }]);
        }
    }
    slit
}

/// A processor's affinity, by its local APIC (§5.2.16.1).
fn processor(node: u8, apic_id: u8) -> [u8; 16] {
    let mut entry = [0; 16];
    entry[1] = 16;
    entry[2] = node;
    entry[3] = apic_id;
    entry[4..8].copy_from_slice(&ENABLED.to_le_bytes());
    entry
}

/// Affinity of memory (§5.2.16.2).
fn range(node: u8, (start, len): Span, flags: u32) -> [u8; 40] {
    let mut entry = [0; 40];
    entry[..2].copy_from_slice(&[1, 40]);
    entry[2] = node;
    entry[8..16].copy_from_slice(&start.to_le_bytes());
    entry[16..24].copy_from_slice(&len.to_le_bytes());
    entry[28..32].copy_from_slice(&flags.to_le_bytes());
    entry
}
