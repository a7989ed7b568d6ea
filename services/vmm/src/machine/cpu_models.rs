//! Processors that are the same on different hosts: named levels of features, laid over what KVM
//! offers here.
//!
//! A level leaves nothing of the host but what tells its maker, model and caches, so that a machine
//! finds on any host of that maker what it found on the first. What a level has and a host lacks is
//! an error before the machine runs.

use basalt_model::cpu::{CpuFlag, CpuModel, CpuSpec};
use kvm_bindings::{CpuId, kvm_cpuid_entry2};

/// A register that the CPUID instruction fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Register {
    Ebx,
    Ecx,
    Edx,
}

/// A feature: its name, and the bit of a leaf (sub-leaf 0) that stands for it.
type Feature = (&'static str, u32, Register, u32);

use Register::{Ebx, Ecx, Edx};

const BASIC: u32 = 1;
const STRUCTURED: u32 = 7;
const XSAVE: u32 = 0xd;
const EXTENDED: u32 = 0x8000_0001;
const SIZES: u32 = 0x8000_0008;

const LEVEL_1: &[Feature] = &[
    ("fpu", BASIC, Edx, 0),
    ("de", BASIC, Edx, 2),
    ("pse", BASIC, Edx, 3),
    ("tsc", BASIC, Edx, 4),
    ("msr", BASIC, Edx, 5),
    ("pae", BASIC, Edx, 6),
    ("mce", BASIC, Edx, 7),
    ("cx8", BASIC, Edx, 8),
    ("apic", BASIC, Edx, 9),
    ("sep", BASIC, Edx, 11),
    ("mtrr", BASIC, Edx, 12),
    ("pge", BASIC, Edx, 13),
    ("mca", BASIC, Edx, 14),
    ("cmov", BASIC, Edx, 15),
    ("pat", BASIC, Edx, 16),
    ("pse36", BASIC, Edx, 17),
    ("clflush", BASIC, Edx, 19),
    ("mmx", BASIC, Edx, 23),
    ("fxsr", BASIC, Edx, 24),
    ("sse", BASIC, Edx, 25),
    ("sse2", BASIC, Edx, 26),
    ("syscall", EXTENDED, Edx, 11),
    ("nx", EXTENDED, Edx, 20),
    ("lm", EXTENDED, Edx, 29),
];

const LEVEL_2: &[Feature] = &[
    ("sse3", BASIC, Ecx, 0),
    ("ssse3", BASIC, Ecx, 9),
    ("cx16", BASIC, Ecx, 13),
    ("sse4.1", BASIC, Ecx, 19),
    ("sse4.2", BASIC, Ecx, 20),
    ("popcnt", BASIC, Ecx, 23),
    ("lahf-lm", EXTENDED, Ecx, 0),
];

const AES: &[Feature] = &[("aes", BASIC, Ecx, 25)];

const LEVEL_3: &[Feature] = &[
    ("fma", BASIC, Ecx, 12),
    ("movbe", BASIC, Ecx, 22),
    ("xsave", BASIC, Ecx, 26),
    ("avx", BASIC, Ecx, 28),
    ("f16c", BASIC, Ecx, 29),
    ("bmi1", STRUCTURED, Ebx, 3),
    ("avx2", STRUCTURED, Ebx, 5),
    ("bmi2", STRUCTURED, Ebx, 8),
    ("lzcnt", EXTENDED, Ecx, 5),
];

const LEVEL_4: &[Feature] = &[
    ("avx512f", STRUCTURED, Ebx, 16),
    ("avx512dq", STRUCTURED, Ebx, 17),
    ("avx512cd", STRUCTURED, Ebx, 28),
    ("avx512bw", STRUCTURED, Ebx, 30),
    ("avx512vl", STRUCTURED, Ebx, 31),
];

/// What KVM emulates everywhere, or what depends on the machine: x2APIC, the APIC's deadline, and
/// that there is a hypervisor.
const ALWAYS: u32 = 1 << 21 | 1 << 24 | 1 << 31;
/// AMD has the basic features again among the extended ones.
const REPEATED: u32 = 0x0183_f3ff;
/// AMD: what is counted as threads are cores.
const THREADS_ARE_CORES: u32 = 1 << 1;
/// The APIC's timer runs in all power states.
const ARAT: u32 = 1 << 2;
/// Highest leaves that are told of.
const LAST_BASIC: u32 = 0xd;
const LAST_EXTENDED: u32 = SIZES;
/// Leaves by which a hypervisor tells of itself.
const HYPERVISOR: std::ops::RangeInclusive<u32> = 0x4000_0000..=0x4fff_ffff;

/// Parts of the extended state: x87 and SSE; AVX; AVX-512.
const LEGACY_STATE: u32 = 0b11;
const AVX_STATE: u32 = 0b100;
const AVX512_STATE: u32 = 0b1110_0000;
/// Bytes of the extended state's first part and header.
const LEAST_STATE: u32 = 576;

fn levels(model: CpuModel) -> &'static [&'static [Feature]] {
    match model {
        CpuModel::Host => &[],
        CpuModel::V1 => &[LEVEL_1],
        CpuModel::V2 => &[LEVEL_1, LEVEL_2],
        CpuModel::V2Aes => &[LEVEL_1, LEVEL_2, AES],
        CpuModel::V3 => &[LEVEL_1, LEVEL_2, AES, LEVEL_3],
        CpuModel::V4 => &[LEVEL_1, LEVEL_2, AES, LEVEL_3, LEVEL_4],
    }
}

