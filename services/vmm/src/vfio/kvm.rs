//! What KVM does for devices of the host.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use kvm_bindings::{
    KVM_DEV_VFIO_GROUP, KVM_DEV_VFIO_GROUP_ADD, kvm_create_device, kvm_device_attr,
    kvm_device_type_KVM_DEV_TYPE_VFIO, kvm_userspace_memory_region,
};
use kvm_ioctls::{DeviceFd, VmFd};

use super::Slots;
use super::mapping::Mapping;

/// Number of the first slot for memory of devices; those below are for the guest's own, and what may come to
/// it, and for its flash memory.
pub const FIRST_SLOT: u32 = 32;

/// The guest's memory map.
pub struct KvmSlots(pub Arc<VmFd>);

impl KvmSlots {
    fn set(&self, slot: u32, address: u64, mapping: Option<&Mapping>) -> io::Result<()> {
        let entry = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: address,
            // A slot without length is none.
            memory_size: mapping.map_or(0, Mapping::size),
            userspace_addr: mapping.map_or(0, Mapping::address),
        };
        // SAFETY: the mapping is as long as said, and whoever has it shown hides it before it goes: see
        // `bars::Bars`.
        unsafe { self.0.set_user_memory_region(entry) }
            .map_err(|e| io::Error::from_raw_os_error(e.errno()))
    }
}

impl Slots for KvmSlots {
    fn show(&self, slot: u32, address: u64, mapping: &Mapping) -> io::Result<()> {
        self.set(slot, address, Some(mapping))
    }

    fn hide(&self, slot: u32) -> io::Result<()> {
        self.set(slot, 0, None)
    }
}

/// Tells KVM of the groups whose devices the guest has, so that its caches agree with them as they do
/// on hardware. It forgets them when the result goes.
pub fn introduce(vm: &VmFd, groups: &[File]) -> io::Result<DeviceFd> {
    let failed = |e: kvm_ioctls::Error| io::Error::from_raw_os_error(e.errno());
    let mut wanted = kvm_create_device {
        type_: kvm_device_type_KVM_DEV_TYPE_VFIO,
        fd: 0,
        flags: 0,
    };
    let device = vm.create_device(&mut wanted).map_err(failed)?;
    for group in groups {
        let fd = group.as_raw_fd();
        let attribute = kvm_device_attr {
            flags: 0,
            group: KVM_DEV_VFIO_GROUP,
            attr: KVM_DEV_VFIO_GROUP_ADD.into(),
            addr: &raw const fd as u64,
        };
        device.set_device_attr(&attribute).map_err(failed)?;
    }
    Ok(device)
}
