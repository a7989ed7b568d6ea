//! The 256 configuration registers of a device of the host: which bits are the device's and which are
//! ours.
//!
//! | registers | |
//! |---|---|
//! | identity | the device's, or what the specification says instead |
//! | command, status, cache line, latency | the device's; the kernel keeps the guest from what is not its |
//! | header type | one function, type 0 |
//! | base addresses, ROM | ours: the guest's addresses are not the host's |
//! | interrupt line and pin | ours: pin A |
//! | capability list | the device's without what is not there; MSI and MSI-X ours |
//! | everything else | the device's |

use std::ops::Range;

use crate::pci::config::{BAR0, COMMAND, SIZE};

const HEADER_TYPE: usize = 0x0e;
const HEADER_KIND: u8 = 0x7f;
const SUBSYSTEM: usize = 0x2c;
/// Expansion ROM base address register.
pub const ROM_REGISTER: usize = 0x30;
const CAPABILITY_POINTER: usize = 0x34;
const INTERRUPT_PIN: usize = 0x3d;
const INTERRUPT_LINE: usize = 0x3c;
const FIRST_CAPABILITY: usize = 0x40;
/// Capabilities that fit.
const MOST_CAPABILITIES: usize = (SIZE - FIRST_CAPABILITY) / 4;

/// PCI power management.
const POWER_MANAGEMENT: u8 = 0x01;
const VITAL_PRODUCT_DATA: u8 = 0x03;
/// Message-signalled interrupts.
const MSI: u8 = 0x05;
const VENDOR: u8 = 0x09;
const EXPRESS: u8 = 0x10;
/// Message-signalled interrupts with a table.
const MSIX: u8 = 0x11;
const ADVANCED_FEATURES: u8 = 0x13;

/// Length of the MSI-X capability.
const MSIX_LEN: usize = 12;
const MSI_ADDRESS_64: u8 = 1 << 7;
const MSI_MASKABLE: u8 = 1;
/// Power state in the low bits of `PMCSR`.
const POWER_STATE: usize = 4;
const D3_HOT: u8 = 3;

/// Who a device says it is, in place of what the device says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disguise {
    /// Vendor.
    pub vendor: Option<u16>,
    /// Device.
    pub device: Option<u16>,
    /// Vendor of the card.
    pub sub_vendor: Option<u16>,
    /// Card.
    pub sub_device: Option<u16>,
}

/// Where MSI-X's table and pending bits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Number of vectors, at most 2048.
    pub vectors: u16,
    /// Base address register and offset of the table.
    pub table: (u8, u64),
    /// Base address register and offset of the pending bits.
    pub pending: (u8, u64),
}

/// What the guest has set in the MSI capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Msi {
    /// Number of vectors in use: a power of two, at most 32.
    pub vectors: u32,
    /// Address of their messages.
    pub address: u64,
    /// Data of the first; the others differ in the low bits.
    pub data: u32,
    /// Those that are masked.
    pub masked: u32,
}

/// Where things are in the registers.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    power: Option<usize>,
    msi: Option<usize>,
    msix: Option<usize>,
}

/// The registers, as far as they are ours.
pub struct Registers {
    value: [u8; SIZE],
    ours: [u8; SIZE],
    writable: [u8; SIZE],
    places: Places,
}

/// Why a device cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is a bridge.
    #[error("it is a bridge: only what is behind it can be a guest's")]
    Bridge,
}

fn word(bytes: &[u8; SIZE], at: usize) -> u16 {
    let byte = |at| bytes.get(at).copied().map_or(0, u16::from);
    byte(at) | byte(at + 1) << 8
}

fn dword(bytes: &[u8; SIZE], at: usize) -> u32 {
    u32::from(word(bytes, at)) | u32::from(word(bytes, at + 2)) << 16
}

/// The capabilities of a device: number and place, as its list has them.
fn capabilities(device: &[u8; SIZE]) -> Vec<(u8, usize)> {
    let mut found: Vec<(u8, usize)> = Vec::new();
    let mut at = usize::from(device[CAPABILITY_POINTER] & !3);
    // A list that bites its own tail ends there.
    while at >= FIRST_CAPABILITY
        && found.len() < MOST_CAPABILITIES
        && !found.iter().any(|(_, known)| *known == at)
    {
        found.push((device[at], at));
        at = usize::from(device[at + 1] & !3);
    }
    found
}

