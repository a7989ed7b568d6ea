//! Virtio input (virtio 1.2, section 5.8): a keyboard, and a tablet that points at places.
//!
//! Linux's input events go into the guest's buffers as they are. What the guest does not fetch is
//! kept up to a bound; then keys that go down are lost, but never those that go up.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::worker::{Backend, BrokenQueue, Live, Stopped};
use super::{Description, Kind, Registers};
use crate::display::{Buttons, Input, Key, Position, keys};
use crate::event::Signal;

const EVENTS: usize = 0;
const STATUS: usize = 1;
/// Most events that wait for the guest, beside keys that go up.
const MAX_WAITING: usize = 1024;

const EV_SYN: u16 = 0;
const EV_KEY: u16 = 1;
const EV_REL: u16 = 2;
const EV_ABS: u16 = 3;
const EV_REP: u16 = 0x14;
const REL_WHEEL: u16 = 8;
const BTN_LEFT: u16 = 0x110;
const BTN_RIGHT: u16 = 0x111;
const BTN_MIDDLE: u16 = 0x112;
const BUS_VIRTUAL: u16 = 6;
const VENDOR: u16 = 0x1af4;

/// Bytes of the configuration: a head of 8 and the longest answer.
const CONFIG: usize = 8 + 128;
const CFG_NAME: u8 = 0x01;
const CFG_IDS: u8 = 0x03;
const CFG_BITS: u8 = 0x11;
const CFG_ABS: u8 = 0x12;

/// What kind of input a device gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Keys.
    Keyboard,
    /// Places, three buttons and a wheel.
    Tablet,
}

/// What the transport needs to know.
pub fn description() -> Description {
    Description {
        kind: Kind::Input,
        features: 0,
        queues: vec![64, 64],
        config: vec![0; CONFIG],
    }
}

/// An input event, as Linux numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Event {
    kind: u16,
    code: u16,
    value: u32,
}

impl Event {
    const SYN: Self = Self {
        kind: EV_SYN,
        code: 0,
        value: 0,
    };

    fn bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..2].copy_from_slice(&self.kind.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.code.to_le_bytes());
        bytes[4..].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }
}

#[derive(Default)]
struct State {
    /// The guest's driver is on.
    listening: bool,
    waiting: VecDeque<Event>,
    /// Keys and buttons the guest will believe down when it has fetched everything.
    down: BTreeSet<u16>,
    /// Where the pointer is, as the guest will believe.
    position: Position,
}

impl State {
    fn key(&mut self, code: u16, down: bool) {
        let room = self.waiting.len() < MAX_WAITING;
        // A key that went down was let in, so its way up is, too: that bounds their number.
        let news = match down {
            true => room && self.down.insert(code),
            false => self.down.remove(&code),
        };
        if news {
            self.waiting.push_back(Event {
                kind: EV_KEY,
                code,
                value: u32::from(down),
            });
        }
    }

    fn axis(&mut self, code: u16, value: u16) {
        self.waiting.push_back(Event {
            kind: EV_ABS,
            code,
            value: u32::from(value),
        });
    }

    fn pointer(&mut self, position: Position, buttons: Buttons, wheel: i8) {
        if self.waiting.len() < MAX_WAITING {
            if position.x != self.position.x {
                self.axis(0, position.x);
            }
            if position.y != self.position.y {
                self.axis(1, position.y);
            }
            self.position = position;
            if wheel != 0 {
                self.waiting.push_back(Event {
                    kind: EV_REL,
                    code: REL_WHEEL,
                    value: i32::from(wheel) as u32,
                });
            }
        }
        self.key(BTN_LEFT, buttons.left);
        self.key(BTN_RIGHT, buttons.right);
        self.key(BTN_MIDDLE, buttons.middle);
    }

    /// Ends a report, unless nothing was reported.
    fn report(&mut self) {
        if self.waiting.back().is_some_and(|last| *last != Event::SYN) {
            self.waiting.push_back(Event::SYN);
        }
    }
}

/// The people's side of a device.
pub struct Handle {
    model: Model,
    state: Mutex<State>,
    news: Signal,
}

impl Handle {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, act: impl FnOnce(&mut State)) {
        let mut state = self.state();
        if !state.listening {
            return;
        }
        act(&mut state);
        state.report();
        let news = !state.waiting.is_empty();
        drop(state);
        if news {
            self.news.raise();
        }
    }
}

impl Input for Handle {
    fn key(&self, key: Key, down: bool) {
        if self.model == Model::Keyboard {
            self.report(|state| state.key(key.0, down));
        }
    }

    fn pointer(&self, position: Position, buttons: Buttons, wheel: i8) {
        if self.model == Model::Tablet {
            self.report(|state| state.pointer(position, buttons, wheel));
        }
    }

    fn takes_keys(&self) -> bool {
        self.model == Model::Keyboard && self.state().listening
    }

    fn takes_pointer(&self) -> bool {
        self.model == Model::Tablet && self.state().listening
    }
}

/// The guest's side of a device.
pub struct Device {
    handle: Arc<Handle>,
}

