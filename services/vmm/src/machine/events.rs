//! What virtual CPUs and devices tell the main thread about the machine as a whole.

use std::sync::atomic::{AtomicBool, Ordering};
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
    cpus: AtomicBool,
    memory: AtomicBool,
    panicked: AtomicBool,
    crash_loaded: AtomicBool,
    wake: Signal,
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
            cpus: AtomicBool::new(false),
            memory: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            crash_loaded: AtomicBool::new(false),
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

    /// Leaves word that the guest let go of processors, and wakes the main thread.
    pub fn report_cpus(&self) {
        self.cpus.store(true, Ordering::Release);
        self.wake.raise();
    }

    /// Takes the word that the guest let go of processors.
    pub fn take_cpus(&self) -> bool {
        self.cpus.swap(false, Ordering::AcqRel)
    }

    /// Leaves word that the guest has more or less memory than before, and wakes the main thread.
    pub fn report_memory(&self) {
        self.memory.store(true, Ordering::Release);
        self.wake.raise();
    }

    /// Takes the word that the guest has more or less memory.
    pub fn take_memory(&self) -> bool {
        self.memory.swap(false, Ordering::AcqRel)
    }

    /// Leaves word that the guest says that it panicked, and wakes the main thread.
    pub fn report_panicked(&self) {
        self.panicked.store(true, Ordering::Release);
        self.wake.raise();
    }

    /// Takes the word that the guest panicked.
    pub fn take_panicked(&self) -> bool {
        self.panicked.swap(false, Ordering::AcqRel)
    }

    /// Leaves word that the guest panicked and another kernel of it takes over, and wakes the main thread.
    pub fn report_crash_loaded(&self) {
        self.crash_loaded.store(true, Ordering::Release);
        self.wake.raise();
    }

    /// Takes the word that another kernel of the guest takes over.
    pub fn take_crash_loaded(&self) -> bool {
        self.crash_loaded.swap(false, Ordering::AcqRel)
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
