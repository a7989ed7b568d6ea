//! A device's interrupts: MSI-X when the driver switched it on, otherwise the shared line with
//! the interrupt status register.
//!
//! Where the kernel works on queues, it rings a bell for each; while a queue's message can be sent at
//! once, its bell is wired to that, and this process hears it otherwise.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::event::Signal;
use crate::machine::interrupts::{InterruptSink, LineHolder};
use crate::machine::routes::{Bells, Message, Wiring};

/// A queue or the configuration without vector.
pub const NO_VECTOR: u16 = 0xffff;
/// Bytes of one table entry.
pub const ENTRY_SIZE: usize = 16;
const MASKED: u32 = 1;
const ISR_QUEUE: u8 = 1;
const ISR_CONFIG: u8 = 2;

/// One vector of an MSI-X table (PCI 3.0, section 6.8.2).
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Entry {
    address: u64,
    data: u32,
    control: u32,
}

/// Everything a driver can set or must still be told; also what is saved of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    enabled: bool,
    function_masked: bool,
    line_disabled: bool,
    table: Vec<Entry>,
    pending: Vec<bool>,
    config_vector: u16,
    queue_vectors: Vec<u16>,
    status: u8,
    /// The device waits for a reset; kept beside while the device lives.
    broken: bool,
}

impl State {
    /// What a queue with used buffers sends at once.
    fn message(&self, queue: usize) -> Option<Message> {
        let vector = usize::from(*self.queue_vectors.get(queue)?);
        let entry = self.table.get(vector)?;
        let open = self.enabled && !self.function_masked;
        entry.message().filter(|_| open)
    }
}

/// Interrupts of one device, shared by transport and worker.
pub struct Interrupts {
    state: Mutex<State>,
    sink: Arc<dyn InterruptSink>,
    line: LineHolder,
    broken: AtomicBool,
    /// Locked after the state.
    bells: Option<Mutex<Bells>>,
}

impl Interrupts {
    /// Interrupts of a device with `queues` queues: one vector each and one for changes of the
    /// configuration.
    pub fn new(queues: usize, sink: Arc<dyn InterruptSink>, line: LineHolder) -> Self {
        let state = State {
            enabled: false,
            function_masked: false,
            line_disabled: false,
            table: vec![Entry::RESET; queues + 1],
            pending: vec![false; queues + 1],
            config_vector: NO_VECTOR,
            queue_vectors: vec![NO_VECTOR; queues],
            status: 0,
            broken: false,
        };
        Self {
            state: Mutex::new(state),
            sink,
            line,
            broken: AtomicBool::new(false),
            bells: None,
        }
    }

    /// The same for a device on whose queues the kernel may work, with a wire for each from
    /// `first_wire` on.
    pub fn with_wires(self, wiring: Arc<dyn Wiring>, first_wire: u32) -> Self {
        Self {
            bells: Some(Mutex::new(Bells::new(wiring, first_wire))),
            ..self
        }
    }

    /// The kernel rings these bells for the queues from now on.
    pub fn hang_bells(&self, bells: &[Arc<Signal>]) {
        let state = self.state();
        if let Some(own) = &self.bells {
            let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
            own.hang(bells);
        }
        self.rewire(&state);
    }

    /// It rings them no more.
    pub fn take_bells(&self) {
        if let Some(own) = &self.bells {
            let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
            own.hang(&[]);
        }
    }

