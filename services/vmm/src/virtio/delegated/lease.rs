//! Queues that are lent, and taken back.
//!
//! ```text
//! driver is on, machine goes on    give         the delegate works; notifications and bells go past
//!                                               this process
//! writes to memory are noted       note_writes  taken back: a delegate does not say what it writes
//! machine stands, driver is off    take_back    the queues say again how far their work is
//! ```

use std::fmt::Display;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use virtio_queue::QueueT;

use super::Calls;
use crate::event::Signal;
use crate::virtio::interrupt::Interrupts;
use crate::virtio::worker::{BrokenQueue, Live};

/// Somebody who can work on a device's queues in place of its worker.
pub trait Delegate: Send + Sync {
    /// Lets it work on `queues`, where they stand; the driver notifies it by `kicks`, one for each queue
    /// of the device. When this fails, it works on none.
    fn start(&self, live: &Live, queues: &[usize], kicks: &[Signal]) -> io::Result<()>;

    /// Takes back the `queues` that it has; gives the number of buffers taken from each. When this
    /// returns without an error, it touches them no more.
    fn stop(&self, queues: &[usize]) -> io::Result<Vec<u16>>;

    /// How it says that a queue has used buffers.
    fn calls(&self) -> &Calls;

    /// Whether it has ended by itself.
    fn is_gone(&self) -> bool {
        false
    }
}

/// A device's side of its queues' being worked on by somebody else.
pub struct Lease {
    /// The device's name in logs.
    id: String,
    delegate: Arc<dyn Delegate>,
    kicks: Arc<[Signal]>,
    lent: Option<Lent>,
    /// Writes to memory are noted: nothing is lent.
    noted: bool,
}

struct Lent {
    queues: Vec<usize>,
    /// Where the delegate's bells hang.
    interrupts: Arc<Interrupts>,
}

impl Lease {
    /// Nothing is lent yet. `id` is the device's name in logs.
    pub fn new(id: &str, delegate: Arc<dyn Delegate>) -> Self {
        Self {
            id: id.to_owned(),
            delegate,
            kicks: Arc::new([]),
            lent: None,
            noted: false,
        }
    }

    /// Takes the eventfds by which the queues are notified.
    pub fn connect(&mut self, kicks: &Arc<[Signal]>) {
        self.kicks = kicks.clone();
    }

    /// Whether the delegate has queues.
    pub fn is_lent(&self) -> bool {
        self.lent.is_some()
    }

    /// Lends `queues`, which must be ready, unless some are lent or writes are noted.
    ///
    /// # Errors
    /// When the delegate does not take them; it has none then.
    pub fn give(&mut self, live: &Live, queues: Vec<usize>) -> io::Result<()> {
        if self.noted || self.is_lent() {
            return Ok(());
        }
        let is_ready = |queue: &usize| live.queues.get(*queue).is_some_and(QueueT::ready);
        if !queues.iter().all(is_ready) {
            return Err(io::Error::other("the driver left a queue out"));
        }
        self.delegate.start(live, &queues, &self.kicks)?;
        live.interrupts.hang_bells(self.delegate.calls().bells());
        self.lent = Some(Lent {
            queues,
            interrupts: live.interrupts.clone(),
        });
        Ok(())
    }

    /// Takes back what is lent, and goes on with the queues where the delegate stopped; without `live`
    /// they are of no more use.
    ///
    /// # Errors
    /// When it is not known where that is, or a ring is broken.
    pub fn take_back(&mut self, live: Option<&mut Live>) -> Result<(), BrokenQueue> {
        let Some(Lent { queues, interrupts }) = self.lent.take() else {
            return Ok(());
        };
        let stopped = self.delegate.stop(&queues);
        interrupts.take_bells();
        let heard: Vec<usize> = self.delegate.calls().heard().collect();
        let Some(live) = live else {
            return Ok(());
        };
        let taken = stopped.map_err(|error| self.lost(&error))?;
        for (queue, taken) in queues.into_iter().zip(taken) {
            let ring = live.queues.get_mut(queue).ok_or(BrokenQueue)?;
            ring.set_next_avail(taken);
            let used = ring.used_idx(&*live.memory, Ordering::Acquire)?.0;
            ring.set_next_used(used);
        }
        heard.into_iter().for_each(|queue| interrupts.queue(queue));
        Ok(())
    }

    /// Writes to memory are to be noted from now on, or not any more.
    ///
    /// # Errors
    /// Those of [`Self::take_back`].
    pub fn note_writes(&mut self, on: bool, live: Option<&mut Live>) -> Result<(), BrokenQueue> {
        self.noted = on;
        match on {
            true => self.take_back(live),
            false => Ok(()),
        }
    }

    /// The driver added buffers to a queue that is the delegate's to work on.
    ///
    /// # Errors
    /// When it does not, and will not: nobody is there to serve the driver.
    pub fn kicked(&self, live: &Live, queue: usize) -> Result<(), BrokenQueue> {
        // What comes while writes are noted waits.
        let waits = self.noted || self.is_lent();
        let is_ready = live.queues.get(queue).is_some_and(QueueT::ready);
        match waits || !is_ready {
            true => Ok(()),
            false => Err(BrokenQueue),
        }
    }

    /// Readable when the delegate has something to tell: see [`Self::ready`].
    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        self.is_lent().then(|| self.delegate.calls().source())
    }

    /// Tells the driver of buffers that the delegate has used.
    ///
    /// # Errors
    /// When the delegate has ended.
    pub fn ready(&self, live: &Live) -> Result<(), BrokenQueue> {
        let heard = self.delegate.calls().heard();
        heard.for_each(|queue| live.interrupts.queue(queue));
        match self.delegate.is_gone() {
            true => Err(self.lost(&"its program ended")),
            false => Ok(()),
        }
    }

    /// Nobody works on the queues any more.
    pub fn lost(&self, error: &dyn Display) -> BrokenQueue {
        tracing::error!(%error, device = %self.id, "nobody works on a device's queues any more");
        BrokenQueue
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
