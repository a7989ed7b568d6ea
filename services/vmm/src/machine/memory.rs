//! The guest's memory: how it is allocated. What processors see of it is in [`super::spaces`].
//!
//! It is this process's alone and anonymous, but for what [`super::backing`] says.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use vm_memory::bitmap::NewBitmap;
use vm_memory::mmap::{FromRangesError, MmapRegionBuilder};
use vm_memory::{
    FileOffset, GuestAddress, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap, MmapRegion,
    ReadVolatile, VolatileMemory,
};

use super::blocks::Blocks;
use super::layout::{HIGH_MEMORY, Span, split_memory, tseg};
use super::spaces::MANAGEMENT;
use crate::devices::flash::ArraySlot;
use crate::state::dirty::DirtyMap;

/// The guest's memory as every device sees it.
pub type Memory = GuestMemoryMmap<DirtyMap>;
/// A piece of it.
pub type Region = GuestRegionMmap<DirtyMap>;

/// Why memory could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address space or the limit of the unit is too small.
    #[error("cannot reserve {0} bytes of guest memory: {1}")]
    Reserve(u64, FromRangesError),
    /// A saved memory, or one that is shared, cannot be mapped.
    #[error("cannot map the guest's memory: {0}")]
    Map(io::Error),
    /// The host has no such nodes, or they have no memory.
    #[error("hostnodes: the host does not give memory from them: {0}")]
    Place(io::Error),
    /// The host has too few huge pages, or too few on the nodes that they are to come from.
    #[error("hugepages: the host has too few that are free: {0}")]
    Fill(io::Error),
    /// KVM refuses a region.
    #[error("KVM refuses the memory at {0:#x}: {1}")]
    Register(u64, kvm_ioctls::Error),
}

/// How much memory a machine always has, and whether TSEG is a region of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// In bytes.
    pub bytes: u64,
    /// Whether the machine has system management mode.
    pub tseg: bool,
}

impl From<u64> for Extent {
    /// So many bytes of a machine without system management mode.
    fn from(bytes: u64) -> Self {
        Self { bytes, tseg: false }
    }
}

/// Reserves fresh, zeroed memory; pages are taken from the host when first touched.
pub fn reserve(bytes: u64) -> Result<Arc<Memory>, Error> {
    reserve_with_room(bytes, None)
}

/// The same, with room for memory that may come.
pub fn reserve_with_room(
    extent: impl Into<Extent>,
    room: Option<Span>,
) -> Result<Arc<Memory>, Error> {
    let extent = extent.into();
    let memory = Memory::from_ranges(&with_room(extent, room));
    Ok(Arc::new(
        memory.map_err(|e| Error::Reserve(extent.bytes, e))?,
    ))
}

/// Memory whose content is `file`'s from `offset` on, read when first touched; that of `blocks`
/// follows. Writes stay in this process; the file must not change as long as the memory lives.
pub fn reserve_on(
    extent: Extent,
    blocks: Option<&Blocks>,
    file: &File,
    offset: u64,
) -> Result<Arc<Memory>, Error> {
    let mut regions = map(&ranges(extent), file, offset, Pages::Private)?;
    if let Some(blocks) = blocks {
        let (start, len) = blocks.room();
        let mapping = map_blocks(blocks, len as usize, file, offset + extent.bytes);
        let mapping = mapping.map_err(Error::Map)?;
        regions.push(region(mapping, GuestAddress(start))?);
    }
    joined(regions)
}

/// What devices can reach of memory that was reserved: all but TSEG.
pub fn reachable(memory: &Arc<Memory>, extent: Extent) -> Result<Arc<Memory>, Error> {
    if !extent.tseg {
        return Ok(memory.clone());
    }
    let (start, len) = tseg(extent.bytes);
    let rest = memory.remove_region(GuestAddress(start), len);
    let (rest, _tseg) = rest.map_err(|e| Error::Map(io::Error::other(e)))?;
    Ok(Arc::new(rest))
}

