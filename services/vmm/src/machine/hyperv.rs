//! What Windows is told so that it runs well on KVM: the interface of Microsoft's hypervisor, as far as the
//! kernel implements it (Hypervisor Top Level Functional Specification 6.0b, §2.4).
//!
//! Its leaves take the first place of a hypervisor; KVM's own come 256 later, where guests look for
//! them too. What is told is a fixed list, narrowed by what this host's KVM can do. KVM is made to refuse
//! everything beside it: nothing of the interface needs this process then, messages and ports included.

use std::os::fd::AsRawFd;

use kvm_bindings::{
    CpuId, KVM_CAP_HYPERV_ENFORCE_CPUID, KVM_CAP_HYPERV_SYNIC2, KVM_CAP_SYS_HYPERV_CPUID,
    kvm_cpuid_entry2, kvm_enable_cap,
};
use kvm_ioctls::{Kvm, VcpuFd};
use vmm_sys_util::errno;
use vmm_sys_util::ioctl::ioctl_with_mut_ptr;

/// `_IOWR(KVMIO, 0xc1, struct kvm_cpuid2)`.
pub const KVM_GET_SUPPORTED_HV_CPUID: u64 = 0xc008_aec1;
/// More leaves than KVM has.
const MOST_LEAVES: usize = 32;

/// Leaves of a hypervisor, and where those of a second one begin.
const FIRST: u32 = 0x4000_0000;
const SECOND: u32 = 0x4000_0100;
const INTERFACE: u32 = FIRST + 1;
const VERSION: u32 = FIRST + 2;
const FEATURES: u32 = FIRST + 3;
const ADVICE: u32 = FIRST + 4;
const LIMITS: u32 = FIRST + 5;
/// `Hv#1`.
const SIGNATURE: u32 = u32::from_le_bytes(*b"Hv#1");

/// Run time of a processor, counter of the partition, synthetic interrupts and their timers, registers of the
/// local APIC, hypercalls, number of a processor, reset, page of the time stamp counter, frequencies.
const FEATURES_EAX: u32 = 0b1010_1111_1111;
/// Frequencies; timers that interrupt without a message.
const FEATURES_EDX: u32 = 1 << 8 | 1 << 19;
/// Without these nothing of it makes sense: hypercalls, number of a processor.
const NEEDED_EAX: u32 = 1 << 5 | 1 << 6;
/// Synthetic interrupts.
const INTERRUPTS: u32 = 1 << 2;
/// To flush other processors' translations by hypercall, to use the registers of the local APIC, to expect
/// late timers, to interrupt other processors by hypercall, and to name processors in sparse sets.
const ADVICE_EAX: u32 = 1 << 2 | 1 << 3 | 1 << 5 | 1 << 10 | 1 << 11;
/// How often to try a lock before telling the hypervisor.
const SPINS: u32 = 0x1fff;
/// Build and version of the hypervisor that it says it is: those that other monitors on KVM tell.
const BUILD: u32 = 0x3839;
const MAJOR: u32 = 10;
/// Most processors that hypercalls can name.
const MOST_PROCESSORS: u32 = 64;

/// Registers of synthetic interrupts and timers, of which KVM lists the first ones only: pages of
/// events and messages, sources, timers.
const MSRS: [std::ops::RangeInclusive<u32>; 3] = [
    0x4000_0082..=0x4000_0083,
    0x4000_0090..=0x4000_009f,
    0x4000_00b0..=0x4000_00b7,
];

/// What KVM can do of the interface on this host; `None` if its kernel was built without.
pub fn supported(kvm: &Kvm) -> Result<Option<Vec<kvm_cpuid_entry2>>, kvm_ioctls::Error> {
    let needed = [
        KVM_CAP_SYS_HYPERV_CPUID,
        KVM_CAP_HYPERV_ENFORCE_CPUID,
        KVM_CAP_HYPERV_SYNIC2,
    ];
    if needed
        .into_iter()
        .any(|cap| kvm.check_extension_raw(cap.into()) <= 0)
    {
        return Ok(None);
    }
    let mut list = CpuId::new(MOST_LEAVES).map_err(|_| errno::Error::new(libc::ENOMEM))?;
    // SAFETY: the structure has room for as many entries as it says, and KVM writes no more.
    let result = unsafe {
        ioctl_with_mut_ptr(
            &kvm.as_raw_fd(),
            KVM_GET_SUPPORTED_HV_CPUID,
            list.as_mut_fam_struct_ptr(),
        )
    };
    match result {
        0 => Ok(Some(list.as_slice().to_vec())),
        _ => Err(errno::Error::last()),
    }
}