fn feature(flag: CpuFlag) -> Feature {
    let (leaf, register, bit) = match flag {
        CpuFlag::Aes => (BASIC, Ecx, 25),
        CpuFlag::Pcid => (BASIC, Ecx, 17),
        CpuFlag::MdClear => (STRUCTURED, Edx, 10),
        CpuFlag::SpecCtrl => (STRUCTURED, Edx, 26),
        CpuFlag::Ssbd => (STRUCTURED, Edx, 31),
        CpuFlag::Pdpe1gb => (EXTENDED, Edx, 26),
        CpuFlag::Ibpb => (SIZES, Ebx, 12),
        CpuFlag::AmdSsbd => (SIZES, Ebx, 24),
        CpuFlag::VirtSsbd => (SIZES, Ebx, 25),
        CpuFlag::AmdNoSsb => (SIZES, Ebx, 26),
    };
    (flag.as_str(), leaf, register, bit)
}

fn value(entry: &kvm_cpuid_entry2, register: Register) -> u32 {
    match register {
        Ebx => entry.ebx,
        Ecx => entry.ecx,
        Edx => entry.edx,
    }
}

fn register(entry: &mut kvm_cpuid_entry2, register: Register) -> &mut u32 {
    match register {
        Ebx => &mut entry.ebx,
        Ecx => &mut entry.ecx,
        Edx => &mut entry.edx,
    }
}

/// The features that a machine has of those that KVM `offers`, or the names of those that are
/// missing here.
pub fn shape(offers: &CpuId, spec: &CpuSpec) -> Result<Vec<kvm_cpuid_entry2>, String> {
    let mut entries = offers.as_slice().to_vec();
    let removed: Vec<Feature> = spec.remove.iter().copied().map(feature).collect();
    let added = spec.add.iter().copied().map(feature);
    let wanted = levels(spec.model).iter().copied().flatten().copied();
    let wanted: Vec<Feature> = wanted
        .chain(added)
        .filter(|feature| !removed.contains(feature))
        .collect();
    let missing = wanted.iter().filter(|feature| !has(&entries, feature));
    let missing: Vec<&str> = missing.map(|feature| feature.0).collect();
    if !missing.is_empty() {
        return Err(missing.join(", "));
    }
    if spec.model == CpuModel::Host {
        for (_, leaf, place, bit) in removed {
            let own = |entry: &&mut kvm_cpuid_entry2| (entry.function, entry.index) == (leaf, 0);
            if let Some(entry) = entries.iter_mut().find(own) {
                *register(entry, place) &= !(1 << bit);
            }
        }
    } else {
        narrow(&mut entries, &wanted);
    }
    if spec.hidden {
        entries.retain(|entry| !HYPERVISOR.contains(&entry.function));
    }
    Ok(entries)
}

