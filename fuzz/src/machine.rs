//! The host's side of a device: memory, interrupts, and the rest of what KVM would do.

use std::io;
use std::sync::Arc;

use basalt_vmm::devices::flash::ArraySlot;
use basalt_vmm::event::Signal;
use basalt_vmm::machine::events::Events;
use basalt_vmm::machine::interrupts::{InterruptSink, LineHolder, SharedLine};
use basalt_vmm::machine::layout::{MIB, intx_line};
use basalt_vmm::machine::memory::{Memory, reserve};
use basalt_vmm::pci::bridge::Smram;
use basalt_vmm::virtio::interrupt::Interrupts;
use basalt_vmm::virtio::transport::NotifyBinder;

/// Bytes of the guest's memory.
pub const MEMORY: u64 = MIB;

/// Fresh memory.
pub fn memory() -> Arc<Memory> {
    reserve(MEMORY).expect("a mebibyte can be had")
}

/// An empty mailbox.
pub fn events() -> Arc<Events> {
    Arc::new(Events::new().expect("an eventfd can be had"))
}

/// Takes what KVM would take and does nothing.
pub struct Nobody;

impl InterruptSink for Nobody {
    fn message(&self, _address: u64, _data: u32) {}
    fn line(&self, _gsi: u32, _high: bool) {}
}

impl NotifyBinder for Nobody {
    fn bind(&self, _event: &Signal, _address: u64) {}
    fn unbind(&self, _event: &Signal, _address: u64) {}
}

impl Smram for Nobody {
    fn open(&self, _open: bool) {}
}

impl ArraySlot for Nobody {
    fn show(&self, _on: bool) -> io::Result<()> {
        Ok(())
    }
}

/// The interrupts of PCI device number `slot` with so many queues.
pub fn interrupts(slot: u8, queues: usize) -> Arc<Interrupts> {
    let line = SharedLine::new(intx_line(slot), Arc::new(Nobody));
    let holder = LineHolder::new(line, slot);
    Arc::new(Interrupts::new(queues, Arc::new(Nobody), holder))
}