impl Registers {
    /// Rules for a device whose registers are `device`. It is seen as part of PCI Express if `express`,
    /// and has an interrupt pin if `line`.
    pub fn new(
        device: &[u8; SIZE],
        disguise: &Disguise,
        express: bool,
        line: bool,
    ) -> Result<Self, Error> {
        if device[HEADER_TYPE] & HEADER_KIND != 0 {
            return Err(Error::Bridge);
        }
        let mut registers = Self {
            value: *device,
            ours: [0; SIZE],
            writable: [0; SIZE],
            places: Places::default(),
        };
        registers.own(HEADER_TYPE, &[0]);
        for (at, number) in [
            (0, disguise.vendor),
            (2, disguise.device),
            (SUBSYSTEM, disguise.sub_vendor),
            (SUBSYSTEM + 2, disguise.sub_device),
        ] {
            if let Some(number) = number {
                registers.own(at, &number.to_le_bytes());
            }
        }
        registers.own(BAR0, &[0; 24]);
        registers.own(ROM_REGISTER, &[0; 4]);
        registers.own(INTERRUPT_LINE, &[0]);
        registers.allow(INTERRUPT_LINE, &[0xff]);
        let has_pin = line && device[INTERRUPT_PIN] != 0;
        registers.own(INTERRUPT_PIN, &[u8::from(has_pin)]);
        registers.list(device, express);
        Ok(registers)
    }

    /// Makes registers ours, with values.
    fn own(&mut self, at: usize, bytes: &[u8]) {
        for (i, byte) in bytes.iter().enumerate().take_while(|(i, _)| at + i < SIZE) {
            self.value[at + i] = *byte;
            self.ours[at + i] = 0xff;
        }
    }

    /// Makes registers ours that keep the device's values.
    fn keep(&mut self, at: usize, len: usize) {
        let end = (at + len).min(SIZE);
        self.ours[at.min(end)..end].fill(0xff);
    }

    /// Lets the guest change bits of registers that are ours.
    fn allow(&mut self, at: usize, mask: &[u8]) {
        for (i, byte) in mask.iter().enumerate().take_while(|(i, _)| at + i < SIZE) {
            self.writable[at + i] = *byte;
        }
    }

    /// Strings the capabilities that are there together.
    fn list(&mut self, device: &[u8; SIZE], express: bool) {
        let mut pointer = CAPABILITY_POINTER;
        self.own(pointer, &[0]);
        for (id, at) in capabilities(device) {
            let shown = match id {
                POWER_MANAGEMENT | VITAL_PRODUCT_DATA | VENDOR | ADVANCED_FEATURES => true,
                MSI => self.msi_rules(device, at),
                MSIX => self.msix_rules(at),
                EXPRESS => express && self.express_rules(device, at),
                // Slots, bridges, fixed addresses and what is not known do not make sense here.
                _ => false,
            };
            if !shown {
                continue;
            }
            if id == POWER_MANAGEMENT && at + 8 <= SIZE {
                self.places.power = Some(at + POWER_STATE);
            }
            // At most 0xfc.
            self.value[pointer] = at as u8;
            pointer = at + 1;
            self.own(pointer, &[0]);
            self.keep(at, 2);
        }
    }

    fn msi_rules(&mut self, device: &[u8; SIZE], at: usize) -> bool {
        let (low, high) = (device[at + 2], device[at + 3]);
        let data = if low & MSI_ADDRESS_64 != 0 { 12 } else { 8 };
        let maskable = high & MSI_MASKABLE != 0;
        let len = if maskable { data + 12 } else { data + 2 };
        if at + len > SIZE {
            return false;
        }
        self.keep(at, len);
        // Enable, and how many messages.
        self.value[at + 2] = low & !0x71;
        self.allow(at + 2, &[0x71]);
        self.value[at + 4..at + len].fill(0);
        self.allow(at + 4, &0xffff_fffcu32.to_le_bytes());
        if data == 12 {
            self.allow(at + 8, &[0xff; 4]);
        }
        self.allow(at + data, &[0xff; 2]);
        if maskable {
            self.allow(at + data + 4, &[0xff; 4]);
        }
        self.places.msi = Some(at);
        true
    }

    fn msix_rules(&mut self, at: usize) -> bool {
        if at + MSIX_LEN > SIZE {
            return false;
        }
        self.keep(at, MSIX_LEN);
        // Enable and function mask.
        self.value[at + 3] &= 0x07;
        self.allow(at + 3, &[0xc0]);
        self.places.msix = Some(at);
        true
    }

    /// On the root bus an endpoint is one that belongs to the root complex, and has no link (PCI Express
    /// Base Specification, section 7.5.3.2).
    fn express_rules(&mut self, device: &[u8; SIZE], at: usize) -> bool {
        const INTEGRATED: u8 = 9 << 4;
        const LINK: usize = 0x0c;
        const LINK_2: usize = 0x2c;
        let version = device[at + 2] & 0xf;
        let len = if version >= 2 { 0x3c } else { 0x14 };
        if at + len > SIZE {
            return false;
        }
        self.value[at + 2] = version | INTEGRATED;
        self.ours[at + 2] = 0xff;
        // No slot.
        self.value[at + 3] = device[at + 3] & 0x3e;
        self.ours[at + 3] = 0xff;
        self.own(at + LINK, &[0; 8]);
        if version >= 2 {
            self.own(at + LINK_2, &[0; 8]);
        }
        true
    }

