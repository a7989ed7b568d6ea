//! The 256 configuration registers of one device: values, and which bits software may change.

use super::{Space, Window};

/// Number of registers without the PCI Express extension, which no device here has.
pub const SIZE: usize = 256;
/// Command register.
pub const COMMAND: usize = 0x04;
/// First base address register.
pub const BAR0: usize = 0x10;
/// First capability.
const FIRST_CAPABILITY: usize = 0x40;
const STATUS: usize = 0x06;
const CAPABILITY_POINTER: usize = 0x34;
const COMMAND_MEMORY: u8 = 1 << 1;
/// Bit 10 of the command register: bit 2 of its upper byte.
const COMMAND_INTX_DISABLE: u8 = 1 << 2;

/// Who a device says it is.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Vendor number.
    pub vendor: u16,
    /// Device number.
    pub device: u16,
    /// Class, subclass and interface.
    pub class: [u8; 3],
    /// Revision.
    pub revision: u8,
    /// Subsystem vendor and number.
    pub subsystem: (u16, u16),
}

/// The registers.
pub struct ConfigSpace {
    value: [u8; SIZE],
    writable: [u8; SIZE],
    next_capability: usize,
    last_pointer: usize,
    window: Option<u32>,
}

impl ConfigSpace {
    /// Registers of a type 0 header.
    pub fn new(id: Identity) -> Self {
        let mut space = Self {
            value: [0; SIZE],
            writable: [0; SIZE],
            next_capability: FIRST_CAPABILITY,
            last_pointer: CAPABILITY_POINTER,
            window: None,
        };
        space.put(0x00, &id.vendor.to_le_bytes());
        space.put(0x02, &id.device.to_le_bytes());
        space.put(0x08, &[id.revision, id.class[2], id.class[1], id.class[0]]);
        space.put(0x2c, &id.subsystem.0.to_le_bytes());
        space.put(0x2e, &id.subsystem.1.to_le_bytes());
        // Memory decoding, bus mastering; interrupt line disable in the upper byte.
        space.allow(COMMAND, &[0b0000_0110, COMMAND_INTX_DISABLE]);
        space
    }

