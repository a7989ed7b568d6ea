//! What a guest's driver does to a virtio device: queues in memory, laid out well or badly, and
//! notifications; without the thread that the device has otherwise.

use std::ops::ControlFlow;
use std::sync::Arc;

use basalt_vmm::machine::memory::Memory;
use basalt_vmm::virtio::worker::{Backend, BrokenQueue, Live};
use basalt_vmm::virtio::{Description, F_EVENT_IDX, F_VERSION_1};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress};

use crate::input::Input;
use crate::machine::{MEMORY, interrupts};

const QUEUES: u64 = 0x1000;
/// Distance between the queues: descriptors, available and used ring, a page each.
const STRIDE: u64 = 0x3000;
const PAGE: u64 = 0x1000;
const BUFFERS: u64 = 0x1_0000;
const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
const DESCRIPTOR: u64 = 16;
/// Most descriptors in a chain that is laid out well.
const LONGEST: usize = 8;
/// Most bytes of a buffer that come from the input.
const FILLED: usize = 256;
/// Most steps of one input, so that none takes long.
const STEPS: usize = 64;

struct Ring {
    queue: u64,
    size: u16,
    next: u16,
    available: u16,
}

impl Ring {
    fn base(&self) -> u64 {
        QUEUES + self.queue * STRIDE
    }
}

struct Driver {
    live: Live,
    rings: Vec<Ring>,
    place: u64,
}

/// Plays a driver against a device until the input ends. `outside` is whoever is on the device's
/// other side; what it did is looked at by the device.
pub fn play(
    description: &Description,
    memory: &Arc<Memory>,
    backend: &mut dyn Backend,
    input: &mut Input<'_>,
    outside: &mut dyn FnMut(&mut Input<'_>),
) {
    let mut noted = false;
    let mut driver = Driver::start(description, memory, input);
    backend.run(&mut driver.live);
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        match driver.step(backend, input, outside, &mut noted) {
            Ok(ControlFlow::Continue(())) => {}
            // The driver resets the device.
            Ok(ControlFlow::Break(())) | Err(BrokenQueue) => {
                backend.deactivated();
                driver = Driver::start(description, memory, input);
                backend.run(&mut driver.live);
            }
        }
    }
    backend.deactivated();
}

impl Driver {
    fn start(description: &Description, memory: &Arc<Memory>, input: &mut Input<'_>) -> Self {
        let features = description.all_features() & input.qword() | F_VERSION_1;
        let (mut queues, mut rings) = (Vec::new(), Vec::new());
        for (i, most) in (0..).zip(&description.queues) {
            let ring = Ring {
                queue: i,
                size: (most >> (input.byte() % 6)).max(2),
                next: 0,
                available: 0,
            };
            let mut queue = Queue::new(*most).expect("sizes are powers of two");
            queue.set_size(ring.size);
            let base = ring.base();
            queue.set_desc_table_address(Some(base as u32), None);
            queue.set_avail_ring_address(Some((base + PAGE) as u32), None);
            queue.set_used_ring_address(Some((base + 2 * PAGE) as u32), None);
            queue.set_event_idx(features & F_EVENT_IDX != 0);
            queue.set_ready(true);
            // A driver clears its rings before it uses them.
            let clear = vec![0; STRIDE as usize];
            memory
                .write_slice(&clear, GuestAddress(base))
                .expect("the queues lie in memory");
            queues.push(queue);
            rings.push(ring);
        }
        let live = Live {
            memory: memory.clone(),
            interrupts: interrupts(4, queues.len()),
            queues,
            features,
        };
        Self {
            live,
            rings,
            place: BUFFERS,
        }
    }