    /// Leaves MSI-X out, which the guest could not use.
    pub fn hide_msix(&mut self) {
        let Some(at) = self.places.msix.take() else {
            return;
        };
        let mut pointer = CAPABILITY_POINTER;
        // No list is longer.
        for _ in 0..=MOST_CAPABILITIES {
            let next = usize::from(self.value[pointer]);
            if next == at {
                self.value[pointer] = self.value[at + 1];
                return;
            }
            if next < FIRST_CAPABILITY {
                return;
            }
            pointer = next + 1;
        }
    }

    /// Declares a base address register: `flags` in its low bits, a window of `size` bytes, a power of
    /// two.
    pub fn declare(&mut self, at: usize, flags: u8, size: u64, wide: bool) {
        let mask = !(size - 1);
        let low = match at {
            // The lowest bit of the ROM's switches it on.
            ROM_REGISTER => mask as u32 & !0x7ff | 1,
            _ if flags & 1 != 0 => mask as u32 & !3,
            _ => mask as u32 & !0xf,
        };
        self.own(at, &u32::from(flags).to_le_bytes());
        self.allow(at, &low.to_le_bytes());
        if wide {
            self.own(at + 4, &[0; 4]);
            self.allow(at + 4, &((mask >> 32) as u32).to_le_bytes());
        }
    }

    /// Whether the guest sees an interrupt pin.
    pub fn has_pin(&self) -> bool {
        self.value[INTERRUPT_PIN] != 0
    }

    /// A register that is ours.
    pub fn dword(&self, at: usize) -> u32 {
        dword(&self.value, at)
    }

    /// Puts our bits in place of the device's.
    pub fn cover(&self, offset: usize, data: &mut [u8]) {
        for (i, byte) in data.iter_mut().enumerate() {
            *byte = match self.ours.get(offset + i) {
                Some(mask) => (*byte & !mask) | (self.value[offset + i] & mask),
                None => 0xff,
            };
        }
    }

    /// The guest writes: keeps what is ours, and says which parts of `data` are for the device.
    pub fn write(&mut self, offset: usize, data: &[u8]) -> Vec<Range<usize>> {
        let mut parts: Vec<Range<usize>> = Vec::new();
        for (i, byte) in data.iter().enumerate() {
            let at = offset + i;
            if at >= SIZE {
                break;
            }
            let writable = self.writable[at] & self.ours[at];
            self.value[at] = (self.value[at] & !writable) | (byte & writable);
            if self.ours[at] == 0xff {
                continue;
            }
            match parts.last_mut().filter(|part| part.end == i) {
                Some(part) => part.end = i + 1,
                None => parts.push(i..i + 1),
            }
        }
        parts
    }

    /// Where MSI-X's table is, if the device has one.
    pub fn msix_table(&self) -> Option<Table> {
        let at = self.places.msix?;
        let place = |register: u32| ((register & 7) as u8, u64::from(register & !7));
        Some(Table {
            vectors: (word(&self.value, at + 2) & 0x7ff) + 1,
            table: place(self.dword(at + 4)),
            pending: place(self.dword(at + 8)),
        })
    }

    /// Whether MSI-X is on, and if so whether all of it is masked.
    pub fn msix(&self) -> Option<bool> {
        let control = self.value[self.places.msix? + 3];
        (control & 0x80 != 0).then_some(control & 0x40 != 0)
    }

    /// Most messages by the MSI capability.
    pub fn msi_vectors(&self) -> u32 {
        let low = self.places.msi.map(|at| self.value[at + 2]);
        low.map_or(0, |low| 1 << (low >> 1 & 7).min(5))
    }

    /// The MSI capability, if it is on.
    pub fn msi(&self) -> Option<Msi> {
        let at = self.places.msi?;
        let (low, high) = (self.value[at + 2], self.value[at + 3]);
        if low & 1 == 0 {
            return None;
        }
        let wide = low & MSI_ADDRESS_64 != 0;
        let data = if wide { at + 12 } else { at + 8 };
        let upper = if wide { self.dword(at + 8) } else { 0 };
        let maskable = high & MSI_MASKABLE != 0;
        let wanted = 1 << (low >> 4 & 7).min(5);
        Some(Msi {
            vectors: self.msi_vectors().min(wanted),
            address: u64::from(upper) << 32 | u64::from(self.dword(at + 4)),
            data: word(&self.value, data).into(),
            masked: if maskable { self.dword(data + 4) } else { 0 },
        })
    }

    /// The register with the power state.
    pub fn power_register(&self) -> Option<usize> {
        self.places.power
    }

    /// Whether an access can change which windows are decoded: by the command register, a base
    /// address, or the power state.
    pub fn moves_windows(&self, offset: usize, len: usize) -> bool {
        let touches = |at: usize, size: usize| offset < at + size && at < offset + len;
        touches(COMMAND, 1)
            || touches(BAR0, 24)
            || touches(ROM_REGISTER, 4)
            || self.places.power.is_some_and(|at| touches(at, 1))
    }
}

/// Whether a power state leaves the device's memory reachable.
pub fn is_awake(power: u8) -> bool {
    power & 3 != D3_HOT
}
