//! The host bridge (Q35's MCH): ports 0xCF8/0xCFC, memory-mapped configuration (ECAM), and the
//! windows of the devices behind it. One bus, 32 devices of one function.
//!
//! A kernel finds configuration space switched on at its usual place; firmware switches it on by the register
//! PCIEXBAR, there or elsewhere. The bridge's own registers are in [`super::bridge`].

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::bridge::{Bridge, Smram};
use super::config::{COMMAND, SIZE};
use super::{PciDevice, Space, Window};
use crate::bus::{MemoryDevice, PortDevice};
use crate::devices::reset::ResetControl;
use crate::machine::layout::{ECAM_ALL_BUSES, PCI_CONFIG_PORT, PCI_PORTS, RESET_PORT};

/// Devices a bus can hold.
pub const DEVICES: usize = 32;
const ENABLE: u32 = 1 << 31;
/// End of the expansion ROM's base address register.
const ROM_END: usize = 0x34;

/// A window, and whose it is.
struct Decoded {
    window: Window,
    device: Arc<dyn PciDevice>,
}

/// What is saved of the bridge itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostState {
    address: u32,
    reset: u8,
    registers: Vec<u8>,
}

/// The bridge and its bus.
pub struct PciHost {
    bridge: Arc<Bridge>,
    devices: RwLock<[Option<Arc<dyn PciDevice>>; DEVICES]>,
    address: Mutex<u32>,
    windows: RwLock<Vec<Decoded>>,
    reset: ResetControl,
}

impl PciHost {
    /// A bus with the given devices, by device number; number 0 is the bridge itself. With `firmware`
    /// configuration space is off until that switches it on.
    pub fn new(
        devices: Vec<(u8, Arc<dyn PciDevice>)>,
        reset: ResetControl,
        firmware: bool,
    ) -> Self {
        Self::behind(Bridge::new(firmware), devices, reset)
    }

    /// The same of a machine with firmware and system management mode, whose memory the bridge shows and
    /// hides.
    pub fn with_smram(
        devices: Vec<(u8, Arc<dyn PciDevice>)>,
        reset: ResetControl,
        smram: Arc<dyn Smram>,
    ) -> Self {
        Self::behind(Bridge::with_smram(smram), devices, reset)
    }

    fn behind(bridge: Bridge, devices: Vec<(u8, Arc<dyn PciDevice>)>, reset: ResetControl) -> Self {
        let bridge = Arc::new(bridge);
        let mut slots: [Option<Arc<dyn PciDevice>>; DEVICES] = Default::default();
        slots[0] = Some(bridge.clone());
        for (number, device) in devices {
            slots[usize::from(number) % DEVICES] = Some(device);
        }
        let host = Self {
            bridge,
            devices: RwLock::new(slots),
            address: Mutex::new(0),
            windows: RwLock::new(Vec::new()),
            reset,
        };
        host.refresh_windows();
        host
    }

    /// What is kept of the bridge; its devices are saved by themselves.
    pub fn save(&self) -> HostState {
        HostState {
            address: *self.address.lock().unwrap_or_else(PoisonError::into_inner),
            reset: self.reset.read(),
            registers: self.bridge.save(),
        }
    }

    /// Goes on from a saved state, after all devices did. `false` when it is another bridge's.
    pub fn restore(&self, saved: &HostState) -> bool {
        let same = self.bridge.restore(&saved.registers);
        if same {
            *self.address.lock().unwrap_or_else(PoisonError::into_inner) = saved.address;
            self.reset.restore(saved.reset);
            self.refresh_windows();
        }
        same
    }

    /// Puts a device on the bus.
    pub fn plug(&self, number: u8, device: Arc<dyn PciDevice>) {
        let mut devices = self.devices.write().unwrap_or_else(PoisonError::into_inner);
        devices[usize::from(number) % DEVICES] = Some(device);
        drop(devices);
        self.refresh_windows();
    }

    /// Takes a device off the bus.
    pub fn unplug(&self, number: u8) -> Option<Arc<dyn PciDevice>> {
        let mut devices = self.devices.write().unwrap_or_else(PoisonError::into_inner);
        let device = devices[usize::from(number) % DEVICES].take();
        drop(devices);
        self.refresh_windows();
        device
    }

