//! The driver's pictures and the guest memory they are copied from.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vm_memory::{Bytes, GuestAddress};

use super::protocol::{ENTRY, Failure};
use crate::display::canvas::Canvas;
use crate::display::{Area, MAX_SIDE};
use crate::machine::memory::Memory;

/// Most bytes all pictures may take of the host's memory: three of 3840×2160, and a margin.
pub const MAX_BYTES: usize = 128 << 20;
/// Most pictures.
const MAX_RESOURCES: usize = 256;
/// Most pieces of memory of all pictures.
const MAX_PIECES: usize = 128 << 10;
const PIXEL: usize = 4;

/// Order of colours in a pixel's bytes: where blue, green, red and opacity are.
type Order = [usize; 4];

fn order(format: u32) -> Option<Order> {
    Some(match format {
        1 | 2 => [0, 1, 2, 3],
        3 | 4 => [3, 2, 1, 0],
        67 | 134 => [2, 1, 0, 3],
        68 | 121 => [1, 2, 3, 0],
        _ => return None,
    })
}

/// A piece of a picture's memory.
#[derive(Clone, Copy)]
struct Piece {
    /// Its first byte, counted from the start of the picture's memory.
    at: u64,
    address: u64,
    len: u64,
}

/// What is kept of a picture; its pixels are in the guest's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    id: u32,
    format: u32,
    width: u32,
    height: u32,
    pieces: Vec<(u64, u32)>,
}

/// A picture.
pub struct Resource {
    canvas: Arc<Canvas>,
    format: u32,
    order: Order,
    pieces: Vec<Piece>,
}

impl Resource {
    /// What is drawn.
    pub fn canvas(&self) -> &Arc<Canvas> {
        &self.canvas
    }

    /// Copies an area from guest memory, its first pixel at `offset`.
    fn transfer(&self, memory: &Memory, area: Area, offset: u64) -> Result<(), Failure> {
        if !area.fits(self.canvas.width(), self.canvas.height()) {
            return Err(Failure::Parameter);
        }
        let (stride, len) = (self.canvas.stride(), area.width as usize * PIXEL);
        let mut pixels = self.canvas.pixels();
        for row in 0..u64::from(area.height) {
            let from = offset.checked_add(row * stride as u64);
            let to = (u64::from(area.y) + row) as usize * stride + area.x as usize * PIXEL;
            let (Some(from), Some(target)) = (from, pixels.get_mut(to..to + len)) else {
                return Err(Failure::Parameter);
            };
            self.read(memory, from, target)?;
            if self.order != [0, 1, 2, 3] {
                for pixel in target.as_chunks_mut::<PIXEL>().0 {
                    *pixel = self.order.map(|i| pixel[i]);
                }
            }
        }
        Ok(())
    }

    /// Reads bytes of the picture's memory.
    fn read(&self, memory: &Memory, mut from: u64, mut into: &mut [u8]) -> Result<(), Failure> {
        let first = self
            .pieces
            .partition_point(|piece| piece.at + piece.len <= from);
        for piece in &self.pieces[first..] {
            if into.is_empty() {
                break;
            }
            let skip = from - piece.at;
            let len = (piece.len - skip).min(into.len() as u64);
            let (now, rest) = into.split_at_mut(len as usize);
            let start = piece.address.checked_add(skip).map(GuestAddress);
            let start = start.ok_or(Failure::Unspecified)?;
            memory
                .read_slice(now, start)
                .map_err(|_| Failure::Unspecified)?;
            (into, from) = (rest, from + len);
        }
        // Less memory than pixels.
        if into.is_empty() {
            Ok(())
        } else {
            Err(Failure::Parameter)
        }
    }
}

/// The pieces of a list of entries as the driver writes it: address, length, and four bytes
/// without a meaning.
pub fn pieces(entries: &[u8]) -> impl Iterator<Item = (u64, u32)> + '_ {
    entries.as_chunks::<ENTRY>().0.iter().map(|entry| {
        let raw = u128::from_le_bytes(*entry);
        (raw as u64, (raw >> 64) as u32)
    })
}

