//! The guest's memory as runs of pages: what is worth writing down, and where it lies in a file.
//!
//! All copying goes through a buffer of ours, so memory that the guest changes meanwhile (while
//! a machine moves) gives old or new bytes and nothing worse.

use std::io;

use vm_memory::{Address, Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use super::dirty::PAGE;
use crate::machine::blocks::Blocks;
use crate::machine::memory::Memory;

/// Most bytes of a run.
pub const RUN: usize = 256 * 1024;
const RUN_PAGES: usize = RUN / PAGE;

/// One region of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Region {
    /// First byte in the guest's address space.
    pub start: u64,
    /// Length in bytes, whole pages.
    pub len: u64,
}

/// The regions in order.
pub fn regions(memory: &Memory) -> Vec<Region> {
    let region = |r: &vm_memory::GuestRegionMmap<_>| Region {
        start: r.start_addr().raw_value(),
        len: r.len(),
    };
    memory.iter().map(region).collect()
}

/// The parts of memory that the guest has, in order, which is also how they lie one after the other in
/// a file: all regions, and of the one with `blocks` those that are plugged in.
pub fn parts(memory: &Memory, blocks: Option<&Blocks>) -> Vec<Region> {
    let all = regions(memory).into_iter();
    let parts = all.flat_map(|region| match blocks {
        Some(blocks) if blocks.room().0 == region.start => blocks.there(),
        _ => vec![region],
    });
    parts.collect()
}

/// Pages next to each other that are equally interesting.
pub enum Run<'a> {
    /// Their bytes.
    Bytes(&'a [u8]),
    /// All zeroes, so many.
    Zeroes(u64),
}

/// Calls `sink` for the pages of `region` for which `wanted` holds, in order, with the offset of
/// each run in the region. `wanted` is asked about page numbers in the region.
pub fn for_each_run(
    memory: &Memory,
    region: Region,
    wanted: impl Fn(usize) -> bool,
    mut sink: impl FnMut(u64, Run<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; RUN];
    let pages = (region.len as usize).div_ceil(PAGE);
    let mut page = 0;
    while page < pages {
        if !wanted(page) {
            page += 1;
            continue;
        }
        let end = pages.min(page + RUN_PAGES);
        let count = (page..end).take_while(|p| wanted(*p)).count();
        let offset = page as u64 * PAGE as u64;
        let len = (count * PAGE).min((region.len - offset) as usize);
        let bytes = &mut buffer[..len];
        memory
            .read_slice(bytes, GuestAddress(region.start + offset))
            .map_err(io::Error::other)?;
        split(bytes, offset, &mut sink)?;
        page += count;
    }
    Ok(())
}

/// Tells zeroes from the rest.
fn split(
    bytes: &[u8],
    offset: u64,
    sink: &mut impl FnMut(u64, Run<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let zero = |at: usize| is_zero(&bytes[at..bytes.len().min(at + PAGE)]);
    let mut start = 0;
    while start < bytes.len() {
        let kind = zero(start);
        let mut end = bytes.len().min(start + PAGE);
        while end < bytes.len() && zero(end) == kind {
            end = bytes.len().min(end + PAGE);
        }
        let run = match kind {
            true => Run::Zeroes((end - start) as u64),
            false => Run::Bytes(&bytes[start..end]),
        };
        sink(offset + start as u64, run)?;
        start = end;
    }
    Ok(())
}

fn is_zero(page: &[u8]) -> bool {
    const ZERO: [u8; PAGE] = [0; PAGE];
    page == &ZERO[..page.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::layout::MIB;
    use crate::machine::memory::reserve;

    #[test]
    fn runs_are_maximal_and_zeroes_stand_apart() {
        let memory = reserve(32 * MIB).unwrap();
        let put = |page: u64, byte: u8| {
            let at = GuestAddress(page * PAGE as u64 + 7);
            memory.write_obj(byte, at).unwrap();
        };
        put(3, 1);
        put(4, 2);
        put(70, 3);
        put(71, 4);
        let whole = regions(&memory)[0];
        assert_eq!(
            (whole.start, whole.len, regions(&memory).len()),
            (0, 32 * MIB, 1)
        );
        let seen = |wanted: &dyn Fn(usize) -> bool| {
            let mut seen = Vec::new();
            let mut zeroes = 0;
            for_each_run(&memory, whole, wanted, |offset, run| {
                match run {
                    Run::Bytes(bytes) => seen.push((offset / PAGE as u64, bytes.len() / PAGE)),
                    Run::Zeroes(len) => zeroes += len,
                }
                Ok(())
            })
            .unwrap();
            (seen, zeroes)
        };
        let (all, zeroes) = seen(&|_| true);
        assert_eq!(all, [(3, 2), (70, 2)]);
        assert_eq!(zeroes, 32 * MIB - 4 * PAGE as u64);
        let (some, zeroes) = seen(&|page| page == 4 || page == 71 || page == 72);
        assert_eq!(some, [(4, 1), (71, 1)]);
        assert_eq!(zeroes, PAGE as u64);
    }
}
