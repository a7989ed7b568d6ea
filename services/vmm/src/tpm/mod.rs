//! A trusted platform module (TPM 2.0): its registers ([`crb`]), the program that emulates it
//! ([`emulator`]), and where its state outlives both ([`store`]).
//!
//! The emulator keeps nothing of its own. After every command its permanent state is fetched, and if it
//! changed, it is on the medium before the guest sees the answer: what a guest sealed is there after any
//! interruption, on every kind of storage.
//!
//! Commands may take seconds, so a thread of its own ([`Tpm`]) waits for them; virtual CPUs only touch
//! registers.

pub mod crb;
pub mod emulator;
pub mod store;

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use crate::bus::MemoryDevice;
use crate::sandbox::{self, ThreadClass};
use crb::{BASE, Crb, LEN};
use emulator::{Emulator, Part};
use store::Store;

/// Name of the device, and of its setting.
pub const NAME: &str = "tpmstate0";

/// A module without registers: what stays when the machine is built anew.
pub struct Module {
    emulator: Emulator,
    store: Store,
    /// The emulator has the state.
    loaded: bool,
    /// It is out of order; that was said.
    failed: bool,
}

impl Module {
    /// A module that is still without power.
    pub fn new(emulator: Emulator, store: Store) -> Self {
        Self {
            emulator,
            store,
            loaded: false,
            failed: false,
        }
    }

    /// Every descriptor it has.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let sockets = self.emulator.sockets().map(AsRawFd::as_raw_fd);
        let volume = self.store.volume().as_raw_fd();
        sockets.into_iter().chain([volume]).collect()
    }

    fn power_on(&mut self) -> io::Result<()> {
        let kept = self.store.state().filter(|_| !self.loaded);
        let state: Vec<_> = kept
            .map(|state| (Part::Permanent, state))
            .into_iter()
            .collect();
        self.emulator.start(&state)?;
        self.loaded = true;
        self.failed = false;
        self.keep()
    }

    fn keep(&mut self) -> io::Result<()> {
        let state = self.emulator.state(Part::Permanent)?;
        self.store.keep(&state)
    }

    fn execute(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        let answer = self.emulator.execute(command)?;
        self.keep()?;
        Ok(answer)
    }

    /// Carries out a command of the guest; none when it cannot.
    fn serve(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        let result = self.execute(command);
        if let Err(error) = &result
            && !self.failed
        {
            tracing::error!(%error, "the TPM is out of order");
            self.failed = true;
        }
        result.ok()
    }

    fn power_off(&mut self) {
        if !self.loaded || self.failed {
            return;
        }
        if let Err(error) = self.emulator.shut_down().and_then(|()| self.keep()) {
            tracing::warn!(%error, "the TPM was not told that its power goes");
        }
    }
}

/// What is saved of a module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TpmState {
    registers: Crb,
    permanent: Vec<u8>,
    volatile: Vec<u8>,
}

enum Job {
    Execute(Vec<u8>),
    /// Says when all before is done.
    Wait(SyncSender<()>),
    End,
}

/// The device.
pub struct Tpm {
    crb: Arc<Mutex<Crb>>,
    module: Arc<Mutex<Module>>,
    jobs: Sender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tpm {
    /// Registers for a module, which has no power yet, and the thread between them.
    pub fn new(module: Arc<Mutex<Module>>) -> io::Result<Self> {
        Self::spawn(module, || {
            if let Err(error) = sandbox::enter(ThreadClass::Worker) {
                crate::fatal(&format!("cannot close the TPM's sandbox: {error}"));
            }
        })
    }

    /// Without the sandbox, whose filter would also bind a test's other threads.
    pub fn new_unconfined(module: Arc<Mutex<Module>>) -> io::Result<Self> {
        Self::spawn(module, || ())
    }

    fn spawn(
        module: Arc<Mutex<Module>>,
        confine: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, receiver) = channel();
        let crb = Arc::new(Mutex::new(Crb::default()));
        let (registers, worker) = (crb.clone(), module.clone());
        let thread = std::thread::Builder::new().name("tpm".to_owned());
        let thread = thread.spawn(move || {
            confine();
            work(&receiver, &registers, &worker);
        })?;
        Ok(Self {
            crb,
            module,
            jobs,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Gives the module power, as at every start and reset of a machine.
    pub fn power_on(&self) -> io::Result<()> {
        lock(&self.module).power_on()
    }

    /// Waits until no command runs; the guest's processors stand.
    pub fn pause(&self) {
        let (done, wait) = sync_channel(1);
        // An error means that the thread has ended, and with it all commands.
        let _ = self.jobs.send(Job::Wait(done));
        let _ = wait.recv();
    }

    /// What is kept of a paused machine's module.
    pub fn save(&self) -> io::Result<TpmState> {
        let mut module = lock(&self.module);
        Ok(TpmState {
            registers: lock(&self.crb).clone(),
            permanent: module.emulator.state(Part::Permanent)?,
            volatile: module.emulator.state(Part::Volatile)?,
        })
    }

    /// Goes on from a saved state in place of [`Self::power_on`].
    pub fn restore(&self, saved: TpmState) -> io::Result<()> {
        if !saved.registers.is_sound() {
            return Err(io::Error::other("its registers are no module's"));
        }
        let mut module = lock(&self.module);
        let state = [
            (Part::Permanent, &*saved.permanent),
            (Part::Volatile, &*saved.volatile),
        ];
        module.emulator.start(&state)?;
        module.loaded = true;
        module.keep()?;
        *lock(&self.crb) = saved.registers;
        Ok(())
    }

    /// The machine goes on elsewhere, and its module with it: this one touches the state no more.
    pub fn leave(&self) {
        lock(&self.module).loaded = false;
    }

    /// Takes the module's power and ends the thread.
    pub fn end(&self) {
        // Fails only when it has ended already.
        let _ = self.jobs.send(Job::End);
        if let Some(thread) = lock(&self.thread).take() {
            // A panic ends the whole process, so there is no other result.
            let _ = thread.join();
            lock(&self.module).power_off();
        }
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        self.end();
    }
}

fn work(jobs: &Receiver<Job>, crb: &Mutex<Crb>, module: &Mutex<Module>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Execute(command) => {
                let answer = lock(module).serve(&command);
                lock(crb).finish(answer.as_deref());
            }
            Job::Wait(done) => {
                // Whoever waited may be gone.
                let _ = done.send(());
            }
            Job::End => return,
        }
    }
}

fn offset(address: u64) -> Option<usize> {
    let offset = address.checked_sub(BASE).filter(|offset| *offset < LEN)?;
    usize::try_from(offset).ok()
}

impl MemoryDevice for Tpm {
    fn read(&self, address: u64, data: &mut [u8]) -> bool {
        let Some(offset) = offset(address) else {
            return false;
        };
        lock(&self.crb).read(offset, data);
        true
    }

    fn write(&self, address: u64, data: &[u8]) -> bool {
        let Some(offset) = offset(address) else {
            return false;
        };
        // The registers are let go of first: their other user may be about to answer.
        let command = lock(&self.crb).write(offset, data);
        if let Some(command) = command {
            // Fails only when the machine ends.
            let _ = self.jobs.send(Job::Execute(command));
        }
        true
    }
}

#[cfg(test)]
mod tests;