    fn device(&self, number: usize) -> Option<Arc<dyn PciDevice>> {
        let devices = self.devices.read().unwrap_or_else(PoisonError::into_inner);
        devices.get(number)?.clone()
    }

    fn refresh_windows(&self) {
        // Taken first: of two processors that change windows, the later one has the last word.
        let mut windows = self.windows.write().unwrap_or_else(PoisonError::into_inner);
        let devices = self.devices.read().unwrap_or_else(PoisonError::into_inner);
        *windows = devices
            .iter()
            .flatten()
            .flat_map(|device| {
                let windows = device.windows().into_iter();
                windows.map(|window| Decoded {
                    window,
                    device: device.clone(),
                })
            })
            .collect();
    }

    fn config_read(&self, device: usize, function: usize, offset: usize, data: &mut [u8]) {
        data.fill(0xff);
        if function != 0 || offset + data.len() > SIZE {
            return;
        }
        if let Some(device) = self.device(device) {
            device.config_read(offset, data);
        }
    }

    fn config_write(&self, device: usize, function: usize, offset: usize, data: &[u8]) {
        if function != 0 || offset + data.len() > SIZE {
            return;
        }
        if let Some(device) = self.device(device) {
            device.config_write(offset, data);
            // Only the command register and the base addresses move windows, the ROM's last.
            if offset < ROM_END && offset + data.len() > COMMAND {
                self.refresh_windows();
            }
        }
    }

    /// Device, function and register at an address in configuration space; for other buses than the
    /// first a device that does not exist.
    fn ecam(&self, address: u64, len: usize) -> Option<(usize, usize, usize)> {
        let offset = address.checked_sub(self.bridge.ecam())?;
        if offset.checked_add(len as u64)? > ECAM_ALL_BUSES {
            return None;
        }
        let offset = offset as usize;
        let device = if offset >> 20 == 0 {
            (offset >> 15) & 31
        } else {
            DEVICES
        };
        Some((device, (offset >> 12) & 7, offset & 0xfff))
    }

    /// Whose window an access falls into: device, base address register and offset.
    fn window(
        &self,
        space: Space,
        address: u64,
        len: usize,
    ) -> Option<(Arc<dyn PciDevice>, u8, u64)> {
        let windows = self.windows.read().unwrap_or_else(PoisonError::into_inner);
        let mut there = windows.iter().filter(|w| w.window.space == space);
        there.find_map(|w| {
            let offset = address.checked_sub(w.window.start)?;
            let end = offset.checked_add(len as u64)?;
            (end <= w.window.len).then(|| (w.device.clone(), w.window.bar, offset))
        })
    }

    /// Device, function and register the address port points to, when enabled and on bus 0.
    fn target(&self, data_offset: usize) -> Option<(usize, usize, usize)> {
        let address = *self.address.lock().unwrap_or_else(PoisonError::into_inner);
        if address & ENABLE == 0 || (address >> 16) & 0xff != 0 {
            return None;
        }
        let register = (address & 0xfc) as usize + data_offset;
        Some((
            ((address >> 11) & 31) as usize,
            ((address >> 8) & 7) as usize,
            register,
        ))
    }
}

/// The ports from [`PCI_PORTS`] on, as far as devices behind the bridge have windows there.
pub struct PortWindows(pub Arc<PciHost>);

impl PortDevice for PortWindows {
    fn read(&self, offset: u16, data: &mut [u8]) {
        let port = u64::from(PCI_PORTS) + u64::from(offset);
        if let Some((device, bar, offset)) = self.0.window(Space::Ports, port, data.len()) {
            device.window_read(bar, offset, data);
        }
    }

    fn write(&self, offset: u16, data: &[u8]) {
        let port = u64::from(PCI_PORTS) + u64::from(offset);
        if let Some((device, bar, offset)) = self.0.window(Space::Ports, port, data.len()) {
            device.window_write(bar, offset, data);
        }
    }
}

