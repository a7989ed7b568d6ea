//! What KVM keeps for the machine as a whole: interrupt controllers, interval timer, clock.

use std::time::{SystemTime, UNIX_EPOCH};

use kvm_bindings::{
    KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, kvm_clock_data, kvm_irqchip,
    kvm_pit_state2,
};
use kvm_ioctls::VmFd;
use serde::{Deserialize, Serialize};

use super::vcpu::Error;

const CHIPS: [u32; 3] = [
    KVM_IRQCHIP_PIC_MASTER,
    KVM_IRQCHIP_PIC_SLAVE,
    KVM_IRQCHIP_IOAPIC,
];

/// The chips and the clock.
#[derive(Serialize, Deserialize)]
pub struct ChipState {
    irqchips: [kvm_irqchip; 3],
    pit: kvm_pit_state2,
    /// The guest's clock, nanoseconds since it started.
    clock: u64,
    /// The host's real time then, nanoseconds since 1970.
    taken_at: u64,
}

impl ChipState {
    /// Reads the chips of a machine that stands.
    pub fn save(vm: &VmFd) -> Result<Self, Error> {
        let mut irqchips = [kvm_irqchip::default(); 3];
        for (chip, id) in irqchips.iter_mut().zip(CHIPS) {
            chip.chip_id = id;
            vm.get_irqchip(chip)
                .map_err(|e| Error::Kvm("read interrupt controllers", e))?;
        }
        let pit = vm
            .get_pit2()
            .map_err(|e| Error::Kvm("read the interval timer", e))?;
        let clock = vm
            .get_clock()
            .map_err(|e| Error::Kvm("read the clock", e))?;
        Ok(Self {
            irqchips,
            pit,
            clock: clock.clock,
            taken_at: real_time(),
        })
    }

    /// Time passed since the state was taken, by the host's real time; none if that went back.
    pub fn elapsed_ns(&self) -> u64 {
        real_time().saturating_sub(self.taken_at)
    }

    /// Sets the guest's clock, `elapsed_ns` later than it was. Before any virtual CPU's state is
    /// set, which refers to it.
    pub fn restore_clock(&self, vm: &VmFd, elapsed_ns: u64) -> Result<(), Error> {
        let clock = kvm_clock_data {
            clock: self.clock.saturating_add(elapsed_ns),
            ..Default::default()
        };
        vm.set_clock(&clock)
            .map_err(|e| Error::Kvm("set the clock", e))
    }

    /// Sets the chips; after the virtual CPUs, so that their local APICs take what the
    /// controllers have pending.
    pub fn restore(&self, vm: &VmFd) -> Result<(), Error> {
        for (chip, id) in self.irqchips.iter().zip(CHIPS) {
            let chip = kvm_irqchip {
                chip_id: id,
                ..*chip
            };
            vm.set_irqchip(&chip)
                .map_err(|e| Error::Kvm("set interrupt controllers", e))?;
        }
        vm.set_pit2(&self.pit)
            .map_err(|e| Error::Kvm("set the interval timer", e))
    }
}

fn real_time() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
