//! What the guest's processors say about themselves: KVM's list, as far as their model has it
//! ([`cpu_models`]), with identity and topology of one socket filled in. With the host's model
//! nothing else is changed, so nested virtualisation and the invariant time stamp counter stay as
//! the host offers them.

use basalt_model::cpu::CpuSpec;
use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::{Cap, Kvm};

use super::{cpu_models, hyperv};

const HYPERVISOR: u32 = 1 << 31;
const TSC_DEADLINE: u32 = 1 << 24;
const HYPER_THREADING: u32 = 1 << 28;

/// What this host can offer to virtual CPUs.
pub struct Offer {
    base: CpuId,
    tsc_deadline: bool,
}

impl Offer {
    /// Asks KVM.
    pub fn of(kvm: &Kvm) -> Result<Self, super::Error> {
        Ok(Self {
            base: supported(kvm).map_err(|e| super::Error::Kvm("list processor features", e))?,
            tsc_deadline: has_tsc_deadline(kvm),
        })
    }

    /// What is left of it for the processors of `spec`, with what Windows is told.
    pub fn shaped(self, kvm: &Kvm, spec: &CpuSpec) -> Result<Self, super::Error> {
        let mut entries = cpu_models::shape(&self.base, spec).map_err(super::Error::Cpu)?;
        if spec.hyper_v {
            let supported = hyperv::supported(kvm);
            let supported =
                supported.map_err(|e| super::Error::Kvm("list Hyper-V's features", e))?;
            match supported {
                Some(supported) => {
                    hyperv::add(&mut entries, &supported).map_err(super::Error::Cpu)?;
                }
                None => {
                    tracing::warn!("this kernel has no Hyper-V interface: Windows runs without")
                }
            }
        }
        let base = CpuId::from_entries(&entries);
        let base = base.map_err(|e| super::Error::Cpu(format!("{e:?}")))?;
        Ok(Self { base, ..self })
    }

    /// Width of physical addresses.
    pub fn address_bits(&self) -> u8 {
        address_bits(&self.base)
    }

    /// The list of virtual CPU `id` of `vcpus`.
    pub fn for_vcpu(&self, id: u8, vcpus: u8) -> CpuId {
        for_vcpu(&self.base, id, vcpus, self.tsc_deadline)
    }
}

/// Everything KVM can offer on this host.
fn supported(kvm: &Kvm) -> Result<CpuId, kvm_ioctls::Error> {
    kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
}

/// The list of virtual CPU `id` of `vcpus`.
fn for_vcpu(base: &CpuId, id: u8, vcpus: u8, tsc_deadline: bool) -> CpuId {
    let mut list = base.clone();
    let topology = Topology {
        id: u32::from(id),
        vcpus: u32::from(vcpus),
    };
    for entry in list.as_mut_slice() {
        match (entry.function, entry.index) {
            (0x1, _) => {
                entry.ecx |= HYPERVISOR;
                if tsc_deadline {
                    entry.ecx |= TSC_DEADLINE;
                }
                entry.ebx = entry.ebx & 0xffff | topology.vcpus << 16 | topology.id << 24;
                entry.edx &= !HYPER_THREADING;
                if vcpus > 1 {
                    entry.edx |= HYPER_THREADING;
                }
            }
            (0x4, _) => topology.intel_cache(&mut entry.eax),
            (0xb | 0x1f, 0) => {
                (entry.eax, entry.ebx, entry.ecx) = (0, 1, 0x100);
                entry.edx = topology.id;
            }
            (0xb | 0x1f, 1) => {
                (entry.eax, entry.ebx, entry.ecx) = (topology.bits(), topology.vcpus, 0x201);
                entry.edx = topology.id;
            }
            (0xb | 0x1f, index) => {
                (entry.eax, entry.ebx, entry.ecx) = (0, 0, index & 0xff);
                entry.edx = topology.id;
            }
            (0x8000_0008, _) => {
                entry.ecx = topology.bits() << 12 | (topology.vcpus - 1);
            }
            (0x8000_001d, _) => topology.amd_cache(&mut entry.eax),
            (0x8000_001e, _) => {
                (entry.eax, entry.ebx, entry.ecx) = (topology.id, topology.id & 0xff, 0);
            }
            _ => {}
        }
    }
    list
}

/// Bits of a physical address.
pub fn address_bits(list: &CpuId) -> u8 {
    const LEAST: u8 = 36;
    let sizes = list.as_slice().iter().find(|e| e.function == 0x8000_0008);
    sizes.map_or(LEAST, |e| e.eax as u8)
}

/// Whether the local APIC's timer can be set by deadline.
fn has_tsc_deadline(kvm: &Kvm) -> bool {
    kvm.check_extension(Cap::TscDeadlineTimer)
}

struct Topology {
    id: u32,
    vcpus: u32,
}

impl Topology {
    /// Bits of an APIC id that number cores.
    fn bits(&self) -> u32 {
        self.vcpus.next_power_of_two().trailing_zeros()
    }

    /// Leaf 4: first and second level belong to one core, the third to all.
    fn intel_cache(&self, eax: &mut u32) {
        if *eax & 0x1f == 0 {
            return;
        }
        let level = (*eax >> 5) & 7;
        let sharing = if level >= 3 {
            (1 << self.bits()) - 1
        } else {
            0
        };
        let cores = (1 << self.bits()) - 1;
        *eax = *eax & 0x3fff | sharing << 14 | cores << 26;
    }

    /// Leaf 0x8000001D: the same, counted exactly.
    fn amd_cache(&self, eax: &mut u32) {
        if *eax & 0x1f == 0 {
            return;
        }
        let level = (*eax >> 5) & 7;
        let sharing = if level >= 3 { self.vcpus - 1 } else { 0 };
        *eax = *eax & 0x3fff | sharing << 14;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvm_bindings::kvm_cpuid_entry2;

    fn entry(function: u32, index: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 {
            function,
            index,
            ..Default::default()
        }
    }

    #[test]
    fn identity_and_topology_are_each_vcpus_own() {
        let mut feature = entry(1, 0);
        feature.ebx = 0x0710_0800;
        let mut base = vec![feature, entry(0xb, 0), entry(0xb, 1), entry(0x8000_0008, 0)];
        base.push(kvm_cpuid_entry2 {
            ecx: 4,
            ..entry(0x8000_0001, 0)
        });
        let base = CpuId::from_entries(&base).unwrap();
        let list = for_vcpu(&base, 3, 6, true);
        let list = list.as_slice();
        assert_eq!(list[0].ebx, 3 << 24 | 6 << 16 | 0x0800);
        assert_eq!(
            list[0].ecx & (HYPERVISOR | TSC_DEADLINE),
            HYPERVISOR | TSC_DEADLINE
        );
        assert_eq!((list[1].edx, list[2].edx), (3, 3));
        assert_eq!((list[2].eax, list[2].ebx), (3, 6));
        assert_eq!(list[3].ecx, 3 << 12 | 5);
        assert_eq!(list[4].ecx, 4, "SVM stays as the host offers it");
    }
}
