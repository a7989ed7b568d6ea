//! A driver for tests: lays queues out in memory and submits requests.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress};

use super::chain::Spans;
use super::delegated::{Calls, Delegate};
use super::interrupt::Interrupts;
use super::worker::Live;
use crate::event::Signal;
use crate::machine::interrupts::testing::Recorder;
use crate::machine::interrupts::{LineHolder, SharedLine};
use crate::machine::layout::MIB;
use crate::machine::memory::{Memory, reserve};

const SIZE: u16 = 64;
const DESCRIPTORS: u64 = 0x1000;
const AVAILABLE: u64 = 0x5000;
const USED: u64 = 0x6000;
/// Distance between the queues.
const STRIDE: u64 = 0x1_0000;
const BUFFERS: u64 = 0x10_0000;
const BUFFER_STRIDE: u64 = 0x1_0000;
const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// One descriptor of a request.
#[derive(Debug, Clone)]
pub enum Part {
    /// Bytes for the device.
    Out(Vec<u8>),
    /// Room for the device's answer.
    In(usize),
}

/// The driver; requests go to queue 0 unless said otherwise.
pub struct Driver {
    /// The device's side of the queues.
    pub live: Live,
    submitted: Vec<u16>,
    seen: Vec<u16>,
}

impl Driver {
    /// A driver with `queues` empty queues and no features.
    pub fn new(queues: usize) -> Self {
        Self::on(reserve(32 * MIB).unwrap(), queues)
    }

    /// The same in 32 MiB of `memory`.
    pub fn on(memory: Arc<Memory>, queues: usize) -> Self {
        let recorder = Arc::new(Recorder::default());
        let line = LineHolder::new(SharedLine::new(16, recorder.clone()), 4);
        let interrupts = Arc::new(Interrupts::new(queues, recorder, line));
        let queues: Vec<Queue> = (0..queues as u64)
            .map(|i| {
                let mut queue = Queue::new(SIZE).unwrap();
                queue.set_desc_table_address(Some((DESCRIPTORS + i * STRIDE) as u32), None);
                queue.set_avail_ring_address(Some((AVAILABLE + i * STRIDE) as u32), None);
                queue.set_used_ring_address(Some((USED + i * STRIDE) as u32), None);
                queue.set_ready(true);
                queue
            })
            .collect();
        let counts = vec![0; queues.len()];
        let live = Live {
            memory,
            queues,
            interrupts,
            features: 0,
        };
        Self {
            live,
            submitted: counts.clone(),
            seen: counts,
        }
    }

    /// Address of a request's part.
    fn buffer(part: usize) -> GuestAddress {
        GuestAddress(BUFFERS + part as u64 * BUFFER_STRIDE)
    }

    /// The start of a part's memory as a chain has it.
    pub fn spans(&self, part: usize, len: usize) -> Spans {
        Spans::one(Self::buffer(part), len)
    }

    /// Submits a request to queue 0. Its parts overwrite those of the request before.
    pub fn submit(&mut self, parts: &[Part]) {
        self.submit_to(0, parts);
    }

    /// Submits a request to a queue.
    pub fn submit_to(&mut self, queue: usize, parts: &[Part]) {
        let memory = self.live.memory.clone();
        let base = queue as u64 * STRIDE;
        for (i, part) in parts.iter().enumerate() {
            let address = Self::buffer(i);
            let (len, mut flags) = match part {
                Part::Out(bytes) => {
                    memory.write_slice(bytes, address).unwrap();
                    (bytes.len(), 0)
                }
                Part::In(len) => {
                    memory.write_slice(&vec![0xee; *len], address).unwrap();
                    (*len, WRITE)
                }
            };
            if i + 1 < parts.len() {
                flags |= NEXT;
            }
            let at = DESCRIPTORS + base + i as u64 * 16;
            memory.write_obj(address.0, GuestAddress(at)).unwrap();
            memory.write_obj(len as u32, GuestAddress(at + 8)).unwrap();
            memory.write_obj(flags, GuestAddress(at + 12)).unwrap();
            memory
                .write_obj(i as u16 + 1, GuestAddress(at + 14))
                .unwrap();
        }
        let slot = u64::from(self.submitted[queue] % SIZE);
        memory
            .write_obj(0u16, GuestAddress(AVAILABLE + base + 4 + slot * 2))
            .unwrap();
        self.submitted[queue] = self.submitted[queue].wrapping_add(1);
        memory
            .write_obj(self.submitted[queue], GuestAddress(AVAILABLE + base + 2))
            .unwrap();
    }

    /// Whether queue 0 has a new used entry; counts it as seen.
    pub fn completed(&mut self) -> bool {
        self.completed_on(0).is_some()
    }

