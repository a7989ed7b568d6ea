//! What the guest shows, and what people type and point at.
//!
//! A display device tells the [`Screen`] where its picture lies: in guest memory ([`Surface`], as
//! ramfb does) or in a [`Canvas`] that the device draws itself (virtio-gpu). Keys and pointer go
//! the other way, to the first [`Input`] device whose driver listens. The [`server`] stands
//! between the screen and the people: [`capture`] finds out what changed, [`hands`] turns what
//! they do into keys, [`rfb`] is the language both sides speak.

pub mod canvas;
pub mod capture;
pub mod hands;
pub mod keys;
pub mod rfb;
pub mod server;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod testing_client;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::Signal;
use crate::machine::memory::Memory;
use canvas::{Canvas, Cursor};

/// Largest width and height of a picture, in pixels.
pub const MAX_SIDE: u32 = 8192;
/// Most pixels of a picture that is shown: viewers' copy of it takes four bytes each.
pub const MAX_PIXELS: u32 = 16 << 20;

/// A picture in guest memory: rows of pixels of four bytes, blue first, the fourth unused
/// (`XRGB8888`, little endian).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surface {
    /// Guest physical address of the first pixel.
    pub address: u64,
    /// Pixels in a row, 1 to [`MAX_SIDE`].
    pub width: u32,
    /// Rows, 1 to [`MAX_SIDE`].
    pub height: u32,
    /// Bytes from a row to the next, at least `width * 4`.
    pub stride: u32,
}

/// A part of a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Area {
    /// Pixels from the left.
    pub x: u32,
    /// Pixels from the top.
    pub y: u32,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Area {
    /// Whether all of it lies in a picture of this size.
    pub fn fits(&self, width: u32, height: u32) -> bool {
        let inside =
            |from: u32, len: u32, end: u32| from.checked_add(len).is_some_and(|e| e <= end);
        inside(self.x, self.width, width) && inside(self.y, self.height, height)
    }
}

/// What is shown.
#[derive(Clone)]
pub enum Picture {
    /// Guest memory, with the memory it lies in. The guest may draw at any time.
    Guest(Arc<Memory>, Surface),
    /// A part of a device's own picture, which says when it has drawn.
    Drawn(Arc<Canvas>, Area),
}

/// A device that shows what size it is asked for.
pub trait Resize: Send + Sync {
    /// Somebody would like a picture of this size, 1 to [`MAX_SIDE`] each. The guest decides.
    fn resize(&self, width: u32, height: u32);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    Guest(Surface),
    Drawn,
}

struct State {
    shown: Shown,
    canvas: Option<(Arc<Canvas>, Area)>,
    cursor: Option<Arc<Cursor>>,
    cursor_version: u64,
    memory: Option<Arc<Memory>>,
    inputs: Vec<Arc<dyn Input>>,
    resizer: Option<Arc<dyn Resize>>,
}

/// The machine's screen and what is in front of it; it outlives the machine, as a monitor does.
pub struct Screen {
    state: Mutex<State>,
    version: AtomicU64,
    watched: AtomicBool,
    changed: Signal,
}

