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

use super::delegated::{Delegate, Lease};
use super::worker::{Backend, BrokenQueue, Live};
use super::{Description, Kind};
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
pub struct FileSystem(Lease);

impl FileSystem {
    /// A device whose directory `server` serves. `id` is its name in logs.
    pub fn new(id: &str, server: Arc<dyn Delegate>) -> Self {
        Self(Lease::new(id, server))
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
        self.0.connect(kicks);
    }

    fn run(&mut self, live: &mut Live) {
        // Drivers leave out the queue for urgent requests.
        let queues = live.queues.iter().enumerate().take(QUEUES);
        let ready = queues.filter(|(_, queue)| queue.ready());
        let ready: Vec<usize> = ready.map(|(index, _)| index).collect();
        if let Err(error) = self.0.give(live, ready) {
            // The guest's first request finds the device broken: see `kicked`.
            self.0.lost(&error);
        }
    }

    fn is_notified_elsewhere(&self) -> bool {
        self.0.is_lent()
    }

    fn quiesce(&mut self, live: &mut Live) -> Result<bool, BrokenQueue> {
        self.0.take_back(Some(live))?;
        Ok(true)
    }

    fn deactivated(&mut self) {
        // Without queues there is nothing to be wrong with.
        let _ = self.0.take_back(None);
    }

    fn kicked(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        self.0.kicked(live, queue)
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        self.0.source()
    }

    fn ready(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        self.0.ready(live)
    }
}

#[cfg(test)]
#[path = "fs_tests.rs"]
mod tests;
