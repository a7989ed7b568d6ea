//! The thread behind a device: it owns the queues while the driver is on.
//!
//! The transport sends commands; the guest's notifications arrive as eventfds that KVM signals
//! without leaving the kernel. Taking the queues away waits until the worker has let go of them,
//! so a driver that reset the device can trust that memory is no longer touched.

mod live;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use virtio_queue::{Queue, QueueState};

use super::Registers;
use crate::event::Signal;
use crate::sandbox::{self, ThreadClass};
pub use live::{BrokenQueue, Live, Stopped};

/// A device's own part, called on the worker's thread.
pub trait Backend: Send {
    /// What its thread may do.
    fn class(&self) -> ThreadClass {
        ThreadClass::Worker
    }
    /// The driver is on, or on again.
    fn activate(&mut self, live: &mut Live) -> io::Result<()>;
    /// Takes the eventfds by which the queues are notified, once.
    fn connect(&mut self, _kicks: &Arc<[Signal]>) {}
    /// The queues are worked on from now on: the driver is on, and the machine does not stand.
    fn run(&mut self, _live: &mut Live) {}
    /// Whether somebody else than the worker waits for notifications.
    fn is_notified_elsewhere(&self) -> bool {
        false
    }
    /// Writes to memory are to be noted from now on, or not any more; without `live` nobody works on
    /// the queues.
    fn note_writes(&mut self, _on: bool, _live: Option<&mut Live>) -> Result<(), BrokenQueue> {
        Ok(())
    }
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
    NoteWrites(bool, SyncSender<()>),
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
        let class = backend.class();
        Self::spawn(name, queues, backend, move || {
            if let Err(error) = sandbox::enter(class) {
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
        let mut backend = backend;
        backend.connect(&kicks);
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

    /// Has the device note what it writes to memory, or not any more; returns when it does.
    pub fn note_writes(&self, on: bool) {
        let (done, wait) = sync_channel(1);
        self.command(Command::NoteWrites(on, done));
        // An error means the thread has ended, and writes nothing.
        let _ = wait.recv();
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
        let notified = active && !self.backend.is_notified_elsewhere();
        let mut fds = vec![PollFd::new(&*self.wake, PollFlags::IN)];
        if notified {
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
        let queues = if notified { self.kicks.len() } else { 0 };
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
                    if !self.paused {
                        self.backend.run(&mut live);
                    }
                    self.live = Some(live);
                    self.look_everywhere();
                }
                Command::Pause(done) => {
                    let _ = done.send(self.pause());
                }
                Command::Resume => {
                    self.paused = false;
                    if let Some(live) = self.live.as_deref_mut() {
                        self.backend.run(live);
                    }
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
                Command::NoteWrites(on, done) => {
                    let live = self.live.as_deref_mut().filter(|_| !self.paused);
                    let result = self.backend.note_writes(on, live);
                    self.judge(&result);
                    let _ = done.send(());
                    self.look_everywhere();
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

#[cfg(test)]
mod tests;
