//! PCI: configuration space, the host bridge, and how accesses find a device.
//!
//! Start at [`host::PciHost`], whose own registers are in [`bridge`]; [`config::ConfigSpace`] holds the
//! rules of one device's registers, [`hotplug`] how devices come and go while the machine runs.

pub mod bridge;
pub mod config;
pub mod host;
pub mod hotplug;

/// What a window lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Physical addresses.
    Memory,
    /// Ports.
    Ports,
}

/// A range of addresses that a device answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Number of its base address register; [`ROM`] is the expansion ROM's.
    pub bar: u8,
    /// What it lies in.
    pub space: Space,
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

/// Number by which windows name the expansion ROM base address register.
pub const ROM: u8 = 6;

/// A device on bus 0, function 0.
pub trait PciDevice: Send + Sync {
    /// Reads configuration registers (`offset + data.len()` stays inside 256 bytes).
    fn config_read(&self, offset: usize, data: &mut [u8]);
    /// Writes configuration registers.
    fn config_write(&self, offset: usize, data: &[u8]);
    /// Where its windows lie now, as far as decoding is on.
    fn windows(&self) -> Vec<Window>;
    /// Reads from the window of a base address register.
    fn window_read(&self, bar: u8, offset: u64, data: &mut [u8]);
    /// Writes to the window of a base address register.
    fn window_write(&self, bar: u8, offset: u64, data: &[u8]);
    /// It was taken off the bus, for good: it must not touch the guest's memory any more.
    fn unplugged(&self) {}
}