/// All pictures.
#[derive(Default)]
pub struct Resources {
    all: BTreeMap<u32, Resource>,
    bytes: usize,
    pieces: usize,
}

impl Resources {
    /// A picture by its number.
    pub fn get(&self, id: u32) -> Result<&Resource, Failure> {
        self.all.get(&id).ok_or(Failure::Resource)
    }

    /// A new black picture.
    pub fn create(&mut self, id: u32, format: u32, width: u32, height: u32) -> Result<(), Failure> {
        if id == 0 || self.all.contains_key(&id) {
            return Err(Failure::Resource);
        }
        let order = order(format).ok_or(Failure::Parameter)?;
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(Failure::Parameter);
        }
        // At most 256 MiB, so the product is no nonsense.
        let bytes = width as usize * height as usize * PIXEL;
        if self.all.len() == MAX_RESOURCES || self.bytes + bytes > MAX_BYTES {
            return Err(Failure::OutOfMemory);
        }
        self.bytes += bytes;
        let canvas = Arc::new(Canvas::new(width, height));
        let pieces = Vec::new();
        self.all.insert(
            id,
            Resource {
                canvas,
                format,
                order,
                pieces,
            },
        );
        Ok(())
    }

    /// Forgets a picture.
    pub fn remove(&mut self, id: u32) -> Result<(), Failure> {
        let gone = self.all.remove(&id).ok_or(Failure::Resource)?;
        self.bytes -= gone.canvas.stride() * gone.canvas.height() as usize;
        self.pieces -= gone.pieces.len();
        Ok(())
    }

    /// Whether so many more pieces of memory are too many.
    pub fn has_room_for(&self, pieces: usize) -> bool {
        self.pieces + pieces <= MAX_PIECES
    }

    /// Gives a picture its memory, pieces by address and length.
    pub fn attach(
        &mut self,
        id: u32,
        pieces: impl Iterator<Item = (u64, u32)>,
    ) -> Result<(), Failure> {
        let resource = self.all.get_mut(&id).ok_or(Failure::Resource)?;
        if !resource.pieces.is_empty() {
            return Err(Failure::Unspecified);
        }
        let mut at = 0u64;
        for (address, len) in pieces {
            let len = u64::from(len);
            if len > 0 {
                resource.pieces.push(Piece { at, address, len });
                // At most 128 Ki pieces of 4 GiB.
                at += len;
            }
        }
        self.pieces += resource.pieces.len();
        Ok(())
    }

    /// Takes a picture's memory away; what was copied stays.
    pub fn detach(&mut self, id: u32) -> Result<(), Failure> {
        let resource = self.all.get_mut(&id).ok_or(Failure::Resource)?;
        self.pieces -= resource.pieces.len();
        resource.pieces = Vec::new();
        Ok(())
    }

    /// What is kept of all pictures.
    pub fn keep(&self) -> Vec<Kept> {
        let keep = |(id, resource): (&u32, &Resource)| Kept {
            id: *id,
            format: resource.format,
            width: resource.canvas.width(),
            height: resource.canvas.height(),
            // Each was given with a length of 32 bits.
            pieces: resource
                .pieces
                .iter()
                .map(|p| (p.address, p.len as u32))
                .collect(),
        };
        self.all.iter().map(keep).collect()
    }

    /// Makes a kept picture again, as its memory shows it now.
    pub fn revive(&mut self, memory: &Memory, kept: Kept) -> Result<(), Failure> {
        let Kept {
            id,
            format,
            width,
            height,
            pieces,
        } = kept;
        if !self.has_room_for(pieces.len()) {
            return Err(Failure::OutOfMemory);
        }
        self.create(id, format, width, height)?;
        if pieces.is_empty() {
            return Ok(());
        }
        self.attach(id, pieces.into_iter())?;
        let all = Area {
            width,
            height,
            ..Area::default()
        };
        self.transfer(memory, id, all, 0)
    }

    /// Copies an area of a picture from guest memory.
    pub fn transfer(
        &self,
        memory: &Memory,
        id: u32,
        area: Area,
        offset: u64,
    ) -> Result<(), Failure> {
        self.get(id)?.transfer(memory, area, offset)
    }
}