impl Screen {
    /// A dark screen.
    pub fn new() -> std::io::Result<Arc<Self>> {
        let state = State {
            shown: Shown::Nothing,
            canvas: None,
            cursor: None,
            cursor_version: 0,
            memory: None,
            inputs: Vec::new(),
            resizer: None,
        };
        Ok(Arc::new(Self {
            state: Mutex::new(state),
            version: AtomicU64::new(0),
            watched: AtomicBool::new(false),
            changed: Signal::new()?,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A machine was built: its memory, and its input devices in the order in which they are
    /// asked whether they listen.
    pub fn attach(&self, memory: Arc<Memory>, inputs: Vec<Arc<dyn Input>>) {
        let mut state = self.state();
        state.memory = Some(memory);
        state.inputs = inputs;
    }

    /// The machine goes: the screen is dark, and nothing of the machine is held any more.
    pub fn detach(&self) {
        let mut state = self.state();
        (state.memory, state.resizer) = (None, None);
        state.inputs.clear();
        drop(state);
        self.set_cursor(None);
        self.show(None);
    }

    /// Shows another picture in guest memory, or none. The device has checked the sides, not that
    /// the address lies in memory: readers must.
    pub fn show(&self, surface: Option<Surface>) {
        let mut state = self.state();
        state.shown = surface.map_or(Shown::Nothing, Shown::Guest);
        state.canvas = None;
        drop(state);
        self.redrawn();
    }

    /// Shows an area of a canvas, which must [fit](Area::fits) it.
    pub fn show_canvas(&self, canvas: Arc<Canvas>, area: Area) {
        let mut state = self.state();
        state.shown = Shown::Drawn;
        state.canvas = Some((canvas, area));
        drop(state);
        self.redrawn();
    }

    /// The canvas that is shown has changed.
    pub fn redrawn(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        if self.watched.load(Ordering::Acquire) {
            self.changed.raise();
        }
    }

    /// Another shape of the pointer, or none: then viewers mark the place themselves.
    pub fn set_cursor(&self, cursor: Option<Cursor>) {
        let mut state = self.state();
        state.cursor = cursor.map(Arc::new);
        state.cursor_version += 1;
        drop(state);
        self.redrawn();
    }

    /// The pointer's shape and a number that changes with it.
    pub fn cursor(&self) -> (Option<Arc<Cursor>>, u64) {
        let state = self.state();
        (state.cursor.clone(), state.cursor_version)
    }

    /// The guest memory that is shown, if it is guest memory.
    pub fn surface(&self) -> Option<Surface> {
        match self.state().shown {
            Shown::Guest(surface) => Some(surface),
            Shown::Nothing | Shown::Drawn => None,
        }
    }

    /// What is shown.
    pub fn picture(&self) -> Option<Picture> {
        let state = self.state();
        match state.shown {
            Shown::Nothing => None,
            Shown::Guest(surface) => Some(Picture::Guest(state.memory.clone()?, surface)),
            Shown::Drawn => {
                let (canvas, area) = state.canvas.clone()?;
                Some(Picture::Drawn(canvas, area))
            }
        }
    }

    /// Changes with every other picture and every [`Self::redrawn`], not when the guest draws in
    /// its memory.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Says whether anybody looks; only then [`Self::changed`] is raised.
    pub fn set_watched(&self, watched: bool) {
        self.watched.store(watched, Ordering::Release);
    }

    /// Readable after a change of [`Self::version`].
    pub fn changed(&self) -> &Signal {
        &self.changed
    }

    /// The device that can be asked for another size.
    pub fn set_resizer(&self, resizer: Option<Arc<dyn Resize>>) {
        self.state().resizer = resizer;
    }

    /// Asks the guest for another size; `false` if it has no device that could know.
    pub fn request_size(&self, width: u32, height: u32) -> bool {
        let resizer = self.state().resizer.clone();
        resizer.is_some_and(|device| {
            device.resize(width, height);
            true
        })
    }

    /// A key goes down or up. Every device learns of keys that go up: the one that listens now
    /// may be another than when it went down.
    pub fn key(&self, key: Key, down: bool) {
        let inputs = self.state().inputs.clone();
        if down {
            if let Some(device) = inputs.iter().find(|d| d.takes_keys()) {
                device.key(key, true);
            }
        } else {
            inputs.iter().for_each(|device| device.key(key, false));
        }
    }

    /// The pointer is somewhere; see [`Input::pointer`].
    pub fn pointer(&self, position: Position, buttons: Buttons, wheel: i8) {
        let inputs = self.state().inputs.clone();
        if let Some(device) = inputs.iter().find(|d| d.takes_pointer()) {
            device.pointer(position, buttons, wheel);
        }
    }
}

/// A key by its number in Linux's input event codes (`KEY_A` is 30).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub u16);

/// Buttons of the pointer that are down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Buttons {
    /// Left.
    pub left: bool,
    /// Middle.
    pub middle: bool,
    /// Right.
    pub right: bool,
}

/// A pointer's place on the screen: 0 is left or top, [`Position::MAX`] right or bottom.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// From the left.
    pub x: u16,
    /// From the top.
    pub y: u16,
}

impl Position {
    /// The far end of both axes.
    pub const MAX: u16 = 32767;
}

/// A device that takes what people type and point at. Called from the thread that serves viewers; must not
/// wait.
pub trait Input: Send + Sync {
    /// A key goes down or up.
    fn key(&self, key: Key, down: bool);
    /// The pointer is somewhere, with these buttons down. `wheel` counts notches, away from the user is
    /// positive.
    fn pointer(&self, position: Position, buttons: Buttons, wheel: i8);
    /// Whether the guest listens to this device's keys now.
    fn takes_keys(&self) -> bool {
        true
    }
    /// Whether the guest listens to this device's pointer now.
    fn takes_pointer(&self) -> bool {
        true
    }
}
