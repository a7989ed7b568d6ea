//! Memory that comes to a running machine, and goes, in blocks: which of them the guest has.
//!
//! All of the room for it is in the guest's address space from the start, reserved and untouched. The
//! guest has the blocks that it plugged in through its device ([`crate::virtio::mem`]); the others are
//! holes, which are neither saved nor sent. Only the device changes which is which, so readers on
//! other threads see the blocks one by one, and all of them rightly when the machine stands.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use basalt_model::hotplug::MemoryStatus;
use serde::{Deserialize, Serialize};

use super::layout::{BLOCK, Span};
use crate::state::dirty::PAGE;
use crate::state::memory::Region;

/// Blocks that a word holds the bits of.
const PER_WORD: usize = 64;
/// Words of a dirty map that a block's pages take.
const DIRTY_WORDS: usize = BLOCK as usize / PAGE / 64;

/// Whether a range of blocks is the guest's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugged {
    /// All of it.
    All,
    /// Nothing of it.
    Nothing,
    /// A part.
    Mixed,
}

/// What is saved of the blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlocksState {
    start: u64,
    len: u64,
    requested: u64,
    /// A bit for each block, first block lowest; what follows the last word is zero.
    plugged: Vec<u64>,
}

/// The blocks of a machine.
pub struct Blocks {
    /// Bytes of memory that are always there.
    boot: u64,
    start: u64,
    len: u64,
    /// Bytes that the guest is to have plugged in.
    requested: AtomicU64,
    /// Bytes that it has.
    plugged: AtomicU64,
    bits: Box<[AtomicU64]>,
}

