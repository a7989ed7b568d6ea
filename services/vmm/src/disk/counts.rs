//! What must hold of a qcow2 image before anything is written to it: that the reference counts
//! know of the image's own tables (the qcow2 specification, "Host cluster management").
//!
//! A count that misses would let the image's header or a table be taken for free room, and be
//! overwritten with data. Whoever looks for free room in an image without any counts never finds
//! an end, either. What a guest's data lies in is not looked at: at worst the guest reads other
//! data of its own.

use std::io;
use std::os::unix::fs::FileExt;

use super::raw::RawImage;
use super::vectors::{ALIGNMENT, Aligned};

/// Bytes of a header that matter here.
const HEADER: usize = 104;
const MAGIC: u32 = 0x5146_49fb;
/// Largest table of reference counts, and largest first table, in bytes.
const MAX_TABLE: u64 = 32 << 20;
/// Where an entry of a table points to.
const PLACE: u64 = 0x00ff_ffff_ffff_fe00;
/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

fn damaged(what: &str) -> io::Error {
    let text = format!("the image is damaged, {what}: repair it with qemu-img check -r all");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// An image's file, read in pieces whose place and memory suit direct access.
struct Reader<'a> {
    image: &'a RawImage,
    piece: Aligned,
    /// Where the piece at hand begins.
    at: Option<u64>,
}

impl<'a> Reader<'a> {
    fn new(image: &'a RawImage) -> io::Result<Self> {
        Ok(Self {
            image,
            piece: Aligned::new(PIECE)?,
            at: None,
        })
    }

    /// The byte at a place; zero beyond the end of the file.
    fn byte(&mut self, place: u64) -> io::Result<u8> {
        const { assert!(PIECE.is_multiple_of(ALIGNMENT)) };
        let start = place / PIECE as u64 * PIECE as u64;
        if self.at != Some(start) {
            self.at = None;
            self.fill(start)?;
            self.at = Some(start);
        }
        Ok(self.piece.bytes()[(place - start) as usize])
    }

    fn fill(&mut self, start: u64) -> io::Result<()> {
        let bytes = &mut self.piece.bytes_mut()[..PIECE];
        bytes.fill(0);
        let mut done = 0;
        while done < bytes.len() {
            match self
                .image
                .file
                .read_at(&mut bytes[done..], start + done as u64)
            {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Past the last whole sector of a file that is read directly.
                Err(error) if done > 0 && error.kind() == io::ErrorKind::InvalidInput => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn long(&mut self, place: u64) -> io::Result<u64> {
        let mut value = 0;
        for at in 0..8 {
            let place = place
                .checked_add(at)
                .ok_or_else(|| damaged("a table lies nowhere"))?;
            value = value << 8 | u64::from(self.byte(place)?);
        }
        Ok(value)
    }
}

/// What the header says of the tables.
struct Tables {
    cluster_bits: u32,
    /// Bits of a reference count, as a power of two.
    order: u32,
    counts: (u64, u64),
    first: (u64, u64),
}

impl Tables {
    fn read(reader: &mut Reader<'_>) -> io::Result<Self> {
        let mut header = [0; HEADER];
        for (at, byte) in header.iter_mut().enumerate() {
            *byte = reader.byte(at as u64)?;
        }
        let word = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        let (cluster_bits, order) = (word(20), if word(4) >= 3 { word(96) } else { 4 });
        if word(0) != MAGIC || !(9..=21).contains(&cluster_bits) || order > 6 {
            return Err(damaged("its header makes no sense"));
        }
        let tables = Self {
            cluster_bits,
            order,
            counts: (long(48), u64::from(word(56)) << cluster_bits),
            first: (long(40), u64::from(word(36)) * 8),
        };
        let cluster = 1 << cluster_bits;
        for (place, len) in [tables.counts, tables.first] {
            if len > MAX_TABLE || !place.is_multiple_of(cluster) || place > PLACE {
                return Err(damaged("a table is too large or lies askew"));
            }
        }
        Ok(tables)
    }

    /// Whether the cluster at a place is counted.
    fn is_counted(&self, reader: &mut Reader<'_>, place: u64) -> io::Result<bool> {
        let cluster = place >> self.cluster_bits;
        let counts = (8u64 << self.cluster_bits) >> self.order;
        let (block, index) = (cluster / counts, cluster % counts);
        if block * 8 >= self.counts.1 {
            return Ok(false);
        }
        let block = reader.long(self.counts.0 + block * 8)? & PLACE;
        if block == 0 {
            return Ok(false);
        }
        let bit = index << self.order;
        if self.order < 3 {
            let mask = (1u8 << (1 << self.order)) - 1;
            return Ok(reader.byte(block + bit / 8)? >> (bit % 8) & mask != 0);
        }
        for at in 0..1 << (self.order - 3) {
            if reader.byte(block + bit / 8 + at)? != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Checks the clusters from a place on.
    fn check(&self, reader: &mut Reader<'_>, place: u64, len: u64, what: &str) -> io::Result<()> {
        for at in (0..len).step_by(1 << self.cluster_bits) {
            if !self.is_counted(reader, place + at)? {
                return Err(damaged(&format!("{what} is not counted as used")));
            }
        }
        Ok(())
    }

    /// Checks the clusters that the entries of a table point to.
    fn check_entries(
        &self,
        reader: &mut Reader<'_>,
        (table, len): (u64, u64),
        what: &str,
    ) -> io::Result<()> {
        for at in (0..len).step_by(8) {
            match reader.long(table + at)? & PLACE {
                0 => {}
                place => self.check(reader, place, 1, what)?,
            }
        }
        Ok(())
    }
}

/// Whether the tables of an image are known to its reference counts; an error that says what is
/// not.
pub fn check(image: &RawImage) -> io::Result<()> {
    let mut reader = Reader::new(image)?;
    let tables = Tables::read(&mut reader)?;
    tables.check(&mut reader, 0, 1, "its header")?;
    let (place, len) = tables.counts;
    tables.check(&mut reader, place, len, "its table of reference counts")?;
    tables.check_entries(&mut reader, tables.counts, "a block of reference counts")?;
    let (place, len) = tables.first;
    tables.check(&mut reader, place, len, "its first table")?;
    tables.check_entries(&mut reader, tables.first, "a second table")
}
