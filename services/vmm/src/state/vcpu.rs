//! Everything KVM keeps of one virtual CPU, read and set in the orders that KVM demands.
//!
//! Reading: `KVM_GET_MP_STATE` may change the local APIC and so comes first;
//! `KVM_GET_VCPU_EVENTS` sees what the other calls changed and comes last. Setting: features
//! before registers whose bits they allow, control registers before the local APIC (whose base
//! is one of them), the local APIC before the registers of its timer, the time stamp counter
//! before the deadline that is measured by it, and pending events at the end.

use kvm_bindings::{
    CpuId, Msrs, Xsave, kvm_cpuid_entry2, kvm_debugregs, kvm_lapic_state, kvm_mp_state,
    kvm_msr_entry, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs,
};
use kvm_ioctls::{Cap, Kvm, KvmNestedStateBuffer, VcpuFd, VmFd};
use serde::{Deserialize, Serialize};

use crate::machine::hyperv;

const MSR_TSC: u32 = 0x10;
const MSR_TSC_DEADLINE: u32 = 0x6e0;
const MSR_XSS: u32 = 0xda0;
/// Memory types: variable ranges, fixed ranges, default. KVM lists none of them.
const MEMORY_TYPES: [std::ops::RangeInclusive<u32>; 5] = [
    0x200..=0x20f,
    0x250..=0x250,
    0x258..=0x259,
    0x268..=0x26f,
    0x2ff..=0x2ff,
];
/// Registers in one call to KVM.
const MSR_BATCH: usize = 128;
/// More than KVM knows.
const MAX_MSRS: usize = 1024;
/// Words of the fixed part of the extended state.
const XSAVE_WORDS: usize = 1024;
/// Most words in all: KVM's largest state (AMX) has 11 KiB.
const MAX_XSAVE_WORDS: usize = 16 * 1024;

