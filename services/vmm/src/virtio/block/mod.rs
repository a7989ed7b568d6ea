//! The block device (virtio 1.2, section 5.2): requests of the driver become operations of a
//! [`Disk`].
//!
//! ```text
//! queues ─▶ request::parse ─▶ limits ─▶ Disk ─▶ status byte, used ring
//!                               │          │
//!                            waiting     held: the host is full, until the machine is resumed
//! ```
//!
//! Requests of all queues are worked on at once, bounded by what the queues can hold; completions
//! are announced once per round, so a full queue costs one interrupt, and [`linger`] makes rounds
//! longer when that pays.

mod config;
mod linger;
mod request;

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use basalt_model::disk::Limits;

use super::chain::Spans;
use super::wake::Wake;
use super::worker::{Backend, BrokenQueue, Live, Stopped};
use crate::disk::limits::{Direction, Throttle};
use crate::disk::{self, Disk, Done, Operation};
use linger::Linger;
use request::{Failure, Parsed, Reader, Work};

pub use config::{capacity, description};

/// Descriptors of one queue.
pub const QUEUE_SIZE: u16 = 256;
const ID_LEN: usize = 20;

const STATUS_OK: u8 = 0;
const STATUS_IO_ERROR: u8 = 1;
const STATUS_UNSUPPORTED: u8 = 2;

/// Bytes moved since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Read by the guest.
    pub read: AtomicU64,
    /// Written by the guest.
    pub written: AtomicU64,
}

/// What a disk is to its guest.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name in messages and events.
    pub name: String,
    /// Refuse writes.
    pub readonly: bool,
    /// What the guest reads as serial number; at most 20 bytes count.
    pub serial: String,
    /// Number of request queues.
    pub queues: u16,
    /// Whether the guest may give blocks back.
    pub discard: bool,
    /// How fast the guest may use it.
    pub limits: Limits,
}

/// Something the main thread wants of the device.
enum Order {
    /// Follow the image to a size in bytes, and say whether that worked.
    Grow(u64, SyncSender<Result<(), String>>),
    /// Try the held requests again.
    Retry,
}

/// The main thread's way to a device: leave an order, then poke its worker.
#[derive(Clone, Default)]
pub struct Orders(Arc<Mutex<VecDeque<Order>>>);

impl Orders {
    fn add(&self, order: Order) {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.push_back(order);
    }

    fn next(&self) -> Option<Order> {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.pop_front()
    }

    /// Asks to follow the image to `size`; the answer comes when the worker was poked.
    pub fn grow(&self, size: u64) -> Receiver<Result<(), String>> {
        let (reply, answer) = sync_channel(1);
        self.add(Order::Grow(size, reply));
        answer
    }

    /// Asks to try the held requests again.
    pub fn retry(&self) {
        self.add(Order::Retry);
    }
}

/// Told when the host has no room for what the guest writes, with what the host said.
pub type OnFull = Box<dyn Fn(&io::Error) + Send>;

/// A request that the driver waits for.
struct Request {
    queue: usize,
    head: u16,
    status: Spans,
    direction: Option<Direction>,
    bytes: u64,
    /// Bytes that the device writes to the chain if all goes well, the status left out.
    written: usize,
    /// Operations to be submitted: at first, or again after the host was full.
    todo: Vec<Operation>,
    /// Operations that the disk works on.
    pending: usize,
    failure: Option<Failure>,
}

/// The device.
pub struct Block {
    disk: Box<dyn Disk>,
    settings: Settings,
    id: [u8; ID_LEN],
    counters: Arc<Counters>,
    orders: Orders,
    on_full: OnFull,
    /// By the tag that the disk knows their operations by.
    requests: Vec<Option<Request>>,
    free: Vec<usize>,
    /// Held back by the limits, in order.
    waiting: VecDeque<usize>,
    /// Held back by a full host.
    held: Vec<usize>,
    throttle: Option<Throttle>,
    wake: Wake,
    done: Vec<Done>,
    /// Queues with requests that are done and not announced, one bit each.
    unannounced: u64,
    linger: Linger,
    /// Whether requests were left in the queues for want of room.
    full: bool,
    complained: bool,
}

