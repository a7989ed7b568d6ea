//! Interrupts that the kernel raises without this process: an eventfd's signal becomes a message.
//!
//! KVM has one table of routes for a machine, and a new one replaces it. So it always begins with what KVM
//! has by itself: sixteen lines that lead to both legacy controllers and the I/O APIC, and eight to the
//! latter alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kvm_bindings::{
    KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQ_ROUTING_MSI, KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER,
    KVM_IRQCHIP_PIC_SLAVE, KvmIrqRouting, kvm_irq_routing_entry, kvm_irq_routing_irqchip,
    kvm_irq_routing_msi,
};
use kvm_ioctls::VmFd;

use super::layout::{NIC_SLOTS, SHARE_SLOTS};
use crate::event::Signal;

/// Pins of the I/O APIC; wires come after them.
const PINS: u32 = 24;
/// Pins of both legacy controllers, and of each.
const LEGACY_PINS: u32 = 16;
const LEGACY_EACH: u32 = 8;
/// Wires of a network card or a shared directory: one for each of its queues.
const WIRES: u32 = 2;

/// A message: address and data.
pub type Message = (u64, u32);

/// Leads signals to messages; KVM, or a recorder in tests.
pub trait Wiring: Send + Sync {
    /// Has every signal of `bell` raise `message`; `false` when that is not possible.
    fn connect(&self, wire: u32, bell: &Signal, message: Message) -> bool;
    /// Has every signal of `bell` hold up the line `gsi`, until the guest has dealt with it: then
    /// `again` is signalled. `false` when that is not possible.
    fn connect_line(&self, gsi: u32, bell: &Signal, again: &Signal) -> bool;
    /// Has its signals raise nothing any more, on a wire or a line; they can be heard again.
    fn disconnect(&self, wire: u32, bell: &Signal);
}

/// Signals of one device, and the messages they are wired to.
pub struct Bells {
    wiring: Arc<dyn Wiring>,
    first_wire: u32,
    /// Each with what it is wired to.
    bells: Vec<(Arc<Signal>, Option<Message>)>,
}

impl Bells {
    /// None yet; the first is to have the wire `first_wire`, the next the one after it.
    pub fn new(wiring: Arc<dyn Wiring>, first_wire: u32) -> Self {
        Self {
            wiring,
            first_wire,
            bells: Vec::new(),
        }
    }

    /// Has these in place of those before, wired to nothing.
    pub fn hang(&mut self, bells: &[Arc<Signal>]) {
        self.follow(|_| None);
        self.bells = bells.iter().map(|bell| (bell.clone(), None)).collect();
    }

    /// Has the wires lead to what `message` says of each.
    pub fn follow(&mut self, message: impl Fn(usize) -> Option<Message>) {
        for (index, (bell, wired)) in self.bells.iter_mut().enumerate() {
            let (wire, wanted) = (self.first_wire + index as u32, message(index));
            if *wired == wanted {
                continue;
            }
            if wired.take().is_some() {
                self.wiring.disconnect(wire, bell);
            }
            *wired = wanted.filter(|message| self.wiring.connect(wire, bell, *message));
        }
    }
}

/// Devices with wires of their own: network cards and shared directories.
const WIRED: u8 = NIC_SLOTS.end - NIC_SLOTS.start + SHARE_SLOTS.end - SHARE_SLOTS.start;
/// The first wire that none of them has.
pub const FREE_WIRES: u32 = PINS + WIRED as u32 * WIRES;
/// Wires end here: KVM has no more routes (`KVM_MAX_IRQ_ROUTES`).
pub const WIRES_END: u32 = 4096;

/// The first wire of the network card or shared directory that is PCI device number `slot`.
pub fn first_wire(slot: u8) -> Option<u32> {
    let mut wired = NIC_SLOTS.chain(SHARE_SLOTS);
    let place = wired.position(|with_wires| with_wires == slot)?;
    Some(PINS + place as u32 * WIRES)
}

/// The wires of a machine.
pub struct Routes {
    vm: Arc<VmFd>,
    messages: Mutex<BTreeMap<u32, Message>>,
}

