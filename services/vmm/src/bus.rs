//! Dispatch of the guest's port and memory accesses to devices.
//!
//! Whatever no device claims reads as all ones and swallows writes, as on real hardware.

use std::sync::Arc;

/// A device behind I/O ports. `offset` counts from the start of its range.
///
/// KVM joins the elements of a string instruction into one slice, so `data` may be longer than
/// any register; devices use what fits.
pub trait PortDevice: Send + Sync {
    /// The guest reads.
    fn read(&self, offset: u16, data: &mut [u8]);
    /// The guest writes.
    fn write(&self, offset: u16, data: &[u8]);
}

/// A device in the memory window. Addresses are absolute, since windows move.
pub trait MemoryDevice: Send + Sync {
    /// The guest reads; `false` when nothing is there.
    fn read(&self, address: u64, data: &mut [u8]) -> bool;
    /// The guest writes; `false` when nothing is there.
    fn write(&self, address: u64, data: &[u8]) -> bool;
    /// The guest writes in system management mode, which makes no difference to most devices.
    fn write_managed(&self, address: u64, data: &[u8]) -> bool {
        self.write(address, data)
    }
}

struct Ports {
    base: u16,
    len: u16,
    device: Arc<dyn PortDevice>,
}

/// Everything a virtual CPU can reach by leaving the guest. Fixed once the machine is built.
#[derive(Default)]
pub struct Bus {
    ports: Vec<Ports>,
    memory: Vec<Arc<dyn MemoryDevice>>,
}

impl Bus {
    /// Adds a device at `len` ports from `base`; earlier devices win where ranges meet.
    pub fn add_ports(&mut self, base: u16, len: u16, device: Arc<dyn PortDevice>) {
        self.ports.push(Ports { base, len, device });
    }

    /// Adds a device that decodes memory addresses by itself.
    pub fn add_memory(&mut self, device: Arc<dyn MemoryDevice>) {
        self.memory.push(device);
    }

    fn port(&self, port: u16) -> Option<(&dyn PortDevice, u16)> {
        self.ports.iter().find_map(|p| {
            let offset = port.checked_sub(p.base)?;
            (offset < p.len).then_some((&*p.device, offset))
        })
    }

    /// The guest reads from a port.
    pub fn port_read(&self, port: u16, data: &mut [u8]) {
        data.fill(0xff);
        if let Some((device, offset)) = self.port(port) {
            device.read(offset, data);
        }
    }

    /// The guest writes to a port.
    pub fn port_write(&self, port: u16, data: &[u8]) {
        if let Some((device, offset)) = self.port(port) {
            device.write(offset, data);
        }
    }

    /// The guest reads memory that is no RAM.
    pub fn memory_read(&self, address: u64, data: &mut [u8]) {
        if !self.memory.iter().any(|d| d.read(address, data)) {
            data.fill(0xff);
        }
    }

    /// The guest writes memory that is no RAM.
    pub fn memory_write(&self, address: u64, data: &[u8]) {
        let _claimed = self.memory.iter().any(|d| d.write(address, data));
    }

    /// The same in system management mode.
    pub fn memory_write_managed(&self, address: u64, data: &[u8]) {
        let mut devices = self.memory.iter();
        let _claimed = devices.any(|d| d.write_managed(address, data));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct Echo(Mutex<Vec<(u16, Vec<u8>)>>);

    impl PortDevice for Echo {
        fn read(&self, offset: u16, data: &mut [u8]) {
            data[0] = offset as u8;
        }
        fn write(&self, offset: u16, data: &[u8]) {
            self.0.lock().unwrap().push((offset, data.to_vec()));
        }
    }

    #[test]
    fn unclaimed_reads_are_all_ones() {
        let bus = Bus::default();
        let mut data = [0u8; 4];
        bus.port_read(0x80, &mut data);
        assert_eq!(data, [0xff; 4]);
        data.fill(0);
        bus.memory_read(0xfed0_0000, &mut data);
        assert_eq!(data, [0xff; 4]);
    }

    #[test]
    fn a_range_is_claimed_to_its_last_port() {
        let mut bus = Bus::default();
        let device = Arc::new(Echo(Mutex::new(Vec::new())));
        bus.add_ports(0xfff8, 8, device.clone());
        let mut data = [0u8; 2];
        bus.port_read(0xffff, &mut data);
        assert_eq!(data, [7, 0xff]);
        bus.port_read(0xfff7, &mut data);
        assert_eq!(data, [0xff, 0xff]);
        bus.port_write(0xfff9, &[1]);
        bus.port_write(0, &[2]);
        assert_eq!(*device.0.lock().unwrap(), vec![(1, vec![1])]);
    }
}
