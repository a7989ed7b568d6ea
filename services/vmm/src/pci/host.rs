//! The host bridge: ports 0xCF8/0xCFC, memory-mapped configuration (ECAM), and the windows of
//! the devices behind it. One bus, 32 devices of one function.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::PciDevice;
use super::config::{COMMAND, ConfigSpace, Identity, SIZE};
use crate::bus::{MemoryDevice, PortDevice};
use crate::devices::reset::ResetControl;
use crate::machine::layout::{ECAM, ECAM_SIZE, PCI_CONFIG_PORT, RESET_PORT};

/// Devices a bus can hold.
pub const DEVICES: usize = 32;
const ENABLE: u32 = 1 << 31;
/// Where Q35's bridge keeps the address of configuration space.
const PCIEXBAR: usize = 0x60;

struct Window {
    start: u64,
    len: u64,
    device: Arc<dyn PciDevice>,
}

/// The bridge and its bus.
pub struct PciHost {
    devices: [Option<Arc<dyn PciDevice>>; DEVICES],
    address: Mutex<u32>,
    windows: RwLock<Vec<Window>>,
    reset: ResetControl,
}

/// The bridge's own configuration space, device 0.
struct Bridge(Mutex<ConfigSpace>);

impl PciDevice for Bridge {
    fn config_read(&self, offset: usize, data: &mut [u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .read(offset, data);
    }
    fn config_write(&self, offset: usize, data: &[u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(offset, data);
    }
    fn window(&self) -> Option<(u64, u64)> {
        None
    }
    fn window_read(&self, _offset: u64, _data: &mut [u8]) {}
    fn window_write(&self, _offset: u64, _data: &[u8]) {}
}

impl PciHost {
    /// A bus with the given devices, by device number; number 0 is the bridge itself.
    pub fn new(devices: Vec<(u8, Arc<dyn PciDevice>)>, reset: ResetControl) -> Self {
        let mut bridge = ConfigSpace::new(Identity {
            vendor: 0x8086,
            device: 0x29c0,
            class: [0x06, 0, 0],
            revision: 0,
            subsystem: (0x1af4, 0x1100),
        });
        bridge.put(PCIEXBAR, &(ECAM | 1).to_le_bytes());
        let mut slots: [Option<Arc<dyn PciDevice>>; DEVICES] = Default::default();
        slots[0] = Some(Arc::new(Bridge(Mutex::new(bridge))));
        for (number, device) in devices {
            slots[usize::from(number) % DEVICES] = Some(device);
        }
        let host = Self {
            devices: slots,
            address: Mutex::new(0),
            windows: RwLock::new(Vec::new()),
            reset,
        };
        host.refresh_windows();
        host
    }

    fn refresh_windows(&self) {
        let fresh = self
            .devices
            .iter()
            .flatten()
            .filter_map(|device| {
                let (start, len) = device.window()?;
                Some(Window {
                    start,
                    len,
                    device: device.clone(),
                })
            })
            .collect();
        *self.windows.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    fn config_read(&self, device: usize, function: usize, offset: usize, data: &mut [u8]) {
        data.fill(0xff);
        if function != 0 || offset + data.len() > SIZE {
            return;
        }
        if let Some(Some(device)) = self.devices.get(device) {
            device.config_read(offset, data);
        }
    }

    fn config_write(&self, device: usize, function: usize, offset: usize, data: &[u8]) {
        if function != 0 || offset + data.len() > SIZE {
            return;
        }
        if let Some(Some(device)) = self.devices.get(device) {
            device.config_write(offset, data);
            // Only the command register and the base addresses move windows.
            if offset < 0x28 && offset + data.len() > COMMAND {
                self.refresh_windows();
            }
        }
    }

    fn ecam(address: u64, len: usize) -> Option<(usize, usize, usize)> {
        let offset = address.checked_sub(ECAM)?;
        if offset.checked_add(len as u64)? > ECAM_SIZE {
            return None;
        }
        let offset = offset as usize;
        Some(((offset >> 15) & 31, (offset >> 12) & 7, offset & 0xfff))
    }

    fn window(&self, address: u64, len: usize) -> Option<(Arc<dyn PciDevice>, u64)> {
        let windows = self.windows.read().unwrap_or_else(PoisonError::into_inner);
        windows.iter().find_map(|w| {
            let offset = address.checked_sub(w.start)?;
            let end = offset.checked_add(len as u64)?;
            (end <= w.len).then(|| (w.device.clone(), offset))
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

impl MemoryDevice for PciHost {
    fn read(&self, address: u64, data: &mut [u8]) -> bool {
        if let Some((device, function, offset)) = Self::ecam(address, data.len()) {
            self.config_read(device, function, offset, data);
            return true;
        }
        let Some((device, offset)) = self.window(address, data.len()) else {
            return false;
        };
        device.window_read(offset, data);
        true
    }

    fn write(&self, address: u64, data: &[u8]) -> bool {
        if let Some((device, function, offset)) = Self::ecam(address, data.len()) {
            self.config_write(device, function, offset, data);
            return true;
        }
        let Some((device, offset)) = self.window(address, data.len()) else {
            return false;
        };
        device.window_write(offset, data);
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
