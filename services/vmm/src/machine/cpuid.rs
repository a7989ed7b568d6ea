//! What the guest's processors say about themselves: KVM's list, as far as their model has it
//! ([`cpu_models`]), with identity and [`Topology`] filled in. With the host's model
//! nothing else is changed, so nested virtualisation and the invariant time stamp counter stay as
//! the host offers them.

use basalt_model::cpu::CpuSpec;
use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::{Cap, Kvm};

use super::topology::Topology;
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

    /// The list of virtual CPU `id`.
    pub fn for_vcpu(&self, id: u8, topology: &Topology) -> CpuId {
        for_vcpu(&self.base, id, topology, self.tsc_deadline)
    }
}

/// Everything KVM can offer on this host.
fn supported(kvm: &Kvm) -> Result<CpuId, kvm_ioctls::Error> {
    kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
}

/// The list of virtual CPU `id`.
fn for_vcpu(base: &CpuId, id: u8, topology: &Topology, tsc_deadline: bool) -> CpuId {
    let mut list = base.clone();
    let place = Place {
        id: topology.apic_id(id).into(),
        socket: topology.socket(id).into(),
        cores: topology.cores().into(),
        bits: topology.bits(),
        shares_cache: topology.shares_cache(),
    };
    for entry in list.as_mut_slice() {
        match (entry.function, entry.index) {
            (0x1, _) => {
                entry.ecx |= HYPERVISOR;
                if tsc_deadline {
                    entry.ecx |= TSC_DEADLINE;
                }
                entry.ebx = entry.ebx & 0xffff | place.cores << 16 | place.id << 24;
                entry.edx &= !HYPER_THREADING;
                if place.cores > 1 {
                    entry.edx |= HYPER_THREADING;
                }
            }
            (0x4, _) => place.intel_cache(&mut entry.eax),
            (0xb | 0x1f, 0) => {
                (entry.eax, entry.ebx, entry.ecx) = (0, 1, 0x100);
                entry.edx = place.id;
            }
            (0xb | 0x1f, 1) => {
                (entry.eax, entry.ebx, entry.ecx) = (place.bits, place.cores, 0x201);
                entry.edx = place.id;
            }
            (0xb | 0x1f, index) => {
                (entry.eax, entry.ebx, entry.ecx) = (0, 0, index & 0xff);
                entry.edx = place.id;
            }
            (0x8000_0008, _) => {
                entry.ecx = place.bits << 12 | (place.cores - 1);
            }
            (0x8000_001d, _) => place.amd_cache(&mut entry.eax),
            (0x8000_001e, _) => {
                (entry.eax, entry.ebx, entry.ecx) = (place.id, place.id & 0xff, place.socket);
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

/// One virtual CPU among the others.
struct Place {
    /// Number of its local APIC.
    id: u32,
    socket: u32,
    /// Cores of each socket.
    cores: u32,
    /// Bits of a local APIC's number that number cores.
    bits: u32,
    /// Whether they have the cache of the third level together.
    shares_cache: bool,
}

impl Place {
    /// Leaf 4: first and second level belong to one core, the third to all of a socket.
    fn intel_cache(&self, eax: &mut u32) {
        if *eax & 0x1f == 0 {
            return;
        }
        let level = (*eax >> 5) & 7;
        let cores = (1 << self.bits) - 1;
        let sharing = if level >= 3 && self.shares_cache {
            cores
        } else {
            0
        };
        *eax = *eax & 0x3fff | sharing << 14 | cores << 26;
    }

    /// Leaf 0x8000001D: the same, counted exactly.
    fn amd_cache(&self, eax: &mut u32) {
        if *eax & 0x1f == 0 {
            return;
        }
        let level = (*eax >> 5) & 7;
        let sharing = if level >= 3 && self.shares_cache {
            self.cores - 1
        } else {
            0
        };
        *eax = *eax & 0x3fff | sharing << 14;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_model::numa::{Node, Numa};
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
        let list = for_vcpu(&base, 3, &Topology::flat(6, 1 << 30), true);
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

    #[test]
    fn sockets_are_told_apart_and_share_no_cache_over_nodes() {
        let cache = |eax: u32| kvm_cpuid_entry2 { eax, ..entry(4, 3) };
        let base = vec![
            entry(1, 0),
            entry(0xb, 1),
            cache(3 | 3 << 5),
            kvm_cpuid_entry2 {
                eax: 3 | 3 << 5,
                ..entry(0x8000_001d, 3)
            },
            entry(0x8000_001e, 0),
        ];
        let base = CpuId::from_entries(&base).unwrap();
        let list = |sockets: u8, homes: [&[u8]; 2]| {
            let nodes = homes.map(|vcpus| Node {
                vcpus: vcpus.to_vec(),
                memory_mib: 1,
                host: None,
            });
            let numa = Numa {
                sockets,
                nodes: nodes.into(),
            };
            let topology = Topology::of(6, 2 << 20, Some(&numa));
            for_vcpu(&base, 4, &topology, false).as_slice().to_vec()
        };
        let halves = [&[0, 1, 2][..], &[3, 4, 5]];
        let two = list(2, halves);
        assert_eq!(two[0].ebx, 5 << 24 | 3 << 16);
        assert_eq!((two[1].eax, two[1].ebx, two[1].edx), (2, 3, 5));
        assert_eq!((two[2].eax >> 14 & 0xfff, two[2].eax >> 26), (3, 3));
        assert_eq!(two[3].eax >> 14, 2);
        assert_eq!((two[4].eax, two[4].ecx), (5, 1));
        let one = list(1, halves);
        assert_eq!((one[1].eax, one[1].ebx, one[1].edx), (3, 6, 4));
        assert_eq!((one[2].eax >> 14 & 0xfff, one[2].eax >> 26), (0, 7));
        assert_eq!(one[3].eax >> 14, 0);
    }
}
