//! A device's base address registers: what they are, where the guest has put them, and which of their
//! pages it reaches without leaving.
//!
//! What is not a page of its own, and what MSI-X's table and pending bits share a page with, is trapped.

use std::io;
use std::sync::Arc;

use super::mapping::Mapping;
use super::registers::{ROM_REGISTER, Registers, Table};
use super::{Area, Kernel, ROM_REGION, Slots};
use crate::pci::config::{BAR0, SIZE};
use crate::pci::{ROM, Space, Window};

const PAGE: u64 = 4096;
/// Base address registers of a type 0 header.
const REGISTERS: u8 = 6;
const IS_PORTS: u8 = 1;
const IS_WIDE: u8 = 1 << 2;
/// Bytes of an entry of MSI-X's table.
const ENTRY: u64 = 16;
/// Least and most size of an expansion ROM.
const ROM_SIZES: std::ops::RangeInclusive<u64> = 2048..=16 << 20;

/// Which windows are decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decode {
    /// Those in memory.
    pub memory: bool,
    /// Those of ports.
    pub ports: bool,
    /// Whether the device has power enough to answer.
    pub awake: bool,
}

/// A mapped part of a window.
struct Part {
    area: Area,
    slot: u32,
    mapping: Mapping,
    shown: bool,
}

struct Bar {
    number: u8,
    register: usize,
    space: Space,
    wide: bool,
    size: u64,
    parts: Vec<Part>,
}

impl Bar {
    fn start(&self, registers: &Registers) -> u64 {
        let low = u64::from(registers.dword(self.register));
        match self.space {
            Space::Ports => low & !3,
            Space::Memory if self.wide => {
                low & !0xf | u64::from(registers.dword(self.register + 4)) << 32
            }
            Space::Memory if self.number == ROM => low & !0x7ff,
            Space::Memory => low & !0xf,
        }
    }

    fn window(&self, registers: &Registers, decode: Decode) -> Option<Window> {
        let on = match self.space {
            Space::Ports => decode.ports,
            Space::Memory => decode.memory,
        };
        let enabled = self.number != ROM || registers.dword(ROM_REGISTER) & 1 != 0;
        let start = self.start(registers);
        // Nothing is at zero: that is a register nobody has set.
        let placed = start != 0 && start.checked_add(self.size).is_some();
        (on && enabled && placed).then_some(Window {
            bar: self.number,
            space: self.space,
            start,
            len: self.size,
        })
    }
}

/// The base address registers of one device.
pub struct Bars {
    id: String,
    bars: Vec<Bar>,
    rom: Vec<u8>,
    slots: Arc<dyn Slots>,
    next_slot: u32,
}

impl Bars {
    /// None yet; what will be mapped has slots from `first_slot` on.
    pub fn new(id: &str, slots: Arc<dyn Slots>, first_slot: u32) -> Self {
        Self {
            id: id.to_owned(),
            bars: Vec::new(),
            rom: Vec::new(),
            slots,
            next_slot: first_slot,
        }
    }

    /// Finds a device's registers, whose values are `device`, and declares them to the guest.
    pub fn find(&mut self, kernel: &dyn Kernel, device: &[u8; SIZE], registers: &mut Registers) {
        let mut number = 0;
        while number < REGISTERS {
            let register = BAR0 + usize::from(number) * 4;
            let flags = device[register];
            let ports = flags & IS_PORTS != 0;
            let wide = !ports && flags & IS_WIDE != 0 && number + 1 < REGISTERS;
            let size = kernel.region(number.into()).size;
            let fits = match (ports, wide) {
                (true, _) => size <= 1 << 16,
                (_, false) => size <= 1 << 31,
                (_, true) => size <= 1 << 50,
            };
            if size >= 4 && size.is_power_of_two() && fits {
                let flags = if ports { flags & 3 } else { flags & 0xf };
                registers.declare(register, flags, size, wide);
                self.bars.push(Bar {
                    number,
                    register,
                    space: if ports { Space::Ports } else { Space::Memory },
                    wide,
                    size,
                    parts: Vec::new(),
                });
            }
            number += if wide { 2 } else { 1 };
        }
    }

    /// Whether a part of a window in memory is inside it.
    pub fn holds(&self, (bar, offset): (u8, u64), len: u64) -> bool {
        let mut bars = self.bars.iter();
        let bar = bars.find(|known| known.number == bar && known.space == Space::Memory);
        bar.is_some_and(|bar| offset.checked_add(len).is_some_and(|end| end <= bar.size))
    }

    /// Maps what the guest may reach without leaving: everything but the pages of `table`.
    pub fn map(&mut self, kernel: &dyn Kernel, table: Option<&Table>) {
        for bar in self
            .bars
            .iter_mut()
            .filter(|bar| bar.space == Space::Memory)
        {
            let mut areas = kernel.region(bar.number.into()).mappable;
            for (place, len) in table.iter().flat_map(|table| trapped(table)) {
                if place.0 == bar.number {
                    areas = without(&areas, place.1, len);
                }
            }
            for area in areas.iter().filter_map(whole_pages) {
                match kernel.map(bar.number.into(), area) {
                    Ok(mapping) => {
                        bar.parts.push(Part {
                            area,
                            slot: self.next_slot,
                            mapping,
                            shown: false,
                        });
                        self.next_slot += 1;
                    }
                    Err(error) => {
                        let (id, bar) = (&self.id, bar.number);
                        tracing::warn!(device = %id, bar, %error, "memory of the device is slow");
                    }
                }
            }
        }
    }