impl MemoryDevice for PciHost {
    fn read(&self, address: u64, data: &mut [u8]) -> bool {
        if let Some((device, function, offset)) = self.ecam(address, data.len()) {
            self.config_read(device, function, offset, data);
            return true;
        }
        let Some((device, bar, offset)) = self.window(Space::Memory, address, data.len()) else {
            return false;
        };
        device.window_read(bar, offset, data);
        true
    }

    fn write(&self, address: u64, data: &[u8]) -> bool {
        if let Some((device, function, offset)) = self.ecam(address, data.len()) {
            self.config_write(device, function, offset, data);
            return true;
        }
        let Some((device, bar, offset)) = self.window(Space::Memory, address, data.len()) else {
            return false;
        };
        device.window_write(bar, offset, data);
        true
    }
}

impl PortDevice for PciHost {
    fn read(&self, offset: u16, data: &mut [u8]) {
        match (offset, data.len()) {
            (0, 4) => {
                let address = *self.address.lock().unwrap_or_else(PoisonError::into_inner);
                data.copy_from_slice(&address.to_le_bytes());
            }
            (1, 1) => data[0] = self.reset.read(),
            (4..=7, 1..=4) => {
                let within = usize::from(offset - 4);
                if within + data.len() <= 4
                    && let Some((device, function, register)) = self.target(within)
                {
                    self.config_read(device, function, register, data);
                }
            }
            _ => {}
        }
    }

    fn write(&self, offset: u16, data: &[u8]) {
        match (offset, data.len()) {
            (0, 4) => {
                let value = u32::from_le_bytes([data[0], data[1], data[2], data[3]]);
                *self.address.lock().unwrap_or_else(PoisonError::into_inner) = value;
            }
            (1, 1) => self.reset.write(data[0]),
            (4..=7, 1..=4) => {
                let within = usize::from(offset - 4);
                if within + data.len() <= 4
                    && let Some((device, function, register)) = self.target(within)
                {
                    self.config_write(device, function, register, data);
                }
            }
            _ => {}
        }
    }
}

const _: () = assert!(RESET_PORT == PCI_CONFIG_PORT + 1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::events::Events;
    use crate::machine::layout::ECAM;
    use crate::pci::bridge::PCIEXBAR_ON;

    fn host(firmware: bool) -> PciHost {
        let reset = ResetControl::new(Arc::new(Events::new().unwrap()));
        PciHost::new(Vec::new(), reset, firmware)
    }

    /// Reads a register through the ports.
    fn port(host: &PciHost, register: u32, data: &mut [u8; 4]) {
        PortDevice::write(host, 0, &(ENABLE | register).to_le_bytes());
        PortDevice::read(host, 4, data);
    }

    fn memory(host: &PciHost, address: u64) -> Option<u32> {
        let mut data = [0; 4];
        MemoryDevice::read(host, address, &mut data).then(|| u32::from_le_bytes(data))
    }

    #[test]
    fn kernels_find_configuration_space_in_place() {
        assert_eq!(memory(&host(false), ECAM), Some(0x29c0_8086));
        assert_eq!(memory(&host(false), ECAM + (1 << 20)), Some(u32::MAX));
        assert_eq!(memory(&host(false), ECAM + (1 << 12)), Some(u32::MAX));
        assert_eq!(memory(&host(false), ECAM + ECAM_ALL_BUSES - 2), None);
    }

    #[test]
    fn firmware_puts_configuration_space_where_it_wants() {
        let host = host(true);
        assert_eq!(memory(&host, ECAM), None);
        let mut id = [0; 4];
        port(&host, 0, &mut id);
        assert_eq!(u32::from_le_bytes(id), 0x29c0_8086);
        let write = |register: u32, value: u64| {
            PortDevice::write(&host, 0, &(ENABLE | register).to_le_bytes());
            PortDevice::write(&host, 4, &(value as u32).to_le_bytes());
        };
        write(0x64, 0);
        write(0x60, ECAM | PCIEXBAR_ON);
        assert_eq!(memory(&host, ECAM), Some(0x29c0_8086));
        write(0x60, 0);
        assert_eq!(memory(&host, ECAM), None);
        write(0x64, 1);
        write(0x60, PCIEXBAR_ON);
        assert_eq!(memory(&host, 1 << 32), Some(0x29c0_8086));
    }
}
