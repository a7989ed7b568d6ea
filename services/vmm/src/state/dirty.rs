//! Which pages this process wrote to, as far as anybody wants to know.
//!
//! KVM notes what the guest's processors write while a machine moves; what devices write in this
//! process it does not see. So every region of guest memory carries a [`DirtyMap`], which costs
//! one load of a flag per write while nobody is interested.
//!
//! Writes through `vm-memory` mark by themselves. Whoever lets the kernel write into guest
//! memory by address (`preadv`, `io_uring`) marks afterwards: see
//! [`crate::virtio::chain::Spans::mark`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use vm_memory::bitmap::{Bitmap, NewBitmap, RefSlice, WithBitmapSlice};

/// Size of a page, the unit of everything that is noted or moved.
pub const PAGE: usize = 4096;

#[derive(Debug, Default)]
struct Pages {
    wanted: AtomicBool,
    words: Box<[AtomicU64]>,
}

/// The pages of one region of memory.
#[derive(Debug, Default, Clone)]
pub struct DirtyMap(Arc<Pages>);

impl DirtyMap {
    /// Starts to note writes, or stops and forgets.
    pub fn note(&self, wanted: bool) {
        self.0.wanted.store(wanted, Ordering::Release);
        if !wanted {
            self.take();
        }
    }

    #[cold]
    fn set(&self, offset: usize, len: usize) {
        let last = offset.saturating_add(len - 1) / PAGE;
        for page in offset / PAGE..=last {
            match self.0.words.get(page / 64) {
                Some(word) => word.fetch_or(1 << (page % 64), Ordering::AcqRel),
                None => return,
            };
        }
    }

    /// The pages written to since the last call, one bit each, first page lowest.
    pub fn take(&self) -> Vec<u64> {
        let words = self.0.words.iter();
        words.map(|word| word.swap(0, Ordering::AcqRel)).collect()
    }
}

impl<'a> WithBitmapSlice<'a> for DirtyMap {
    type S = RefSlice<'a, Self>;
}

impl Bitmap for DirtyMap {
    #[inline]
    fn mark_dirty(&self, offset: usize, len: usize) {
        if len > 0 && self.0.wanted.load(Ordering::Relaxed) {
            self.set(offset, len);
        }
    }

    fn dirty_at(&self, offset: usize) -> bool {
        let page = offset / PAGE;
        let word = self.0.words.get(page / 64);
        word.is_some_and(|word| word.load(Ordering::Acquire) & (1 << (page % 64)) != 0)
    }

    #[inline]
    fn slice_at(&self, offset: usize) -> RefSlice<'_, Self> {
        RefSlice::new(self, offset)
    }
}

impl NewBitmap for DirtyMap {
    fn with_len(len: usize) -> Self {
        let words = len.div_ceil(PAGE).div_ceil(64);
        Self(Arc::new(Pages {
            wanted: AtomicBool::new(false),
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

    /// Nanoseconds a small write takes.
    fn write_ns<B: NewBitmap + 'static>(prepare: impl Fn(&B)) -> f64 {
        const WRITES: u64 = 5_000_000;
        let memory = GuestMemoryMmap::<B>::from_ranges(&[(GuestAddress(0), 64 << 20)]).unwrap();
        for region in memory.iter() {
            prepare(region.get_mmap().bitmap());
        }
        let started = Instant::now();
        for i in 0..WRITES {
            // Few pages, so that the processor's caches hold them.
            let at = GuestAddress((i * 64) % (256 << 10));
            memory.write_obj(i, at).unwrap();
        }
        started.elapsed().as_nanos() as f64 / WRITES as f64
    }

    #[test]
    #[ignore = "a measurement: cargo nextest run --run-ignored only --no-capture costs"]
    fn what_noting_costs() {
        for _ in 0..3 {
            println!(
                "a write: {:.1} ns without map, {:.1} ns with one nobody wants, {:.1} ns with one wanted",
                write_ns::<()>(|()| ()),
                write_ns::<DirtyMap>(|_| ()),
                write_ns::<DirtyMap>(|map| map.note(true))
            );
        }
    }

    #[test]
    fn writes_are_noted_only_while_wanted() {
        let map = DirtyMap::with_len(100 * PAGE);
        map.mark_dirty(0, 1);
        assert_eq!(map.take(), [0, 0]);
        map.note(true);
        map.mark_dirty(PAGE - 1, 2);
        map.mark_dirty(64 * PAGE, PAGE);
        map.mark_dirty(5 * PAGE, 0);
        assert!(map.dirty_at(PAGE) && !map.dirty_at(2 * PAGE));
        assert_eq!(map.take(), [3, 1]);
        assert_eq!(map.take(), [0, 0]);
        map.mark_dirty(99 * PAGE, usize::MAX);
        map.note(false);
        assert_eq!(map.take(), [0, 0]);
    }
}