    /// Reads the expansion ROM and declares it, if the device has one.
    pub fn read_rom(&mut self, kernel: &dyn Kernel, registers: &mut Registers) {
        let size = kernel.region(ROM_REGION).size;
        if !ROM_SIZES.contains(&size) {
            return;
        }
        let mut rom = vec![0; size as usize];
        if let Err(error) = kernel.read(ROM_REGION, 0, &mut rom) {
            tracing::warn!(device = %self.id, %error, "the device's expansion ROM cannot be read");
            return;
        }
        let size = size.next_power_of_two();
        registers.declare(ROM_REGISTER, 0, size, false);
        self.rom = rom;
        self.bars.push(Bar {
            number: ROM,
            register: ROM_REGISTER,
            space: Space::Memory,
            wide: false,
            size,
            parts: Vec::new(),
        });
    }

    /// Reads from the expansion ROM's copy.
    pub fn rom_read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rom = self.rom.get(start..).unwrap_or_default();
        let len = rom.len().min(data.len());
        data[..len].copy_from_slice(&rom[..len]);
    }

    /// What the windows of a register lie in.
    pub fn space(&self, number: u8) -> Option<Space> {
        let bar = self.bars.iter().find(|bar| bar.number == number)?;
        Some(bar.space)
    }

    /// Where the windows lie.
    pub fn windows(&self, registers: &Registers, decode: Decode) -> Vec<Window> {
        let windows = self.bars.iter();
        windows
            .filter_map(|bar| bar.window(registers, decode))
            .collect()
    }

    /// Shows the guest what is mapped of the windows, where they lie. A part that cannot be shown there
    /// is trapped.
    pub fn show(&mut self, registers: &Registers, decode: Decode) {
        for bar in self.bars.iter_mut().filter(|_| decode.awake) {
            let Some(window) = bar.window(registers, decode) else {
                continue;
            };
            for part in bar.parts.iter_mut().filter(|part| !part.shown) {
                let address = window.start + part.area.offset;
                match self.slots.show(part.slot, address, &part.mapping) {
                    Ok(()) => part.shown = true,
                    Err(error) => {
                        tracing::debug!(device = %self.id, address, %error, "a window is trapped");
                    }
                }
            }
        }
    }

    /// Takes away what is shown.
    pub fn hide(&mut self) {
        for part in self.bars.iter_mut().flat_map(|bar| &mut bar.parts) {
            if std::mem::take(&mut part.shown) {
                self.slots
                    .hide(part.slot)
                    .unwrap_or_else(|error| gone_wrong(&error));
            }
        }
    }

    /// The first slot after those in use.
    pub fn next_slot(&self) -> u32 {
        self.next_slot
    }
}

/// KVM takes every slot back that it took; if it did not, the guest would reach memory that is no more.
fn gone_wrong(error: &io::Error) {
    crate::fatal(&format!("KVM keeps a device's memory: {error}"))
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.hide();
    }
}

/// What must be trapped for MSI-X: places, each with its length.
fn trapped(table: &Table) -> [((u8, u64), u64); 2] {
    let vectors = u64::from(table.vectors);
    [
        (table.table, vectors * ENTRY),
        (table.pending, vectors.div_ceil(64) * 8),
    ]
}

/// Areas without the pages that `len` bytes at `offset` touch.
fn without(areas: &[Area], offset: u64, len: u64) -> Vec<Area> {
    let from = offset / PAGE * PAGE;
    let to = offset
        .saturating_add(len)
        .div_ceil(PAGE)
        .saturating_mul(PAGE);
    let pieces = areas.iter().flat_map(|area| {
        let before = (area.offset, area.end().min(from));
        let after = (area.offset.max(to), area.end());
        [before, after]
    });
    pieces
        .filter(|(start, end)| start < end)
        .map(|(offset, end)| Area {
            offset,
            len: end - offset,
        })
        .collect()
}

/// The whole pages of an area, if there are any.
fn whole_pages(area: &Area) -> Option<Area> {
    let from = area.offset.checked_next_multiple_of(PAGE)?;
    let to = area.end() / PAGE * PAGE;
    (from < to).then(|| Area {
        offset: from,
        len: to - from,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_table_are_cut_out() {
        let all = [Area {
            offset: 0,
            len: 0x8000,
        }];
        let left = |offset, len| {
            let areas = without(&all, offset, len);
            areas
                .iter()
                .map(|area| (area.offset, area.len))
                .collect::<Vec<_>>()
        };
        assert_eq!(left(0x2100, 0x20), [(0, 0x2000), (0x3000, 0x5000)]);
        assert_eq!(left(0, 0x1001), [(0x2000, 0x6000)]);
        assert_eq!(left(0x7ff0, 0x10), [(0, 0x7000)]);
        assert_eq!(left(0x9000, 0x10), [(0, 0x8000)]);
        assert!(left(0, u64::MAX).is_empty());
    }

    #[test]
    fn only_whole_pages_are_mapped() {
        let area = |offset, len| whole_pages(&Area { offset, len });
        assert_eq!(area(0, 0x100), None);
        assert_eq!(area(0x800, 0x1800), area(0x1000, 0x1000));
        assert_eq!(area(u64::MAX - 5, 5), None);
    }
}
