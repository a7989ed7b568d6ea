//! Devices of the host that are the guest's alone (VFIO, `linux/vfio.h`).
//!
//! The starter opens the container and the groups of devices; [`container`] takes the devices out of
//! them before the sandbox closes. [`device::VfioPci`] is what the guest finds on its bus: its
//! configuration space is the device's with rules of ours ([`registers`]), its memory is the guest's to
//! touch without leaving as far as the kernel maps it ([`bars`]), and its interrupts go from the kernel
//! to the guest past this process ([`interrupts`]).
//!
//! The guest sees function 0 of a device on the root bus for each function. What is not there: the
//! PCI Express registers from 256 on, VGA's legacy addresses, and transfers from one such device to the
//! memory of another. Nobody notes what a device writes into memory, so a machine that has one can
//! be neither saved nor moved, and no memory can be taken from it.
//!
//! All that is asked of the kernel for a device goes through [`Kernel`], so that tests can make it up.

pub mod bars;
pub mod container;
pub mod device;
pub mod interrupts;
pub mod kvm;
pub mod mapping;
pub mod registers;
pub mod sys;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use crate::event::Signal;
use mapping::Mapping;

/// Regions of a PCI device: six base address registers, expansion ROM, configuration space.
pub const REGIONS: usize = 8;
/// Number of the expansion ROM's region.
pub const ROM_REGION: u32 = 6;
/// Number of configuration space's region.
pub const CONFIG_REGION: u32 = 7;

/// Kinds of interrupts of a PCI device, with the kernel's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Irq {
    /// The interrupt line.
    Line = 0,
    /// Messages by the MSI capability.
    Msi = 1,
    /// Messages by the MSI-X table.
    MsiX = 2,
}

/// Part of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// Where it begins in the region.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl Area {
    /// Its end in the region.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// A region as the kernel describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Region {
    /// Length in bytes; 0 when there is none.
    pub size: u64,
    /// The parts that can be mapped.
    pub mappable: Vec<Area>,
}

/// What the kernel does with one device of the host.
pub trait Kernel: Send + Sync {
    /// What a region is.
    fn region(&self, region: u32) -> Region;
    /// How many interrupts of a kind there are.
    fn interrupts(&self, kind: Irq) -> u32;
    /// Reads from a region.
    fn read(&self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()>;
    /// Writes to a region.
    fn write(&self, region: u32, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Maps part of a region.
    fn map(&self, region: u32, area: Area) -> io::Result<Mapping>;
    /// Signals these when interrupts of a kind happen, in place of those before; with none, the kind is
    /// switched off. Only one kind can be on.
    fn trigger(&self, kind: Irq, bells: &[Arc<Signal>]) -> io::Result<()>;
    /// The same for the interrupt line alone.
    fn trigger_line(&self, bell: &Signal) -> io::Result<()>;
    /// Lets the interrupt line, which the kernel masks when it rises, rise again whenever `again` is
    /// signalled.
    fn unmask_by(&self, again: &Signal) -> io::Result<()>;
    /// Resets the device.
    fn reset(&self) -> io::Result<()>;
}

/// Shows memory of devices to the guest: KVM, or a recorder in tests.
pub trait Slots: Send + Sync {
    /// Has the guest find `mapping` at an address.
    fn show(&self, slot: u32, address: u64, mapping: &Mapping) -> io::Result<()>;
    /// Has the guest leave for what was shown.
    fn hide(&self, slot: u32) -> io::Result<()>;
}
