//! PCI: configuration space, the host bridge, and how accesses find a device.
//!
//! Start at [`host::PciHost`]; [`config::ConfigSpace`] holds the rules of one device's registers,
//! [`hotplug`] how devices come and go while the machine runs.

pub mod config;
pub mod host;
pub mod hotplug;

/// A device on bus 0, function 0.
pub trait PciDevice: Send + Sync {
    /// Reads configuration registers (`offset + data.len()` stays inside 256 bytes).
    fn config_read(&self, offset: usize, data: &mut [u8]);
    /// Writes configuration registers.
    fn config_write(&self, offset: usize, data: &[u8]);
    /// Where the memory window lies now, if memory decoding is on: start and length.
    fn window(&self) -> Option<(u64, u64)>;
    /// Reads from the window.
    fn window_read(&self, offset: u64, data: &mut [u8]);
    /// Writes to the window.
    fn window_write(&self, offset: u64, data: &[u8]);
    /// It was taken off the bus, for good: it must not touch the guest's memory any more.
    fn unplugged(&self) {}
}