    fn step(
        &mut self,
        backend: &mut dyn Backend,
        input: &mut Input<'_>,
        outside: &mut dyn FnMut(&mut Input<'_>),
        noted: &mut bool,
    ) -> Result<ControlFlow<()>, BrokenQueue> {
        match input.byte() % 16 {
            0..=5 => {
                let queue = self.submit(input);
                backend.kicked(&mut self.live, queue)?;
            }
            6 | 7 => {
                self.submit(input);
            }
            8 => self.scribble(input),
            9 => {
                let queue = input.below(self.rings.len());
                backend.kicked(&mut self.live, queue)?;
            }
            10 => {
                *noted = !*noted;
                backend.note_writes(*noted, Some(&mut self.live))?;
            }
            11 | 12 => {
                outside(input);
                if backend.source().is_some() {
                    backend.ready(&mut self.live)?;
                }
            }
            13 => backend.poked(Some(&mut self.live))?,
            14 => {
                backend.quiesce(&mut self.live)?;
                let kept = backend.save();
                if !kept.is_empty() {
                    backend.restore(&kept, &mut self.live);
                }
                backend.run(&mut self.live);
            }
            _ => return Ok(ControlFlow::Break(())),
        }
        Ok(ControlFlow::Continue(()))
    }

    fn write(&self, bytes: &[u8], address: u64) {
        // What lies outside of memory is nobody's.
        let _ = self.live.memory.write_slice(bytes, GuestAddress(address));
    }

    /// Writes anything anywhere, rings before all.
    fn scribble(&mut self, input: &mut Input<'_>) {
        let address = u64::from(input.word());
        let bytes = input.bytes(16);
        self.write(bytes, address);
    }

    /// Offers a chain; returns its queue.
    fn submit(&mut self, input: &mut Input<'_>) -> usize {
        let index = input.below(self.rings.len());
        let shape = input.byte();
        let count = usize::from(shape) % LONGEST + 1;
        let indirect = shape & 0x40 != 0;
        let descriptors: Vec<_> = (0..count).map(|_| self.descriptor(input)).collect();
        let ring = &self.rings[index];
        let (base, size, head) = (ring.base(), ring.size, ring.next);
        if indirect {
            let table = self.take(count as u64 * DESCRIPTOR);
            for (i, (address, len, flags)) in (0u16..).zip(&descriptors) {
                let more = if usize::from(i) + 1 < count { NEXT } else { 0 };
                let bytes = descriptor(*address, *len, flags | more, i + 1);
                self.write(&bytes, table + u64::from(i) * DESCRIPTOR);
            }
            let bytes = descriptor(table, count as u32 * DESCRIPTOR as u32, INDIRECT, 0);
            self.write(&bytes, base + u64::from(head) * DESCRIPTOR);
        } else {
            for (i, (address, len, flags)) in descriptors.iter().enumerate() {
                let at = (head + i as u16) % size;
                let more = if i + 1 < count { NEXT } else { 0 };
                let bytes = descriptor(*address, *len, flags | more, (at + 1) % size);
                self.write(&bytes, base + u64::from(at) * DESCRIPTOR);
            }
        }
        let ring = &mut self.rings[index];
        let used = if indirect { 1 } else { count as u16 };
        ring.next = (head + used) % size;
        let slot = u64::from(ring.available % size);
        ring.available = ring.available.wrapping_add(1);
        let available = ring.available;
        self.write(&head.to_le_bytes(), base + PAGE + 4 + slot * 2);
        self.write(&available.to_le_bytes(), base + PAGE + 2);
        index
    }

    /// Address, length and flags of a buffer; one for the device to read is filled.
    fn descriptor(&mut self, input: &mut Input<'_>) -> (u64, u32, u16) {
        let how = input.byte();
        let len = match how >> 1 & 7 {
            0 => u32::from(input.word()),
            1 => 512 * (u32::from(input.byte()) + 1),
            2 => input.dword(),
            3 => 16,
            4 => 1,
            5 => 0,
            _ => u32::from(input.byte()),
        };
        let address = match how >> 4 & 7 {
            0 => input.qword(),
            1 => MEMORY - u64::from(input.byte()),
            2 => u64::from(input.word()),
            _ => self.take(u64::from(len)),
        };
        if how & 1 != 0 {
            return (address, len, WRITE);
        }
        let bytes = input.bytes(FILLED.min(len as usize));
        self.write(bytes, address);
        (address, len, 0)
    }

    /// A free place in memory; places come around again.
    fn take(&mut self, len: u64) -> u64 {
        if self.place.saturating_add(len) > MEMORY {
            self.place = BUFFERS;
        }
        let place = self.place;
        self.place = (place.saturating_add(len)).next_multiple_of(16).min(MEMORY);
        place
    }
}

fn descriptor(address: u64, len: u32, flags: u16, next: u16) -> [u8; DESCRIPTOR as usize] {
    let mut bytes = [0; DESCRIPTOR as usize];
    bytes[..8].copy_from_slice(&address.to_le_bytes());
    bytes[8..12].copy_from_slice(&len.to_le_bytes());
    bytes[12..14].copy_from_slice(&flags.to_le_bytes());
    bytes[14..].copy_from_slice(&next.to_le_bytes());
    bytes
}
