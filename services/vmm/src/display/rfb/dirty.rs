//! Which parts of the picture a client must still be sent.

use std::collections::VecDeque;

use super::Rect;
use crate::display::capture::{TILE, Tile};

/// Widest rectangle, in tiles: 256 KiB of pixels at most.
const WIDEST: u32 = 16;

/// Tiles the client has not seen as they are.
pub struct Dirty {
    columns: u32,
    tiles: Vec<bool>,
}

impl Dirty {
    /// All tiles of a picture of this size.
    pub fn all(width: u32, height: u32) -> Self {
        let (columns, rows) = (width.div_ceil(TILE), height.div_ceil(TILE));
        Self {
            columns,
            tiles: vec![true; (columns * rows) as usize],
        }
    }

    /// Marks a tile; one outside the picture is left out.
    pub fn mark(&mut self, (x, y): Tile) {
        let at = (y * self.columns + x) as usize;
        if let Some(tile) = self.tiles.get_mut(at).filter(|_| x < self.columns) {
            *tile = true;
        }
    }

    /// The tiles an area touches, as columns and rows.
    fn touched(&self, area: Rect) -> (std::ops::Range<u32>, std::ops::Range<u32>) {
        let rows = (self.tiles.len() as u32).checked_div(self.columns);
        let range = |from: u16, len: u16, end: u32| {
            let (from, to) = (u32::from(from), u32::from(from) + u32::from(len));
            (from / TILE).min(end)..to.div_ceil(TILE).min(end)
        };
        let columns = range(area.x, area.width, self.columns);
        (columns, range(area.y, area.height, rows.unwrap_or(0)))
    }

    /// Marks the tiles of an area.
    pub fn mark_area(&mut self, area: Rect) {
        let (columns, rows) = self.touched(area);
        for y in rows {
            columns.clone().for_each(|x| self.mark((x, y)));
        }
    }

    /// Whether a tile of the area is marked.
    pub fn touches(&self, area: Rect) -> bool {
        let (columns, rows) = self.touched(area);
        let mut tiles = rows.flat_map(|y| columns.clone().map(move |x| (x, y)));
        tiles.any(|(x, y)| self.tiles.get((y * self.columns + x) as usize) == Some(&true))
    }

    /// Takes the tiles of an area away, as rectangles of neighbours.
    pub fn take(&mut self, area: Rect, width: u32, height: u32) -> VecDeque<Rect> {
        let mut rects = VecDeque::new();
        let (columns, rows) = self.touched(area);
        for y in rows {
            let mut x = columns.start;
            while x < columns.end {
                let start = x;
                while x < columns.end && x - start < WIDEST {
                    let at = (y * self.columns + x) as usize;
                    if !std::mem::take(&mut self.tiles[at]) {
                        break;
                    }
                    x += 1;
                }
                if x == start {
                    x += 1;
                    continue;
                }
                // All of it is less than `MAX_SIDE`.
                let (left, top) = (start * TILE, y * TILE);
                rects.push_back(Rect {
                    x: left as u16,
                    y: top as u16,
                    width: ((x * TILE).min(width) - left) as u16,
                    height: ((top + TILE).min(height) - top) as u16,
                });
            }
        }
        rects
    }
}
