//! The viewers' copy of the picture, and what has changed in it.
//!
//! Nothing tells when a guest draws in its memory, so the picture is compared with the copy, in
//! tiles. A picture that a device draws is only looked at when the device says so.

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use super::{MAX_PIXELS, MAX_SIDE, Picture, Screen};

/// Width and height of a tile, in pixels.
pub const TILE: u32 = 64;
const PIXEL: usize = 4;
/// Size of a dark screen that never showed anything.
const DARK: (u32, u32) = (640, 480);

/// A tile's column and row.
pub type Tile = (u32, u32);

/// The copy.
pub struct Frame {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Frame {
    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// `len` pixels of row `y` from column `x`, as numbers `0x..RRGGBB`; black beyond the edges.
    pub fn row(&self, x: u32, y: u32, len: u32) -> impl Iterator<Item = u32> + '_ {
        let inside = if y < self.height && x < self.width {
            let from = (y as usize * self.width as usize + x as usize) * PIXEL;
            let count = len.min(self.width - x) as usize;
            self.pixels.get(from..from + count * PIXEL)
        } else {
            None
        };
        let pixels = inside.unwrap_or_default().chunks_exact(PIXEL);
        let numbers = pixels.map(|p| u32::from_le_bytes([p[0], p[1], p[2], 0]));
        numbers.chain(std::iter::repeat(0)).take(len as usize)
    }

    fn resize(&mut self, width: u32, height: u32) {
        (self.width, self.height) = (width, height);
        self.pixels.clear();
        self.pixels
            .resize(width as usize * height as usize * PIXEL, 0);
    }
}

/// The copy and what it takes to bring it up to date.
pub struct Capture {
    frame: Frame,
    seen: Option<u64>,
    row: Vec<u8>,
}

/// What [`Capture::refresh`] found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The picture has another size; all of it is new.
    pub resized: bool,
    /// Tiles that differ from what they were.
    pub tiles: Vec<Tile>,
}

impl Changes {
    /// Whether all is as it was.
    pub fn is_empty(&self) -> bool {
        !self.resized && self.tiles.is_empty()
    }
}

impl Default for Capture {
    fn default() -> Self {
        let frame = Frame {
            width: 0,
            height: 0,
            pixels: Vec::new(),
        };
        Self {
            frame,
            seen: None,
            row: Vec::new(),
        }
    }
}

impl Capture {
    /// The copy as [`Self::refresh`] left it.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Frees the copy: nobody looks.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether the screen says that it changed since.
    pub fn is_behind(&self, screen: &Screen) -> bool {
        self.seen != Some(screen.version())
    }

    /// Brings the copy up to date.
    pub fn refresh(&mut self, screen: &Screen) -> Changes {
        let version = screen.version();
        let picture = screen.picture().and_then(Source::new);
        if self.seen == Some(version) && !picture.as_ref().is_some_and(Source::is_live) {
            return Changes::default();
        }
        self.seen = Some(version);
        let (width, height) = match &picture {
            Some(source) => (source.width, source.height),
            None if self.frame.width > 0 => (self.frame.width, self.frame.height),
            None => DARK,
        };
        let mut changes = Changes::default();
        if (width, height) != (self.frame.width, self.frame.height) {
            self.frame.resize(width, height);
            changes.resized = true;
        }
        self.row.resize(width as usize * PIXEL, 0);
        for top in (0..height).step_by(TILE as usize) {
            self.refresh_band(picture.as_ref(), top, &mut changes.tiles);
        }
        changes
    }

    /// Compares and copies a row of tiles.
    fn refresh_band(&mut self, source: Option<&Source>, top: u32, tiles: &mut Vec<Tile>) {
        let columns = self.frame.width.div_ceil(TILE) as usize;
        let mut changed = vec![false; columns];
        let bottom = (top + TILE).min(self.frame.height);
        for y in top..bottom {
            // What cannot be read is dark: the guest may move its picture out of its memory.
            if !source.is_some_and(|s| s.read(y, &mut self.row)) {
                self.row.fill(0);
            }
            let from = y as usize * self.row.len();
            let Some(old) = self.frame.pixels.get_mut(from..from + self.row.len()) else {
                return;
            };
            let tile = TILE as usize * PIXEL;
            for (i, (old, new)) in old.chunks_mut(tile).zip(self.row.chunks(tile)).enumerate() {
                if old != new {
                    old.copy_from_slice(new);
                    changed[i] = true;
                }
            }
        }
        let columns = (0..).zip(changed);
        tiles.extend(columns.filter(|(_, c)| *c).map(|(x, _)| (x, top / TILE)));
    }
}

/// A picture of a size that is served.
struct Source {
    picture: Picture,
    width: u32,
    height: u32,
}

impl Source {
    fn new(picture: Picture) -> Option<Self> {
        let (width, height) = match &picture {
            Picture::Guest(_, surface) => (surface.width, surface.height),
            Picture::Drawn(_, area) => (area.width, area.height),
        };
        let sides = 1..=MAX_SIDE;
        let served = sides.contains(&width) && sides.contains(&height);
        (served && width * height <= MAX_PIXELS).then_some(Self {
            picture,
            width,
            height,
        })
    }

    /// Whether it changes without a word.
    fn is_live(&self) -> bool {
        matches!(self.picture, Picture::Guest(..))
    }

    /// Reads a whole row; `false` if it does not exist.
    fn read(&self, y: u32, row: &mut [u8]) -> bool {
        match &self.picture {
            Picture::Guest(memory, surface) => {
                let offset = u64::from(y) * u64::from(surface.stride);
                let start = surface.address.checked_add(offset).map(GuestAddress);
                let start = start.filter(|start| memory.check_range(*start, row.len()));
                start.is_some_and(|start| memory.read_slice(row, start).is_ok())
            }
            Picture::Drawn(canvas, area) => {
                let from = (area.y + y) as usize * canvas.stride() + area.x as usize * PIXEL;
                match canvas.pixels().get(from..from + row.len()) {
                    Some(pixels) => {
                        row.copy_from_slice(pixels);
                        true
                    }
                    None => false,
                }
            }
        }
    }
}

/// Whether a screen must be looked at to know whether it changed.
pub fn is_live(screen: &Screen) -> bool {
    matches!(screen.picture(), Some(Picture::Guest(..)))
}
