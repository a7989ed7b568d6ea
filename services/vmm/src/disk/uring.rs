//! Raw images and block devices through io_uring: many operations at once, none of which holds
//! up the device's thread.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::raw::{RawImage, grown};
use super::ring::{self, DEPTH, Entry, Home, Ring};
use super::vectors::{Aligned, Vectors};
use super::{Disk, Done, Operation};

/// An operation in the kernel.
struct Flight {
    tag: u64,
    operation: Operation,
    /// What is left to move, and where on the disk it goes or comes from.
    rest: Vectors,
    place: u64,
    /// Memory of our own where the guest's is not aligned.
    bounce: Option<Arc<Aligned>>,
}

/// A raw image served in the background.
pub struct UringDisk {
    image: RawImage,
    size: u64,
    /// Taken out only when the disk is dropped.
    ring: Option<Ring>,
    home: Home,
    waiting: VecDeque<(u64, Operation)>,
    /// Indexed by the number that the kernel knows the operation by.
    flights: Vec<Option<Flight>>,
    /// Flights that moved a part and go on.
    partial: VecDeque<usize>,
    done: Vec<Done>,
}

impl UringDisk {
    /// A disk on `image` with the ring that waits in `home`; none if there is no ring.
    pub fn new(image: RawImage, home: &Home) -> io::Result<Option<Self>> {
        let size = image.size()?;
        let Some(ring) = ring::take(home) else {
            return Ok(None);
        };
        Ok(Some(Self {
            image,
            size,
            ring: Some(ring),
            home: home.clone(),
            waiting: VecDeque::new(),
            flights: (0..DEPTH).map(|_| None).collect(),
            partial: VecDeque::new(),
            done: Vec::new(),
        }))
    }

    fn in_flight(&self) -> usize {
        self.flights.iter().flatten().count()
    }

    fn finish_one(&mut self, tag: u64, operation: Operation, result: io::Result<()>) {
        self.done.push(Done {
            tag,
            operation,
            result,
        });
    }

    /// Queues as much as fits; whether there was anything.
    fn start(&mut self) -> bool {
        let mut started = false;
        while let Some(index) = self.partial.pop_front() {
            started = true;
            self.push(index);
        }
        while let Some(index) = self.flights.iter().position(Option::is_none) {
            let Some((tag, operation)) = self.waiting.pop_front() else {
                break;
            };
            match self.prepare(tag, operation) {
                Ok(flight) => {
                    self.flights[index] = Some(flight);
                    self.push(index);
                    started = true;
                }
                Err((operation, error)) => self.finish_one(tag, operation, Err(error)),
            }
        }
        started
    }

    fn prepare(&self, tag: u64, operation: Operation) -> Result<Flight, (Operation, io::Error)> {
        let (memory, place, copy) = match &operation {
            Operation::Read { offset, into } => (Some(into), *offset, false),
            Operation::Write { offset, from } => (Some(from), *offset, true),
            _ => (None, 0, false),
        };
        let bounce = match memory.map(|memory| self.image.aligned(memory, copy)) {
            None => None,
            Some(Ok(bounce)) => bounce,
            Some(Err(error)) => return Err((operation, error)),
        };
        let rest = match (memory, &bounce) {
            (Some(memory), Some(buffer)) => Vectors::own(buffer.clone(), memory.len()),
            (Some(memory), None) => memory.again(),
            (None, _) => Vectors::none(),
        };
        Ok(Flight {
            tag,
            operation,
            rest,
            place,
            bounce,
        })
    }

    fn push(&mut self, index: usize) {
        let (Some(ring), Some(flight)) = (&mut self.ring, &self.flights[index]) else {
            return;
        };
        let durable = self.image.cache.is_synchronous();
        let entry = match &flight.operation {
            Operation::Read { .. } => Entry::Read(&flight.rest, flight.place),
            Operation::Write { .. } => Entry::Write(&flight.rest, flight.place, durable),
            Operation::Flush => Entry::Flush,
            Operation::Discard { offset, len } => Entry::Punch(*offset, *len),
            Operation::Zero { offset, len, unmap } if *unmap => Entry::Punch(*offset, *len),
            Operation::Zero { offset, len, .. } => Entry::Zero(*offset, *len),
        };
        // SAFETY: the flight stays in its place, and its list of vectors where it is on the
        // heap, until `reap` has seen the kernel's answer.
        let queued = unsafe { ring.push(index as u64, &entry) };
        // There are as many places in the queue as there are flights.
        debug_assert!(queued, "the ring has room");
    }