impl Block {
    /// A device on `disk`.
    pub fn new(
        disk: Box<dyn Disk>,
        settings: Settings,
        counters: Arc<Counters>,
        orders: Orders,
        on_full: OnFull,
    ) -> io::Result<Self> {
        let mut id = [0; ID_LEN];
        id.iter_mut()
            .zip(settings.serial.bytes())
            .for_each(|(to, from)| *to = from);
        let room = usize::from(settings.queues.max(1)) * usize::from(QUEUE_SIZE);
        let throttle = Throttle::new(&settings.limits, Instant::now());
        Ok(Self {
            wake: Wake::new(disk.source(), throttle.is_some())?,
            disk,
            id,
            counters,
            orders,
            on_full,
            requests: (0..room).map(|_| None).collect(),
            free: (0..room).rev().collect(),
            waiting: VecDeque::new(),
            held: Vec::new(),
            throttle,
            done: Vec::new(),
            unannounced: 0,
            linger: Linger::new(),
            full: false,
            complained: false,
            settings,
        })
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.disk.size()
    }

    /// Takes requests out of a queue while there is room for them.
    fn take(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        live.drain(queue, |live| {
            let stopped = loop {
                self.linger.begin(Instant::now());
                let (taken, stopped) = self.take_all(live, queue)?;
                self.gather(live)?;
                if stopped == Stopped::Early || !self.is_worth_lingering() {
                    break stopped;
                }
                self.linger.end(taken, Instant::now());
                if !self.linger.finds(Instant::now, || live.has_more(queue))? {
                    break stopped;
                }
            };
            self.full |= stopped == Stopped::Early;
            self.announce(live)?;
            Ok(stopped)
        })
    }

    /// Takes what is there; tells how many requests that were, and whether any had to be left.
    fn take_all(&mut self, live: &mut Live, queue: usize) -> Result<(u32, Stopped), BrokenQueue> {
        let mut taken = 0;
        while !self.free.is_empty() {
            let Some(chain) = live.pop(queue)? else {
                return Ok((taken, Stopped::Empty));
            };
            taken += 1;
            let reader = Reader {
                size: self.disk.size(),
                readonly: self.settings.readonly,
                discard: self.settings.discard,
                id: &self.id,
            };
            let head = chain.head;
            match reader.parse(&live.memory, chain)? {
                Parsed::Answer(status, result) => {
                    let (code, written) = answer(&result);
                    status.write(&live.memory, &[code]);
                    live.push(queue, head, written + 1)?;
                    self.unannounced |= 1 << queue;
                }
                Parsed::Work(status, work) => self.begin(queue, head, status, work),
            }
        }
        Ok((taken, Stopped::Early))
    }

    /// While nothing else is waited for, and no other queue waits.
    fn is_worth_lingering(&self) -> bool {
        self.settings.queues == 1
            && self.disk.pending() == 0
            && self.waiting.is_empty()
            && self.held.is_empty()
    }

    fn begin(&mut self, queue: usize, head: u16, status: Spans, work: Work) {
        let Some(tag) = self.free.pop() else {
            return;
        };
        self.requests[tag] = Some(Request {
            queue,
            head,
            status,
            direction: work.direction,
            bytes: work.bytes,
            written: work.written,
            todo: work.operations,
            pending: 0,
            failure: None,
        });
        self.waiting.push_back(tag);
        self.admit();
    }

    /// Submits what the limits let pass, in order.
    fn admit(&mut self) {
        let now = Instant::now();
        while let Some(tag) = self.waiting.front().copied() {
            if let (Some(throttle), Some(request)) = (&mut self.throttle, &self.requests[tag])
                && let Some(direction) = request.direction
                && let Err(wait) = throttle.admit(direction, request.bytes, now)
            {
                self.wake.after(wait);
                return;
            }
            self.waiting.pop_front();
            self.submit(tag);
        }
        self.wake.disarm();
    }

    fn submit(&mut self, tag: usize) {
        let Some(request) = &mut self.requests[tag] else {
            return;
        };
        let operations = std::mem::take(&mut request.todo);
        request.pending += operations.len();
        for operation in operations {
            self.disk.submit(tag as u64, operation);
        }
    }

    /// Finishes what the disk has done and announces it.
    fn collect(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        self.gather(live)?;
        self.announce(live)
    }

    /// Finishes what the disk has done.
    fn gather(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        self.disk.collect(&mut self.done);
        let mut done = std::mem::take(&mut self.done);
        for one in done.drain(..) {
            if let Some(queue) = self.finish_operation(live, one)? {
                self.unannounced |= 1 << queue;
            }
        }
        self.done = done;
        Ok(())
    }

    /// Tells the driver what is done.
    fn announce(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        let queues = std::mem::take(&mut self.unannounced);
        if queues != 0 {
            self.linger.announced();
        }
        for queue in (0..live.queues.len()).filter(|queue| queues & 1 << queue != 0) {
            live.notify(queue)?;
        }
        Ok(())
    }