    /// Sets registers, whatever software may change.
    pub fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.value[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Lets software change the bits set in `mask`.
    pub fn allow(&mut self, offset: usize, mask: &[u8]) {
        self.writable[offset..offset + mask.len()].copy_from_slice(mask);
    }

    /// Declares a 32-bit memory window of `size` bytes (a power of two): at `base` with decoding on, or
    /// for firmware to place.
    pub fn set_window(&mut self, base: Option<u32>, size: u32) {
        debug_assert!(size.is_power_of_two());
        self.allow(BAR0, &(!(size - 1)).to_le_bytes());
        self.window = Some(size);
        if let Some(base) = base {
            debug_assert!(base.is_multiple_of(size));
            self.put(BAR0, &base.to_le_bytes());
            self.value[COMMAND] |= COMMAND_MEMORY;
        }
    }

    /// Declares interrupt pin A on `line`.
    pub fn set_interrupt(&mut self, line: u8) {
        self.put(0x3c, &[line, 1]);
        self.allow(0x3c, &[0xff]);
    }

    /// Appends a capability; `body` follows its two-byte head. Returns its offset.
    pub fn add_capability(&mut self, id: u8, body: &[u8]) -> usize {
        let at = self.next_capability;
        self.put(at, &[id, 0]);
        self.put(at + 2, body);
        self.value[self.last_pointer] = at as u8;
        self.last_pointer = at + 1;
        self.next_capability = (at + 2 + body.len()).next_multiple_of(4);
        self.value[STATUS] |= 1 << 4;
        at
    }

    /// Software reads.
    pub fn read(&self, offset: usize, data: &mut [u8]) {
        for (i, byte) in data.iter_mut().enumerate() {
            *byte = self.value.get(offset + i).copied().unwrap_or(0xff);
        }
    }

    /// Software writes: bits that are not writable stay.
    pub fn write(&mut self, offset: usize, data: &[u8]) {
        for (i, byte) in data.iter().enumerate() {
            let at = offset + i;
            if at < SIZE {
                self.value[at] = (self.value[at] & !self.writable[at]) | (byte & self.writable[at]);
            }
        }
    }

    /// The registers' values.
    pub fn save(&self) -> Vec<u8> {
        self.value.to_vec()
    }

    /// Takes what software had set from saved values. `false`, and nothing taken, when the
    /// values that software cannot set are another device's.
    pub fn restore(&mut self, saved: &[u8]) -> bool {
        if saved.len() != SIZE {
            return false;
        }
        let fixed = |at: usize| match at {
            // Decoding is ours to switch on at the start, and the guest's afterwards.
            COMMAND => 0,
            _ => !self.writable[at],
        };
        let same = (0..SIZE).all(|at| (saved[at] ^ self.value[at]) & fixed(at) == 0);
        if same {
            self.write(0, saved);
        }
        same
    }

    /// A 16-bit register.
    pub fn word(&self, offset: usize) -> u16 {
        u16::from_le_bytes([self.value[offset], self.value[offset + 1]])
    }

    /// A 32-bit register.
    pub fn dword(&self, offset: usize) -> u32 {
        u32::from(self.word(offset)) | u32::from(self.word(offset + 2)) << 16
    }

    /// Whether software forbade the interrupt line.
    pub fn interrupt_disabled(&self) -> bool {
        self.value[COMMAND + 1] & COMMAND_INTX_DISABLE != 0
    }

    /// The window in memory, while memory decoding is on.
    pub fn window(&self) -> Option<Window> {
        let size = self.window?;
        let on = self.value[COMMAND] & COMMAND_MEMORY != 0;
        on.then(|| Window {
            bar: 0,
            space: Space::Memory,
            start: u64::from(self.dword(BAR0)),
            len: u64::from(size),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start and length of the window.
    fn place(space: &ConfigSpace) -> Option<(u64, u64)> {
        space.window().map(|window| (window.start, window.len))
    }

    fn space() -> ConfigSpace {
        let mut space = ConfigSpace::new(Identity {
            vendor: 0x1af4,
            device: 0x1042,
            class: [1, 0, 0],
            revision: 1,
            subsystem: (0x1af4, 0x1100),
        });
        space.set_window(Some(0xc000_8000), 0x8000);
        space
    }

    #[test]
    fn identity_is_read_only() {
        let mut space = space();
        space.write(0, &[0xff; 4]);
        assert_eq!(space.dword(0), 0x1042_1af4);
        space.write(0x08, &[0; 4]);
        assert_eq!(space.dword(0x08), 0x0100_0001);
    }

    #[test]
    fn writing_ones_tells_the_size_of_the_window() {
        let mut space = space();
        space.write(BAR0, &[0xff; 4]);
        assert_eq!(space.dword(BAR0), 0xffff_8000);
        space.write(BAR0, &0xd000_1234u32.to_le_bytes());
        assert_eq!(place(&space), Some((0xd000_0000, 0x8000)));
        space.write(BAR0 + 4, &[0xff; 4]);
        assert_eq!(
            space.dword(BAR0 + 4),
            0,
            "a register that does not exist stays zero"
        );
    }

    #[test]
    fn the_window_goes_with_memory_decoding() {
        let mut space = space();
        space.write(COMMAND, &[0, 0]);
        assert_eq!(space.window(), None);
        space.write(COMMAND, &[2, 4]);
        assert!(space.window().is_some());
        assert!(space.interrupt_disabled());
    }

    #[test]
    fn saved_registers_fit_the_same_device_only() {
        let mut first = space();
        first.write(BAR0, &0xd000_0000u32.to_le_bytes());
        let saved = first.save();
        let mut second = space();
        assert!(second.restore(&saved));
        assert_eq!(place(&second), Some((0xd000_0000, 0x8000)));
        let mut other = saved.clone();
        other[2] = 0x41;
        other[BAR0 + 3] = 0xc0;
        assert!(!second.restore(&other) && !second.restore(&saved[1..]));
        assert_eq!(place(&second), Some((0xd000_0000, 0x8000)));
    }

    #[test]
    fn capabilities_form_a_list() {
        let mut space = space();
        let first = space.add_capability(0x09, &[1, 2, 3]);
        let second = space.add_capability(0x11, &[0; 10]);
        let mut byte = [0];
        space.read(CAPABILITY_POINTER, &mut byte);
        assert_eq!(usize::from(byte[0]), first);
        space.read(first + 1, &mut byte);
        assert_eq!(usize::from(byte[0]), second);
        space.read(second + 1, &mut byte);
        assert_eq!(byte[0], 0);
        assert!(second.is_multiple_of(4) && second >= first + 5);
    }

    #[test]
    fn access_past_the_end_is_all_ones() {
        let mut space = space();
        let mut data = [0u8; 4];
        space.read(254, &mut data);
        assert_eq!(data[2..], [0xff, 0xff]);
        space.write(254, &[0xff; 4]);
    }
}
