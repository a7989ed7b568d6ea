//! A device of the host on the guest's bus.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bars::{Bars, Decode};
use super::interrupts::{Interrupts, Mode};
use super::registers::{self, Disguise, Registers, Table, is_awake};
use super::{CONFIG_REGION, Irq, Kernel, Slots};
use crate::machine::routes::{WIRES_END, Wiring};
use crate::pci::config::{COMMAND, SIZE};
use crate::pci::{PciDevice, ROM, Space, Window};

const COMMAND_PORTS: u8 = 1;
const COMMAND_MEMORY: u8 = 1 << 1;

/// Why a device cannot be the guest's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its configuration space cannot be read.
    #[error("its configuration cannot be read: {0}")]
    Read(io::Error),
    /// What it is.
    #[error(transparent)]
    Registers(#[from] registers::Error),
    /// The machine has no more messages.
    #[error("it has {0} interrupts, and the machine has not so many left")]
    Interrupts(u32),
    /// Signals cannot be had.
    #[error("its interrupts cannot be signalled: {0}")]
    Signals(io::Error),
}

/// How the guest is to see a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Configuration key, for messages.
    pub id: String,
    /// As part of PCI Express.
    pub express: bool,
    /// With its expansion ROM.
    pub rom: bool,
    /// Who it says it is.
    pub disguise: Disguise,
}

/// What a device is connected to.
pub struct Connections {
    /// The guest's memory map.
    pub slots: Arc<dyn Slots>,
    /// First slot that is free.
    pub first_slot: u32,
    /// The interrupt controllers.
    pub wiring: Arc<dyn Wiring>,
    /// First wire that is free.
    pub first_wire: u32,
    /// The line that pin A is wired to.
    pub gsi: u32,
}

struct State {
    registers: Registers,
    bars: Bars,
    interrupts: Interrupts,
    table: Option<Table>,
    decode: Decode,
}

/// The device.
pub struct VfioPci {
    kernel: Arc<dyn Kernel>,
    state: Mutex<State>,
    next_slot: u32,
    next_wire: u32,
}

