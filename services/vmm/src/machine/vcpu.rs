//! Threads that run virtual CPUs, and how the main thread stops, pauses and continues them.
//!
//! A virtual CPU spends its life inside `KVM_RUN`. To get it out, the main thread first writes
//! what it wants into [`Control`] and then sends the thread a signal, whose handler sets
//! `immediate_exit` in the structure the thread shares with KVM. So a signal that arrives just
//! before `KVM_RUN` is not lost either.

use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use kvm_bindings::KVM_RUN_X86_SMM;
use kvm_ioctls::{VcpuExit, VcpuFd};
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

use super::events::{Events, MachineEvent};
use crate::bus::Bus;
use crate::devices::cpus::Set;
use crate::sandbox::{self, ThreadClass};

/// Most bytes that KVM moves to or from a device's memory at once.
const MMIO: usize = 8;

/// What the virtual CPUs are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Run,
    Pause,
    End,
}

struct ControlState {
    wanted: Wanted,
    /// Virtual CPUs that are in the machine; the others stand.
    plugged: Set,
    /// Virtual CPUs that are paused or gone.
    idle: usize,
    /// Virtual CPUs that are paused, for the main thread to look at.
    parked: Vec<Option<VcpuFd>>,
}

/// Shared by the main thread and all virtual CPUs of one machine.
struct Control {
    state: Mutex<ControlState>,
    changed: Condvar,
}

impl ControlState {
    /// Whether virtual CPU `id` is to stand.
    fn stands(&self, id: usize) -> bool {
        let is_in = self.plugged >> id & 1 != 0;
        self.wanted == Wanted::Pause || self.wanted == Wanted::Run && !is_in
    }
}

impl Control {
    fn lock(&self) -> std::sync::MutexGuard<'_, ControlState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until virtual CPU `id` may run; `false` when it is to end. While it waits, `vcpu`
    /// is parked where the main thread can reach it.
    fn may_run(&self, id: usize, vcpu: &mut Option<VcpuFd>) -> bool {
        let mut state = self.lock();
        if state.stands(id) {
            // Spares the guest its soft-lockup alarm; refused while it has no clock, which is
            // no harm.
            let _ = vcpu.as_ref().map(VcpuFd::kvmclock_ctrl);
            state.parked[id] = vcpu.take();
            state.idle += 1;
            self.changed.notify_all();
            while state.stands(id) {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.idle -= 1;
            *vcpu = state.parked[id].take();
        }
        state.wanted == Wanted::Run
    }
}

thread_local! {
    /// `immediate_exit` of the virtual CPU this thread runs.
    static IMMEDIATE_EXIT: Cell<*mut u8> = const { Cell::new(std::ptr::null_mut()) };
}

extern "C" fn on_kick(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let pointer = IMMEDIATE_EXIT.get();
    if !pointer.is_null() {
        // SAFETY: set by this thread to a byte of its own `kvm_run`, and cleared before that is
        // unmapped; a plain store is all KVM asks for.
        unsafe { pointer.write_volatile(1) };
    }
}

/// Installs the handler of the signal that ends `KVM_RUN`; once per process.
pub fn install_kick_handler() -> std::io::Result<()> {
    register_signal_handler(SIGRTMIN(), on_kick)
        .map_err(|e| std::io::Error::from_raw_os_error(e.errno()))
}

/// All virtual CPUs of a machine.
pub struct Vcpus {
    control: Arc<Control>,
    threads: Vec<JoinHandle<()>>,
}

impl Vcpus {
    /// Starts one thread of a class per virtual CPU; those in `plugged` run at once.
    pub fn start(
        vcpus: Vec<VcpuFd>,
        plugged: Set,
        bus: &Arc<Bus>,
        events: &Arc<Events>,
        class: ThreadClass,
    ) -> std::io::Result<Self> {
        Self::spawn(vcpus, plugged, bus, events, (Wanted::Run, class))
    }

    /// Starts one thread per virtual CPU; they stand until resumed.
    pub fn start_paused(
        vcpus: Vec<VcpuFd>,
        plugged: Set,
        bus: &Arc<Bus>,
        events: &Arc<Events>,
    ) -> std::io::Result<Self> {
        // No state is of a machine that has devices of the host.
        let class = ThreadClass::Vcpu {
            host_devices: false,
        };
        let all = Self::spawn(vcpus, plugged, bus, events, (Wanted::Pause, class))?;
        all.pause();
        Ok(all)
    }

    fn spawn(
        vcpus: Vec<VcpuFd>,
        plugged: Set,
        bus: &Arc<Bus>,
        events: &Arc<Events>,
        (wanted, class): (Wanted, ThreadClass),
    ) -> std::io::Result<Self> {
        let control = Arc::new(Control {
            state: Mutex::new(ControlState {
                wanted,
                plugged,
                idle: 0,
                parked: vcpus.iter().map(|_| None).collect(),
            }),
            changed: Condvar::new(),
        });
        let mut all = Self {
            control,
            threads: Vec::new(),
        };
        for (id, vcpu) in vcpus.into_iter().enumerate() {
            let (control, bus, events) = (all.control.clone(), bus.clone(), events.clone());
            let body = move || match sandbox::enter(class) {
                Ok(()) => run(id, vcpu, &control, &bus, &events),
                Err(error) => events.post(MachineEvent::Failed(error.to_string())),
            };
            all.threads.push(
                std::thread::Builder::new()
                    .name(format!("vcpu{id}"))
                    .spawn(body)?,
            );
        }
        Ok(all)
    }