    fn rewire(&self, state: &State) {
        if let Some(own) = &self.bells {
            let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
            own.follow(|queue| state.message(queue));
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the driver that a queue has used buffers.
    pub fn queue(&self, queue: usize) {
        let mut state = self.state();
        let vector = state.queue_vectors.get(queue).copied().unwrap_or(NO_VECTOR);
        self.raise(&mut state, vector, ISR_QUEUE);
    }

    /// Tells the driver that the device's configuration changed.
    pub fn config(&self) {
        let mut state = self.state();
        let vector = state.config_vector;
        self.raise(&mut state, vector, ISR_CONFIG);
    }

    /// Marks the device as broken and tells the driver, which must reset it.
    pub fn break_device(&self) {
        self.broken.store(true, Ordering::Release);
        self.config();
    }

    /// Whether the device waits for a reset.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    fn raise(&self, state: &mut State, vector: u16, status: u8) {
        if !state.enabled {
            state.status |= status;
            self.update_line(state);
            return;
        }
        let vector = usize::from(vector);
        let Some(entry) = state.table.get(vector).copied() else {
            return;
        };
        if state.function_masked || entry.control & MASKED != 0 {
            state.pending[vector] = true;
        } else {
            self.sink.message(entry.address, entry.data);
        }
    }

    fn update_line(&self, state: &State) {
        self.line
            .set(state.status != 0 && !state.enabled && !state.line_disabled);
    }

    /// Reads and clears the interrupt status register.
    pub fn acknowledge(&self) -> u8 {
        let mut state = self.state();
        let status = std::mem::take(&mut state.status);
        self.update_line(&state);
        status
    }

    /// The message control word and the command register changed.
    pub fn set_control(&self, enabled: bool, function_masked: bool, line_disabled: bool) {
        let mut state = self.state();
        state.enabled = enabled;
        state.function_masked = function_masked;
        state.line_disabled = line_disabled;
        self.update_line(&state);
        self.flush(&mut state);
        self.rewire(&state);
    }

    /// Sends what waited for a mask to be lifted.
    fn flush(&self, state: &mut State) {
        if !state.enabled || state.function_masked {
            return;
        }
        for (entry, pending) in state.table.iter().zip(&mut state.pending) {
            if *pending && entry.control & MASKED == 0 {
                *pending = false;
                self.sink.message(entry.address, entry.data);
            }
        }
    }

    /// Reads the vector table; `offset` counts from its start.
    pub fn table_read(&self, offset: usize, data: &mut [u8]) {
        let state = self.state();
        for (i, byte) in data.iter_mut().enumerate() {
            let (index, within) = ((offset + i) / ENTRY_SIZE, (offset + i) % ENTRY_SIZE);
            *byte = state
                .table
                .get(index)
                .map_or(0, |entry| entry.bytes()[within]);
        }
    }

    /// Writes the vector table.
    pub fn table_write(&self, offset: usize, data: &[u8]) {
        let mut state = self.state();
        for (i, byte) in data.iter().enumerate() {
            let (index, within) = ((offset + i) / ENTRY_SIZE, (offset + i) % ENTRY_SIZE);
            if let Some(entry) = state.table.get_mut(index) {
                let mut bytes = entry.bytes();
                bytes[within] = *byte;
                *entry = Entry::from_bytes(bytes);
            }
        }
        self.flush(&mut state);
        self.rewire(&state);
    }

    /// Reads the pending bits.
    pub fn pending_read(&self, offset: usize, data: &mut [u8]) {
        let state = self.state();
        for (i, byte) in data.iter_mut().enumerate() {
            let first = (offset + i) * 8;
            let bits = state.pending.iter().skip(first).take(8);
            *byte = bits
                .enumerate()
                .fold(0, |byte, (bit, set)| byte | u8::from(*set) << bit);
        }
    }

    /// Assigns a vector to the configuration (`None`) or a queue. Returns what is now assigned.
    pub fn assign(&self, queue: Option<usize>, vector: u16) -> u16 {
        let mut state = self.state();
        let known = usize::from(vector) < state.table.len();
        let vector = if known { vector } else { NO_VECTOR };
        let slot = match queue {
            None => Some(&mut state.config_vector),
            Some(queue) => state.queue_vectors.get_mut(queue),
        };
        if let Some(slot) = slot {
            *slot = vector;
        }
        self.rewire(&state);
        vector
    }

    /// The vector of the configuration (`None`) or a queue.
    pub fn assigned(&self, queue: Option<usize>) -> u16 {
        let state = self.state();
        match queue {
            None => state.config_vector,
            Some(queue) => state.queue_vectors.get(queue).copied().unwrap_or(NO_VECTOR),
        }
    }

    /// What a stopped device's driver has set and not yet been told.
    pub fn save(&self) -> State {
        let mut state = self.state().clone();
        state.broken = self.is_broken();
        state
    }

    /// Goes on from a saved state with as many vectors and queues; raises the line if it was up.
    /// `false` when the state is another device's.
    pub fn restore(&self, saved: State) -> bool {
        let mut state = self.state();
        let fits = saved.table.len() == state.table.len()
            && saved.pending.len() == state.pending.len()
            && saved.queue_vectors.len() == state.queue_vectors.len();
        if fits {
            self.broken.store(saved.broken, Ordering::Release);
            *state = saved;
            self.update_line(&state);
            self.rewire(&state);
        }
        fits
    }

    /// The driver reset the device.
    pub fn reset(&self) {
        let mut state = self.state();
        state.config_vector = NO_VECTOR;
        state.queue_vectors.fill(NO_VECTOR);
        state.pending.fill(false);
        state.status = 0;
        self.update_line(&state);
        self.rewire(&state);
        self.broken.store(false, Ordering::Release);
    }
}

impl Entry {
    /// As it is after a reset.
    pub(crate) const RESET: Self = Self {
        address: 0,
        data: 0,
        control: MASKED,
    };