impl VfioPci {
    /// Puts a device that was reset between the kernel and the guest.
    pub fn new(
        kernel: Arc<dyn Kernel>,
        settings: &Settings,
        connections: &Connections,
    ) -> Result<Self, Error> {
        let mut device = [0; SIZE];
        let read = kernel.read(CONFIG_REGION, 0, &mut device);
        read.map_err(Error::Read)?;
        let line = kernel.interrupts(Irq::Line) > 0;
        let Settings {
            id,
            express,
            disguise,
            ..
        } = settings;
        let mut registers = Registers::new(&device, disguise, *express, line)?;
        let mut bars = Bars::new(id, connections.slots.clone(), connections.first_slot);
        bars.find(&*kernel, &device, &mut registers);
        let table = usable_table(&*kernel, &bars, &mut registers);
        bars.map(&*kernel, table.as_ref());
        if settings.rom {
            bars.read_rom(&*kernel, &mut registers);
        }
        let msi = registers.msi_vectors().min(kernel.interrupts(Irq::Msi));
        let vectors = table.map_or(0, |table| u32::from(table.vectors)).max(msi);
        let next_wire = connections.first_wire.saturating_add(vectors);
        if next_wire > WIRES_END {
            return Err(Error::Interrupts(vectors));
        }
        let has_line = registers.has_pin();
        let interrupts = Interrupts::new(
            id,
            kernel.clone(),
            connections.wiring.clone(),
            (msi, table),
            connections.first_wire,
            has_line.then_some(connections.gsi),
        );
        let mut state = State {
            registers,
            interrupts: interrupts.map_err(Error::Signals)?,
            table,
            decode: Decode::default(),
            bars,
        };
        state.follow(&*kernel);
        Ok(Self {
            kernel,
            next_slot: state.bars.next_slot(),
            state: Mutex::new(state),
            next_wire,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first slot after those of this device.
    pub fn next_slot(&self) -> u32 {
        self.next_slot
    }

    /// The first wire after those of this device.
    pub fn next_wire(&self) -> u32 {
        self.next_wire
    }

    /// Has the device do nothing any more: no interrupts, no access to memory.
    pub fn end(&self) {
        let mut state = self.state();
        state.interrupts.off();
        state.bars.hide();
        state.decode = Decode::default();
        if let Err(error) = self.kernel.write(CONFIG_REGION, COMMAND as u64, &[0; 2]) {
            tracing::error!(%error, "a device of the host does not stop");
        }
    }

    /// Resets it, for the next machine that has it.
    pub fn reset(&self) {
        if let Err(error) = self.kernel.reset() {
            tracing::warn!(%error, "a device of the host cannot be reset");
        }
    }
}

/// MSI-X's table, if it lies in the device's memory as it must; the guest does not see it otherwise.
fn usable_table(kernel: &dyn Kernel, bars: &Bars, registers: &mut Registers) -> Option<Table> {
    let table = registers.msix_table()?;
    let vectors = u64::from(table.vectors);
    let lies = bars.holds(table.table, vectors * 16)
        && bars.holds(table.pending, vectors.div_ceil(64) * 8);
    if lies && kernel.interrupts(Irq::MsiX) >= u32::from(table.vectors) {
        return Some(table);
    }
    registers.hide_msix();
    None
}

impl State {
    /// Looks at what is decoded and which interrupts are on, and follows it.
    fn follow(&mut self, kernel: &dyn Kernel) {
        let byte = |at: usize| {
            let mut byte = [0];
            let read = kernel.read(CONFIG_REGION, at as u64, &mut byte);
            read.ok().map(|()| byte[0])
        };
        let command = byte(COMMAND).unwrap_or(0);
        let power = self.registers.power_register();
        self.decode = Decode {
            memory: command & COMMAND_MEMORY != 0,
            ports: command & COMMAND_PORTS != 0,
            awake: power.is_none_or(|at| byte(at).is_some_and(is_awake)),
        };
        self.bars.show(&self.registers, self.decode);
        self.follow_interrupts();
    }

    fn follow_interrupts(&mut self) {
        // A driver switches one kind on; of both, the newer.
        let mode = match (self.registers.msix(), self.registers.msi()) {
            (Some(masked), _) => Mode::MsiX { masked },
            (None, Some(msi)) => Mode::Msi(msi),
            (None, None) => Mode::Line,
        };
        self.interrupts.set(mode);
    }

    /// Whether the offset is in MSI-X's table or pending bits, and where there.
    fn table_part(&self, bar: u8, offset: u64) -> Option<Part> {
        let table = self.table?;
        let vectors = u64::from(table.vectors);
        let within = |place: (u8, u64), len: u64| {
            let at = offset.checked_sub(place.1).filter(|at| *at < len)?;
            (place.0 == bar).then_some(at)
        };
        let entry = within(table.table, vectors * 16).map(Part::Table);
        let pending = || within(table.pending, vectors.div_ceil(64) * 8).map(Part::Pending);
        entry.or_else(pending)
    }
}

/// A part of MSI-X's registers in memory, with an offset there.
enum Part {
    Table(u64),
    Pending(u64),
}

/// Whether an access to ports has the width of one; a string of them comes as one access, too, and
/// goes nowhere.
fn fits(space: Option<Space>, len: usize) -> bool {
    match space {
        Some(Space::Ports) => matches!(len, 1 | 2 | 4),
        Some(Space::Memory) => len <= 8,
        None => false,
    }
}

impl PciDevice for VfioPci {
    fn config_read(&self, offset: usize, data: &mut [u8]) {
        let state = self.state();
        if self
            .kernel
            .read(CONFIG_REGION, offset as u64, data)
            .is_err()
        {
            data.fill(0xff);
        }
        state.registers.cover(offset, data);
    }

    fn config_write(&self, offset: usize, data: &[u8]) {
        let mut state = self.state();
        let moves = state.registers.moves_windows(offset, data.len());
        if moves {
            // Before the device stops to answer there.
            state.bars.hide();
        }
        for part in state.registers.write(offset, data) {
            let at = (offset + part.start) as u64;
            if let Err(error) = self.kernel.write(CONFIG_REGION, at, &data[part]) {
                tracing::debug!(at, %error, "the kernel refuses a change of a device");
            }
        }
        match moves {
            true => state.follow(&*self.kernel),
            false => state.follow_interrupts(),
        }
    }

    fn windows(&self) -> Vec<Window> {
        let state = self.state();
        state.bars.windows(&state.registers, state.decode)
    }

    fn window_read(&self, bar: u8, offset: u64, data: &mut [u8]) {
        let state = self.state();
        if bar == ROM {
            return state.bars.rom_read(offset, data);
        }
        match state.table_part(bar, offset) {
            Some(Part::Table(at)) => state.interrupts.table_read(at, data),
            Some(Part::Pending(at)) => {
                let masked = state.registers.msix() == Some(true);
                state.interrupts.pending_read(at, data, masked);
            }
            None => {
                let fits = fits(state.bars.space(bar), data.len());
                drop(state);
                if !fits || self.kernel.read(bar.into(), offset, data).is_err() {
                    data.fill(0xff);
                }
            }
        }
    }

    fn window_write(&self, bar: u8, offset: u64, data: &[u8]) {
        let mut state = self.state();
        match state.table_part(bar, offset) {
            Some(Part::Table(at)) => {
                state.interrupts.table_write(at, data);
                state.follow_interrupts();
            }
            Some(Part::Pending(_)) => {}
            None => {
                let fits = bar != ROM && fits(state.bars.space(bar), data.len());
                drop(state);
                if fits && let Err(error) = self.kernel.write(bar.into(), offset, data) {
                    tracing::debug!(bar, offset, %error, "the kernel refuses a write to a device");
                }
            }
        }
    }
}