/// Adds the leaves to a processor's; what is missing here otherwise.
pub fn add(
    entries: &mut Vec<kvm_cpuid_entry2>,
    supported: &[kvm_cpuid_entry2],
) -> Result<(), String> {
    let own = leaves(supported)?;
    for entry in entries.iter_mut() {
        if (FIRST..SECOND).contains(&entry.function) {
            // The first of them tells the last one's number.
            if entry.function == FIRST {
                entry.eax = entry.eax.max(FIRST + 1) + (SECOND - FIRST);
            }
            entry.function += SECOND - FIRST;
        }
    }
    entries.extend(own);
    Ok(())
}

fn leaves(supported: &[kvm_cpuid_entry2]) -> Result<[kvm_cpuid_entry2; 6], String> {
    let find = |function: u32| {
        let mut entries = supported.iter();
        let found = entries.find(|entry| entry.function == function).copied();
        found.unwrap_or_default()
    };
    let (features, advice) = (find(FEATURES), find(ADVICE));
    if features.eax & NEEDED_EAX != NEEDED_EAX {
        return Err("what Windows needs of its kernel (Hyper-V's interface)".to_owned());
    }
    let leaf = |function: u32, [eax, ebx, ecx, edx]: [u32; 4]| kvm_cpuid_entry2 {
        function,
        eax,
        ebx,
        ecx,
        edx,
        ..Default::default()
    };
    let name = |part: [u8; 4]| u32::from_le_bytes(part);
    let vendor = [name(*b"Micr"), name(*b"osof"), name(*b"t Hv")];
    Ok([
        leaf(FIRST, [LIMITS, vendor[0], vendor[1], vendor[2]]),
        leaf(INTERFACE, [SIGNATURE, 0, 0, 0]),
        leaf(VERSION, [BUILD, MAJOR << 16, 0, 0]),
        leaf(
            FEATURES,
            [
                features.eax & FEATURES_EAX,
                0,
                0,
                features.edx & FEATURES_EDX,
            ],
        ),
        leaf(ADVICE, [advice.eax & ADVICE_EAX, SPINS, 0, 0]),
        leaf(LIMITS, [MOST_PROCESSORS, MOST_PROCESSORS, 0, 0]),
    ])
}

/// Whether a processor is told of the interface.
pub fn is_told(features: &CpuId) -> bool {
    let mut entries = features.as_slice().iter();
    entries.any(|entry| entry.function == INTERFACE && entry.eax == SIGNATURE)
}

/// The registers to keep beside those that KVM lists, of a processor that is told of the interface.
pub fn registers(features: &CpuId) -> impl Iterator<Item = u32> {
    let told = is_told(features);
    MSRS.into_iter().flatten().filter(move |_| told)
}

/// Bits of leaves `saved` that KVM on this host has not: the leaf, register and bits of the first.
pub fn missing(
    saved: &[kvm_cpuid_entry2],
    supported: &[kvm_cpuid_entry2],
) -> Option<(u32, &'static str, u32)> {
    let find = |list: &[kvm_cpuid_entry2], function: u32| {
        let found = list.iter().find(|entry| entry.function == function);
        found.copied().unwrap_or_default()
    };
    let (had, has) = (find(saved, FEATURES), find(supported, FEATURES));
    let (advised, knows) = (find(saved, ADVICE), find(supported, ADVICE));
    let pairs = [
        (FEATURES, "EAX", had.eax & !has.eax),
        (FEATURES, "EDX", had.edx & !has.edx),
        (ADVICE, "EAX", advised.eax & !knows.eax),
    ];
    pairs.into_iter().find(|(.., bits)| *bits != 0)
}

