//! What the guest shows, and what people type and point at.
//!
//! A display device (ramfb, virtio-gpu) tells the [`Screen`] where in guest memory its picture lies;
//! whoever shows the picture reads it from there. Keys and pointer go the other way, to whichever
//! [`Input`] devices the machine has.

use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Signal;

/// Largest width and height of a picture, in pixels.
pub const MAX_SIDE: u32 = 8192;

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

/// The machine's screen; it outlives the machine, as a monitor does.
pub struct Screen {
    surface: Mutex<Option<Surface>>,
    changed: Signal,
}

impl Screen {
    /// A dark screen.
    pub fn new() -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            surface: Mutex::new(None),
            changed: Signal::new()?,
        }))
    }

    /// Shows another picture, or none. The device has checked the sides, not that the address lies in
    /// memory: readers must.
    pub fn show(&self, surface: Option<Surface>) {
        *self.surface.lock().unwrap_or_else(PoisonError::into_inner) = surface;
        self.changed.raise();
    }

    /// What is shown.
    pub fn surface(&self) -> Option<Surface> {
        *self.surface.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Readable after [`Self::show`].
    pub fn changed(&self) -> &Signal {
        &self.changed
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
}
