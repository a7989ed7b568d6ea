//! What processors see of the guest's memory: one address space, and in a machine with system management
//! mode a second one, for processors in that mode (KVM's multiple address spaces).
//!
//! Both have all memory, but for TSEG: while that is closed, the first has a hole there. KVM notes what
//! processors write in either of them apart.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kvm_bindings::{KVM_MEM_LOG_DIRTY_PAGES, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use vm_memory::bitmap::Bitmap;
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::layout::tseg;
use super::memory::{self, DirtyLog, Error, Extent, Memory, Region};
use crate::pci::bridge::Smram;

/// Added to the number of a slot: it is one of the address space of system management mode.
pub const MANAGEMENT: u32 = 1 << 16;

/// What changes while the machine runs.
struct View {
    log: DirtyLog,
    /// Whether processors see TSEG in every mode.
    open: bool,
}

/// The memory of one virtual machine.
pub struct Spaces {
    vm: Arc<VmFd>,
    memory: Arc<Memory>,
    reachable: Arc<Memory>,
    /// Which of the memory's regions is TSEG, if the machine has system management mode.
    tseg: Option<usize>,
    view: Mutex<View>,
}

impl Spaces {
    /// Makes `memory`, which was reserved as `extent` says, visible to the virtual machine.
    pub fn new(vm: Arc<VmFd>, memory: Arc<Memory>, extent: Extent) -> Result<Self, Error> {
        let reachable = memory::reachable(&memory, extent)?;
        let start = extent.tseg.then(|| tseg(extent.bytes).0);
        let is_tseg = |region: &Region| Some(region.start_addr().raw_value()) == start;
        let tseg = memory.iter().position(is_tseg);
        let spaces = Self {
            tseg,
            vm,
            memory,
            reachable,
            view: Mutex::new(View {
                log: DirtyLog::Off,
                open: true,
            }),
        };
        spaces.log(DirtyLog::Off)?;
        Ok(spaces)
    }

    /// All memory.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// What devices can reach of it.
    pub fn reachable(&self) -> &Arc<Memory> {
        &self.reachable
    }

    /// Switches the log of what processors write.
    pub fn log(&self, log: DirtyLog) -> Result<(), Error> {
        let mut view = self.view();
        view.log = log;
        for (slot, region) in self.memory.iter().enumerate() {
            if view.open || self.tseg != Some(slot) {
                self.set(slot as u32, region, log, true)?;
            }
            if self.tseg.is_some() {
                self.set(slot as u32 | MANAGEMENT, region, log, true)?;
            }
        }
        Ok(())
    }

    /// The pages of the memory's region number `slot`, of `len` bytes, that processors wrote to since the
    /// last call while the log is on: one bit each, first page lowest.
    pub fn written(&self, slot: usize, len: usize) -> io::Result<Vec<u64>> {
        let view = self.view();
        let normal = (view.open || self.tseg != Some(slot)).then_some(slot as u32);
        let managed = self.tseg.map(|_| slot as u32 | MANAGEMENT);
        let mut all: Vec<u64> = Vec::new();
        for slot in normal.into_iter().chain(managed) {
            let words = self.vm.get_dirty_log(slot, len);
            let words = words.map_err(|e| io::Error::from_raw_os_error(e.errno()))?;
            all.resize(words.len(), 0);
            for (word, more) in all.iter_mut().zip(words) {
                *word |= more;
            }
        }
        Ok(all)
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a region in a slot, or empties the slot.
    fn set(&self, slot: u32, region: &Region, log: DirtyLog, there: bool) -> Result<(), Error> {
        let start = region.start_addr().raw_value();
        let entry = kvm_userspace_memory_region {
            slot,
            flags: match log {
                DirtyLog::Off => 0,
                DirtyLog::On => KVM_MEM_LOG_DIRTY_PAGES,
            },
            guest_phys_addr: start,
            // A slot without length is none.
            memory_size: if there { region.len() } else { 0 },
            userspace_addr: region.as_ptr() as u64,
        };
        // SAFETY: the mapping is `region.len()` bytes long and belongs to `memory` alone, which the
        // machine keeps alive until the virtual machine is closed.
        unsafe { self.vm.set_user_memory_region(entry) }.map_err(|e| Error::Register(start, e))
    }
}

impl Smram for Spaces {
    fn open(&self, open: bool) {
        let mut view = self.view();
        let region = self.tseg.and_then(|slot| self.memory.iter().nth(slot));
        let (Some(slot), Some(region)) = (self.tseg, region) else {
            return;
        };
        if view.open == open {
            return;
        }
        if !open && view.log == DirtyLog::On {
            // What the slot knows goes with it.
            let len = region.len() as usize;
            region.get_mmap().bitmap().mark_dirty(0, len);
        }
        if let Err(error) = self.set(slot as u32, region, view.log, open) {
            // The firmware's secrets must not lie open where it believes them hidden.
            crate::fatal(&format!(
                "cannot change who sees the memory of system management mode: {error}"
            ));
        }
        view.open = open;
    }
}
