//! Guest memory that lies in a file in memory: because another process works on queues of the guest, and both
//! map the same file, or because it is made of huge pages (hugetlbfs), which are had in no other way that
//! the monitor could ask for without a path.
//!
//! A file of huge pages has all of them from the start: the guest never waits for one, and never misses one
//! because others were faster. None goes back before the file does, for it could not be had again. So a
//! reset writes zeros instead of making holes, and nothing is given back to the host meanwhile.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use vm_memory::{Address, Bytes, GuestMemoryBackend, GuestMemoryRegion};

use super::layout::{MIB, Span};
use super::memory::{self, Error, Extent, Memory, Pages, joined, map, with_room};

/// Zeros that are written at once.
const PART: usize = MIB as usize;

/// The file that the memory of one machine lies in, over all of its resets.
pub struct Backing {
    file: File,
    huge: bool,
    /// Whether a guest may have written to it.
    used: AtomicBool,
}

impl Backing {
    /// One for a memory of so many bytes, and `room` for more, that others map too. Its size is for good: no one
    /// with whom it is shared can take pages away from under the others.
    pub fn shared(bytes: u64, room: Option<Span>) -> io::Result<Self> {
        Self::create(MemfdFlags::empty(), whole(bytes, room))
    }

    /// One of huge pages of `mib` MiB, of which `bytes` is a multiple; [`super::ground`] takes them from
    /// the host. Others may map it, too.
    ///
    /// # Errors
    /// When the kernel has no such pages.
    pub fn huge(bytes: u64, mib: u64) -> io::Result<Self> {
        let size = match mib {
            2 => MemfdFlags::HUGE_2MB,
            1024 => MemfdFlags::HUGE_1GB,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let backing = Self::create(MemfdFlags::HUGETLB | size, bytes)?;
        Ok(Self {
            huge: true,
            ..backing
        })
    }

    fn create(flags: MemfdFlags, len: u64) -> io::Result<Self> {
        let flags = flags | MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create(c"guest-memory", flags)?;
        rustix::fs::ftruncate(&file, len)?;
        let size = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, size)?;
        Ok(Self {
            file: file.into(),
            huge: false,
            used: AtomicBool::new(false),
        })
    }

    /// Memory that lies in it, and is zeroed: whatever was there is forgotten.
    pub fn reserve(
        &self,
        extent: impl Into<Extent>,
        room: Option<Span>,
    ) -> Result<Arc<Memory>, Error> {
        let extent = extent.into();
        let used = self.used.swap(true, Ordering::AcqRel);
        if used && !self.huge {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let emptied = rustix::fs::fallocate(&self.file, hole, 0, whole(extent.bytes, room));
            emptied.map_err(|e| Error::Map(e.into()))?;
        }
        let memory = self.map(extent, room)?;
        if used && self.huge {
            clear(&memory).map_err(|e| Error::Map(io::Error::other(e)))?;
        }
        Ok(memory)
    }

    /// Memory that lies in it, with what is there.
    pub(super) fn map(&self, extent: Extent, room: Option<Span>) -> Result<Arc<Memory>, Error> {
        let pages = match self.huge {
            true => Pages::Huge,
            false => Pages::Shared,
        };
        joined(map(&with_room(extent, room), &self.file, 0, pages)?)
    }

    /// The descriptor that must stay open.
    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Whether its pages are huge.
    pub fn is_huge(&self) -> bool {
        self.huge
    }
}

/// Whether pages of a region are the guest's for as long as it runs.
pub fn is_for_good(region: &memory::Region) -> bool {
    region.is_hugetlbfs() == Some(true)
}

fn whole(bytes: u64, room: Option<Span>) -> u64 {
    bytes + room.map_or(0, |(_, len)| len)
}

fn clear(memory: &Memory) -> Result<(), vm_memory::GuestMemoryError> {
    let zeros = vec![0; PART];
    for region in memory.iter() {
        for offset in (0..region.len()).step_by(PART) {
            let part = (region.len() - offset).min(PART as u64) as usize;
            let at = region.start_addr().unchecked_add(offset);
            memory.write_slice(&zeros[..part], at)?;
        }
    }
    Ok(())
}