/// Switches on in KVM what a processor with these features is told of, before it has any state.
pub fn enable(vcpu: &VcpuFd, features: &CpuId) -> Result<(), kvm_ioctls::Error> {
    if !is_told(features) {
        return Ok(());
    }
    let enforce = kvm_enable_cap {
        cap: KVM_CAP_HYPERV_ENFORCE_CPUID,
        args: [1, 0, 0, 0],
        ..Default::default()
    };
    vcpu.enable_cap(&enforce)?;
    let mut entries = features.as_slice().iter();
    let interrupts = entries.any(|e| e.function == FEATURES && e.eax & INTERRUPTS != 0);
    if interrupts {
        let interrupts = kvm_enable_cap {
            cap: KVM_CAP_HYPERV_SYNIC2,
            ..Default::default()
        };
        vcpu.enable_cap(&interrupts)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(function: u32, [eax, ebx, ecx, edx]: [u32; 4]) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 {
            function,
            eax,
            ebx,
            ecx,
            edx,
            ..Default::default()
        }
    }

    /// A KVM that can do everything, also what does not exist yet.
    fn everything() -> [kvm_cpuid_entry2; 2] {
        [entry(FEATURES, [!0; 4]), entry(ADVICE, [!0; 4])]
    }

    fn leaf(entries: &[kvm_cpuid_entry2], function: u32) -> kvm_cpuid_entry2 {
        let found: Vec<_> = entries.iter().filter(|e| e.function == function).collect();
        assert_eq!(found.len(), 1, "{function:#x}");
        *found[0]
    }

    #[test]
    fn windows_finds_its_hypervisor_first_and_others_find_kvm() {
        let mut entries = vec![
            entry(1, [1, 2, 3, 4]),
            entry(0x4000_0000, [0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d]),
            entry(0x4000_0001, [0x0100_7efb, 0, 0, 0]),
        ];
        add(&mut entries, &everything()).unwrap();
        let first = leaf(&entries, 0x4000_0000);
        let vendor = [first.ebx, first.ecx, first.edx].map(u32::to_le_bytes);
        assert_eq!(vendor.concat(), b"Microsoft Hv");
        assert_eq!(first.eax, 0x4000_0005);
        assert_eq!(leaf(&entries, 0x4000_0001).eax, 0x3123_7648);
        let kvm = leaf(&entries, 0x4000_0100);
        assert_eq!((kvm.eax, kvm.ebx), (0x4000_0101, 0x4b4d_564b));
        assert_eq!(leaf(&entries, 0x4000_0101).eax, 0x0100_7efb);
        assert!(is_told(&CpuId::from_entries(&entries).unwrap()));
    }

    #[test]
    fn nothing_is_told_that_kvm_would_leave_to_this_process_or_comes_later() {
        let mut entries = Vec::new();
        add(&mut entries, &everything()).unwrap();
        let features = leaf(&entries, FEATURES);
        assert_eq!(features.eax, 0xaff);
        assert_eq!(features.ebx, 0, "neither messages nor signals");
        assert_eq!(features.edx & 1 << 10, 0, "no crash registers");
        let advice = leaf(&entries, ADVICE);
        assert_eq!((advice.eax, advice.ebx), (0xc2c, 0x1fff));
    }

    #[test]
    fn what_kvm_lacks_is_not_told_and_too_little_is_an_error() {
        let mut entries = Vec::new();
        let little = [entry(FEATURES, [0x62, 0, 0, 0]), entry(ADVICE, [0x20; 4])];
        add(&mut entries, &little).unwrap();
        assert_eq!(leaf(&entries, FEATURES).eax, 0x62);
        assert_eq!(leaf(&entries, ADVICE).eax, 0x20);
        assert!(add(&mut entries, &[]).is_err());
    }

    #[test]
    fn a_host_with_less_is_found_out() {
        let mut saved = Vec::new();
        add(&mut saved, &everything()).unwrap();
        assert_eq!(missing(&saved, &everything()), None);
        let less = [entry(FEATURES, [!0, 0, 0, 1 << 8]), everything()[1]];
        assert_eq!(missing(&saved, &less), Some((FEATURES, "EDX", 1 << 19)));
        assert_eq!(missing(&[entry(1, [!0; 4])], &[]), None);
    }

    #[test]
    fn other_guests_keep_no_registers_of_it() {
        let linux = CpuId::from_entries(&[entry(0x4000_0001, [0x0100_7efb, 0, 0, 0])]).unwrap();
        assert_eq!(registers(&linux).count(), 0);
        let windows = CpuId::from_entries(&leaves(&everything()).unwrap()).unwrap();
        let kept: Vec<u32> = registers(&windows).collect();
        assert!(kept.contains(&0x4000_0083) && kept.contains(&0x4000_00b7));
    }
}