    /// Length of the next new used entry of a queue; counts it as seen.
    pub fn completed_on(&mut self, queue: usize) -> Option<u32> {
        let base = USED + queue as u64 * STRIDE;
        let index: u16 = self.live.memory.read_obj(GuestAddress(base + 2)).unwrap();
        if index == self.seen[queue] {
            return None;
        }
        let slot = u64::from(self.seen[queue] % SIZE);
        self.seen[queue] = self.seen[queue].wrapping_add(1);
        Some(
            self.live
                .memory
                .read_obj(GuestAddress(base + 4 + slot * 8 + 4))
                .unwrap(),
        )
    }

    /// Bytes of the last request's part.
    pub fn bytes_of(&self, part: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.live
            .memory
            .read_slice(&mut bytes, Self::buffer(part))
            .unwrap();
        bytes
    }

    /// The last byte of the last part, where a status goes.
    pub fn last_byte(&self, parts: &[Part]) -> Option<u8> {
        let Some(Part::In(len)) = parts.last() else {
            return None;
        };
        self.bytes_of(parts.len() - 1, *len).last().copied()
    }

    /// Fills descriptors and rings with noise that is often nearly right.
    pub fn scramble(&mut self, random: &mut impl FnMut() -> u64) {
        let memory = self.live.memory.clone();
        for i in 0..u64::from(SIZE) {
            let at = DESCRIPTORS + i * 16;
            let noise = random();
            let address = match noise % 4 {
                0 => random(),
                1 => DESCRIPTORS,
                _ => BUFFERS + random() % BUFFER_STRIDE,
            };
            let len = if noise & 16 == 0 {
                random() as u32
            } else {
                (random() % 2048) as u32
            };
            memory.write_obj(address, GuestAddress(at)).unwrap();
            memory.write_obj(len, GuestAddress(at + 8)).unwrap();
            memory
                .write_obj((noise >> 8) as u16 % 8, GuestAddress(at + 12))
                .unwrap();
            memory
                .write_obj((noise >> 16) as u16 % (SIZE + 2), GuestAddress(at + 14))
                .unwrap();
            let entry = GuestAddress(AVAILABLE + 4 + i * 2);
            memory
                .write_obj((noise >> 32) as u16 % (SIZE + 2), entry)
                .unwrap();
        }
        let header = BUFFERS + random() % 64;
        memory
            .write_obj((random() % 16) as u32, GuestAddress(header))
            .unwrap();
        let index = (random() % (u64::from(SIZE) + 2)) as u16;
        memory
            .write_obj(index, GuestAddress(AVAILABLE + 2))
            .unwrap();
    }
}

/// Stands for the kernel, or for another process that works on a device's queues.
pub struct Clerk {
    calls: Calls,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    has: Vec<usize>,
    /// Buffers taken, by queue.
    taken: Vec<u16>,
    ended: bool,
}

impl Clerk {
    /// One for a device with so many queues, who has none of them.
    pub fn new(queues: usize) -> Self {
        let books = Books {
            taken: vec![0; queues],
            ..Books::default()
        };
        Self {
            calls: Calls::new(queues).unwrap(),
            books: Mutex::new(books),
        }
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queues that it has.
    pub fn has(&self) -> Vec<usize> {
        self.books().has.clone()
    }

    /// It ends, with what it has.
    pub fn end(&self) {
        self.books().ended = true;
    }

    /// Uses the next buffer of a queue, and rings.
    pub fn serve(&self, live: &mut Live, queue: usize) {
        let chain = live.pop(queue).unwrap().unwrap();
        live.push(queue, chain.head, 0).unwrap();
        self.books().taken[queue] = live.queues[queue].next_avail();
        self.calls.bells()[queue].raise();
    }
}

impl Delegate for Clerk {
    fn start(&self, live: &Live, queues: &[usize], _kicks: &[Signal]) -> io::Result<()> {
        let mut books = self.books();
        if books.ended {
            return Err(io::Error::other("it has ended"));
        }
        books.has = queues.to_vec();
        for queue in queues {
            books.taken[*queue] = live.queues[*queue].next_avail();
        }
        Ok(())
    }

    fn stop(&self, queues: &[usize]) -> io::Result<Vec<u16>> {
        let mut books = self.books();
        assert_eq!(std::mem::take(&mut books.has), queues);
        match books.ended {
            true => Err(io::Error::other("it has ended")),
            false => Ok(queues.iter().map(|queue| books.taken[*queue]).collect()),
        }
    }

    fn calls(&self) -> &Calls {
        &self.calls
    }

    fn is_gone(&self) -> bool {
        self.books().ended
    }
}