    /// What it sends, unless it is masked.
    pub(crate) fn message(self) -> Option<Message> {
        (self.control & MASKED == 0).then_some((self.address, self.data))
    }

    pub(crate) fn bytes(self) -> [u8; ENTRY_SIZE] {
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..8].copy_from_slice(&self.address.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.data.to_le_bytes());
        bytes[12..].copy_from_slice(&self.control.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: [u8; ENTRY_SIZE]) -> Self {
        let raw = u128::from_le_bytes(bytes);
        Self {
            address: raw as u64,
            data: (raw >> 64) as u32,
            control: (raw >> 96) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::interrupts::SharedLine;
    use crate::machine::interrupts::testing::{Raised, Recorder};

    fn interrupts() -> (Interrupts, Arc<Recorder>) {
        let recorder = Arc::new(Recorder::default());
        let line = LineHolder::new(SharedLine::new(16, recorder.clone()), 4);
        (Interrupts::new(2, recorder.clone(), line), recorder)
    }

    fn program(interrupts: &Interrupts, vector: usize, address: u64, data: u32, control: u32) {
        let entry = Entry {
            address,
            data,
            control,
        };
        interrupts.table_write(vector * ENTRY_SIZE, &entry.bytes());
    }

    #[test]
    fn without_msix_the_line_rises_until_the_status_is_read() {
        let (interrupts, recorder) = interrupts();
        interrupts.queue(0);
        interrupts.queue(1);
        assert_eq!(recorder.take(), vec![Raised::Line(16, true)]);
        assert_eq!(interrupts.acknowledge(), ISR_QUEUE);
        assert_eq!(recorder.take(), vec![Raised::Line(16, false)]);
        assert_eq!(interrupts.acknowledge(), 0);
    }

    #[test]
    fn a_masked_vector_stays_pending_and_fires_when_unmasked() {
        let (interrupts, recorder) = interrupts();
        interrupts.set_control(true, false, false);
        interrupts.assign(Some(1), 2);
        program(&interrupts, 2, 0xfee0_1000, 0x41, MASKED);
        interrupts.queue(1);
        assert!(recorder.take().is_empty());
        let mut pending = [0u8; 8];
        interrupts.pending_read(0, &mut pending);
        assert_eq!(pending[0], 0b100);
        program(&interrupts, 2, 0xfee0_1000, 0x42, 0);
        assert_eq!(recorder.take(), vec![Raised::Message(0xfee0_1000, 0x42)]);
        interrupts.pending_read(0, &mut pending);
        assert_eq!(pending[0], 0);
    }

    #[test]
    fn what_was_pending_is_told_after_a_restore() {
        let (first, _) = interrupts();
        first.set_control(true, false, false);
        first.assign(Some(1), 2);
        program(&first, 2, 0xfee0_1000, 0x41, MASKED);
        first.queue(1);
        let (second, recorder) = interrupts();
        assert!(second.restore(first.save()));
        program(&second, 2, 0xfee0_1000, 0x41, 0);
        assert_eq!(recorder.take(), vec![Raised::Message(0xfee0_1000, 0x41)]);

        let (first, _) = interrupts();
        first.break_device();
        let (second, recorder) = interrupts();
        assert!(second.restore(first.save()));
        assert!(second.is_broken());
        assert_eq!(recorder.take(), vec![Raised::Line(16, true)]);
        let line = LineHolder::new(SharedLine::new(16, recorder.clone()), 4);
        let other = Interrupts::new(7, recorder, line);
        assert!(!other.restore(first.save()), "another device's");
    }

    /// What happened to wires.
    #[derive(Default)]
    struct Board(Mutex<Vec<(u32, Option<Message>)>>);

    impl Board {
        fn take(&self) -> Vec<(u32, Option<Message>)> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Wiring for Board {
        fn connect(&self, wire: u32, _bell: &Signal, message: Message) -> bool {
            self.0.lock().unwrap().push((wire, Some(message)));
            true
        }
        fn connect_line(&self, _gsi: u32, _bell: &Signal, _again: &Signal) -> bool {
            false
        }
        fn disconnect(&self, wire: u32, _bell: &Signal) {
            self.0.lock().unwrap().push((wire, None));
        }
    }

    #[test]
    fn a_bell_is_wired_while_its_message_may_be_sent() {
        const ADDRESS: u64 = 0xfee0_1000;
        let board = Arc::new(Board::default());
        let (interrupts, recorder) = interrupts();
        let interrupts = interrupts.with_wires(board.clone(), 24);
        let bells = [(); 2].map(|()| Arc::new(Signal::new().unwrap()));
        interrupts.assign(Some(1), 2);
        program(&interrupts, 2, ADDRESS, 0x41, 0);
        interrupts.hang_bells(&bells);
        assert!(board.take().is_empty(), "no messages are sent yet");
        interrupts.set_control(true, false, false);
        assert_eq!(board.take(), [(25, Some((ADDRESS, 0x41)))]);
        program(&interrupts, 2, ADDRESS, 0x41, MASKED);
        assert_eq!(board.take(), [(25, None)]);
        // Whoever hears the bell now has it waited for.
        interrupts.queue(1);
        program(&interrupts, 2, ADDRESS, 0x42, 0);
        assert_eq!(recorder.take(), vec![Raised::Message(ADDRESS, 0x42)]);
        assert_eq!(board.take().last(), Some(&(25, Some((ADDRESS, 0x42)))));
        interrupts.set_control(true, true, false);
        assert_eq!(board.take(), [(25, None)]);
        interrupts.set_control(true, false, false);
        interrupts.take_bells();
        assert_eq!(board.take().last(), Some(&(25, None)));
        interrupts.assign(Some(0), 2);
        assert!(board.take().is_empty(), "there are no bells");
    }

    #[test]
    fn vectors_that_do_not_exist_are_refused() {
        let (interrupts, recorder) = interrupts();
        interrupts.set_control(true, false, false);
        assert_eq!(interrupts.assign(Some(0), 3), NO_VECTOR);
        assert_eq!(interrupts.assign(None, 2), 2);
        interrupts.queue(0);
        interrupts.queue(99);
        assert!(recorder.take().is_empty());
        interrupts.table_write(usize::MAX / 2, &[0xff; 8]);
        interrupts.table_read(1 << 20, &mut [0; 8]);
        interrupts.pending_read(1 << 20, &mut [0; 8]);
    }
}
