//! Registers of a virtual CPU at its first instruction.

use kvm_bindings::{Msrs, kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs};
use kvm_ioctls::VcpuFd;
use vm_memory::{Bytes, GuestAddress};

use super::boot::Entry;
use super::layout::{BOOT_GDT, BOOT_PAGE_TABLES, BOOT_STACK, PVH_START, ZERO_PAGE};
use super::memory::Memory;

const CR0_PROTECTION: u64 = 1;
const CR0_EXTENSION_TYPE: u64 = 1 << 4;
const CR0_PAGING: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LONG_MODE: u64 = 1 << 8 | 1 << 10;
const RFLAGS_ONE: u64 = 2;

const MSR_MISC_ENABLE: u32 = 0x1a0;
const MSR_MTRR_DEFAULT: u32 = 0x2ff;
const FAST_STRINGS: u64 = 1;
/// Memory type range registers on, everything write-back.
const MTRR_WRITE_BACK: u64 = 1 << 11 | 6;

const LVT_LINT0: usize = 0x350;
const LVT_LINT1: usize = 0x360;
const DELIVER_NMI: u32 = 4 << 8;
const DELIVER_EXTERNAL: u32 = 7 << 8;

/// Why registers could not be set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// KVM refuses.
    #[error("cannot set {0}: {1}")]
    Kvm(&'static str, kvm_ioctls::Error),
    /// KVM stopped at a model-specific register.
    #[error("KVM refuses model-specific register {0:#x}")]
    Msr(u32),
    /// The descriptor table lies outside memory.
    #[error("cannot write the descriptor table: {0}")]
    Memory(#[from] vm_memory::GuestMemoryError),
}

/// What every processor has before it starts: local interrupts wired and, unless firmware will see to
/// it, memory write-back.
pub fn prepare(vcpu: &VcpuFd, firmware: bool) -> Result<(), Error> {
    if !firmware {
        set_memory_types(vcpu)?;
    }
    wire_interrupts(vcpu)
}

fn set_memory_types(vcpu: &VcpuFd) -> Result<(), Error> {
    let entry = |index, data| kvm_msr_entry {
        index,
        data,
        ..Default::default()
    };
    let list = [
        entry(MSR_MISC_ENABLE, FAST_STRINGS),
        entry(MSR_MTRR_DEFAULT, MTRR_WRITE_BACK),
    ];
    // Two entries are far below the structure's limit.
    let msrs = Msrs::from_entries(&list).map_err(|_| Error::Msr(MSR_MISC_ENABLE))?;
    let set = vcpu
        .set_msrs(&msrs)
        .map_err(|e| Error::Kvm("model-specific registers", e))?;
    match list.get(set) {
        Some(refused) => Err(Error::Msr(refused.index)),
        None => Ok(()),
    }
}

fn wire_interrupts(vcpu: &VcpuFd) -> Result<(), Error> {
    let mut lapic = vcpu
        .get_lapic()
        .map_err(|e| Error::Kvm("the local APIC", e))?;
    for (register, mode) in [(LVT_LINT0, DELIVER_EXTERNAL), (LVT_LINT1, DELIVER_NMI)] {
        for (i, byte) in mode.to_le_bytes().into_iter().enumerate() {
            lapic.regs[register + i] = byte as std::ffi::c_char;
        }
    }
    vcpu.set_lapic(&lapic)
        .map_err(|e| Error::Kvm("the local APIC", e))
}

/// Points the first processor at the kernel. The others wait for its start-up message.
pub fn enter(vcpu: &VcpuFd, memory: &Memory, entry: Entry) -> Result<(), Error> {
    let mut sregs = vcpu.get_sregs().map_err(|e| Error::Kvm("segments", e))?;
    let mut regs = kvm_regs {
        rflags: RFLAGS_ONE,
        rsp: BOOT_STACK,
        ..Default::default()
    };
    let code = match entry {
        Entry::Linux64 { rip } => {
            regs.rip = rip;
            regs.rsi = ZERO_PAGE;
            sregs.cr0 = CR0_PROTECTION | CR0_EXTENSION_TYPE | CR0_PAGING;
            sregs.cr3 = BOOT_PAGE_TABLES;
            sregs.cr4 = CR4_PAE;
            sregs.efer = EFER_LONG_MODE;
            segment(2, 0xb, true)
        }
        Entry::Pvh { rip } => {
            regs.rip = rip;
            regs.rbx = PVH_START;
            sregs.cr0 = CR0_PROTECTION | CR0_EXTENSION_TYPE;
            sregs.cr4 = 0;
            segment(2, 0xb, false)
        }
    };
    let data = segment(3, 0x3, false);
    set_segments(&mut sregs, code, data);
    write_gdt(memory, &sregs)?;
    vcpu.set_sregs(&sregs)
        .map_err(|e| Error::Kvm("segments", e))?;
    vcpu.set_regs(&regs).map_err(|e| Error::Kvm("registers", e))
}

/// A flat segment; `long` marks 64-bit code.
fn segment(index: u16, type_: u8, long: bool) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector: index * 8,
        type_,
        present: 1,
        dpl: 0,
        db: u8::from(!long),
        s: 1,
        l: u8::from(long),
        g: 1,
        ..Default::default()
    }
}

fn set_segments(sregs: &mut kvm_sregs, code: kvm_segment, data: kvm_segment) {
    sregs.cs = code;
    for segment in [
        &mut sregs.ds,
        &mut sregs.es,
        &mut sregs.fs,
        &mut sregs.gs,
        &mut sregs.ss,
    ] {
        *segment = data;
    }
    sregs.tr = kvm_segment {
        limit: 0x67,
        selector: 4 * 8,
        type_: 0xb,
        present: 1,
        ..Default::default()
    };
    sregs.gdt.base = BOOT_GDT;
    sregs.gdt.limit = 5 * 8 - 1;
    sregs.idt.base = 0;
    sregs.idt.limit = 0;
}

fn write_gdt(memory: &Memory, sregs: &kvm_sregs) -> Result<(), Error> {
    for segment in [&sregs.cs, &sregs.ds, &sregs.tr] {
        let at = BOOT_GDT + u64::from(segment.selector);
        memory.write_obj(descriptor(segment), GuestAddress(at))?;
    }
    Ok(())
}

/// The eight bytes that describe `segment` in a descriptor table.
fn descriptor(segment: &kvm_segment) -> u64 {
    let limit = if segment.g == 1 {
        segment.limit >> 12
    } else {
        segment.limit
    };
    let (limit, base) = (u64::from(limit), segment.base);
    let access =
        u64::from(segment.type_ | segment.s << 4 | segment.dpl << 5 | segment.present << 7);
    let flags = u64::from(segment.l << 1 | segment.db << 2 | segment.g << 3);
    (base & 0xff00_0000) << 32
        | flags << 52
        | (limit & 0xf_0000) << 32
        | access << 40
        | (base & 0xff_ffff) << 16
        | limit & 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_have_the_processors_layout() {
        assert_eq!(descriptor(&segment(2, 0xb, true)), 0x00af_9b00_0000_ffff);
        assert_eq!(descriptor(&segment(2, 0xb, false)), 0x00cf_9b00_0000_ffff);
        assert_eq!(descriptor(&segment(3, 0x3, false)), 0x00cf_9300_0000_ffff);
    }
}
