//! Queues that somebody else than a device's worker works on: the kernel, or another process. A device
//! lends them by a [`Lease`].

mod lease;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::event::epoll;
use virtio_queue::{Queue, QueueT};
use vm_memory::{Address, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use crate::event::Signal;
use crate::machine::memory::Memory;
pub use lease::{Delegate, Lease};

/// The parts of a queue as addresses of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ring {
    /// Table of descriptors.
    pub descriptors: u64,
    /// Used ring.
    pub used: u64,
    /// Available ring.
    pub available: u64,
}

impl Ring {
    /// None unless each part lies in one piece of memory.
    pub fn of(queue: &Queue, memory: &Memory) -> Option<Self> {
        let size = u64::from(queue.size());
        Some(Self {
            descriptors: place(memory, queue.desc_table(), 16 * size)?,
            used: place(memory, queue.used_ring(), 6 + 8 * size)?,
            available: place(memory, queue.avail_ring(), 6 + 2 * size)?,
        })
    }
}

/// Where `len` bytes of the guest's are in this process.
fn place(memory: &Memory, start: u64, len: u64) -> Option<u64> {
    let region = memory.find_region(GuestAddress(start))?;
    let offset = start.checked_sub(region.start_addr().raw_value())?;
    let inside = offset.checked_add(len)? <= region.len();
    inside.then_some(region.as_ptr() as u64 + offset)
}

/// How whoever works on the queues says that one has used buffers.
pub struct Calls {
    /// By queue.
    bells: Vec<Arc<Signal>>,
    /// Readable when one of them is.
    called: OwnedFd,
}

impl Calls {
    /// Bells for so many queues.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new(queues: usize) -> io::Result<Self> {
        let bells = (0..queues).map(|_| Ok(Arc::new(Signal::new()?)));
        let bells = bells.collect::<io::Result<Vec<_>>>()?;
        let called = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for bell in &bells {
            let data = epoll::EventData::new_u64(0);
            epoll::add(&called, &**bell, data, epoll::EventFlags::IN)?;
        }
        Ok(Self { bells, called })
    }

    /// Has [`Self::source`] also become readable when the other end of `socket` is closed.
    ///
    /// # Errors
    /// When the descriptor cannot be watched.
    pub fn watch_end(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let data = epoll::EventData::new_u64(1);
        // The end of a connection is told without being asked for.
        Ok(epoll::add(
            &self.called,
            socket,
            data,
            epoll::EventFlags::empty(),
        )?)
    }

    /// Every descriptor of it.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let bells = self.bells.iter().map(|bell| bell.as_fd().as_raw_fd());
        bells.chain([self.called.as_raw_fd()]).collect()
    }

    /// The bells, by queue.
    pub fn bells(&self) -> &[Arc<Signal>] {
        &self.bells
    }

    /// Readable when the driver is to be told of a queue: see [`Self::heard`].
    pub fn source(&self) -> BorrowedFd<'_> {
        self.called.as_fd()
    }

    /// The queues of which the driver is to be told.
    pub fn heard(&self) -> impl Iterator<Item = usize> {
        let queues = self.bells.iter().enumerate();
        queues.filter_map(|(queue, bell)| bell.clear().then_some(queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::layout::MIB;
    use crate::virtio::testing::Driver;

    #[test]
    fn a_ring_lies_in_the_guests_memory_or_nowhere() {
        let mut driver = Driver::new(1);
        let memory = driver.live.memory.clone();
        let base = memory.iter().next().unwrap().as_ptr() as u64;
        let queue = &mut driver.live.queues[0];
        let ring = Ring::of(queue, &memory).unwrap();
        assert_eq!(ring.descriptors, base + queue.desc_table());
        assert_eq!(ring.used, base + queue.used_ring());
        let end = (32 * MIB) as u32;
        for start in [end, end - 16, 0xffff_fff0] {
            queue.set_desc_table_address(Some(start), None);
            assert_eq!(Ring::of(queue, &memory), None, "{start:#x}");
        }
        queue.set_desc_table_address(Some(end - 16 * 64), None);
        assert!(Ring::of(queue, &memory).is_some());
    }
}