impl Device {
    /// A device whose guest does not listen yet.
    pub fn new(model: Model) -> io::Result<Self> {
        let handle = Handle {
            model,
            state: Mutex::default(),
            news: Signal::new()?,
        };
        Ok(Self {
            handle: Arc::new(handle),
        })
    }

    /// The other side.
    pub fn handle(&self) -> Arc<Handle> {
        self.handle.clone()
    }

    fn feed(&self, live: &mut Live) -> Result<(), BrokenQueue> {
        live.drain(EVENTS, |live| {
            loop {
                let mut state = self.handle.state();
                let Some(event) = state.waiting.front().copied() else {
                    return Ok(Stopped::Early);
                };
                let Some(chain) = live.pop(EVENTS)? else {
                    return Ok(Stopped::Empty);
                };
                state.waiting.pop_front();
                drop(state);
                let written = chain.writable.write(&live.memory, &event.bytes());
                live.push(EVENTS, chain.head, written)?;
            }
        })
    }
}

impl Backend for Device {
    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        let mut state = self.handle.state();
        *state = State {
            listening: true,
            ..State::default()
        };
        Ok(())
    }

    fn deactivated(&mut self) {
        *self.handle.state() = State::default();
    }

    fn kicked(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        if queue == EVENTS {
            return self.feed(live);
        }
        // Lights and bells, of which we have none.
        live.drain(STATUS, |live| {
            while let Some(chain) = live.pop(STATUS)? {
                live.push(STATUS, chain.head, 0)?;
            }
            Ok(Stopped::Empty)
        })
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        Some(self.handle.news.as_fd())
    }

    fn ready(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        self.handle.news.clear();
        self.feed(live)
    }

    /// The keys that are down: who held them will not be there to let go.
    fn save(&self) -> Vec<u8> {
        let down = self.handle.state().down.clone();
        down.into_iter().flat_map(u16::to_le_bytes).collect()
    }

    fn restore(&mut self, saved: &[u8], _live: &mut Live) {
        let mut state = self.handle.state();
        for bytes in saved.as_chunks::<2>().0.iter().take(MAX_WAITING) {
            let code = u16::from_le_bytes(*bytes);
            state.down.insert(code);
            state.key(code, false);
        }
        state.report();
        drop(state);
        self.handle.news.raise();
    }

    fn registers(&self) -> Option<Arc<dyn Registers>> {
        Some(Arc::new(Config {
            model: self.handle.model,
            selected: Mutex::new((0, 0)),
        }))
    }
}

/// The configuration: the driver selects what it wants to know (section 5.8.4).
struct Config {
    model: Model,
    selected: Mutex<(u8, u8)>,
}

impl Config {
    fn selected(&self) -> MutexGuard<'_, (u8, u8)> {
        self.selected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, select: u8, subselect: u8) -> Vec<u8> {
        let tablet = self.model == Model::Tablet;
        match (select, u16::from(subselect)) {
            (CFG_NAME, 0) if tablet => b"Basalt tablet".to_vec(),
            (CFG_NAME, 0) => b"Basalt keyboard".to_vec(),
            (CFG_IDS, 0) => {
                let product = 1 + u16::from(tablet);
                let ids = [BUS_VIRTUAL, VENDOR, product, 1];
                ids.iter().flat_map(|id| id.to_le_bytes()).collect()
            }
            (CFG_BITS, EV_KEY) if tablet => bits([BTN_LEFT, BTN_RIGHT, BTN_MIDDLE]),
            (CFG_BITS, EV_KEY) => bits(keys::all().map(|key| key.0)),
            (CFG_BITS, EV_REL) if tablet => bits([REL_WHEEL]),
            (CFG_BITS, EV_ABS) if tablet => bits([0, 1]),
            // The guest repeats keys that stay down.
            (CFG_BITS, EV_REP) if !tablet => bits([0, 1]),
            (CFG_ABS, 0 | 1) if tablet => {
                let range = [0, u32::from(Position::MAX), 0, 0, 0];
                range.iter().flat_map(|n| n.to_le_bytes()).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Registers for Config {
    fn read(&self, offset: usize, data: &mut [u8]) {
        let (select, subselect) = *self.selected();
        let answer = self.answer(select, subselect);
        let mut all = vec![select, subselect, answer.len() as u8, 0, 0, 0, 0, 0];
        all.extend(answer);
        for (i, byte) in data.iter_mut().enumerate() {
            *byte = all.get(offset + i).copied().unwrap_or(0);
        }
    }

    fn write(&self, offset: usize, data: &[u8]) {
        let mut selected = self.selected();
        for (i, byte) in data.iter().enumerate() {
            match offset + i {
                0 => selected.0 = *byte,
                1 => selected.1 = *byte,
                _ => {}
            }
        }
    }
}

/// A set of numbers as bits, without zeros at the end; at most 128 bytes.
fn bits(numbers: impl IntoIterator<Item = u16>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in numbers {
        let at = usize::from(number / 8);
        if at >= bytes.len() {
            bytes.resize(at + 1, 0);
        }
        bytes[at] |= 1 << (number % 8);
    }
    bytes
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
