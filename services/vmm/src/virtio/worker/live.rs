//! A device's queues while its driver is on.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use virtio_queue::{Queue, QueueT};

use crate::machine::memory::Memory;
use crate::virtio::chain::{self, Chain};
use crate::virtio::interrupt::Interrupts;

/// The device's queues while its driver is on.
pub struct Live {
    /// The guest's memory.
    pub memory: Arc<Memory>,
    /// Queues in order; those the driver left out are not ready.
    pub queues: Vec<Queue>,
    /// Interrupts.
    pub interrupts: Arc<Interrupts>,
    /// Negotiated features.
    pub features: u64,
}

/// The driver broke the rules of a queue; the device needs a reset.
#[derive(Debug, thiserror::Error)]
#[error("the driver broke the rules of a queue")]
pub struct BrokenQueue;

impl From<virtio_queue::Error> for BrokenQueue {
    fn from(_: virtio_queue::Error) -> Self {
        Self
    }
}

impl From<chain::Error> for BrokenQueue {
    fn from(_: chain::Error) -> Self {
        Self
    }
}

impl Live {
    /// Whether a feature was negotiated.
    pub fn has(&self, feature: u64) -> bool {
        self.features & feature != 0
    }

    /// The next chain of a queue, if there is one.
    pub fn pop(&mut self, queue: usize) -> Result<Option<Chain>, BrokenQueue> {
        let Some(queue) = self.queues.get_mut(queue).filter(|q| q.ready()) else {
            return Ok(None);
        };
        // Fails when the ring's index ran away.
        let mut chains = virtio_queue::QueueOwnedT::iter(queue, &*self.memory)?;
        let Some(descriptors) = chains.next() else {
            return Ok(None);
        };
        Ok(Some(Chain::collect(&self.memory, descriptors)?))
    }

    /// Whether a queue has a chain that was not taken yet.
    pub fn has_more(&self, queue: usize) -> Result<bool, BrokenQueue> {
        let ring = self.queues.get(queue).ok_or(BrokenQueue)?;
        let offered = ring.avail_idx(&*self.memory, Ordering::Acquire)?;
        Ok(offered.0 != ring.next_avail())
    }

    /// Hands a chain back with `len` bytes written.
    pub fn push(&mut self, queue: usize, head: u16, len: usize) -> Result<(), BrokenQueue> {
        let queue = self.queues.get_mut(queue).ok_or(BrokenQueue)?;
        Ok(queue.add_used(&*self.memory, head, u32::try_from(len).unwrap_or(u32::MAX))?)
    }

    /// Tells the driver about used buffers, if it wants to know.
    pub fn notify(&mut self, queue: usize) -> Result<(), BrokenQueue> {
        let ring = self.queues.get_mut(queue).ok_or(BrokenQueue)?;
        if ring.needs_notification(&*self.memory)? {
            self.interrupts.queue(queue);
        }
        Ok(())
    }

    /// Calls `work` until the queue is empty and the driver's next notification will come;
    /// `work` returns how its round ended.
    pub fn drain(
        &mut self,
        queue: usize,
        mut work: impl FnMut(&mut Self) -> Result<Stopped, BrokenQueue>,
    ) -> Result<(), BrokenQueue> {
        if !self.queues.get(queue).is_some_and(|q| q.ready()) {
            return Ok(());
        }
        loop {
            let memory = self.memory.clone();
            let ring = &mut self.queues[queue];
            ring.disable_notification(&*memory)?;
            let offered = ring.avail_idx(&*memory, Ordering::Acquire)?.0;
            let stopped = work(self)?;
            self.notify(queue)?;
            let ring = &mut self.queues[queue];
            let next = ring.next_avail();
            if stopped == Stopped::Starved {
                // What is there is too little: only what comes on top of it is news.
                ring.set_next_avail(offered);
            }
            let more = ring.enable_notification(&*memory)?;
            ring.set_next_avail(next);
            if !more || stopped == Stopped::Early {
                return Ok(());
            }
        }
    }
}

/// How a round over a queue ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The queue was empty.
    Empty,
    /// The queue held less than the device needs; it has taken none of it.
    Starved,
    /// The device cannot go on for another reason.
    Early,
}