impl Routes {
    /// No wires yet.
    pub fn new(vm: Arc<VmFd>) -> Self {
        Self {
            vm,
            messages: Mutex::default(),
        }
    }
}

impl Wiring for Routes {
    fn connect(&self, wire: u32, bell: &Signal, message: Message) -> bool {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.insert(wire, message);
        let routed = KvmIrqRouting::from_entries(&table(&messages))
            .is_ok_and(|table| self.vm.set_gsi_routing(&table).is_ok());
        routed && self.vm.register_irqfd(bell.eventfd(), wire).is_ok()
    }

    fn connect_line(&self, gsi: u32, bell: &Signal, again: &Signal) -> bool {
        let (bell, again) = (bell.eventfd(), again.eventfd());
        let joined = self.vm.register_irqfd_with_resample(bell, again, gsi);
        joined.is_ok()
    }

    fn disconnect(&self, wire: u32, bell: &Signal) {
        // Fails when it is not connected.
        let _ = self.vm.unregister_irqfd(bell.eventfd(), wire);
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        // The route itself goes with the next table: without an eventfd nothing takes it.
        messages.remove(&wire);
    }
}

fn table(messages: &BTreeMap<u32, Message>) -> Vec<kvm_irq_routing_entry> {
    let mut table = Vec::new();
    for gsi in 0..PINS {
        table.push(pin(gsi, KVM_IRQCHIP_IOAPIC, gsi));
        if gsi < LEGACY_PINS {
            let chip = match gsi < LEGACY_EACH {
                true => KVM_IRQCHIP_PIC_MASTER,
                false => KVM_IRQCHIP_PIC_SLAVE,
            };
            table.push(pin(gsi, chip, gsi % LEGACY_EACH));
        }
    }
    table.extend(
        messages
            .iter()
            .map(|(wire, message)| route(*wire, *message)),
    );
    table
}

fn pin(gsi: u32, irqchip: u32, pin: u32) -> kvm_irq_routing_entry {
    let mut entry = kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_IRQCHIP,
        ..Default::default()
    };
    entry.u.irqchip = kvm_irq_routing_irqchip { irqchip, pin };
    entry
}

fn route(gsi: u32, (address, data): Message) -> kvm_irq_routing_entry {
    let mut entry = kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_MSI,
        ..Default::default()
    };
    entry.u.msi = kvm_irq_routing_msi {
        address_lo: address as u32,
        address_hi: (address >> 32) as u32,
        data,
        ..Default::default()
    };
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_has_wires_of_its_own() {
        assert_eq!(first_wire(NIC_SLOTS.start), Some(24));
        assert_eq!(first_wire(NIC_SLOTS.end - 1), Some(24 + 2 * 7));
        assert_eq!(first_wire(NIC_SLOTS.start - 1), None);
        assert_eq!(first_wire(NIC_SLOTS.end), None);
        assert_eq!(first_wire(SHARE_SLOTS.start), Some(24 + 2 * 8));
        assert_eq!(first_wire(SHARE_SLOTS.end - 1), Some(24 + 2 * 17));
        assert_eq!(FREE_WIRES, 24 + 2 * 18);
    }

    #[test]
    fn a_table_begins_with_what_kvm_has() {
        let messages = BTreeMap::from([(25, (0xfee0_1000, 0x41))]);
        let table = table(&messages);
        assert_eq!(table.len(), 24 + 16 + 1);
        let of = |gsi: u32| table.iter().filter(move |entry| entry.gsi == gsi);
        assert_eq!((of(9).count(), of(16).count(), of(24).count()), (2, 1, 0));
        let second = of(9).nth(1).unwrap();
        // SAFETY: an entry of this type has this part.
        let chip = unsafe { second.u.irqchip };
        assert_eq!((chip.irqchip, chip.pin), (KVM_IRQCHIP_PIC_SLAVE, 1));
        let last = table.last().unwrap();
        assert_eq!((last.gsi, last.type_), (25, KVM_IRQ_ROUTING_MSI));
        // SAFETY: an entry of this type has this part.
        let message = unsafe { last.u.msi };
        assert_eq!((message.address_lo, message.data), (0xfee0_1000, 0x41));
    }
}
