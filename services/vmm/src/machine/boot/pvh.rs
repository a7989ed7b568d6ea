//! Entry by the PVH note of an ELF kernel.

use std::fs::File;

use linux_loader::loader::elf::{
    PvhBootCapability,
    start_info::{hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info},
};
use linux_loader::loader::{Elf, KernelLoader};
use vm_memory::{Address, ByteValued, Bytes, GuestAddress};

use super::{Entry, Error, Kernel, check_fits, load_initrd, memory_map};
use crate::machine::layout::{
    ACPI_TABLES, CMDLINE, KERNEL_START, PVH_MEMORY_MAP, PVH_MODULES, PVH_START,
};
use crate::machine::memory::Memory;

const MAGIC: u32 = 0x336e_c578;
const VERSION: u32 = 1;

#[repr(transparent)]
#[derive(Clone, Copy, Default)]
struct Start(hvm_start_info);
// SAFETY: a C structure of integers without padding (56 bytes).
unsafe impl ByteValued for Start {}

#[repr(transparent)]
#[derive(Clone, Copy, Default)]
struct Module(hvm_modlist_entry);
// SAFETY: a C structure of integers without padding (32 bytes).
unsafe impl ByteValued for Module {}

#[repr(transparent)]
#[derive(Clone, Copy, Default)]
struct MapEntry(hvm_memmap_table_entry);
// SAFETY: a C structure of integers without padding (24 bytes).
unsafe impl ByteValued for MapEntry {}

/// Loads the ELF segments and writes the start information.
pub(super) fn load(
    memory: &Memory,
    bytes: u64,
    image: &mut File,
    kernel: &Kernel<'_>,
) -> Result<Entry, Error> {
    let high = Some(GuestAddress(KERNEL_START));
    let loaded = Elf::load(memory, None, image, high).map_err(Error::Load)?;
    let PvhBootCapability::PvhEntryPresent(entry) = loaded.pvh_boot_cap else {
        return Err(Error::NoPvhNote);
    };
    check_fits(memory, KERNEL_START, loaded.kernel_end)?;
    let initrd = load_initrd(memory, bytes, kernel.initrd, loaded.kernel_end, 1 << 32)?;

    let map = memory_map(bytes);
    for (i, range) in map.iter().enumerate() {
        let entry = MapEntry(hvm_memmap_table_entry {
            addr: range.start,
            size: range.len,
            type_: range.kind as u32,
            reserved: 0,
        });
        let at = PVH_MEMORY_MAP + (i * size_of::<MapEntry>()) as u64;
        memory.write_obj(entry, GuestAddress(at))?;
    }
    let mut start = hvm_start_info {
        magic: MAGIC,
        version: VERSION,
        cmdline_paddr: CMDLINE,
        rsdp_paddr: ACPI_TABLES,
        memmap_paddr: PVH_MEMORY_MAP,
        memmap_entries: map.len() as u32,
        ..Default::default()
    };
    if let Some((paddr, size)) = initrd {
        let module = Module(hvm_modlist_entry {
            paddr,
            size,
            ..Default::default()
        });
        memory.write_obj(module, GuestAddress(PVH_MODULES))?;
        start.nr_modules = 1;
        start.modlist_paddr = PVH_MODULES;
    }
    memory.write_obj(Start(start), GuestAddress(PVH_START))?;
    Ok(Entry::Pvh {
        rip: entry.raw_value(),
    })
}
