//! A device's interrupts: which kind is on, and what each leads to.
//!
//! The kernel signals an eventfd for every interrupt; KVM makes a message or the line's level of it.
//! Without a message, because it is masked, an eventfd keeps the signal until there is one, and that
//! is what its pending bit shows.

use std::io;
use std::sync::Arc;

use super::registers::{Msi, Table};
use super::{Irq, Kernel};
use crate::event::Signal;
use crate::machine::routes::{Bells, Message, Wiring};
use crate::virtio::interrupt::{ENTRY_SIZE, Entry};

/// What the guest has switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Neither kind of messages: the line, if there is one.
    Line,
    /// Messages by the MSI capability.
    Msi(Msi),
    /// Messages by the table, maybe all masked.
    MsiX {
        /// Whether they are.
        masked: bool,
    },
}

/// The interrupt line of a device.
struct Line {
    gsi: u32,
    trigger: Signal,
    again: Signal,
    wired: bool,
}

/// The interrupts of one device.
pub struct Interrupts {
    id: String,
    kernel: Arc<dyn Kernel>,
    wiring: Arc<dyn Wiring>,
    line: Option<Line>,
    /// One for each vector that there can be.
    signals: Vec<Arc<Signal>>,
    bells: Bells,
    table: Vec<Entry>,
    /// The kind that is on in the kernel, and how many.
    on: Option<(Irq, usize)>,
}

impl Interrupts {
    /// Interrupts of a device with at most `msi` messages by its capability and a table, whose first
    /// message has the wire `first_wire`, and the line `gsi`. All are off.
    pub fn new(
        id: &str,
        kernel: Arc<dyn Kernel>,
        wiring: Arc<dyn Wiring>,
        (msi, table): (u32, Option<Table>),
        first_wire: u32,
        gsi: Option<u32>,
    ) -> io::Result<Self> {
        let vectors = table.map_or(0, |table| usize::from(table.vectors));
        let signals = (0..vectors.max(msi as usize)).map(|_| Signal::new().map(Arc::new));
        let line = gsi.map(|gsi| {
            Ok::<_, io::Error>(Line {
                gsi,
                trigger: Signal::new()?,
                again: Signal::new()?,
                wired: false,
            })
        });
        Ok(Self {
            id: id.to_owned(),
            kernel,
            bells: Bells::new(wiring.clone(), first_wire),
            wiring,
            line: line.transpose()?,
            signals: signals.collect::<io::Result<_>>()?,
            table: vec![Entry::RESET; vectors],
            on: None,
        })
    }

    /// Follows what the guest has set.
    pub fn set(&mut self, mode: Mode) {
        match mode {
            Mode::Line => {
                self.switch(self.line.is_some().then_some((Irq::Line, 1)));
            }
            Mode::Msi(msi) => {
                self.switch(Some((Irq::Msi, msi.vectors as usize)));
                self.bells.follow(|vector| message(&msi, vector));
            }
            Mode::MsiX { masked } => {
                self.switch(Some((Irq::MsiX, self.table.len())));
                let table = &self.table;
                self.bells.follow(|vector| {
                    let entry = table.get(vector).filter(|_| !masked)?;
                    entry.message()
                });
            }
        }
    }

    /// Switches everything off.
    pub fn off(&mut self) {
        self.switch(None);
    }

    fn switch(&mut self, wanted: Option<(Irq, usize)>) {
        if self.on == wanted {
            return;
        }
        if let Some((kind, _)) = self.on.take() {
            self.bells.hang(&[]);
            self.unwire_line();
            self.note(kind, self.kernel.trigger(kind, &[]));
        }
        let Some((kind, count)) = wanted else {
            return;
        };
        let done = match kind {
            Irq::Line => self.wire_line(),
            Irq::Msi | Irq::MsiX => {
                let signals = &self.signals[..count.min(self.signals.len())];
                // What the vectors of another kind were signalled with is not for these.
                for signal in signals {
                    signal.clear();
                }
                let set = self.kernel.trigger(kind, signals);
                self.bells.hang(signals);
                set
            }
        };
        self.note(kind, done);
        // Also when it failed, so that it is not tried with every access.
        self.on = wanted;
    }

    fn wire_line(&mut self) -> io::Result<()> {
        let Some(line) = &mut self.line else {
            return Ok(());
        };
        line.wired = self
            .wiring
            .connect_line(line.gsi, &line.trigger, &line.again);
        if !line.wired {
            return Err(io::Error::other("KVM does not take the line"));
        }
        self.kernel.trigger_line(&line.trigger)?;
        self.kernel.unmask_by(&line.again)
    }

    fn unwire_line(&mut self) {
        if let Some(line) = self.line.as_mut().filter(|line| line.wired) {
            self.wiring.disconnect(line.gsi, &line.trigger);
            line.wired = false;
        }
    }

    fn note(&self, kind: Irq, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::error!(device = %self.id, ?kind, %error, "the device's interrupts do not work");
        }
    }

    /// Reads MSI-X's table; `offset` counts from its start.
    pub fn table_read(&self, offset: u64, data: &mut [u8]) {
        for (at, byte) in (offset..).zip(data) {
            let (index, within) = place(at);
            let entry = self.table.get(index);
            *byte = entry.map_or(0, |entry| entry.bytes()[within]);
        }
    }

    /// Writes MSI-X's table; what it changes is for [`Self::set`] to follow.
    pub fn table_write(&mut self, offset: u64, data: &[u8]) {
        for (at, byte) in (offset..).zip(data) {
            let (index, within) = place(at);
            if let Some(entry) = self.table.get_mut(index) {
                let mut bytes = entry.bytes();
                bytes[within] = *byte;
                *entry = Entry::from_bytes(bytes);
            }
        }
    }

    /// Reads MSI-X's pending bits; `offset` counts from their start.
    pub fn pending_read(&self, offset: u64, data: &mut [u8], masked: bool) {
        data.fill(0);
        if self.on.is_none_or(|(kind, _)| kind != Irq::MsiX) {
            return;
        }
        let first = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .saturating_mul(8);
        let vectors = self.table.iter().zip(&self.signals).skip(first);
        for (bit, (entry, signal)) in vectors.enumerate().take(data.len() * 8) {
            // One that has a message is KVM's to hear.
            if (masked || entry.message().is_none()) && signal.clear() {
                signal.raise();
                data[bit / 8] |= 1 << (bit % 8);
            }
        }
    }
}

fn place(at: u64) -> (usize, usize) {
    let size = ENTRY_SIZE as u64;
    let index = usize::try_from(at / size).unwrap_or(usize::MAX);
    (index, (at % size) as usize)
}

fn message(msi: &Msi, vector: usize) -> Option<Message> {
    let number = u32::try_from(vector)
        .ok()
        .filter(|number| *number < msi.vectors)?;
    // The function changes the low bits of the data (PCI 3.0, section 6.8.3.4).
    let data = msi.data & !(msi.vectors - 1) | number;
    (msi.masked >> number & 1 == 0).then_some((msi.address, data))
}
