//! The watchdog of Intel's 6300ESB (8086:25ab) on PCI, as its datasheet (order number 300641, §16) has it
//! and drivers use it.
//!
//! A guest that has switched it on must wind it up before both of its stages have passed. The main
//! thread asks for [`Watchdog::deadline`], and what [`Watchdog::look`] finds it acts on. Time in which the
//! machine stands does not count.
//!
//! The interrupt of the first stage can be seen in a register, and is not delivered: drivers
//! use the second stage alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::machine::events::Events;
use crate::pci::config::{ConfigSpace, Identity};
use crate::pci::{PciDevice, Window};

/// Name of the device, also its configuration key.
pub const NAME: &str = "watchdog";
/// Bytes of its memory window.
pub const WINDOW_SIZE: u32 = 16;

/// Configuration register: kind of interrupt (bits 0 and 1), clock and output.
const CONFIG: usize = 0x60;
const INTERRUPT: u8 = 0b11;
const INTERRUPT_OFF: u8 = 0b11;
const FAST_CLOCK: u8 = 1 << 2;
const OUTPUT_OFF: u8 = 1 << 5;
/// Configuration register that switches it on, and can keep it on until the machine is reset.
const LOCK: usize = 0x68;
const LOCKED: u8 = 1 << 0;
const ENABLED: u8 = 1 << 1;
const FREE_RUNNING: u8 = 1 << 2;

/// Lengths of the stages, in the window.
const PRELOAD_FIRST: u64 = 0x00;
const PRELOAD_SECOND: u64 = 0x04;
const PRELOAD: u32 = 0xf_ffff;
/// Whether the first stage has passed; written to clear it.
const INTERRUPTED: u64 = 0x08;
/// Winds it up, and says whether it had run down.
const RELOAD: u64 = 0x0c;
const WIND_UP: u16 = 1 << 8;
const TIMED_OUT: u16 = 1 << 9;
/// What must be written to [`RELOAD`] first, for one write to the registers that are guarded.
const UNLOCK: [u8; 2] = [0x80, 0x86];

/// Bits of the counter below a preload value, which is counted down by the 33 MHz of the bus.
const SLOW_BITS: u32 = 15;
const FAST_BITS: u32 = 5;
/// The least length of a stage: shorter ones tell nothing of a machine whose processors may have to wait
/// as long, and a guest could fill the host's log.
const LEAST_STAGE: Duration = Duration::from_millis(100);

/// How far the guest is with writing what opens the guarded registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Guard {
    Closed,
    Half,
    Open,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    First,
    Second,
}

/// What changes while the machine runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchdogState {
    /// All configuration registers.
    registers: Vec<u8>,
    preloads: [u32; 2],
    guard: Guard,
    interrupted: bool,
    timed_out: bool,
    /// The stage that runs, and the nanoseconds that it has left.
    running: Option<(Stage, u64)>,
}

struct State {
    space: ConfigSpace,
    preloads: [u32; 2],
    guard: Guard,
    interrupted: bool,
    /// The stage that runs, and when it ends by the clock.
    running: Option<(Stage, Duration)>,
    /// When the machine was stopped, while it stands.
    stopped: Option<Duration>,
}

/// The device.
pub struct Watchdog {
    state: Mutex<State>,
    /// Outlives a reset of the machine: so the guest learns why it was reset.
    timed_out: Arc<AtomicBool>,
    events: Arc<Events>,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
}

impl State {
    fn new(window: Option<u32>) -> Self {
        let mut space = ConfigSpace::new(Identity {
            vendor: 0x8086,
            device: 0x25ab,
            class: [0x08, 0x80, 0x00],
            revision: 0,
            subsystem: (0x1af4, 0x1100),
        });
        space.set_window(window, WINDOW_SIZE);
        space.allow(CONFIG, &[INTERRUPT | FAST_CLOCK | OUTPUT_OFF]);
        space.allow(LOCK, &[LOCKED | ENABLED | FREE_RUNNING]);
        Self {
            space,
            preloads: [PRELOAD; 2],
            guard: Guard::Closed,
            interrupted: false,
            running: None,
            stopped: None,
        }
    }

    fn register(&self, offset: usize) -> u8 {
        let mut byte = [0];
        self.space.read(offset, &mut byte);
        byte[0]
    }

