//! The guest's memory: allocated here, registered with KVM here.

use std::io;
use std::sync::Arc;

use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use vm_memory::{
    Address, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, MmapRegion,
    mmap::FromRangesError,
};

use super::layout::{HIGH_MEMORY, split_memory};
use crate::devices::flash::ArraySlot;

/// The guest's memory as every device sees it.
pub type Memory = GuestMemoryMmap<()>;

/// Why memory could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address space or the limit of the unit is too small.
    #[error("cannot reserve {0} bytes of guest memory: {1}")]
    Reserve(u64, FromRangesError),
    /// KVM refuses a region.
    #[error("KVM refuses the memory at {0:#x}: {1}")]
    Register(u64, kvm_ioctls::Error),
}

/// Reserves fresh, zeroed memory; pages are taken from the host when first touched.
pub fn reserve(bytes: u64) -> Result<Arc<Memory>, Error> {
    let (low, high) = split_memory(bytes);
    let mut ranges = vec![(GuestAddress(0), low as usize)];
    if high > 0 {
        ranges.push((GuestAddress(HIGH_MEMORY), high as usize));
    }
    let memory = Memory::from_ranges(&ranges).map_err(|e| Error::Reserve(bytes, e))?;
    Ok(Arc::new(memory))
}

/// Makes the memory visible to the virtual machine; it must outlive `vm`.
pub fn register(vm: &VmFd, memory: &Memory) -> Result<(), Error> {
    for (slot, region) in memory.iter().enumerate() {
        let start = region.start_addr().raw_value();
        let entry = kvm_userspace_memory_region {
            slot: slot as u32,
            flags: 0,
            guest_phys_addr: start,
            memory_size: region.len(),
            userspace_addr: region.as_ptr() as u64,
        };
        // SAFETY: the mapping is `region.len()` bytes long, belongs to `memory` alone, and the
        // machine keeps `memory` alive until the virtual machine is closed.
        unsafe { vm.set_user_memory_region(entry) }.map_err(|e| Error::Register(start, e))?;
    }
    Ok(())
}

/// Number of the first slot that is no RAM.
pub const READ_ONLY_SLOTS: u32 = 8;

/// Memory the guest can read without leaving, and whose writes reach the bus.
pub struct ReadOnlySlot {
    vm: Arc<VmFd>,
    slot: u32,
    start: u64,
    array: Arc<MmapRegion>,
}

impl ReadOnlySlot {
    /// The slot with this number, [`READ_ONLY_SLOTS`] or above, for `array` at `start`.
    pub fn new(vm: Arc<VmFd>, slot: u32, start: u64, array: Arc<MmapRegion>) -> Self {
        Self {
            vm,
            slot,
            start,
            array,
        }
    }
}

impl ArraySlot for ReadOnlySlot {
    fn show(&self, on: bool) -> io::Result<()> {
        let entry = kvm_userspace_memory_region {
            slot: self.slot,
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
