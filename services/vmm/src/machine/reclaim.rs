//! Memory that the guest does not need goes back to the host.

use std::io;

use rustix::fs::{FallocateFlags, fallocate};
use vm_memory::bitmap::Bitmap;
use vm_memory::{Address, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use super::backing::is_for_good;
use super::memory::{self, Memory, Region};
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
/// has there; the pages count as written to, so that a copy that is being made follows. Huge pages stay
/// as they are.
pub fn give_back(memory: &Memory, start: u64, len: u64) {
    let end = start.saturating_add(len);
    for region in memory.iter().filter(|region| !is_for_good(region)) {
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
        if let Err(error) = release(region, offset, len) {
            tracing::debug!(%error, "the host does not take memory back");
            continue;
        }
        region.get_mmap().bitmap().mark_dirty(offset, len);
    }
}

/// Gives pages of a region back, as far as `offset` and `len` are within it.
fn release(region: &Region, offset: usize, len: usize) -> io::Result<()> {
    if let Some((file, start)) = memory::shared(region) {
        // Whoever else has mapped the memory loses the pages, too: that they are in no mapping of this
        // process would not free them.
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        return Ok(fallocate(file, hole, start + offset as u64, len as u64)?);
    }
    // SAFETY: the range lies within the region's mapping, which is private, belongs to the guest's memory
    // and outlives this call. Nobody holds references into guest memory: it is read and written
    // by volatile copies alone, since the guest changes it at any time.
    let result = unsafe {
        let start = region.as_ptr().add(offset);
        libc::madvise(start.cast(), len, libc::MADV_DONTNEED)
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::backing::Backing;
    use crate::machine::layout::MIB;
    use std::os::unix::fs::MetadataExt;
    use vm_memory::{Bytes, GuestAddress};

    #[test]
    fn shared_memory_is_given_back_to_the_host_for_all() {
        let backing = Backing::shared(32 * MIB, None).unwrap();
        let first = backing.reserve(32 * MIB, None).unwrap();
        let (file, _) = first.iter().find_map(memory::shared).unwrap();
        let page = vec![7u8; PAGE];
        for number in 0..4 {
            first
                .write_slice(&page, GuestAddress(number * PAGE as u64))
                .unwrap();
        }
        let before = file.metadata().unwrap().blocks();
        give_back(&first, 100, 3 * PAGE as u64);
        let byte = |page: u64| {
            first
                .read_obj::<u8>(GuestAddress(page * PAGE as u64))
                .unwrap()
        };
        assert_eq!((byte(0), byte(1), byte(2), byte(3)), (7, 0, 0, 7));
        // Reading made new pages of zeros.
        give_back(&first, PAGE as u64, 2 * PAGE as u64);
        let after = file.metadata().unwrap().blocks();
        assert_eq!(before - after, 2 * PAGE as u64 / 512);
    }
}