    fn is_enabled(&self) -> bool {
        self.register(LOCK) & ENABLED != 0
    }

    /// What is locked stays as it is.
    fn hold_lock(&mut self) {
        if self.register(LOCK) & LOCKED != 0 {
            self.space.allow(LOCK, &[0]);
        }
    }

    /// Sets the length of a stage from the next time on that it begins. `false`: nothing ends sooner.
    fn set_preload(&mut self, stage: Stage, value: u32) -> bool {
        if self.guard == Guard::Open {
            self.preloads[stage as usize] = value & PRELOAD;
            self.guard = Guard::Closed;
        }
        false
    }

    fn length(&self, stage: Stage) -> Duration {
        let preload = self.preloads[stage as usize];
        let bits = match self.register(CONFIG) & FAST_CLOCK {
            0 => SLOW_BITS,
            _ => FAST_BITS,
        };
        // Preload values have 20 bits.
        let nanoseconds = (u64::from(preload) << bits) * 1000 / 33;
        Duration::from_nanos(nanoseconds).max(LEAST_STAGE)
    }

    /// Begins a stage. `true` when the main thread has to look sooner than it knew.
    fn begin(&mut self, stage: Stage, now: Duration) -> bool {
        let end = now + self.length(stage);
        let before = self.running.replace((stage, end));
        before.is_none_or(|(_, before)| end < before)
    }

    /// Registers as at the start, but for where its window is.
    fn start_over(&mut self) {
        self.space.allow(LOCK, &[LOCKED | ENABLED | FREE_RUNNING]);
        self.space.put(LOCK, &[0]);
        self.space.put(CONFIG, &[0]);
        self.preloads = [PRELOAD; 2];
        self.guard = Guard::Closed;
        self.running = None;
    }

    /// Goes on with the stage after one that has ended. `true` when that was the last.
    fn advance(&mut self, now: Duration) -> bool {
        match self.running {
            Some((Stage::First, end)) if end <= now => {
                self.interrupted |= self.register(CONFIG) & INTERRUPT != INTERRUPT_OFF;
                self.begin(Stage::Second, now);
                false
            }
            Some((Stage::Second, end)) if end <= now => self.ran_down(now),
            _ => false,
        }
    }

    fn ran_down(&mut self, now: Duration) -> bool {
        let (config, lock) = (self.register(CONFIG), self.register(LOCK));
        if config & OUTPUT_OFF == 0 {
            self.start_over();
            return true;
        }
        self.running = None;
        if lock & FREE_RUNNING != 0 {
            self.begin(Stage::First, now);
        }
        false
    }
}

impl Watchdog {
    /// A watchdog that is off; its window is at `window`, or where firmware will put it.
    pub fn new(window: Option<u32>, timed_out: Arc<AtomicBool>, events: Arc<Events>) -> Self {
        let epoch = Instant::now();
        let clock = Box::new(move || epoch.elapsed());
        Self::with_clock(window, timed_out, events, clock)
    }