    fn want(&self, wanted: Wanted) {
        self.control.lock().wanted = wanted;
        self.control.changed.notify_all();
    }

    fn kick(&self) {
        for thread in self.threads.iter().filter(|t| !t.is_finished()) {
            // Fails only for a thread that has just ended, which is what is wanted.
            let _ = thread.kill(SIGRTMIN());
        }
    }

    /// Stops all virtual CPUs between two instructions; returns when they stand.
    pub fn pause(&self) {
        self.want(Wanted::Pause);
        self.kick();
        let mut state = self.control.lock();
        while state.idle < self.threads.len() {
            state = self
                .control
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets them run again.
    pub fn resume(&self) {
        self.want(Wanted::Run);
    }

    /// Says which virtual CPUs are in the machine; the others stand from now on.
    pub fn plug(&self, plugged: Set) {
        self.control.lock().plugged = plugged;
        self.control.changed.notify_all();
        self.kick();
    }

    /// Calls `look` for each virtual CPU while all are paused; `None` when one runs or is gone.
    pub fn inspect<T>(&self, look: impl FnMut(&VcpuFd) -> T) -> Option<Vec<T>> {
        let state = self.control.lock();
        let parked: Option<Vec<&VcpuFd>> = state.parked.iter().map(Option::as_ref).collect();
        Some(parked?.into_iter().map(look).collect())
    }

    /// Ends all threads.
    pub fn end(&mut self) {
        self.want(Wanted::End);
        self.kick();
        for thread in self.threads.drain(..) {
            // A panic ends the whole process, so there is no other result.
            let _ = thread.join();
        }
    }
}

impl Drop for Vcpus {
    fn drop(&mut self) {
        self.end();
    }
}

/// Marks a virtual CPU as gone, however its thread ends.
struct Leave<'a>(&'a Control);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        IMMEDIATE_EXIT.set(std::ptr::null_mut());
        self.0.lock().idle += 1;
        self.0.changed.notify_all();
    }
}

fn run(id: usize, mut vcpu: VcpuFd, control: &Control, bus: &Bus, events: &Events) {
    IMMEDIATE_EXIT.set(&raw mut vcpu.get_kvm_run().immediate_exit);
    // Outlives `_leave`, so that no signal finds the structure gone.
    let mut own = Some(vcpu);
    let _leave = Leave(control);
    while control.may_run(id, &mut own) {
        let Some(vcpu) = &mut own else { return };
        if let Some(event) = run_until_kicked(vcpu, bus, events) {
            events.post(event);
            return;
        }
        vcpu.set_kvm_immediate_exit(0);
    }
}

/// Runs the guest. `None` means the main thread wants something.
fn run_until_kicked(vcpu: &mut VcpuFd, bus: &Bus, events: &Events) -> Option<MachineEvent> {
    loop {
        match vcpu.run() {
            Ok(VcpuExit::IoIn(port, data)) => bus.port_read(port, data),
            Ok(VcpuExit::IoOut(port, data)) => {
                bus.port_write(port, data);
                if events.pending() {
                    // The guest asked for its end; it must not run on.
                    return Some(MachineEvent::Reset);
                }
            }
            Ok(VcpuExit::MmioRead(address, data)) => bus.memory_read(address, data),
            Ok(VcpuExit::MmioWrite(address, data)) => {
                // A copy, since what follows looks at the structure that it lies in.
                let (mut bytes, len) = ([0; MMIO], data.len().min(MMIO));
                bytes[..len].copy_from_slice(&data[..len]);
                match u32::from(vcpu.get_kvm_run().flags) & KVM_RUN_X86_SMM {
                    0 => bus.memory_write(address, &bytes[..len]),
                    _ => bus.memory_write_managed(address, &bytes[..len]),
                }
            }
            Ok(VcpuExit::Shutdown) => return Some(MachineEvent::Reset),
            Ok(VcpuExit::SystemEvent(kind, _)) => return Some(system_event(kind)),
            // The guest moved a page of its synthetic interrupts, which is KVM's business alone.
            Ok(VcpuExit::Hyperv) => {}
            Ok(VcpuExit::Intr | VcpuExit::IrqWindowOpen) => return None,
            Ok(exit) => {
                let text = format!("a virtual CPU stopped: {exit:?}");
                return Some(MachineEvent::Failed(describe(vcpu, text)));
            }
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => return None,
            Err(error) => {
                let text = format!("a virtual CPU cannot run: {error}");
                return Some(MachineEvent::Failed(describe(vcpu, text)));
            }
        }
    }
}

fn system_event(kind: u32) -> MachineEvent {
    match kind {
        kvm_bindings::KVM_SYSTEM_EVENT_SHUTDOWN => MachineEvent::PowerOff,
        kvm_bindings::KVM_SYSTEM_EVENT_RESET => MachineEvent::Reset,
        other => MachineEvent::Failed(format!("the guest crashed (system event {other})")),
    }
}

/// Adds where it happened.
fn describe(vcpu: &VcpuFd, text: String) -> String {
    match vcpu.get_regs() {
        Ok(regs) => format!("{text} at {:#x}", regs.rip),
        Err(_) => text,
    }
}
