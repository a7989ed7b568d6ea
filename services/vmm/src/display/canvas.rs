//! Pictures that a display device draws in memory of the host.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A picture in host memory, rows without gaps, pixels as those of a
/// [`Surface`](super::Surface).
pub struct Canvas {
    width: u32,
    height: u32,
    pixels: Mutex<Vec<u8>>,
}

impl Canvas {
    /// A black picture. The caller bounds the size.
    pub fn new(width: u32, height: u32) -> Self {
        let pixels = vec![0; width as usize * height as usize * 4];
        Self {
            width,
            height,
            pixels: Mutex::new(pixels),
        }
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes from a row to the next.
    pub fn stride(&self) -> usize {
        self.width as usize * 4
    }

    /// The pixels, locked.
    pub fn pixels(&self) -> MutexGuard<'_, Vec<u8>> {
        self.pixels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pointer's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Pixels in a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// The pixel that points, from the left.
    pub hot_x: u16,
    /// The pixel that points, from the top.
    pub hot_y: u16,
    /// Pixels of four bytes: blue, green, red, opacity.
    pub pixels: Vec<u8>,
}

impl Cursor {
    /// What viewers show while the guest gives no shape: a dot, so that the hand is never lost.
    pub fn dot() -> Self {
        const SIDE: u16 = 5;
        const DARK: [u8; 4] = [0, 0, 0, 255];
        const LIGHT: [u8; 4] = [255; 4];
        const CLEAR: [u8; 4] = [0; 4];
        let pixel = |i: u16| match (i % SIDE, i / SIDE) {
            (0 | 4, 0 | 4) => CLEAR,
            (1..=3, 1..=3) => LIGHT,
            _ => DARK,
        };
        Self {
            width: SIDE,
            height: SIDE,
            hot_x: SIDE / 2,
            hot_y: SIDE / 2,
            pixels: (0..SIDE * SIDE).flat_map(pixel).collect(),
        }
    }
}