fn has(entries: &[kvm_cpuid_entry2], feature: &Feature) -> bool {
    let (_, leaf, place, bit) = *feature;
    let mut entries = entries.iter();
    let entry = entries.find(|entry| (entry.function, entry.index) == (leaf, 0));
    entry.is_some_and(|entry| value(entry, place) >> bit & 1 != 0)
}

/// Leaves nothing but the features that are wanted.
fn narrow(entries: &mut Vec<kvm_cpuid_entry2>, wanted: &[Feature]) {
    let mask = |leaf: u32, register: Register| {
        let own = wanted.iter().filter(|f| (f.1, f.2) == (leaf, register));
        own.fold(0u32, |mask, feature| mask | 1u32 << feature.3)
    };
    let state = state(wanted);
    entries.retain(|entry| match (entry.function, entry.index) {
        (0..=2 | 4 | 6 | 0xb, _) | (STRUCTURED, 0) | (0x8000_0000..=LAST_EXTENDED, _) => true,
        (XSAVE, 0 | 1) => state != 0,
        (XSAVE, part) => part < 32 && state >> part & 1 != 0,
        (leaf, _) => HYPERVISOR.contains(&leaf),
    });
    let room = state_size(entries);
    for entry in entries {
        match (entry.function, entry.index) {
            (0, _) => entry.eax = entry.eax.min(LAST_BASIC),
            (0x8000_0000, _) => entry.eax = entry.eax.min(LAST_EXTENDED),
            (BASIC, _) => {
                entry.ecx &= mask(BASIC, Ecx) | ALWAYS;
                entry.edx &= mask(BASIC, Edx);
            }
            (6, _) => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (entry.eax & ARAT, 0, 0, 0),
            (STRUCTURED, _) => {
                entry.eax = 0;
                entry.ebx &= mask(STRUCTURED, Ebx);
                entry.ecx &= mask(STRUCTURED, Ecx);
                entry.edx &= mask(STRUCTURED, Edx);
            }
            (XSAVE, 0) => {
                (entry.eax, entry.edx) = (entry.eax & state, 0);
                (entry.ebx, entry.ecx) = (room, room);
            }
            (XSAVE, 1) | (0x8000_0007, _) => {
                (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0);
            }
            (EXTENDED, _) => {
                entry.ecx &= mask(EXTENDED, Ecx) | THREADS_ARE_CORES;
                entry.edx &= mask(EXTENDED, Edx) | REPEATED;
            }
            (SIZES, _) => (entry.ebx, entry.edx) = (entry.ebx & mask(SIZES, Ebx), 0),
            _ => {}
        }
    }
}

/// The parts of the extended state that features need; none without `xsave`.
fn state(wanted: &[Feature]) -> u32 {
    let has = |name: &str| wanted.iter().any(|feature| feature.0 == name);
    let parts = [
        ("xsave", LEGACY_STATE),
        ("avx", AVX_STATE),
        ("avx512f", AVX512_STATE),
    ];
    let there = parts.iter().filter(|(name, _)| has(name));
    there.fold(0u32, |all, (_, parts)| all | *parts)
}

