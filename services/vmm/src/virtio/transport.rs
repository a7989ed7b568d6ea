//! The PCI face of a virtio device (virtio 1.2, section 4.1): capabilities, the common
//! configuration, notifications, and the vector table, all in one memory window.
//!
//! The driver's life, as the status register tells it:
//!
//! ```text
//! 0 ── ACKNOWLEDGE ── DRIVER ── FEATURES_OK ── DRIVER_OK ──▶ the worker has the queues
//! ▲                                                                 │
//! └───────────────── the driver writes 0 ◀── NEEDS_RESET ◀──────────┘ broken queue
//! ```

mod capabilities;
mod saved;

use std::sync::{Arc, Mutex, PoisonError};

use kvm_ioctls::{IoEventAddress, NoDatamatch, VmFd};
use virtio_queue::{Queue, QueueT};

use super::interrupt::{ENTRY_SIZE, Interrupts};
use super::worker::{Live, Worker};
use super::{Description, F_EVENT_IDX, F_VERSION_1};
use crate::event::Signal;
use crate::machine::memory::Memory;
use crate::pci::config::{COMMAND, ConfigSpace};
use crate::pci::{PciDevice, Window};
use capabilities::{MSIX_ENABLE, MSIX_MASK, config_space, pci_access};
pub use saved::DeviceState;

/// Length of the memory window.
pub const WINDOW_SIZE: u32 = 0x8000;

const COMMON: u64 = 0x0000;
const COMMON_LEN: u64 = 0x38;
const ISR: u64 = 0x1000;
const DEVICE: u64 = 0x2000;
const NOTIFY: u64 = 0x3000;
const NOTIFY_STRIDE: u64 = 4;
const TABLE: u64 = 0x4000;
const PENDING: u64 = 0x5000;
const PAGE: u64 = 0x1000;

const FEATURES_OK: u8 = 8;
const DRIVER_OK: u8 = 4;
const NEEDS_RESET: u8 = 64;
const FAILED: u8 = 128;

/// Binds notifications to eventfds; KVM, or nothing in tests.
pub trait NotifyBinder: Send + Sync {
    /// Starts signalling `event` on writes to `address`.
    fn bind(&self, event: &Signal, address: u64);
    /// Stops.
    fn unbind(&self, event: &Signal, address: u64);
}

impl NotifyBinder for VmFd {
    fn bind(&self, event: &Signal, address: u64) {
        // On failure (two windows at one place) the write leaves the guest and is served there.
        let _ = self.register_ioevent(event.eventfd(), &IoEventAddress::Mmio(address), NoDatamatch);
    }

    fn unbind(&self, event: &Signal, address: u64) {
        let _ =
            self.unregister_ioevent(event.eventfd(), &IoEventAddress::Mmio(address), NoDatamatch);
    }
}

struct State {
    config: ConfigSpace,
    /// Where the capability for access through configuration space lies.
    pci_access: usize,
    msix: usize,
    device_feature_select: u32,
    driver_feature_select: u32,
    driver_features: u64,
    status: u8,
    queue_select: u16,
    queues: Vec<Queue>,
    bound_at: Option<u64>,
    /// It was taken off the bus; processors may still be in the middle of an access.
    gone: bool,
    /// The device's own configuration, and how often it changed.
    device: Vec<u8>,
    generation: u8,
}

/// One device.
pub struct VirtioPci {
    description: Description,
    memory: Arc<Memory>,
    interrupts: Arc<Interrupts>,
    worker: Worker,
    binder: Arc<dyn NotifyBinder>,
    state: Mutex<State>,
}