    /// Notes how an operation ended; the queue to announce if that ended its request.
    fn finish_operation(
        &mut self,
        live: &mut Live,
        done: Done,
    ) -> Result<Option<usize>, BrokenQueue> {
        done.operation.mark();
        let tag = done.tag as usize;
        let Some(request) = self.requests.get_mut(tag).and_then(Option::as_mut) else {
            return Ok(None);
        };
        request.pending = request.pending.saturating_sub(1);
        match done.result {
            Ok(()) => {}
            Err(error) if disk::is_full(&error) => {
                request.todo.push(done.operation);
                (self.on_full)(&error);
            }
            Err(error) => request.failure = Some(Failure::Host(error.kind())),
        }
        if request.pending > 0 {
            return Ok(None);
        }
        if !request.todo.is_empty() {
            self.held.push(tag);
            return Ok(None);
        }
        let Some(request) = self.requests[tag].take() else {
            return Ok(None);
        };
        self.free.push(tag);
        self.complete(live, &request)?;
        Ok(Some(request.queue))
    }

    fn complete(&mut self, live: &mut Live, request: &Request) -> Result<(), BrokenQueue> {
        let result = match request.failure {
            None => Ok(request.written),
            Some(failure) => Err(failure),
        };
        match (&result, request.direction) {
            (Err(failure), _) => self.complain(*failure),
            (Ok(_), Some(direction)) => {
                let counter = match direction {
                    Direction::Read => &self.counters.read,
                    Direction::Write => &self.counters.written,
                };
                counter.fetch_add(request.bytes, Ordering::Relaxed);
            }
            (Ok(_), None) => {}
        }
        let (code, written) = answer(&result);
        request.status.write(&live.memory, &[code]);
        live.push(request.queue, request.head, written + 1)
    }

    /// Says once that the host failed, since a guest repeats what fails.
    fn complain(&mut self, failure: Failure) {
        if let Failure::Host(kind) = failure
            && !std::mem::replace(&mut self.complained, true)
        {
            tracing::error!(disk = %self.settings.name, %kind, "a request failed on the host");
        }
    }

    fn obey(&mut self) {
        while let Some(order) = self.orders.next() {
            match order {
                Order::Grow(size, reply) => {
                    let result = self.disk.grow(size).map_err(|error| error.to_string());
                    // Who asked may have given up.
                    let _ = reply.send(result);
                }
                Order::Retry => {
                    for tag in std::mem::take(&mut self.held) {
                        self.submit(tag);
                    }
                }
            }
        }
    }

    /// Goes on after something ended: hands it back, and takes in what there was no room for.
    fn go_on(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        self.collect(live)?;
        self.admit();
        self.collect(live)?;
        while self.full && !self.free.is_empty() {
            self.full = false;
            for queue in 0..live.queues.len() {
                self.take(live, queue)?;
            }
        }
        Ok(())
    }
}

/// Status byte and length of an answer.
fn answer(result: &Result<usize, Failure>) -> (u8, usize) {
    match result {
        Ok(written) => (STATUS_OK, *written),
        Err(Failure::Io | Failure::Host(_)) => (STATUS_IO_ERROR, 0),
        Err(Failure::Unsupported) => (STATUS_UNSUPPORTED, 0),
    }
}

impl Backend for Block {
    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        Ok(())
    }

    fn kicked(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        self.take(live, queue)?;
        self.go_on(live)
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        self.wake.source()
    }

    fn ready(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        self.go_on(live)
    }

    fn poked(&mut self, live: Option<&mut Live>) -> Result<(), BrokenQueue> {
        self.obey();
        match live {
            Some(live) => self.go_on(live),
            None => Ok(()),
        }
    }

    fn quiesce(&mut self, live: &mut Live) -> Result<bool, BrokenQueue> {
        // The limits hold nothing back: what is not done now would be lost.
        while let Some(tag) = self.waiting.pop_front() {
            self.submit(tag);
        }
        self.wake.disarm();
        self.collect(live)?;
        while self.disk.pending() > 0 {
            if let Err(error) = self.disk.wait() {
                crate::fatal(&format!("cannot wait for a disk: {error}"));
            }
            self.collect(live)?;
        }
        if let Err(error) = self.disk.finish() {
            tracing::error!(disk = %self.settings.name, %error, "a disk is not written out");
            return Ok(false);
        }
        Ok(self.held.is_empty())
    }

    fn deactivated(&mut self) {
        disk::drain(&mut *self.disk);
        self.requests.iter_mut().for_each(|request| *request = None);
        self.free = (0..self.requests.len()).rev().collect();
        self.waiting.clear();
        self.held.clear();
        self.unannounced = 0;
        self.full = false;
        self.wake.disarm();
        if let Err(error) = self.disk.finish() {
            tracing::error!(disk = %self.settings.name, %error, "a disk is not written out");
        }
    }
}

#[cfg(test)]
mod tests;
