//! The file system device (virtio 1.2, section 5.11): a directory of the host, which the guest mounts
//! by its tag.
//!
//! Requests are FUSE's; none of them is looked at here. The program that serves the directory works on
//! the queues by itself ([`super::vhost_user`]), from memory that it shares with the guest. It is told of
//! new requests, and tells the guest of answers, past this process.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use basalt_model::machine::SHARE_TAG;
use virtio_queue::QueueT;

use super::interrupt::Interrupts;
use super::vhost_user::BackEnd;
use super::worker::{Backend, BrokenQueue, Live};
use super::{Description, Kind, delegated};
use crate::event::Signal;
use crate::sandbox::ThreadClass;

/// Queues for requests; the program has no more.
const REQUEST_QUEUES: u32 = 1;
/// All queues: one for requests that overtake others comes first.
pub const QUEUES: usize = 1 + REQUEST_QUEUES as usize;
const URGENT_SIZE: u16 = 128;
const REQUEST_SIZE: u16 = 1024;

/// What the transport needs to know.
pub fn description(tag: &str) -> Description {
    let mut config = vec![0; SHARE_TAG];
    let tag = tag.bytes().take(SHARE_TAG);
    config.iter_mut().zip(tag).for_each(|(to, from)| *to = from);
    config.extend(REQUEST_QUEUES.to_le_bytes());
    Description {
        kind: Kind::FileSystem,
        features: 0,
        queues: vec![URGENT_SIZE, REQUEST_SIZE],
        config,
    }
}

/// The device.
pub struct FileSystem {
    id: String,
    server: Arc<BackEnd>,
    kicks: Arc<[Signal]>,
    /// Queues that the server has, or may have.
    lent: Vec<usize>,
    /// Where its bells hang.
    rung: Option<Arc<Interrupts>>,
}

impl FileSystem {
    /// A device whose directory `server` serves. `id` is shown in logs.
    pub fn new(id: &str, server: Arc<BackEnd>) -> Self {
        Self {
            id: id.to_owned(),
            server,
            kicks: Arc::new([]),
            lent: Vec::new(),
            rung: None,
        }
    }

    fn take_back(&mut self, live: Option<&mut Live>) -> Result<(), BrokenQueue> {
        let lent = std::mem::take(&mut self.lent);
        let stopped: Vec<_> = lent
            .into_iter()
            .map(|queue| (queue, self.server.stop(queue)))
            .collect();
        if let Some(interrupts) = self.rung.take() {
            interrupts.take_bells();
        }
        let heard: Vec<usize> = self.server.calls().heard().collect();
        let Some(live) = live else {
            return Ok(());
        };
        delegated::regain(live, stopped, |error| self.lost(&error))?;
        let interrupts = &live.interrupts;
        heard.into_iter().for_each(|queue| interrupts.queue(queue));
        Ok(())
    }

    /// Nobody serves the directory any more.
    fn lost(&self, error: &dyn std::fmt::Display) -> BrokenQueue {
        tracing::error!(%error, share = %self.id, "the directory is not served any more");
        BrokenQueue
    }
}

impl Backend for FileSystem {
    fn class(&self) -> ThreadClass {
        ThreadClass::Share
    }

    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        Ok(())
    }

    fn connect(&mut self, kicks: &Arc<[Signal]>) {
        self.kicks = kicks.clone();
    }

    fn run(&mut self, live: &mut Live) {
        if !self.lent.is_empty() {
            return;
        }
        let queues = live.queues.iter().enumerate();
        let ready = queues.filter(|(_, queue)| queue.ready());
        let ready: Vec<usize> = ready.map(|(index, _)| index).take(QUEUES).collect();
        match self.server.start(live, &self.kicks) {
            Ok(()) => {
                live.interrupts.hang_bells(self.server.calls().bells());
                self.rung = Some(live.interrupts.clone());
                self.lent = ready;
            }
            Err(error) => {
                // The guest's first request finds the device broken: see `kicked`.
                self.lost(&error);
                for queue in ready {
                    // It may never have had it.
                    let _ = self.server.stop(queue);
                }
            }
        }
    }

    fn is_notified_elsewhere(&self) -> bool {
        !self.lent.is_empty()
    }

    fn quiesce(&mut self, live: &mut Live) -> Result<bool, BrokenQueue> {
        self.take_back(Some(live))?;
        Ok(true)
    }

    fn deactivated(&mut self) {
        // Without queues there is nothing to be wrong with.
        let _ = self.take_back(None);
    }

    fn kicked(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        // Nobody is there to serve what the driver put into a queue.
        let wanted = live.queues.get(queue).is_some_and(QueueT::ready);
        match wanted && self.lent.is_empty() {
            true => Err(BrokenQueue),
            false => Ok(()),
        }
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        self.is_notified_elsewhere()
            .then(|| self.server.calls().source())
    }

    fn ready(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        let interrupts = &live.interrupts;
        self.server
            .calls()
            .heard()
            .for_each(|queue| interrupts.queue(queue));
        match self.server.is_gone() {
            true => Err(self.lost(&"its program ended")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "fs_tests.rs"]
mod tests;
