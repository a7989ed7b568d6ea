//! The front-end's side of vhost-user: another process works on a device's queues, in memory of the
//! guest that it shares with this one.
//!
//! ```text
//! before the sandbox closes    features of the rings and of the protocol
//! each time the driver is on   features, memory, then for each queue: size, index, addresses,
//!                              eventfds, enable
//! when it is off, or stands    for each queue: disable, stop; the answer is the index to go on from
//! ```
//!
//! Addresses of rings are told as this process has them, as the protocol wants it; the back-end finds
//! them in the table of memory. It may answer anything: nothing here trusts more than that what it was
//! given can be read and written by it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use vhost::vhost_user::message::VhostUserHeaderFlag;
use vhost::vhost_user::{
    Frontend, VhostUserFrontend, VhostUserProtocolFeatures, VhostUserVirtioFeatures,
};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use virtio_queue::{Queue, QueueT};
use vm_memory::GuestMemoryBackend;

use super::delegated::{Calls, Delegate, Ring};
use super::worker::Live;
use super::{F_EVENT_IDX, F_INDIRECT_DESC, F_VERSION_1};
use crate::event::Signal;
use crate::machine::memory::Memory;

/// What a driver may choose of rings, so what the back-end must know.
const RING_FEATURES: u64 = F_VERSION_1 | F_INDIRECT_DESC | F_EVENT_IDX;
const PROTOCOL_FEATURES: u64 = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();

/// Another process that works on a device's queues.
pub struct BackEnd {
    frontend: Frontend,
    /// The same connection: whether it lasts.
    line: UnixStream,
    calls: Calls,
}

fn failed(what: &'static str) -> impl Fn(vhost::Error) -> io::Error {
    move |error| io::Error::other(format!("{what}: {error}"))
}

impl BackEnd {
    /// Agrees with the process at the other end of `socket` on how its `queues` are worked on.
    ///
    /// # Errors
    /// When it hangs up, or lacks what every device of ours offers its driver.
    pub fn connect(socket: UnixStream, queues: usize) -> io::Result<Self> {
        let line = socket.try_clone()?;
        let mut frontend = Frontend::from_stream(socket, queues as u64);
        frontend.set_owner().map_err(failed("SET_OWNER"))?;
        let features = frontend.get_features().map_err(failed("GET_FEATURES"))?;
        let missing = (RING_FEATURES | PROTOCOL_FEATURES) & !features;
        if missing != 0 {
            let text = format!("the file server lacks the features {missing:#x}");
            return Err(io::Error::other(text));
        }
        let known = frontend.get_protocol_features();
        let known = known.map_err(failed("GET_PROTOCOL_FEATURES"))?;
        // Without answers nobody would know when the back-end has the new memory, or why it has not.
        let wanted = VhostUserProtocolFeatures::REPLY_ACK;
        if !known.contains(wanted) {
            return Err(io::Error::other("the file server acknowledges no requests"));
        }
        let set = frontend.set_protocol_features(wanted);
        set.map_err(failed("SET_PROTOCOL_FEATURES"))?;
        frontend.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
        let calls = Calls::new(queues)?;
        calls.watch_end(line.as_fd())?;
        Ok(Self {
            frontend,
            line,
            calls,
        })
    }

    /// Every descriptor it has.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let mut all = self.calls.descriptors();
        all.extend([self.frontend.as_raw_fd(), self.line.as_raw_fd()]);
        all
    }

    fn try_start(&self, live: &Live, queues: &[usize], kicks: &[Signal]) -> io::Result<()> {
        let features = live.features & RING_FEATURES | PROTOCOL_FEATURES;
        let set = self.frontend.set_features(features);
        set.map_err(failed("SET_FEATURES"))?;
        let table = self.frontend.set_mem_table(&table(&live.memory)?);
        table.map_err(failed("SET_MEM_TABLE"))?;
        for index in queues {
            let queue = live.queues.get(*index);
            let queue = queue.ok_or(io::ErrorKind::InvalidInput)?;
            let kick = kicks.get(*index).ok_or(io::ErrorKind::InvalidInput)?;
            self.start_queue(*index, queue, &live.memory, kick)?;
        }
        Ok(())
    }

    fn start_queue(
        &self,
        index: usize,
        queue: &Queue,
        memory: &Memory,
        kick: &Signal,
    ) -> io::Result<()> {
        let outside = || io::Error::other("a queue lies outside of memory");
        let ring = Ring::of(queue, memory).ok_or_else(outside)?;
        let call = self.calls.bells().get(index);
        let call = call.ok_or(io::ErrorKind::InvalidInput)?;
        let addresses = VringConfigData {
            queue_max_size: queue.max_size(),
            queue_size: queue.size(),
            flags: 0,
            desc_table_addr: ring.descriptors,
            used_ring_addr: ring.used,
            avail_ring_addr: ring.available,
            log_addr: None,
        };
        let frontend = &self.frontend;
        let set = frontend.set_vring_num(index, queue.size());
        set.map_err(failed("SET_VRING_NUM"))?;
        let set = frontend.set_vring_addr(index, &addresses);
        set.map_err(failed("SET_VRING_ADDR"))?;
        let set = frontend.set_vring_base(index, queue.next_avail());
        set.map_err(failed("SET_VRING_BASE"))?;
        let set = frontend.set_vring_call(index, call.eventfd());
        set.map_err(failed("SET_VRING_CALL"))?;
        let set = frontend.set_vring_kick(index, kick.eventfd());
        set.map_err(failed("SET_VRING_KICK"))?;
        // The last: a notification that comes before is forgotten.
        let set = frontend.clone().set_vring_enable(index, true);
        set.map_err(failed("SET_VRING_ENABLE"))
    }

    fn stop_queue(&self, queue: usize) -> io::Result<u16> {
        let disabled = self.frontend.clone().set_vring_enable(queue, false);
        disabled.map_err(failed("SET_VRING_ENABLE"))?;
        let base = self.frontend.get_vring_base(queue);
        let base = base.map_err(failed("GET_VRING_BASE"))?;
        u16::try_from(base).map_err(io::Error::other)
    }
}

impl Delegate for BackEnd {
    fn start(&self, live: &Live, queues: &[usize], kicks: &[Signal]) -> io::Result<()> {
        let started = self.try_start(live, queues, kicks);
        if started.is_err() {
            // It may have some.
            let _ = self.stop(queues);
        }
        started
    }

    fn stop(&self, queues: &[usize]) -> io::Result<Vec<u16>> {
        // Each, whatever becomes of those before it.
        let queues = queues.iter().map(|queue| self.stop_queue(*queue));
        let stopped: Vec<_> = queues.collect();
        stopped.into_iter().collect()
    }

    fn calls(&self) -> &Calls {
        &self.calls
    }

    fn is_gone(&self) -> bool {
        let mut fds = [PollFd::new(&self.line, PollFlags::empty())];
        let now = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let end = PollFlags::HUP | PollFlags::ERR;
        poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(end)
    }
}

/// The guest's memory as another process can map it.
fn table(memory: &Memory) -> io::Result<Vec<VhostUserMemoryRegionInfo>> {
    let regions = memory.iter();
    let regions = regions.map(VhostUserMemoryRegionInfo::from_guest_region);
    let table: Result<_, vhost::Error> = regions.collect();
    table.map_err(failed("memory that is not shared"))
}
