//! A made-up kernel with a made-up device, and a recorder of what the guest's side is told.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::mapping::Mapping;
use super::{Area, CONFIG_REGION, Irq, Kernel, ROM_REGION, Region, Slots};
use crate::event::Signal;
use crate::machine::routes::{Message, Wiring};
use crate::pci::config::SIZE;

/// Size of the first window, in memory; MSI-X's table and pending bits lie in it.
pub const WINDOW: u64 = 0x10000;
/// Where.
pub const TABLE: u64 = 0x2000;
pub const PENDING: u64 = 0x3000;
/// Size of the window of registers 2 and 3.
pub const WIDE_WINDOW: u64 = 16 << 20;
/// Size of the window of ports.
pub const PORTS: u64 = 0x80;
/// Where capabilities are.
pub const POWER: usize = 0x40;
pub const MSI: usize = 0x50;
pub const EXPRESS: usize = 0x70;
pub const MSIX: usize = 0xb0;
const FIXED_ADDRESSES: usize = 0xc0;

/// What the kernel was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Write(u32, u64, Vec<u8>),
    Trigger(Irq, usize),
    Unmask,
    Reset,
}

/// The kernel and its device.
pub struct Fake {
    pub config: Mutex<[u8; SIZE]>,
    pub asked: Mutex<Vec<Asked>>,
    /// What the device was told to signal.
    pub bells: Mutex<Vec<Arc<Signal>>>,
    pub fails: AtomicBool,
}

impl Fake {
    pub fn new() -> Self {
        let mut config = [0; SIZE];
        let mut put = |at: usize, bytes: &[u8]| config[at..at + bytes.len()].copy_from_slice(bytes);
        put(0x00, &[0xde, 0x10, 0x34, 0x12]);
        put(0x06, &[0x10, 0x00]);
        put(0x0a, &[0x00, 0x03, 0x10, 0x00, 0x80]);
        put(0x18, &[0x0c]);
        put(0x20, &[0x01, 0xe0]);
        put(0x2c, &[0x43, 0x10, 0x78, 0x56]);
        put(0x34, &[POWER as u8]);
        put(0x3c, &[0x0b, 0x02]);
        put(POWER, &[0x01, MSI as u8, 0x03, 0x00]);
        // Eight messages, 64 bits, maskable.
        put(MSI, &[0x05, EXPRESS as u8, 0x86, 0x01]);
        // An endpoint with a link.
        put(EXPRESS, &[0x10, MSIX as u8, 0x02, 0x00]);
        put(EXPRESS + 0x0c, &[0x03, 0x0d]);
        // Four vectors.
        put(MSIX, &[0x11, FIXED_ADDRESSES as u8, 0x03, 0x00]);
        put(MSIX + 4, &(TABLE as u32).to_le_bytes());
        put(MSIX + 8, &(PENDING as u32).to_le_bytes());
        put(FIXED_ADDRESSES, &[0x14, 0x00]);
        Self {
            config: Mutex::new(config),
            asked: Mutex::default(),
            bells: Mutex::default(),
            fails: AtomicBool::new(false),
        }
    }

    /// The same with other registers.
    pub fn with(self, at: usize, bytes: &[u8]) -> Self {
        self.config.lock().unwrap()[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// What was asked since the last call, but writes.
    pub fn orders(&self) -> Vec<Asked> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let orders = asked.into_iter();
        orders
            .filter(|asked| !matches!(asked, Asked::Write(..)))
            .collect()
    }

    /// What was written since the last call.
    pub fn writes(&self) -> Vec<Asked> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let writes = asked.into_iter();
        writes
            .filter(|asked| matches!(asked, Asked::Write(..)))
            .collect()
    }

    fn ask(&self, asked: Asked) -> io::Result<()> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Other.into());
        }
        self.asked.lock().unwrap().push(asked);
        Ok(())
    }
}

impl Kernel for Fake {
    fn region(&self, region: u32) -> Region {
        let size = match region {
            0 => WINDOW,
            2 => WIDE_WINDOW,
            4 => PORTS,
            ROM_REGION => 0x1000,
            CONFIG_REGION => SIZE as u64,
            _ => 0,
        };
        let all = Area {
            offset: 0,
            len: size,
        };
        Region {
            size,
            mappable: if matches!(region, 0 | 2) {
                vec![all]
            } else {
                Vec::new()
            },
        }
    }

    fn interrupts(&self, kind: Irq) -> u32 {
        match kind {
            Irq::Line => 1,
            Irq::Msi => 8,
            Irq::MsiX => 4,
        }
    }

    fn read(&self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Other.into());
        }
        assert!(offset + data.len() as u64 <= self.region(region).size);
        if region == CONFIG_REGION {
            let at = offset as usize;
            data.copy_from_slice(&self.config.lock().unwrap()[at..at + data.len()]);
        } else {
            data.fill(0x50 + region as u8);
        }
        Ok(())
    }

    fn write(&self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        assert!(offset + data.len() as u64 <= self.region(region).size);
        self.ask(Asked::Write(region, offset, data.to_vec()))?;
        if region == CONFIG_REGION {
            let mut config = self.config.lock().unwrap();
            for (at, byte) in (offset as usize..).zip(data) {
                // As far as the kernel lets anybody.
                if matches!(at, 4 | 5) || at == POWER + 4 {
                    config[at] = *byte;
                }
            }
        }
        Ok(())
    }

    fn map(&self, _region: u32, area: Area) -> io::Result<Mapping> {
        let file = tempfile::tempfile()?;
        file.set_len(area.len)?;
        Mapping::new(file.as_fd(), 0, area.len)
    }

    fn trigger(&self, kind: Irq, bells: &[Arc<Signal>]) -> io::Result<()> {
        *self.bells.lock().unwrap() = bells.to_vec();
        self.ask(Asked::Trigger(kind, bells.len()))
    }

    fn trigger_line(&self, _bell: &Signal) -> io::Result<()> {
        self.ask(Asked::Trigger(Irq::Line, 1))
    }

    fn unmask_by(&self, _again: &Signal) -> io::Result<()> {
        self.ask(Asked::Unmask)
    }

    fn reset(&self) -> io::Result<()> {
        self.ask(Asked::Reset)
    }
}

/// What the guest's side is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Slot, address and length.
    Show(u32, u64, u64),
    Hide(u32),
    Wire(u32, Message),
    Line(u32),
    Unwire(u32),
}

/// The guest's side.
#[derive(Default)]
pub struct Guest(Mutex<Vec<Told>>);

impl Guest {
    /// Everything since the last call.
    pub fn take(&self) -> Vec<Told> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn tell(&self, told: Told) {
        self.0.lock().unwrap().push(told);
    }
}

impl Slots for Guest {
    fn show(&self, slot: u32, address: u64, mapping: &Mapping) -> io::Result<()> {
        self.tell(Told::Show(slot, address, mapping.size()));
        Ok(())
    }

    fn hide(&self, slot: u32) -> io::Result<()> {
        self.tell(Told::Hide(slot));
        Ok(())
    }
}

impl Wiring for Guest {
    fn connect(&self, wire: u32, _bell: &Signal, message: Message) -> bool {
        self.tell(Told::Wire(wire, message));
        true
    }

    fn connect_line(&self, gsi: u32, _bell: &Signal, _again: &Signal) -> bool {
        self.tell(Told::Line(gsi));
        true
    }

    fn disconnect(&self, wire: u32, _bell: &Signal) {
        self.tell(Told::Unwire(wire));
    }
}