impl VirtioPci {
    /// A device number `slot` with its window at `base`, or where firmware will put it.
    pub fn new(
        slot: u8,
        base: Option<u32>,
        description: Description,
        memory: Arc<Memory>,
        interrupts: Arc<Interrupts>,
        worker: Worker,
        binder: Arc<dyn NotifyBinder>,
    ) -> Result<Self, virtio_queue::Error> {
        let (config, pci_access, msix) = config_space(slot, base, &description);
        let state = State {
            config,
            pci_access,
            msix,
            device_feature_select: 0,
            driver_feature_select: 0,
            driver_features: 0,
            status: 0,
            queue_select: 0,
            queues: new_queues(&description)?,
            bound_at: None,
            gone: false,
            device: description.config.clone(),
            generation: 0,
        };
        let device = Self {
            description,
            memory,
            interrupts,
            worker,
            binder,
            state: Mutex::new(state),
        };
        device.rebind(&mut device.state());
        Ok(device)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the notification eventfds follow the window.
    fn rebind(&self, state: &mut State) {
        let window = state.config.window().filter(|_| !state.gone);
        let wanted = window.map(|window| window.start);
        if wanted == state.bound_at {
            return;
        }
        for queue in 0..state.queues.len() {
            let Some(kick) = self.worker.kick(queue) else {
                continue;
            };
            let offset = NOTIFY + queue as u64 * NOTIFY_STRIDE;
            if let Some(old) = state.bound_at {
                self.binder.unbind(kick, old.wrapping_add(offset));
            }
            if let Some(new) = wanted {
                self.binder.bind(kick, new.wrapping_add(offset));
            }
        }
        state.bound_at = wanted;
    }

    /// Changes a part of the device's own configuration and tells the driver.
    pub fn change_config(&self, offset: usize, bytes: &[u8]) {
        let mut state = self.state();
        let end = offset.saturating_add(bytes.len());
        if let Some(part) = state.device.get_mut(offset..end) {
            part.copy_from_slice(bytes);
            self.announce_config(&mut state);
        }
    }

    /// Tells the driver that the device's own configuration, which its backend keeps, is another.
    pub fn config_changed(&self) {
        self.announce_config(&mut self.state());
    }

    fn announce_config(&self, state: &mut State) {
        state.generation = state.generation.wrapping_add(1);
        if state.status & DRIVER_OK != 0 {
            self.interrupts.config();
        }
    }

    /// Has the device look at what was left for it.
    pub fn poke(&self) {
        self.worker.poke();
    }

    /// Stops the worker; returns when it touches no memory any more.
    pub fn pause(&self) {
        self.worker.pause();
    }

    /// Lets the worker go on.
    pub fn resume(&self) {
        self.worker.resume();
    }

    /// Ends the worker; the guest runs no more.
    pub fn end(&self) {
        self.worker.end();
    }

    fn status(&self, state: &State) -> u8 {
        if self.interrupts.is_broken() {
            state.status | NEEDS_RESET
        } else {
            state.status
        }
    }

    fn set_status(&self, state: &mut State, status: u8) {
        if state.gone {
            return;
        }
        if status == 0 {
            self.reset(state);
            return;
        }
        let new = status & !state.status;
        if new & FEATURES_OK != 0 && !self.features_acceptable(state) {
            state.status = status & !FEATURES_OK;
            return;
        }
        state.status = status & !NEEDS_RESET;
        let running = status & (DRIVER_OK | FEATURES_OK | FAILED) == DRIVER_OK | FEATURES_OK;
        if new & DRIVER_OK != 0 && running {
            self.activate(state, Vec::new());
        }
    }

    fn features_acceptable(&self, state: &State) -> bool {
        let chosen = state.driver_features;
        chosen & !self.description.all_features() == 0 && chosen & F_VERSION_1 != 0
    }

    /// Gives the queues to the worker, with what was saved of it.
    fn activate(&self, state: &mut State, saved: Vec<u8>) {
        let event_idx = state.driver_features & F_EVENT_IDX != 0;
        for queue in state.queues.iter_mut().filter(|q| q.ready()) {
            queue.set_event_idx(event_idx);
            if !queue.is_valid(&*self.memory) {
                self.interrupts.break_device();
                return;
            }
        }
        let queues = state
            .queues
            .iter()
            .map(copy_queue)
            .collect::<Result<Vec<_>, _>>();
        let Ok(queues) = queues else {
            self.interrupts.break_device();
            return;
        };
        let live = Live {
            memory: self.memory.clone(),
            queues,
            interrupts: self.interrupts.clone(),
            features: state.driver_features,
        };
        self.worker.activate(live, saved);
    }

    fn reset(&self, state: &mut State) {
        self.worker.deactivate();
        self.interrupts.reset();
        state.status = 0;
        state.driver_features = 0;
        state.device_feature_select = 0;
        state.driver_feature_select = 0;
        state.queue_select = 0;
        for queue in &mut state.queues {
            queue.reset();
        }
    }

    fn common_read(&self, offset: u64, data: &mut [u8]) {
        let state = self.state();
        let queue = state.queues.get(usize::from(state.queue_select));
        let select = Some(usize::from(state.queue_select));
        let half = |features: u64, select: u32| match select {
            0 => features & 0xffff_ffff,
            1 => features >> 32,
            _ => 0,
        };
        let value = match offset {
            0x00 => u64::from(state.device_feature_select),
            0x04 => half(self.description.all_features(), state.device_feature_select),
            0x08 => u64::from(state.driver_feature_select),
            0x0c => half(state.driver_features, state.driver_feature_select),
            0x10 => u64::from(self.interrupts.assigned(None)),
            0x12 => state.queues.len() as u64,
            0x14 => u64::from(self.status(&state)),
            0x15 => u64::from(state.generation),
            0x16 => u64::from(state.queue_select),
            0x18 => queue.map_or(0, |q| u64::from(q.size())),
            0x1a => u64::from(self.interrupts.assigned(select)),
            0x1c => queue.map_or(0, |q| u64::from(q.ready())),
            0x1e => u64::from(state.queue_select),
            0x20 => queue.map_or(0, |q| q.desc_table()),
            0x24 => queue.map_or(0, |q| q.desc_table() >> 32),
            0x28 => queue.map_or(0, |q| q.avail_ring()),
            0x2c => queue.map_or(0, |q| q.avail_ring() >> 32),
            0x30 => queue.map_or(0, |q| q.used_ring()),
            0x34 => queue.map_or(0, |q| q.used_ring() >> 32),
            _ => 0,
        };
        fill(data, value);
    }

    fn common_write(&self, offset: u64, data: &[u8]) {
        let value = number(data);
        let (word, low) = (value as u16, value as u32);
        let mut state = self.state();
        let select = usize::from(state.queue_select);
        match offset {
            0x00 => state.device_feature_select = low,
            0x08 => state.driver_feature_select = low,
            0x0c => choose_features(&mut state, low),
            0x10 => {
                self.interrupts.assign(None, word);
            }
            0x14 => self.set_status(&mut state, value as u8),
            0x16 => state.queue_select = word,
            0x1a => {
                self.interrupts.assign(Some(select), word);
            }
            0x18 | 0x1c..=0x37 if state.status & DRIVER_OK == 0 => {
                if let Some(queue) = state.queues.get_mut(select) {
                    write_queue(queue, offset, value, data.len());
                }
            }
            _ => {}
        }
    }

    fn notify(&self, offset: u64) {
        // Reached only when KVM's binding did not match, e.g. while windows overlap.
        let queue = (offset - NOTIFY) / NOTIFY_STRIDE;
        if let Some(kick) = usize::try_from(queue)
            .ok()
            .and_then(|q| self.worker.kick(q))
        {
            kick.raise();
        }
    }
}

/// Features may be chosen until they are agreed on.
fn choose_features(state: &mut State, half: u32) {
    if state.status & FEATURES_OK != 0 {
        return;
    }
    let features = &mut state.driver_features;
    match state.driver_feature_select {
        0 => *features = *features & !0xffff_ffff | u64::from(half),
        1 => *features = *features & 0xffff_ffff | u64::from(half) << 32,
        _ => {}
    }
}

fn write_queue(queue: &mut Queue, offset: u64, value: u64, len: usize) {
    let low = Some(value as u32);
    let high = (len == 8).then_some((value >> 32) as u32);
    match offset {
        0x18 => queue.set_size(value as u16),
        0x1c => queue.set_ready(value == 1),
        0x20 => queue.set_desc_table_address(low, high),
        0x24 => queue.set_desc_table_address(None, low),
        0x28 => queue.set_avail_ring_address(low, high),
        0x2c => queue.set_avail_ring_address(None, low),
        0x30 => queue.set_used_ring_address(low, high),
        0x34 => queue.set_used_ring_address(None, low),
        _ => {}
    }
}

fn new_queues(description: &Description) -> Result<Vec<Queue>, virtio_queue::Error> {
    description
        .queues
        .iter()
        .map(|size| Queue::new(*size))
        .collect()
}

/// A queue in the same state; the type is not `Clone` because two owners would be a mistake, and
/// the transport's copy is only read until the next reset.
fn copy_queue(queue: &Queue) -> Result<Queue, virtio_queue::Error> {
    Queue::try_from(queue.state())
}

fn fill(data: &mut [u8], value: u64) {
    for (byte, value) in data.iter_mut().zip(value.to_le_bytes()) {
        *byte = value;
    }
}

fn number(data: &[u8]) -> u64 {
    let low_to_high = data.iter().take(8).rev();
    low_to_high.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

const PCI_DATA: usize = 16;

impl PciDevice for VirtioPci {
    fn config_read(&self, offset: usize, data: &mut [u8]) {
        let target = {
            let state = self.state();
            state.config.read(offset, data);
            let at = state.pci_access;
            if offset == at + PCI_DATA {
                pci_access(&state.config, at)
            } else {
                None
            }
        };
        if let Some((register, len)) = target {
            let len = len.min(data.len());
            self.window_read(0, register, &mut data[..len]);
        }
    }

    fn config_write(&self, offset: usize, data: &[u8]) {
        let target = {
            let mut state = self.state();
            state.config.write(offset, data);
            let (at, msix) = (state.pci_access, state.msix);
            let touches = |register: usize| offset < register + 2 && offset + data.len() > register;
            if touches(COMMAND) || touches(msix + 2) {
                let control = state.config.word(msix + 2);
                self.interrupts.set_control(
                    control & MSIX_ENABLE != 0,
                    control & MSIX_MASK != 0,
                    state.config.interrupt_disabled(),
                );
            }
            self.rebind(&mut state);
            if offset == at + PCI_DATA {
                pci_access(&state.config, at)
            } else {
                None
            }
        };
        if let Some((register, len)) = target {
            self.window_write(0, register, &data[..len.min(data.len())]);
        }
    }

    fn windows(&self) -> Vec<Window> {
        self.state().config.window().into_iter().collect()
    }

    fn window_read(&self, _bar: u8, offset: u64, data: &mut [u8]) {
        data.fill(0);
        match offset {
            COMMON..ISR => self.common_read(offset, data),
            ISR => data[0] = self.interrupts.acknowledge(),
            DEVICE..NOTIFY => {
                let from = (offset - DEVICE) as usize;
                if let Some(registers) = self.worker.registers() {
                    return registers.read(from, data);
                }
                let state = self.state();
                let rest = state.device.get(from..).unwrap_or_default();
                data.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            }
            TABLE..PENDING => self.interrupts.table_read((offset - TABLE) as usize, data),
            PENDING.. => self
                .interrupts
                .pending_read((offset - PENDING) as usize, data),
            _ => {}
        }
    }

    fn window_write(&self, _bar: u8, offset: u64, data: &[u8]) {
        match offset {
            COMMON..ISR => self.common_write(offset, data),
            DEVICE..NOTIFY => {
                if let Some(registers) = self.worker.registers() {
                    registers.write((offset - DEVICE) as usize, data);
                }
            }
            NOTIFY..TABLE => self.notify(offset),
            TABLE..PENDING => self.interrupts.table_write((offset - TABLE) as usize, data),
            _ => {}
        }
    }

    fn unplugged(&self) {
        let mut state = self.state();
        state.gone = true;
        self.reset(&mut state);
        self.rebind(&mut state);
    }
}

const _: () = assert!(
    (PENDING - TABLE) as usize / ENTRY_SIZE >= 16,
    "vectors have room"
);

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
