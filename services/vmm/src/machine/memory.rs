//! The guest's memory: allocated here, registered with KVM here.

use std::sync::Arc;

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use vm_memory::{
    Address, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion,
    mmap::FromRangesError,
};

use super::layout::{HIGH_MEMORY, split_memory};

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