/// Why a virtual CPU's state could not be read or set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// KVM refuses.
    #[error("KVM cannot {0}: {1}")]
    Kvm(&'static str, kvm_ioctls::Error),
    /// A register has a value that this host's KVM refuses.
    #[error("KVM refuses value {value:#x} for model-specific register {index:#x}")]
    Msr {
        /// The register.
        index: u32,
        /// The value.
        value: u64,
    },
    /// The guest saw a processor with more abilities than this host has.
    #[error("this host's processor lacks features the guest uses: CPUID {0:#x} {1} bits {2:#x}")]
    Features(u32, &'static str, u32),
    /// A length that no state has.
    #[error("the state of a virtual CPU is malformed: {0}")]
    Malformed(&'static str),
}

/// What one host's KVM can tell of virtual CPUs.
pub struct Abilities {
    msrs: Vec<u32>,
    xsave_words: usize,
    nested: bool,
}

impl Abilities {
    /// Asks KVM.
    pub fn of(kvm: &Kvm, vm: &VmFd) -> Result<Self, Error> {
        let list = kvm
            .get_msr_index_list()
            .map_err(|e| Error::Kvm("list model-specific registers", e))?;
        let mut msrs: Vec<u32> = list.as_slice().to_vec();
        msrs.extend(MEMORY_TYPES.into_iter().flatten());
        msrs.push(MSR_XSS);
        msrs.sort_unstable();
        msrs.dedup();
        let bytes = usize::try_from(vm.check_extension_int(Cap::Xsave2)).unwrap_or(0);
        Ok(Self {
            msrs,
            xsave_words: (bytes / 4).max(XSAVE_WORDS),
            nested: kvm.check_extension(Cap::NestedState),
        })
    }

    /// The registers to keep of a virtual CPU with `features`, in ascending order: of Hyper-V's, the guest's
    /// identity comes before the page that needs it.
    fn msrs_of(&self, features: &CpuId) -> Vec<u32> {
        let mut msrs = self.msrs.clone();
        msrs.extend(hyperv::registers(features));
        msrs.sort_unstable();
        msrs.dedup();
        msrs
    }
}

/// One virtual CPU.
#[derive(Serialize, Deserialize)]
pub struct VcpuState {
    mp_state: kvm_mp_state,
    regs: kvm_regs,
    sregs: kvm_sregs,
    /// Extended state, in 32-bit words, as long as this processor needs.
    xsave: Vec<u32>,
    xcrs: kvm_xcrs,
    lapic: kvm_lapic_state,
    tsc_khz: u32,
    cpuid: Vec<kvm_cpuid_entry2>,
    msrs: Vec<kvm_msr_entry>,
    /// State of a guest in the guest, where the processor has been a host.
    nested: Option<Box<KvmNestedStateBuffer>>,
    debug: kvm_debugregs,
    events: kvm_vcpu_events,
}

impl VcpuState {
    /// Reads a virtual CPU that stands between two instructions and was given `features`. What
    /// KVM says of them later also has what the guest switched on, or what the host adds.
    pub fn save(vcpu: &VcpuFd, abilities: &Abilities, features: &CpuId) -> Result<Self, Error> {
        let failed = |what| move |e| Error::Kvm(what, e);
        let mp_state = vcpu.get_mp_state().map_err(failed("read the run state"))?;
        Ok(Self {
            mp_state,
            regs: vcpu.get_regs().map_err(failed("read registers"))?,
            sregs: vcpu.get_sregs().map_err(failed("read segments"))?,
            xsave: get_xsave(vcpu, abilities.xsave_words)?,
            xcrs: vcpu
                .get_xcrs()
                .map_err(failed("read extended control registers"))?,
            debug: vcpu
                .get_debug_regs()
                .map_err(failed("read debug registers"))?,
            lapic: vcpu.get_lapic().map_err(failed("read the local APIC"))?,
            // Zero where KVM does not say; then it is not set either.
            tsc_khz: vcpu.get_tsc_khz().unwrap_or(0),
            cpuid: features.as_slice().to_vec(),
            msrs: get_msrs(vcpu, &abilities.msrs_of(features))?,
            nested: if abilities.nested {
                get_nested(vcpu)?
            } else {
                None
            },
            events: vcpu
                .get_vcpu_events()
                .map_err(failed("read pending events"))?,
        })
    }

    /// Checks that a processor with `offered` features can go on where the saved one stopped.
    pub fn check(&self, offered: &CpuId) -> Result<(), Error> {
        if self.msrs.len() > MAX_MSRS {
            return Err(Error::Malformed("too many model-specific registers"));
        }
        if !(XSAVE_WORDS..=MAX_XSAVE_WORDS).contains(&self.xsave.len()) {
            return Err(Error::Malformed("length of the extended state"));
        }
        let nested = self.nested.as_ref().map_or(0, |n| n.size as usize);
        if nested > size_of::<KvmNestedStateBuffer>() {
            return Err(Error::Malformed("length of the nested state"));
        }
        for saved in &self.cpuid {
            check_features(saved, offered)?;
        }
        Ok(())
    }

    /// The features the guest saw.
    pub fn cpuid(&self) -> Result<CpuId, Error> {
        CpuId::from_entries(&self.cpuid).map_err(|_| Error::Malformed("too many CPUID entries"))
    }

    /// Makes `vcpu` go on where the saved one stopped, its clock `elapsed_ns` later. Its features
    /// are set already.
    pub fn restore(&self, vcpu: &VcpuFd, elapsed_ns: u64) -> Result<(), Error> {
        let failed = |what| move |e| Error::Kvm(what, e);
        vcpu.set_mp_state(self.mp_state)
            .map_err(failed("set the run state"))?;
        vcpu.set_regs(&self.regs).map_err(failed("set registers"))?;
        vcpu.set_sregs(&self.sregs)
            .map_err(failed("set segments"))?;
        set_xsave(vcpu, &self.xsave)?;
        vcpu.set_xcrs(&self.xcrs)
            .map_err(failed("set extended control registers"))?;
        vcpu.set_debug_regs(&self.debug)
            .map_err(failed("set debug registers"))?;
        vcpu.set_lapic(&self.lapic)
            .map_err(failed("set the local APIC"))?;
        let hosts = vcpu.get_tsc_khz().unwrap_or(0);
        if self.tsc_khz != 0 && hosts != self.tsc_khz {
            vcpu.set_tsc_khz(self.tsc_khz)
                .map_err(failed("set the rate of the time stamp counter"))?;
        }
        set_msrs(vcpu, &self.timed_msrs(elapsed_ns))?;
        if let Some(nested) = &self.nested {
            vcpu.set_nested_state(nested)
                .map_err(failed("set the state of a nested guest"))?;
        }
        vcpu.set_vcpu_events(&self.events)
            .map_err(failed("set pending events"))
    }

    /// Model-specific registers in the order to set them: the deadline last. The counter goes on
    /// as if the machine had run.
    fn timed_msrs(&self, elapsed_ns: u64) -> Vec<kvm_msr_entry> {
        let cycles = u128::from(elapsed_ns) * u128::from(self.tsc_khz) / 1_000_000;
        let mut msrs = self.msrs.clone();
        for msr in msrs.iter_mut().filter(|m| m.index == MSR_TSC) {
            // A counter that wraps does so on hardware too.
            msr.data = msr.data.wrapping_add(cycles as u64);
        }
        msrs.sort_by_key(|msr| msr.index == MSR_TSC_DEADLINE);
        msrs
    }
}

/// Refuses feature bits of leaves 1, 7 and 0x80000001 that this host does not offer.
fn check_features(saved: &kvm_cpuid_entry2, offered: &CpuId) -> Result<(), Error> {
    if !matches!(saved.function, 1 | 7 | 0x8000_0001) {
        return Ok(());
    }
    let same = |e: &&kvm_cpuid_entry2| (e.function, e.index) == (saved.function, saved.index);
    let host = offered.as_slice().iter().find(same).copied();
    let host = host.unwrap_or_default();
    let mut registers = vec![("ECX", saved.ecx, host.ecx), ("EDX", saved.edx, host.edx)];
    if saved.function == 7 {
        registers.push(("EBX", saved.ebx, host.ebx));
        // Sub-leaf 0 has the number of the last sub-leaf there.
        if saved.index != 0 {
            registers.push(("EAX", saved.eax, host.eax));
        }
    }
    match registers.into_iter().find(|(_, s, h)| s & !h != 0) {
        Some((name, s, h)) => Err(Error::Features(saved.function, name, s & !h)),
        None => Ok(()),
    }
}

fn get_xsave(vcpu: &VcpuFd, words: usize) -> Result<Vec<u32>, Error> {
    let failed = |e| Error::Kvm("read the extended state", e);
    if words == XSAVE_WORDS {
        let plain = vcpu.get_xsave().map_err(failed)?;
        return Ok(plain.region.to_vec());
    }
    let mut xsave =
        Xsave::new(words - XSAVE_WORDS).map_err(|_| Error::Malformed("extended state"))?;
    // SAFETY: there is room for as many bytes as KVM says its state has, and nothing in this
    // process enables further state.
    unsafe { vcpu.get_xsave2(&mut xsave) }.map_err(failed)?;
    let mut all = xsave.as_fam_struct_ref().xsave.region.to_vec();
    all.extend(xsave.as_slice());
    Ok(all)
}

fn set_xsave(vcpu: &VcpuFd, words: &[u32]) -> Result<(), Error> {
    let room = words.len().saturating_sub(XSAVE_WORDS);
    // KVM reads as much as this host's state has; what the saved one has not is initial.
    let room = room.max(MAX_XSAVE_WORDS - XSAVE_WORDS);
    let mut xsave = Xsave::new(room).map_err(|_| Error::Malformed("extended state"))?;
    let (fixed, more) = words
        .split_at_checked(XSAVE_WORDS)
        .ok_or(Error::Malformed("length of the extended state"))?;
    // SAFETY: only the contents change, not the length.
    let inner = unsafe { xsave.as_mut_fam_struct() };
    inner.xsave.region.copy_from_slice(fixed);
    for (to, from) in xsave.as_mut_slice().iter_mut().zip(more) {
        *to = *from;
    }
    // SAFETY: the buffer is larger than any state KVM has.
    unsafe { vcpu.set_xsave2(&xsave) }.map_err(|e| Error::Kvm("set the extended state", e))
}

fn get_nested(vcpu: &VcpuFd) -> Result<Option<Box<KvmNestedStateBuffer>>, Error> {
    let mut buffer = Box::new(KvmNestedStateBuffer::empty());
    let size = vcpu
        .nested_state(&mut buffer)
        .map_err(|e| Error::Kvm("read the state of a nested guest", e))?;
    Ok(size.map(|_| buffer))
}

/// Reads all registers of `list` that this virtual CPU has.
fn get_msrs(vcpu: &VcpuFd, list: &[u32]) -> Result<Vec<kvm_msr_entry>, Error> {
    let mut all = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let batch = &rest[..rest.len().min(MSR_BATCH)];
        let read = read_batch(vcpu, batch)?;
        // KVM stops at one that this virtual CPU has not.
        let skipped = usize::from(read.len() < batch.len());
        rest = &rest[read.len() + skipped..];
        all.extend(read);
    }
    Ok(all)
}

fn read_batch(vcpu: &VcpuFd, batch: &[u32]) -> Result<Vec<kvm_msr_entry>, Error> {
    let entries: Vec<_> = batch
        .iter()
        .map(|index| kvm_msr_entry {
            index: *index,
            ..Default::default()
        })
        .collect();
    let mut msrs = batch_of(&entries)?;
    let count = vcpu
        .get_msrs(&mut msrs)
        .map_err(|e| Error::Kvm("read model-specific registers", e))?;
    Ok(msrs.as_slice().iter().take(count).copied().collect())
}

fn batch_of(entries: &[kvm_msr_entry]) -> Result<Msrs, Error> {
    Msrs::from_entries(entries).map_err(|_| Error::Malformed("too many model-specific registers"))
}

fn set_msrs(vcpu: &VcpuFd, list: &[kvm_msr_entry]) -> Result<(), Error> {
    let mut rest = list;
    while !rest.is_empty() {
        let batch = &rest[..rest.len().min(MSR_BATCH)];
        let set = vcpu
            .set_msrs(&batch_of(batch)?)
            .map_err(|e| Error::Kvm("set model-specific registers", e))?;
        rest = &rest[set..];
        if let Some(refused) = batch.get(set) {
            check_refused(vcpu, refused)?;
            rest = &rest[1..];
        }
    }
    Ok(())
}

/// A register that KVM reads but refuses to set must have its value already.
fn check_refused(vcpu: &VcpuFd, wanted: &kvm_msr_entry) -> Result<(), Error> {
    let now = read_batch(vcpu, &[wanted.index])?;
    if now.first().is_some_and(|now| now.data == wanted.data) {
        return Ok(());
    }
    Err(Error::Msr {
        index: wanted.index,
        value: wanted.data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(function: u32, ecx: u32, edx: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 {
            function,
            ecx,
            edx,
            ..Default::default()
        }
    }

    #[test]
    fn a_processor_with_less_is_refused_and_one_with_more_is_not() {
        let host = CpuId::from_entries(&[entry(1, 0b0111, 1)]).unwrap();
        check_features(&entry(1, 0b0101, 1), &host).unwrap();
        check_features(&entry(0x4000_0001, u32::MAX, 0), &host).unwrap();
        let error = check_features(&entry(1, 0b1101, 1), &host).unwrap_err();
        assert!(
            error.to_string().ends_with("CPUID 0x1 ECX bits 0x8"),
            "{error}"
        );
        assert!(check_features(&entry(7, 1, 0), &host).is_err());
    }
}