/// Bytes of the extended state with the parts that are left.
fn state_size(entries: &[kvm_cpuid_entry2]) -> u32 {
    let parts = entries.iter();
    let parts = parts.filter(|entry| entry.function == XSAVE && entry.index >= 2);
    let ends = parts.map(|entry| entry.ebx.saturating_add(entry.eax));
    ends.fold(LEAST_STATE, u32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(function: u32, index: u32, registers: [u32; 4]) -> kvm_cpuid_entry2 {
        let [eax, ebx, ecx, edx] = registers;
        kvm_cpuid_entry2 {
            function,
            index,
            eax,
            ebx,
            ecx,
            edx,
            ..Default::default()
        }
    }

    /// A host with everything but AVX-512.
    fn host() -> CpuId {
        let avx512: u32 = LEVEL_4.iter().fold(0, |all, f| all | 1u32 << f.3);
        let all = u32::MAX;
        let entries = [
            entry(0, 0, [0x20, 1, 2, 3]),
            entry(1, 0, [0x306a9, 0x800, all, all]),
            entry(7, 0, [2, all & !avx512, all, all]),
            entry(7, 1, [all, 0, 0, 0]),
            entry(0xa, 0, [all, 0, 0, 0]),
            entry(0xd, 0, [0x7, 832, 832, 0]),
            entry(0xd, 1, [0xf, 832, 0, 0]),
            entry(0xd, 2, [256, 576, 0, 0]),
            entry(0xd, 9, [8, 2688, 0, 0]),
            entry(0x4000_0000, 0, [0x4000_0001, 1, 2, 3]),
            entry(0x8000_0000, 0, [0x8000_0021, 0, 0, 0]),
            entry(0x8000_0001, 0, [0, 0, all, all]),
            entry(0x8000_0007, 0, [0, 0, 0, 0x100]),
            entry(0x8000_0008, 0, [0x3030, all, 0, 0]),
            entry(0x8000_001f, 0, [all, 0, 0, 0]),
        ];
        CpuId::from_entries(&entries).unwrap()
    }

    fn shaped(text: &str) -> Result<Vec<kvm_cpuid_entry2>, String> {
        shape(&host(), &CpuSpec::parse(text).unwrap())
    }

    fn leaf(entries: &[kvm_cpuid_entry2], function: u32, index: u32) -> Option<[u32; 4]> {
        let own = |entry: &&kvm_cpuid_entry2| (entry.function, entry.index) == (function, index);
        let entry = entries.iter().find(own)?;
        Some([entry.eax, entry.ebx, entry.ecx, entry.edx])
    }

    #[test]
    fn a_level_hides_what_other_hosts_may_lack() {
        let entries = shaped("x86-64-v2-AES").unwrap();
        let [_, _, ecx, edx] = leaf(&entries, 1, 0).unwrap();
        assert_eq!(ecx, 0x0298_2201 | ALWAYS);
        assert_eq!(edx, 0x078b_fbfd);
        assert_eq!(leaf(&entries, 7, 0), Some([0, 0, 0, 0]));
        for gone in [(7, 1), (0xa, 0), (0xd, 0), (0xd, 2), (0x8000_001f, 0)] {
            assert_eq!(leaf(&entries, gone.0, gone.1), None, "{gone:x?}");
        }
        assert_eq!(
            leaf(&entries, 0x8000_0007, 0),
            Some([0; 4]),
            "no invariant counter"
        );
        assert_eq!(leaf(&entries, 0x8000_0008, 0), Some([0x3030, 0, 0, 0]));
        assert!(leaf(&entries, 0x4000_0000, 0).is_some());
    }

    #[test]
    fn the_third_level_has_the_state_that_it_needs() {
        let entries = shaped("x86-64-v3,hidden=1").unwrap();
        assert_eq!(leaf(&entries, 0xd, 0), Some([7, 832, 832, 0]));
        assert_eq!(leaf(&entries, 0xd, 1), Some([0; 4]));
        assert!(leaf(&entries, 0xd, 2).is_some() && leaf(&entries, 0xd, 9).is_none());
        assert_eq!(leaf(&entries, 7, 0), Some([0, 0x128, 0, 0]));
        assert_eq!(leaf(&entries, 0x4000_0000, 0), None);
    }

    #[test]
    fn what_a_host_lacks_is_named() {
        let missing = shaped("x86-64-v4").unwrap_err();
        assert_eq!(missing, "avx512f, avx512dq, avx512cd, avx512bw, avx512vl");
        let mut bare = host();
        bare.as_mut_slice()[1].ecx = 0;
        let spec = CpuSpec::parse("host,flags=+pcid;+aes").unwrap();
        assert_eq!(shape(&bare, &spec).unwrap_err(), "pcid, aes");
    }

    #[test]
    fn flags_come_and_go() {
        let entries = shaped("x86-64-v2-AES,flags=+pcid;+ibpb;-aes").unwrap();
        let [_, _, ecx, _] = leaf(&entries, 1, 0).unwrap();
        assert_eq!(ecx & (1 << 17 | 1 << 25), 1 << 17);
        assert_eq!(
            leaf(&entries, 0x8000_0008, 0),
            Some([0x3030, 1 << 12, 0, 0])
        );
        let entries = shaped("host,flags=-aes").unwrap();
        let [_, _, ecx, _] = leaf(&entries, 1, 0).unwrap();
        assert_eq!(ecx, !(1 << 25));
        assert_eq!(entries.len(), host().as_slice().len());
    }
}
