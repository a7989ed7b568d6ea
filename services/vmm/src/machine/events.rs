//! What virtual CPUs and devices tell the main thread about the machine as a whole.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::event::Signal;

/// Something only the main thread can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MachineEvent {
    /// The guest asked to be switched off.
    PowerOff,
    /// The guest asked for, or caused, a reset.
    Reset,
    /// The machine cannot go on.
    Failed(String),
}

/// A mailbox holding the first event; what follows it no longer matters, because each of them
/// ends this run of the machine. So a guest cannot make it grow.
pub struct Events {
    first: Mutex<Option<MachineEvent>>,
    full: Mutex<Option<FullDisk>>,
    /// PCI device numbers, a bit each.
    ejected: Mutex<u32>,
    /// What there is word of, of [`News`].
    news: AtomicU8,
    wake: Signal,
}

/// Something that the main thread looks into; how often it happened does not matter. A bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum News {
    /// The guest let go of processors.
    Processors = 1,
    /// The guest has more or less memory than before.
    Memory = 2,
    /// The guest says that it panicked.
    Panicked = 4,
    /// The guest panicked, and another kernel of it takes over.
    CrashLoaded = 8,
}

/// A disk for whose data the host has no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullDisk {
    /// Configuration key.
    pub disk: String,
    /// What the host said.
    pub error: String,
}

impl Events {
    /// An empty mailbox.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            first: Mutex::new(None),
            full: Mutex::new(None),
            ejected: Mutex::new(0),
            news: AtomicU8::new(0),
            wake: Signal::new()?,
        })
    }

    /// Leaves an event and wakes the main thread.
    pub fn post(&self, event: MachineEvent) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            *first = Some(event);
            self.wake.raise();
        }
    }

    /// Leaves word of a full host, and wakes the main thread; the first word stays until taken.
    pub fn report_full(&self, found: FullDisk) {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        full.get_or_insert(found);
        self.wake.raise();
    }

    /// Takes the word of a full host.
    pub fn take_full(&self) -> Option<FullDisk> {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        full.take()
    }

    /// Leaves word that the guest let go of a PCI device, and wakes the main thread.
    pub fn report_ejected(&self, slot: u8) {
        let mut ejected = self.ejected.lock().unwrap_or_else(PoisonError::into_inner);
        *ejected |= 1 << (slot & 31);
        self.wake.raise();
    }

    /// Takes the numbers of the devices that the guest let go of.
    pub fn take_ejected(&self) -> Vec<u8> {
        let mut ejected = self.ejected.lock().unwrap_or_else(PoisonError::into_inner);
        let bits = std::mem::take(&mut *ejected);
        (0..32).filter(|slot| bits & 1 << slot != 0).collect()
    }

    /// Leaves word of something, and wakes the main thread.
    pub fn report(&self, news: News) {
        self.news.fetch_or(news as u8, Ordering::AcqRel);
        self.wake.raise();
    }

    /// Takes the word of it, if there is one.
    pub fn take_report(&self, news: News) -> bool {
        self.news.fetch_and(!(news as u8), Ordering::AcqRel) & news as u8 != 0
    }

    /// Takes the event.
    pub fn take(&self) -> Option<MachineEvent> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.take()
    }

    /// Whether one is waiting.
    pub fn pending(&self) -> bool {
        self.first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// Readable when something was left. To be cleared before it is looked for.
    pub fn wake(&self) -> &Signal {
        &self.wake
    }
}