impl Blocks {
    /// Room for blocks beside `boot` bytes of memory, none of them plugged in or asked for. `room` is
    /// as [`super::layout::room_for_blocks`] makes it.
    pub fn new(boot: u64, (start, len): Span) -> Self {
        let words = ((len / BLOCK) as usize).div_ceil(PER_WORD);
        Self {
            boot,
            start,
            len,
            requested: AtomicU64::new(0),
            plugged: AtomicU64::new(0),
            bits: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Where they lie.
    pub fn room(&self) -> Span {
        (self.start, self.len)
    }

    /// Number of blocks.
    pub fn count(&self) -> usize {
        (self.len / BLOCK) as usize
    }

    /// Bytes that the guest is to have plugged in.
    pub fn requested(&self) -> u64 {
        self.requested.load(Ordering::Acquire)
    }

    /// Bytes that it has plugged in.
    pub fn plugged(&self) -> u64 {
        self.plugged.load(Ordering::Acquire)
    }

    /// Bytes of memory that the machine has.
    pub fn present(&self) -> u64 {
        self.boot + self.plugged()
    }

    /// What others are told.
    pub fn status(&self) -> MemoryStatus {
        MemoryStatus {
            boot: self.boot,
            most: self.boot + self.len,
            block: BLOCK,
            wanted: self.boot + self.requested(),
            present: self.present(),
        }
    }

    /// Asks for so many bytes of memory in all, which [`MemoryStatus::allows`]. The driver is still to
    /// be told.
    pub fn request(&self, bytes: u64) {
        let more = bytes.saturating_sub(self.boot).min(self.len);
        self.requested.store(more, Ordering::Release);
    }

    /// The blocks that a driver means by an address and their number, if there are such.
    pub fn range(&self, address: u64, count: u16) -> Option<Range<usize>> {
        let offset = address.checked_sub(self.start)?;
        if count == 0 || !offset.is_multiple_of(BLOCK) {
            return None;
        }
        let first = usize::try_from(offset / BLOCK).ok()?;
        let end = first.checked_add(usize::from(count))?;
        (end <= self.count()).then_some(first..end)
    }

    /// Start and length of blocks in the guest's address space.
    pub fn span(&self, blocks: &Range<usize>) -> Span {
        let start = self.start + blocks.start as u64 * BLOCK;
        (start, blocks.len() as u64 * BLOCK)
    }

    fn has(&self, block: usize) -> bool {
        let word = self.bits.get(block / PER_WORD);
        word.is_some_and(|word| word.load(Ordering::Acquire) >> (block % PER_WORD) & 1 != 0)
    }

    /// Whether the guest has these blocks.
    pub fn look(&self, blocks: Range<usize>) -> Plugged {
        let len = blocks.len();
        match blocks.filter(|block| self.has(*block)).count() {
            0 => Plugged::Nothing,
            count if count == len => Plugged::All,
            _ => Plugged::Mixed,
        }
    }

    /// Plugs blocks in or out, of which all were the other way.
    pub fn set(&self, blocks: Range<usize>, on: bool) {
        let bytes = blocks.len() as u64 * BLOCK;
        for block in blocks {
            let Some(word) = self.bits.get(block / PER_WORD) else {
                continue;
            };
            let bit = 1 << (block % PER_WORD);
            match on {
                true => word.fetch_or(bit, Ordering::AcqRel),
                false => word.fetch_and(!bit, Ordering::AcqRel),
            };
        }
        match on {
            true => self.plugged.fetch_add(bytes, Ordering::AcqRel),
            false => self.plugged.fetch_sub(bytes, Ordering::AcqRel),
        };
    }

    /// Plugs all blocks out, as a reset of the machine does; what is asked for stays.
    pub fn clear(&self) {
        for word in &self.bits {
            word.store(0, Ordering::Release);
        }
        self.plugged.store(0, Ordering::Release);
    }

    /// Blocks next to each other that the guest has, or has not, as parts of its address space.
    fn runs(&self, on: bool) -> Vec<Region> {
        let mut runs: Vec<Region> = Vec::new();
        for block in (0..self.count()).filter(|block| self.has(*block) == on) {
            let (start, len) = self.span(&(block..block + 1));
            match runs.last_mut() {
                Some(last) if last.start + last.len == start => last.len += len,
                _ => runs.push(Region { start, len }),
            }
        }
        runs
    }

    /// The memory that the guest has, in order.
    pub fn there(&self) -> Vec<Region> {
        self.runs(true)
    }

    /// The rest of the room.
    pub fn holes(&self) -> Vec<Region> {
        self.runs(false)
    }

    /// Takes the pages of holes out of what is noted of a region's pages, if that is where the
    /// blocks lie.
    pub fn leave_holes_out(&self, region: Region, pages: &mut [u64]) {
        if region.start != self.start {
            return;
        }
        for (block, words) in pages.chunks_mut(DIRTY_WORDS).enumerate() {
            if !self.has(block) {
                words.fill(0);
            }
        }
    }

    /// What is kept of them while the machine stands.
    pub fn save(&self) -> BlocksState {
        let words = self.bits.iter().map(|word| word.load(Ordering::Acquire));
        let mut plugged: Vec<u64> = words.collect();
        let used = plugged.iter().rposition(|word| *word != 0);
        plugged.truncate(used.map_or(0, |last| last + 1));
        BlocksState {
            start: self.start,
            len: self.len,
            requested: self.requested(),
            plugged,
        }
    }

    /// Goes on from a saved state. `false` when it is another machine's, and nothing changed.
    pub fn restore(&self, saved: &BlocksState) -> bool {
        let last = self.count() % PER_WORD;
        let beyond = match saved.plugged.get(self.bits.len().wrapping_sub(1)) {
            Some(word) if last != 0 => word >> last != 0,
            _ => false,
        };
        let fits = saved.plugged.len() <= self.bits.len() && !beyond;
        let asked = saved.requested <= self.len && saved.requested.is_multiple_of(BLOCK);
        if (saved.start, saved.len) != self.room() || !fits || !asked {
            return false;
        }
        let words = saved.plugged.iter().copied().chain(std::iter::repeat(0));
        let mut count = 0;
        for (word, bits) in self.bits.iter().zip(words) {
            word.store(bits, Ordering::Release);
            count += u64::from(bits.count_ones());
        }
        self.plugged.store(count * BLOCK, Ordering::Release);
        self.requested.store(saved.requested, Ordering::Release);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::layout::MIB;

    const START: u64 = 4 << 30;

    fn blocks() -> Blocks {
        Blocks::new(64 * MIB, (START, 70 * BLOCK))
    }

    #[test]
    fn a_range_is_blocks_of_the_room_or_nothing() {
        let blocks = blocks();
        assert_eq!(blocks.range(START, 70), Some(0..70));
        assert_eq!(blocks.range(START + 69 * BLOCK, 1), Some(69..70));
        for (address, count) in [
            (START, 71),
            (START, 0),
            (START + 1, 1),
            (START - BLOCK, 2),
            (START + 70 * BLOCK, 1),
            (u64::MAX - BLOCK + 1, u16::MAX),
        ] {
            assert_eq!(blocks.range(address, count), None, "{address:#x} {count}");
        }
    }

    #[test]
    fn runs_are_what_the_guest_has_and_what_it_has_not() {
        let blocks = blocks();
        blocks.set(3..5, true);
        blocks.set(5..6, true);
        blocks.set(63..66, true);
        blocks.set(64..65, false);
        let parts = |runs: Vec<Region>| -> Vec<(u64, u64)> {
            let part = |run: Region| ((run.start - START) / BLOCK, run.len / BLOCK);
            runs.into_iter().map(part).collect()
        };
        assert_eq!(parts(blocks.there()), [(3, 3), (63, 1), (65, 1)]);
        assert_eq!(parts(blocks.holes()), [(0, 3), (6, 57), (64, 1), (66, 4)]);
        assert_eq!(blocks.plugged(), 5 * BLOCK);
        assert_eq!(blocks.look(3..6), Plugged::All);
        assert_eq!(blocks.look(2..6), Plugged::Mixed);
        assert_eq!(blocks.look(6..63), Plugged::Nothing);
        let status = blocks.status();
        assert_eq!(
            (status.boot, status.present, status.most),
            (64 * MIB, 64 * MIB + 5 * BLOCK, 64 * MIB + 70 * BLOCK)
        );
    }

    #[test]
    fn holes_are_left_out_of_what_was_written() {
        let blocks = blocks();
        blocks.set(1..2, true);
        let region = Region {
            start: START,
            len: 70 * BLOCK,
        };
        let mut pages = vec![u64::MAX; 3 * DIRTY_WORDS];
        blocks.leave_holes_out(region, &mut pages);
        let ones: u32 = pages.iter().map(|word| word.count_ones()).sum();
        assert_eq!(ones as u64, BLOCK / PAGE as u64);
        assert_eq!(pages[DIRTY_WORDS], u64::MAX);
        let low = Region {
            start: 0,
            len: 64 * MIB,
        };
        let mut pages = vec![u64::MAX; DIRTY_WORDS];
        blocks.leave_holes_out(low, &mut pages);
        assert_eq!(pages, vec![u64::MAX; DIRTY_WORDS]);
    }

    #[test]
    fn a_saved_state_is_of_the_same_room() {
        let first = blocks();
        first.request(64 * MIB + 10 * BLOCK);
        first.set(0..2, true);
        first.set(69..70, true);
        let saved = first.save();
        let second = blocks();
        assert!(second.restore(&saved));
        assert_eq!(second.save(), saved);
        assert_eq!(
            (second.plugged(), second.requested()),
            (3 * BLOCK, 10 * BLOCK)
        );
        second.clear();
        assert_eq!((second.plugged(), second.requested()), (0, 10 * BLOCK));

        let refused = |change: fn(&mut BlocksState)| {
            let mut other = saved.clone();
            change(&mut other);
            !second.restore(&other)
        };
        assert!(refused(|s| s.start += BLOCK));
        assert!(refused(|s| s.len -= BLOCK));
        assert!(refused(|s| s.requested += 1));
        assert!(refused(|s| s.requested = u64::MAX));
        assert!(refused(|s| s.plugged[1] |= 1 << 6));
        assert!(refused(|s| s.plugged.push(0)));
        assert_eq!(second.plugged(), 0);
    }
}
