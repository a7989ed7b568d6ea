//! ZRLE (RFC 6143, section 7.7.6): tiles of 64×64 pixels as one colour, palettes, runs or plain
//! pixels, whichever is shortest, through one zlib stream for the whole connection.

use flate2::{Compress, Compression, FlushCompress, Status};

use super::pixels::Converter;
use crate::display::capture::Frame;
use crate::display::rfb::Rect;

const TILE: u16 = 64;
/// Most colours of a palette with packed indices.
const PACKED: usize = 16;
/// Most colours of a palette with runs.
const PALETTE: usize = 127;
const RUNS: u8 = 128;

/// The stream's state; a client has it for as long as it is connected.
pub struct Encoder {
    zlib: Compress,
    plain: Vec<u8>,
    tile: Vec<u32>,
}

impl Encoder {
    /// At the beginning of the stream.
    pub fn new() -> Self {
        Self {
            zlib: Compress::new(Compression::fast(), true),
            plain: Vec::new(),
            tile: Vec::new(),
        }
    }

    /// Appends the pixels of a rectangle, with their length in front.
    pub fn rect(&mut self, frame: &Frame, rect: Rect, converter: &Converter, out: &mut Vec<u8>) {
        self.plain.clear();
        for top in (0..rect.height).step_by(usize::from(TILE)) {
            for left in (0..rect.width).step_by(usize::from(TILE)) {
                let (width, height) = (TILE.min(rect.width - left), TILE.min(rect.height - top));
                self.tile.clear();
                for row in 0..u32::from(height) {
                    let (x, y) = (u32::from(rect.x + left), u32::from(rect.y + top) + row);
                    let pixels = frame.row(x, y, u32::from(width));
                    self.tile.extend(pixels.map(|p| converter.convert(p)));
                }
                encode_tile(&self.tile, usize::from(width), converter, &mut self.plain);
            }
        }
        let start = out.len();
        out.extend([0; 4]);
        deflate(&mut self.zlib, &self.plain, out);
        let len = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&len.to_be_bytes());
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends `plain` to the stream so that the client can read all of it.
fn deflate(zlib: &mut Compress, plain: &[u8], out: &mut Vec<u8>) {
    let begin = zlib.total_in();
    loop {
        out.reserve(plain.len() / 4 + 256);
        let done = (zlib.total_in() - begin) as usize;
        let status = zlib.compress_vec(&plain[done..], out, FlushCompress::Sync);
        let all = zlib.total_in() - begin == plain.len() as u64;
        // With room left, everything has been flushed. Errors are states the stream cannot have.
        if all && out.len() < out.capacity() || !matches!(status, Ok(Status::Ok)) {
            return;
        }
    }
}

/// The colours of a tile in order of appearance, unless there are too many.
struct Palette {
    colours: Vec<u32>,
}

impl Palette {
    fn of(tile: &[u32]) -> Option<Self> {
        let mut colours: Vec<u32> = Vec::new();
        let mut last = None;
        for pixel in tile {
            if last != Some(*pixel) && !colours.contains(pixel) {
                if colours.len() == PALETTE {
                    return None;
                }
                colours.push(*pixel);
            }
            last = Some(*pixel);
        }
        Some(Self { colours })
    }

    fn index(&self, colour: u32) -> u8 {
        let at = self.colours.iter().position(|c| *c == colour);
        // Every colour of the tile is in its palette.
        at.unwrap_or_default() as u8
    }

    /// Bits of a packed index.
    fn bits(&self) -> usize {
        match self.colours.len() {
            ..=2 => 1,
            3..=4 => 2,
            _ => 4,
        }
    }
}

fn runs(tile: &[u32]) -> impl Iterator<Item = (u32, usize)> + '_ {
    tile.chunk_by(|a, b| a == b).map(|run| (run[0], run.len()))
}

fn encode_tile(tile: &[u32], width: usize, converter: &Converter, out: &mut Vec<u8>) {
    let pixel = converter.compact_len();
    let palette = Palette::of(tile);
    let (mut plain_runs, mut palette_runs) = (0, 0);
    for (_, len) in runs(tile) {
        let tail = (len - 1) / 255 + 1;
        plain_runs += pixel + tail;
        palette_runs += if len == 1 { 1 } else { 1 + tail };
    }
    let raw = tile.len() * pixel;
    let Some(palette) = palette else {
        if plain_runs < raw {
            put_runs(tile, converter, out);
        } else {
            put_raw(tile, converter, out);
        }
        return;
    };
    let colours = palette.colours.len();
    if colours == 1 {
        out.push(1);
        converter.put_compact(palette.colours[0], out);
        return;
    }
    let packed = match colours {
        ..=PACKED => tile.len().div_ceil(width) * (width * palette.bits()).div_ceil(8),
        _ => usize::MAX / 2,
    };
    let table = colours * pixel;
    let best = raw
        .min(plain_runs)
        .min(table + packed)
        .min(table + palette_runs);
    if best == table + packed {
        put_packed(tile, width, &palette, converter, out);
    } else if best == table + palette_runs {
        put_palette_runs(tile, &palette, converter, out);
    } else if best == plain_runs {
        put_runs(tile, converter, out);
    } else {
        put_raw(tile, converter, out);
    }
}

fn put_raw(tile: &[u32], converter: &Converter, out: &mut Vec<u8>) {
    out.push(0);
    tile.iter().for_each(|p| converter.put_compact(*p, out));
}

fn put_packed(tile: &[u32], width: usize, palette: &Palette, to: &Converter, out: &mut Vec<u8>) {
    out.push(palette.colours.len() as u8);
    palette.colours.iter().for_each(|c| to.put_compact(*c, out));
    let bits = palette.bits();
    for row in tile.chunks(width) {
        for pixels in row.chunks(8 / bits) {
            let mut byte = 0;
            for (i, pixel) in pixels.iter().enumerate() {
                byte |= palette.index(*pixel) << (8 - bits * (i + 1));
            }
            out.push(byte);
        }
    }
}

/// The length of a run: bytes of 255 and a smaller one, whose sum is one less.
fn put_length(len: usize, out: &mut Vec<u8>) {
    let rest = len - 1;
    out.extend(std::iter::repeat_n(255, rest / 255));
    out.push((rest % 255) as u8);
}

fn put_runs(tile: &[u32], converter: &Converter, out: &mut Vec<u8>) {
    out.push(RUNS);
    for (colour, len) in runs(tile) {
        converter.put_compact(colour, out);
        put_length(len, out);
    }
}

fn put_palette_runs(tile: &[u32], palette: &Palette, converter: &Converter, out: &mut Vec<u8>) {
    out.push(RUNS + palette.colours.len() as u8);
    let colours = palette.colours.iter();
    colours.for_each(|c| converter.put_compact(*c, out));
    for (colour, len) in runs(tile) {
        let index = palette.index(colour);
        if len == 1 {
            out.push(index);
        } else {
            out.push(RUNS | index);
            put_length(len, out);
        }
    }
}