    fn with_clock(
        window: Option<u32>,
        timed_out: Arc<AtomicBool>,
        events: Arc<Events>,
        clock: Box<dyn Fn() -> Duration + Send + Sync>,
    ) -> Self {
        Self {
            state: Mutex::new(State::new(window)),
            timed_out,
            events,
            clock,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long until the main thread has to look at it.
    pub fn deadline(&self) -> Option<Duration> {
        let state = self.lock();
        let (_, end) = state.running.filter(|_| state.stopped.is_none())?;
        Some(end.saturating_sub((self.clock)()))
    }

    /// Whether the guest has let it run down; told once.
    pub fn look(&self) -> bool {
        let mut state = self.lock();
        let ran_down = state.stopped.is_none() && state.advance((self.clock)());
        if ran_down {
            self.timed_out.store(true, Ordering::Relaxed);
        }
        ran_down
    }

    /// The machine stands from now on.
    pub fn pause(&self) {
        let mut state = self.lock();
        state.stopped.get_or_insert_with(&self.clock);
    }

    /// The machine goes on.
    pub fn resume(&self) {
        let mut state = self.lock();
        let Some(stopped) = state.stopped.take() else {
            return;
        };
        let stood = (self.clock)().saturating_sub(stopped);
        if let Some((_, end)) = &mut state.running {
            *end += stood;
        }
    }

    /// Its state, while the machine stands.
    pub fn save(&self) -> WatchdogState {
        let state = self.lock();
        let now = state.stopped.unwrap_or_else(&self.clock);
        let left = |end: Duration| u64::try_from(end.saturating_sub(now).as_nanos());
        WatchdogState {
            registers: state.space.save(),
            preloads: state.preloads,
            guard: state.guard,
            interrupted: state.interrupted,
            timed_out: self.timed_out.load(Ordering::Relaxed),
            // No preload value makes hours enough to overflow.
            running: state
                .running
                .map(|(stage, end)| (stage, left(end).unwrap_or(u64::MAX))),
        }
    }

    /// Takes over a state; the machine stands until it is resumed. `false` when it is another device's.
    pub fn restore(&self, saved: &WatchdogState) -> bool {
        let mut state = self.lock();
        if !state.space.restore(&saved.registers) {
            return false;
        }
        state.hold_lock();
        let now = (self.clock)();
        state.stopped = Some(now);
        state.preloads = saved.preloads.map(|preload| preload & PRELOAD);
        state.guard = saved.guard;
        state.interrupted = saved.interrupted;
        self.timed_out.store(saved.timed_out, Ordering::Relaxed);
        let running = saved.running.filter(|_| state.is_enabled());
        state.running = running.map(|(stage, left)| {
            let left = Duration::from_nanos(left).min(state.length(stage));
            (stage, now + left)
        });
        true
    }

    /// Writes the bits of [`RELOAD`]. `true` when the main thread has to look sooner.
    fn reload(&self, state: &mut State, value: u16) -> bool {
        let was_open = state.guard == Guard::Open;
        let [low, _] = value.to_le_bytes();
        state.guard = match (state.guard, low) {
            (_, low) if low == UNLOCK[0] => Guard::Half,
            (Guard::Half, low) if low == UNLOCK[1] => Guard::Open,
            _ => Guard::Closed,
        };
        if !was_open {
            return false;
        }
        if value & TIMED_OUT != 0 {
            self.timed_out.store(false, Ordering::Relaxed);
        }
        value & WIND_UP != 0 && state.is_enabled() && state.begin(Stage::First, (self.clock)())
    }
}

impl PciDevice for Watchdog {
    fn config_read(&self, offset: usize, data: &mut [u8]) {
        self.lock().space.read(offset, data);
    }

    fn config_write(&self, offset: usize, data: &[u8]) {
        let mut state = self.lock();
        let was_enabled = state.is_enabled();
        state.space.write(offset, data);
        state.hold_lock();
        let sooner = match (was_enabled, state.is_enabled()) {
            (false, true) => state.begin(Stage::First, (self.clock)()),
            (true, false) => {
                state.running = None;
                false
            }
            _ => false,
        };
        drop(state);
        if sooner {
            self.events.wake().raise();
        }
    }

    fn windows(&self) -> Vec<Window> {
        self.lock().space.window().into_iter().collect()
    }

    fn window_read(&self, _bar: u8, offset: u64, data: &mut [u8]) {
        let state = self.lock();
        let timed_out = match self.timed_out.load(Ordering::Relaxed) {
            true => TIMED_OUT,
            false => 0,
        };
        let all = [
            state.preloads[0],
            state.preloads[1],
            u32::from(state.interrupted),
            u32::from(timed_out),
        ];
        let all: Vec<u8> = all.into_iter().flat_map(u32::to_le_bytes).collect();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, byte) in data.iter_mut().enumerate() {
            let at = start.saturating_add(index);
            *byte = all.get(at).copied().unwrap_or(0xff);
        }
    }

    fn window_write(&self, _bar: u8, offset: u64, data: &[u8]) {
        let mut value = [0; 4];
        for (to, from) in value.iter_mut().zip(data) {
            *to = *from;
        }
        let value = u32::from_le_bytes(value);
        let mut state = self.lock();
        let sooner = match offset {
            PRELOAD_FIRST => state.set_preload(Stage::First, value),
            PRELOAD_SECOND => state.set_preload(Stage::Second, value),
            INTERRUPTED => {
                state.interrupted &= value & 1 == 0;
                false
            }
            RELOAD => self.reload(&mut state, value as u16),
            _ => false,
        };
        drop(state);
        if sooner {
            self.events.wake().raise();
        }
    }
}

#[cfg(test)]
#[path = "watchdog_tests.rs"]
mod tests;
