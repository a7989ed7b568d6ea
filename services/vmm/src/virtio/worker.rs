//! The thread behind a device: it owns the queues while the driver is on.
//!
//! The transport sends commands; the guest's notifications arrive as eventfds that KVM signals
//! without leaving the kernel. Taking the queues away waits until the worker has let go of them,
//! so a driver that reset the device can trust that memory is no longer touched.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use virtio_queue::{Queue, QueueState, QueueT};

use super::Registers;
use super::chain::Chain;
use super::interrupt::Interrupts;
use crate::event::Signal;
use crate::machine::memory::Memory;
use crate::sandbox::{self, ThreadClass};

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

impl From<super::chain::Error> for BrokenQueue {
    fn from(_: super::chain::Error) -> Self {
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

/// A device's own part, called on the worker's thread.
pub trait Backend: Send {
    /// The driver is on, or on again.
    fn activate(&mut self, live: &mut Live) -> io::Result<()>;
    /// The driver added buffers to a queue.
    fn kicked(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue>;
    /// A descriptor to watch beside the queues, when there is something to do for it.
    fn source(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// The driver took the queues away, or the machine ends: when this returns, nothing touches
    /// memory.
    fn deactivated(&mut self) {}
    /// The device's configuration, if it is not fixed.
    fn registers(&self) -> Option<Arc<dyn Registers>> {
        None
    }
    /// [`Self::source`] is readable.
    fn ready(&mut self, _live: &mut Live) -> Result<(), BrokenQueue> {
        Ok(())
    }
    /// The main thread left something for the device; without `live` its driver is off, or it
    /// stands still.
    fn poked(&mut self, _live: Option<&mut Live>) -> Result<(), BrokenQueue> {
        Ok(())
    }
    /// Finishes every request that was taken from a queue: the machine is about to stand still,
    /// and the queues are all that is kept of the device's work. Says whether none is left.
    fn quiesce(&mut self, _live: &mut Live) -> Result<bool, BrokenQueue> {
        Ok(true)
    }
    /// What must be kept of the device beside its queues, when the driver is on.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }
    /// Goes on from what [`Self::save`] gave, right after [`Self::activate`]. It may come from
    /// anywhere; what makes no sense is left out.
    fn restore(&mut self, _saved: &[u8], _live: &mut Live) {}
}

enum Command {
    Activate(Box<Live>, Vec<u8>),
    Deactivate(SyncSender<()>),
    Poke,
    Pause(SyncSender<Rest>),
    Resume,
    End,
}

/// How a worker stands.
#[derive(Default)]
pub struct Rest {
    /// The queues, if the driver is on.
    pub queues: Option<Vec<QueueState>>,
    /// Requests were taken from them that cannot be finished now.
    pub unfinished: bool,
    /// What [`Backend::save`] gives.
    pub own: Vec<u8>,
}

/// The transport's side of a worker.
pub struct Worker {
    commands: Sender<Command>,
    wake: Arc<Signal>,
    kicks: Arc<[Signal]>,
    registers: Option<Arc<dyn Registers>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Starts the thread in its sandbox, idle until [`Self::activate`].
    pub fn start(name: &str, queues: usize, backend: Box<dyn Backend>) -> io::Result<Self> {
        Self::spawn(name, queues, backend, || {
            if let Err(error) = sandbox::enter(ThreadClass::Worker) {
                crate::fatal(&format!("cannot close a worker's sandbox: {error}"));
            }
        })
    }

    /// Starts the thread without its sandbox, whose filter would also bind the other threads of a
    /// test or a fuzzer.
    pub fn start_unconfined(
        name: &str,
        queues: usize,
        backend: Box<dyn Backend>,
    ) -> io::Result<Self> {
        Self::spawn(name, queues, backend, || ())
    }

    fn spawn(
        name: &str,
        queues: usize,
        backend: Box<dyn Backend>,
        confine: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (commands, receiver) = channel();
        let wake = Arc::new(Signal::new()?);
        let kicks: Arc<[Signal]> = (0..queues)
            .map(|_| Signal::new())
            .collect::<io::Result<Vec<_>>>()?
            .into();
        let registers = backend.registers();
        let inner = Loop {
            receiver,
            wake: wake.clone(),
            kicks: kicks.clone(),
            backend,
            live: None,
            paused: false,
            unfinished: false,
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                confine();
                inner.run();
            })?;
        Ok(Self {
            commands,
            wake,
            kicks,
            registers,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The eventfd that stands for a notification of `queue`.
    pub fn kick(&self, queue: usize) -> Option<&Signal> {
        self.kicks.get(queue)
    }

    /// The device's configuration, if it is not fixed.
    pub fn registers(&self) -> Option<&dyn Registers> {
        self.registers.as_deref()
    }

    fn command(&self, command: Command) {
        // Fails only when the thread has ended, and with it the process or the machine.
        if self.commands.send(command).is_ok() {
            self.wake.raise();
        }
    }

    /// Hands over the queues, and what is kept of a device that was saved.
    pub fn activate(&self, live: Live, saved: Vec<u8>) {
        self.command(Command::Activate(Box::new(live), saved));
    }

    /// Takes the queues away; returns when the worker has stopped touching memory.
    pub fn deactivate(&self) {
        let (done, wait) = sync_channel(1);
        self.command(Command::Deactivate(done));
        // An error means the thread has ended, which is as good.
        let _ = wait.recv();
    }

    /// Has the device look at what was left for it.
    pub fn poke(&self) {
        self.command(Command::Poke);
    }

    /// Stops work on the queues; returns when none of it touches memory any more. Paused twice is
    /// paused.
    pub fn pause(&self) -> Rest {
        let (done, wait) = sync_channel(1);
        self.command(Command::Pause(done));
        // An error means the thread has ended, and no queue is live.
        wait.recv().unwrap_or_default()
    }

    /// Goes on; what came meanwhile is looked for.
    pub fn resume(&self) {
        self.command(Command::Resume);
    }

    /// Ends the thread.
    pub fn end(&self) {
        self.command(Command::End);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic ends the whole process, so there is no other result.
            let _ = thread.join();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

struct Loop {
    receiver: Receiver<Command>,
    wake: Arc<Signal>,
    kicks: Arc<[Signal]>,
    backend: Box<dyn Backend>,
    live: Option<Box<Live>>,
    paused: bool,
    /// What [`Rest::unfinished`] tells.
    unfinished: bool,
}

/// What a round of waiting found.
struct Ready {
    commands: bool,
    source: bool,
    queues: Vec<usize>,
}

impl Loop {
    fn run(mut self) {
        loop {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => crate::fatal(&format!("a device cannot wait for work: {error}")),
            };
            if ready.commands && !self.obey() {
                self.backend.deactivated();
                return;
            }
            if self.paused {
                continue;
            }
            if let Some(live) = self.live.as_deref_mut() {
                let result = work(&mut *self.backend, live, &self.kicks, &ready);
                self.judge(&result);
            }
        }
    }

    fn wait(&self) -> rustix::io::Result<Ready> {
        let active = self.live.is_some() && !self.paused;
        let source = self.backend.source().filter(|_| active);
        let mut fds = vec![PollFd::new(&*self.wake, PollFlags::IN)];
        if active {
            fds.extend(
                self.kicks
                    .iter()
                    .map(|kick| PollFd::new(kick, PollFlags::IN)),
            );
        }
        if let Some(source) = &source {
            fds.push(PollFd::new(source, PollFlags::IN));
        }
        poll(&mut fds, None)?;
        let is_ready = |i: usize| fds.get(i).is_some_and(|fd| !fd.revents().is_empty());
        let queues = if active { self.kicks.len() } else { 0 };
        Ok(Ready {
            commands: is_ready(0),
            source: source.is_some() && is_ready(1 + queues),
            queues: (0..queues).filter(|q| is_ready(1 + q)).collect(),
        })
    }

    /// Buffers may be there that nobody announced.
    fn look_everywhere(&self) {
        for kick in self.kicks.iter() {
            kick.raise();
        }
    }

    fn judge(&mut self, result: &Result<(), BrokenQueue>) {
        if result.is_err()
            && let Some(live) = self.live.take()
        {
            live.interrupts.break_device();
        }
    }

    fn pause(&mut self) -> Rest {
        if !self.paused
            && let Some(live) = self.live.as_deref_mut()
        {
            let quiet = self.backend.quiesce(live);
            self.unfinished = matches!(quiet, Ok(false));
            self.judge(&quiet.map(drop));
        }
        self.paused = true;
        let live = self.live.as_deref();
        Rest {
            queues: live.map(|live| live.queues.iter().map(Queue::state).collect()),
            unfinished: live.is_some() && self.unfinished,
            own: live.map_or_else(Vec::new, |_| self.backend.save()),
        }
    }

    /// Carries out commands; `false` ends the thread.
    fn obey(&mut self) -> bool {
        self.wake.clear();
        while let Ok(command) = self.receiver.try_recv() {
            match command {
                Command::Activate(mut live, saved) => {
                    if let Err(error) = self.backend.activate(&mut live) {
                        tracing::error!(%error, "a device cannot start");
                        live.interrupts.break_device();
                        continue;
                    }
                    if !saved.is_empty() {
                        self.backend.restore(&saved, &mut live);
                    }
                    self.live = Some(live);
                    self.look_everywhere();
                }
                Command::Pause(done) => {
                    let _ = done.send(self.pause());
                }
                Command::Resume => {
                    self.paused = false;
                    self.look_everywhere();
                }
                Command::Deactivate(done) => {
                    self.live = None;
                    self.backend.deactivated();
                    let _ = done.send(());
                }
                Command::Poke => {
                    let live = self.live.as_deref_mut().filter(|_| !self.paused);
                    let result = self.backend.poked(live);
                    self.judge(&result);
                }
                Command::End => return false,
            }
        }
        true
    }
}

fn work(
    backend: &mut dyn Backend,
    live: &mut Live,
    kicks: &[Signal],
    ready: &Ready,
) -> Result<(), BrokenQueue> {
    for queue in &ready.queues {
        kicks[*queue].clear();
        backend.kicked(live, *queue)?;
    }
    if ready.source {
        backend.ready(live)?;
    }
    Ok(())
}
