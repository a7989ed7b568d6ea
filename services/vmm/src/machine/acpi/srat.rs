//! The table of affinities (SRAT, ACPI 6.5 §5.2.16): all processors and all memory are of one node. It is
//! there for what it says besides, where memory may come; guests keep room for it in their tables, and
//! know up to which address they may find memory one day.

use acpi_tables::sdt::Sdt;

use super::{OEM, REVISION, SDT_HEADER, TABLE};
use crate::machine::layout::{HIGH_MEMORY, Span, split_memory};

/// An entry counts.
const ENABLED: u32 = 1 << 0;
/// Memory comes and goes.
const HOT_PLUGGABLE: u32 = 1 << 1;

/// The table of a machine with `memory` bytes, and `room` for more.
pub(super) fn table(memory: u64, room: Span, vcpus: u8) -> Sdt {
    let mut srat = Sdt::new(*b"SRAT", SDT_HEADER, 3, OEM, TABLE, REVISION);
    // Reserved, the first of it always 1.
    srat.append_slice(&1u32.to_le_bytes());
    srat.append_slice(&[0; 8]);
    for cpu in 0..vcpus {
        srat.append_slice(&processor(cpu));
    }
    let (low, high) = split_memory(memory);
    for span in [(0, low), (HIGH_MEMORY, high)] {
        if span.1 > 0 {
            srat.append_slice(&range(span, ENABLED));
        }
    }
    srat.append_slice(&range(room, ENABLED | HOT_PLUGGABLE));
    srat
}

/// A processor's affinity, by its local APIC (§5.2.16.1).
fn processor(cpu: u8) -> [u8; 16] {
    let mut entry = [0; 16];
    entry[1] = 16;
    entry[3] = cpu;
    entry[4..8].copy_from_slice(&ENABLED.to_le_bytes());
    entry
}

/// Affinity of memory (§5.2.16.2).
fn range((start, len): Span, flags: u32) -> [u8; 40] {
    let mut entry = [0; 40];
    entry[..2].copy_from_slice(&[1, 40]);
    entry[8..16].copy_from_slice(&start.to_le_bytes());
    entry[16..24].copy_from_slice(&len.to_le_bytes());
    entry[28..32].copy_from_slice(&flags.to_le_bytes());
    entry
}