/// The file of a region that others may have mapped, and where the region begins in it.
pub fn shared(region: &Region) -> Option<(&File, u64)> {
    let is_shared = region.get_mmap().flags() & libc::MAP_SHARED != 0;
    let place = region.file_offset().filter(|_| is_shared)?;
    Some((place.file(), place.start()))
}

/// How a file is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    /// What is written stays in this process.
    Private,
    /// It is written to the file.
    Shared,
    /// The same, and the file has huge pages.
    Huge,
}

/// Parts of the guest's address space, one after the other as `file` has them from `at` on.
pub(super) fn map(
    ranges: &[(GuestAddress, usize)],
    file: &File,
    mut at: u64,
    pages: Pages,
) -> Result<Vec<Region>, Error> {
    let kind = match pages {
        Pages::Private => libc::MAP_PRIVATE,
        Pages::Shared | Pages::Huge => libc::MAP_SHARED,
    };
    let mut regions = Vec::new();
    for (start, len) in ranges {
        let file = file.try_clone().map_err(Error::Map)?;
        let mapping = MmapRegionBuilder::new_with_bitmap(*len, DirtyMap::with_len(*len))
            .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
            .with_mmap_flags(kind | libc::MAP_NORESERVE)
            .with_file_offset(FileOffset::new(file, at))
            .with_hugetlbfs(pages == Pages::Huge)
            .build()
            .map_err(|e| Error::Map(io::Error::other(e)))?;
        regions.push(region(mapping, *start)?);
        at += *len as u64;
    }
    Ok(regions)
}

pub(super) fn joined(regions: Vec<Region>) -> Result<Arc<Memory>, Error> {
    let memory = Memory::from_regions(regions).map_err(|e| Error::Map(io::Error::other(e)))?;
    Ok(Arc::new(memory))
}

/// Parts of the guest's address space that are memory, or may become it.
pub(super) fn with_room(extent: Extent, room: Option<Span>) -> Vec<(GuestAddress, usize)> {
    let mut ranges = ranges(extent);
    ranges.extend(room.map(|(start, len)| (GuestAddress(start), len as usize)));
    ranges
}

fn region(
    mapping: MmapRegion<DirtyMap>,
    start: GuestAddress,
) -> Result<GuestRegionMmap<DirtyMap>, Error> {
    GuestRegionMmap::new(mapping, start)
        .ok_or_else(|| Error::Map(io::ErrorKind::InvalidInput.into()))
}

/// Most runs of blocks that are mapped from a file; the kernel has a limit for all mappings of a process.
const MOST_MAPPED: usize = 1024;

/// The room for blocks, with those that the guest has as they lie in `file` from `at` on, one run after
/// the other. Those of a guest with very many runs are read in part.
fn map_blocks(
    blocks: &Blocks,
    len: usize,
    file: &File,
    mut at: u64,
) -> io::Result<MmapRegion<DirtyMap>> {
    let mapping = MmapRegionBuilder::new_with_bitmap(len, DirtyMap::with_len(len))
        .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
        .with_mmap_flags(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE)
        .build()
        .map_err(io::Error::other)?;
    for (index, run) in blocks.there().into_iter().enumerate() {
        let offset = (run.start - blocks.room().0) as usize;
        if index < MOST_MAPPED {
            map_over(&mapping, offset, run.len as usize, file, at)?;
        } else {
            let mut from = file;
            io::Seek::seek(&mut from, io::SeekFrom::Start(at))?;
            let part = mapping.get_slice(offset, run.len as usize);
            let mut part = part.map_err(io::Error::other)?;
            from.read_exact_volatile(&mut part)
                .map_err(io::Error::other)?;
        }
        at += run.len;
    }
    Ok(mapping)
}