    /// Takes what the kernel has finished.
    fn reap(&mut self) {
        while let Some((id, result)) = self.ring.as_mut().and_then(Ring::next_ended) {
            let index = id as usize;
            let Some(mut flight) = self.flights.get_mut(index).and_then(Option::take) else {
                continue;
            };
            match self.judge(&mut flight, result) {
                Some(result) => self.finish_one(flight.tag, flight.operation, result),
                None => {
                    self.flights[index] = Some(flight);
                    self.partial.push_back(index);
                }
            }
        }
    }

    /// How an operation ended; none if it goes on.
    fn judge(&self, flight: &mut Flight, result: i32) -> Option<io::Result<()>> {
        let moved = match usize::try_from(result) {
            Ok(moved) => moved,
            Err(_) if matches!(-result, libc::EINTR | libc::EAGAIN) => return None,
            Err(_) => return Some(self.failed(&flight.operation, -result)),
        };
        match &flight.operation {
            Operation::Read { into, .. } => {
                flight.rest.advance(moved);
                if flight.rest.is_empty() {
                    if let Some(buffer) = &flight.bounce {
                        into.copy_from(&buffer.bytes()[..into.len()]);
                    }
                    return Some(Ok(()));
                }
                if moved == 0 {
                    return Some(Err(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            Operation::Write { .. } => {
                flight.rest.advance(moved);
                if flight.rest.is_empty() {
                    return Some(Ok(()));
                }
                if moved == 0 {
                    return Some(Err(io::ErrorKind::WriteZero.into()));
                }
            }
            Operation::Flush | Operation::Discard { .. } => return Some(Ok(())),
            Operation::Zero { .. } => return Some(self.image.settle()),
        }
        flight.place += moved as u64;
        None
    }

    fn failed(&self, operation: &Operation, errno: i32) -> io::Result<()> {
        let error = io::Error::from_raw_os_error(errno);
        match operation {
            // Discarding is advice.
            Operation::Discard { .. } => Ok(()),
            Operation::Zero { offset, len, unmap } if !super::is_full(&error) => {
                self.image.zero(*offset, *len, *unmap)
            }
            _ => Err(error),
        }
    }
}

impl Disk for UringDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn submit(&mut self, tag: u64, operation: Operation) {
        let empty = match &operation {
            Operation::Read { into, .. } => into.is_empty(),
            Operation::Write { from, .. } => from.is_empty(),
            Operation::Flush => !self.image.cache.honours_flush(),
            Operation::Discard { .. } | Operation::Zero { .. } => false,
        };
        match empty {
            true => self.finish_one(tag, operation, Ok(())),
            false => self.waiting.push_back((tag, operation)),
        }
    }

    fn collect(&mut self, done: &mut Vec<Done>) {
        if let Some(ring) = &self.ring {
            ring.ended().clear();
        }
        loop {
            self.reap();
            if !self.start() {
                break;
            }
            if let Some(Err(error)) = self.ring.as_ref().map(|ring| ring.submit(0)) {
                crate::fatal(&format!("a disk's ring does not take work: {error}"));
            }
        }
        done.append(&mut self.done);
    }

    fn pending(&self) -> usize {
        self.waiting.len() + self.in_flight() + self.done.len()
    }

    fn wait(&mut self) -> io::Result<()> {
        match &self.ring {
            Some(ring) if self.in_flight() > 0 && self.done.is_empty() => ring.submit(1),
            _ => Ok(()),
        }
    }

    fn read_now(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.image.file.read_exact_at(into, offset)
    }

    fn grow(&mut self, size: u64) -> io::Result<()> {
        self.size = grown(&self.image, size)?;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        self.ring.as_ref().map(|ring| ring.ended().as_fd())
    }
}

impl Drop for UringDisk {
    fn drop(&mut self) {
        super::drain(self);
        if let Some(ring) = self.ring.take() {
            ring::give_back(&self.home, ring);
        }
    }
}

#[cfg(test)]
#[path = "uring_tests.rs"]
mod tests;
