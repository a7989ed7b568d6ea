//! Memory that the guest does not need goes back to the host.

use vm_memory::bitmap::Bitmap;
use vm_memory::{Address, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use super::memory::Memory;
use crate::state::dirty::PAGE;

/// Has the pages between `start` and `start + len`, which are in one region, count as written to.
pub fn note_written(memory: &Memory, start: u64, len: u64) {
    if let Some(region) = memory.find_region(GuestAddress(start)) {
        // A mapping is no longer than the address space.
        let offset = (start - region.start_addr().raw_value()) as usize;
        region
            .get_mmap()
            .bitmap()
            .mark_dirty(offset, len.min(region.len()) as usize);
    }
}

/// Gives the whole pages between `start` and `start + len` back to the host, as far as they are
/// memory of the guest. Then they hold zeros, or in memory that was restored from a file what that
/// has there; the pages count as written to, so that a copy that is being made follows.
pub fn give_back(memory: &Memory, start: u64, len: u64) {
    let end = start.saturating_add(len);
    for region in memory.iter() {
        let base = region.start_addr().raw_value();
        let from = start.max(base) - base;
        let to = end
            .min(base.saturating_add(region.len()))
            .saturating_sub(base);
        let page = PAGE as u64;
        let to = to / page * page;
        let Some(from) = from
            .checked_next_multiple_of(page)
            .filter(|from| *from < to)
        else {
            continue;
        };
        // They fit: a mapping is no longer than the address space.
        let (offset, len) = (from as usize, (to - from) as usize);
        // SAFETY: the range lies within the region's mapping, which is private, belongs to `memory`
        // and outlives this call. Nobody holds references into guest memory: it is read and written
        // by volatile copies alone, since the guest changes it at any time.
        let result = unsafe {
            let start = region.as_ptr().add(offset);
            libc::madvise(start.cast(), len, libc::MADV_DONTNEED)
        };
        if result != 0 {
            let error = std::io::Error::last_os_error();
            tracing::debug!(%error, "the host does not take memory back");
            continue;
        }
        region.get_mmap().bitmap().mark_dirty(offset, len);
    }
}