/// Puts a private mapping of `file` in the place of a part of another.
fn map_over(
    mapping: &MmapRegion<DirtyMap>,
    offset: usize,
    len: usize,
    file: &File,
    at: u64,
) -> io::Result<()> {
    let inside = offset
        .checked_add(len)
        .is_some_and(|end| end <= mapping.size());
    let at = libc::off_t::try_from(at).map_err(io::Error::other)?;
    if !inside || len == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the range lies within `mapping`, which nobody else has yet and which unmaps all of its
    // addresses, whatever is there, when it is dropped.
    let mapped = unsafe {
        libc::mmap(
            mapping.as_ptr().add(offset).cast(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_FIXED,
            file.as_raw_fd(),
            at,
        )
    };
    match mapped {
        libc::MAP_FAILED => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn ranges(extent: Extent) -> Vec<(GuestAddress, usize)> {
    let (low, high) = split_memory(extent.bytes);
    let mut ranges = vec![(GuestAddress(0), low as usize)];
    if extent.tseg {
        let (start, len) = tseg(extent.bytes);
        ranges[0].1 = start as usize;
        ranges.push((GuestAddress(start), len as usize));
    }
    if high > 0 {
        ranges.push((GuestAddress(HIGH_MEMORY), high as usize));
    }
    ranges
}

/// Whether KVM notes the pages that the guest's processors write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirtyLog {
    /// It does not, and writing costs nothing.
    Off,
    /// It does.
    On,
}

/// Number of the first slot that is no RAM.
pub const READ_ONLY_SLOTS: u32 = 8;

/// Memory the guest can read without leaving, and whose writes reach the bus.
pub struct ReadOnlySlot {
    vm: Arc<VmFd>,
    slots: Vec<u32>,
    start: u64,
    array: Arc<MmapRegion>,
}

impl ReadOnlySlot {
    /// The slot with this number, [`READ_ONLY_SLOTS`] or above, for `array` at `start`; with `smm` also
    /// for processors in system management mode.
    pub fn new(vm: Arc<VmFd>, slot: u32, start: u64, array: Arc<MmapRegion>, smm: bool) -> Self {
        let managed = smm.then_some(slot | MANAGEMENT);
        Self {
            vm,
            slots: [slot].into_iter().chain(managed).collect(),
            start,
            array,
        }
    }

    fn show_in(&self, slot: u32, on: bool) -> io::Result<()> {
        let entry = kvm_userspace_memory_region {
            slot,
            flags: KVM_MEM_READONLY,
            guest_phys_addr: self.start,
            // A slot without length is none.
            memory_size: if on { self.array.size() as u64 } else { 0 },
            userspace_addr: self.array.as_ptr() as u64,
        };
        // SAFETY: the mapping is as long as said and belongs to `array`, which lives as long as the
        // device that owns this slot; the devices of a machine go after its virtual CPUs.
        unsafe { self.vm.set_user_memory_region(entry) }
            .map_err(|e| io::Error::from_raw_os_error(e.errno()))
    }
}

impl ArraySlot for ReadOnlySlot {
    fn show(&self, on: bool) -> io::Result<()> {
        self.slots
            .iter()
            .try_for_each(|slot| self.show_in(*slot, on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::backing::Backing;
    use crate::machine::layout::MIB;
    use vm_memory::Bytes;

    #[test]
    fn devices_do_not_reach_the_memory_of_system_management() {
        let extent = Extent {
            bytes: 64 * MIB,
            tseg: true,
        };
        let backing = Backing::shared(extent.bytes, None).unwrap();
        for memory in [
            reserve_with_room(extent, None).unwrap(),
            backing.reserve(extent, None).unwrap(),
        ] {
            let reachable = reachable(&memory, extent).unwrap();
            let (start, len) = tseg(extent.bytes);
            let put = |memory: &Memory, at| memory.write_obj(7u8, GuestAddress(at)).is_ok();
            assert!(put(&memory, start) && put(&memory, start + len - 1));
            assert!(!put(&reachable, start) && !put(&reachable, start + len - 1));
            // The rest is the same memory.
            assert!(put(&reachable, start - 1));
            assert_eq!(memory.read_obj::<u8>(GuestAddress(start - 1)).unwrap(), 7);
        }
    }
}
