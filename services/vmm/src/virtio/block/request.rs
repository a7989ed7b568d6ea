//! What a driver asks for (virtio 1.2, section 5.2.6): checked, and turned into operations.

use std::io;
use std::sync::Arc;

use super::ID_LEN;
use crate::disk::limits::Direction;
use crate::disk::{Operation, SECTOR};
use crate::machine::memory::Memory;
use crate::virtio::chain::{Chain, Spans};
use crate::virtio::worker::BrokenQueue;

const HEADER: usize = 16;
const RANGE: usize = 16;
/// Most ranges in one discard or write-zeroes request.
pub const MAX_RANGES: u32 = 32;
/// Most sectors in one such range: 1 GiB.
pub const MAX_RANGE_SECTORS: u32 = 1 << 21;
/// Flag of a range: its room may be given back.
pub const UNMAP: u32 = 1;

const READ: u32 = 0;
const WRITE: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;
const DISCARD: u32 = 11;
const WRITE_ZEROES: u32 = 13;

/// What a request failed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The driver asks for what cannot be.
    Io,
    /// The host failed.
    Host(io::ErrorKind),
    /// The device does not know such requests.
    Unsupported,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Host(error.kind())
    }
}

/// Operations that carry a request out.
#[derive(Debug)]
pub struct Work {
    /// The operations, in any order.
    pub operations: Vec<Operation>,
    /// Which way data goes, if any does.
    pub direction: Option<Direction>,
    /// How many bytes go that way.
    pub bytes: u64,
    /// Bytes written to the chain if all goes well.
    pub written: usize,
}

/// A request, understood.
pub enum Parsed {
    /// It is answered at once; the span is that of the status byte.
    Answer(Spans, Result<usize, Failure>),
    /// The disk has to do something for it.
    Work(Spans, Work),
}

/// What must be known of a disk to understand requests.
pub struct Reader<'a> {
    /// Size in bytes.
    pub size: u64,
    /// Refuse writes.
    pub readonly: bool,
    /// Whether blocks may be given back.
    pub discard: bool,
    /// Serial number.
    pub id: &'a [u8; ID_LEN],
}

impl Reader<'_> {
    /// Understands a request. One without room for its header or status breaks the queue.
    pub fn parse(&self, memory: &Arc<Memory>, mut chain: Chain) -> Result<Parsed, BrokenQueue> {
        let status = chain.writable.take_back(1).ok_or(BrokenQueue)?;
        let header = chain.readable.take_front(HEADER).ok_or(BrokenQueue)?;
        Ok(match self.understand(memory, &header, &chain) {
            Ok(Understood::Written(written)) => Parsed::Answer(status, Ok(written)),
            Ok(Understood::Work(work)) => Parsed::Work(status, work),
            Err(failure) => Parsed::Answer(status, Err(failure)),
        })
    }

    fn understand(
        &self,
        memory: &Arc<Memory>,
        header: &Spans,
        chain: &Chain,
    ) -> Result<Understood, Failure> {
        let mut raw = [0; HEADER];
        if header.read(memory, &mut raw) != HEADER {
            return Err(Failure::Io);
        }
        let kind = u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
        let sector = u64::from_le_bytes([
            raw[8], raw[9], raw[10], raw[11], raw[12], raw[13], raw[14], raw[15],
        ]);
        let work = match kind {
            READ => self.read(memory, sector, &chain.writable)?,
            WRITE => self.write(memory, sector, &chain.readable)?,
            FLUSH => plain(vec![Operation::Flush]),
            GET_ID => return Ok(Understood::Written(chain.writable.write(memory, self.id))),
            DISCARD => plain(self.ranges(memory, &chain.readable, Clear::Discard)?),
            WRITE_ZEROES => plain(self.ranges(memory, &chain.readable, Clear::Zero)?),
            _ => return Err(Failure::Unsupported),
        };
        Ok(Understood::Work(work))
    }

    /// Byte offset of `len` bytes from `sector` on, if they lie on the disk.
    fn locate(&self, sector: u64, len: u64) -> Result<u64, Failure> {
        let end = sector.checked_add(len / SECTOR).ok_or(Failure::Io)?;
        if !len.is_multiple_of(SECTOR) || end > self.size / SECTOR {
            return Err(Failure::Io);
        }
        Ok(sector * SECTOR)
    }

    fn read(&self, memory: &Arc<Memory>, sector: u64, data: &Spans) -> Result<Work, Failure> {
        let len = data.len();
        let offset = self.locate(sector, len as u64)?;
        let into = data.vectors(memory)?;
        Ok(Work {
            operations: vec![Operation::Read { offset, into }],
            direction: Some(Direction::Read),
            bytes: len as u64,
            written: len,
        })
    }

    fn write(&self, memory: &Arc<Memory>, sector: u64, data: &Spans) -> Result<Work, Failure> {
        let len = data.len() as u64;
        let offset = self.locate(sector, len)?;
        if self.readonly {
            return Err(Failure::Io);
        }
        let from = data.vectors(memory)?;
        Ok(Work {
            operations: vec![Operation::Write { offset, from }],
            direction: Some(Direction::Write),
            bytes: len,
            written: 0,
        })
    }

    fn ranges(
        &self,
        memory: &Memory,
        list: &Spans,
        kind: Clear,
    ) -> Result<Vec<Operation>, Failure> {
        let len = list.len();
        let count = len / RANGE;
        if self.readonly || count == 0 || !len.is_multiple_of(RANGE) || count > MAX_RANGES as usize
        {
            return Err(Failure::Io);
        }
        if kind == Clear::Discard && !self.discard {
            return Err(Failure::Unsupported);
        }
        let mut raw = vec![0; len];
        list.read(memory, &mut raw);
        raw.chunks_exact(RANGE)
            .map(|range| self.range(range, kind))
            .collect()
    }

    fn range(&self, range: &[u8], kind: Clear) -> Result<Operation, Failure> {
        let field = |at: usize| {
            u32::from_le_bytes([range[at], range[at + 1], range[at + 2], range[at + 3]])
        };
        let sector = u64::from(field(0)) | u64::from(field(4)) << 32;
        let (sectors, flags) = (field(8), field(12));
        let allowed = if kind == Clear::Zero { UNMAP } else { 0 };
        if flags & !allowed != 0 {
            return Err(Failure::Unsupported);
        }
        if sectors == 0 || sectors > MAX_RANGE_SECTORS {
            return Err(Failure::Io);
        }
        let len = u64::from(sectors) * SECTOR;
        let offset = self.locate(sector, len)?;
        Ok(match kind {
            Clear::Discard => Operation::Discard { offset, len },
            Clear::Zero => Operation::Zero {
                offset,
                len,
                unmap: flags & UNMAP != 0 && self.discard,
            },
        })
    }
}

enum Understood {
    Written(usize),
    Work(Work),
}

fn plain(operations: Vec<Operation>) -> Work {
    Work {
        operations,
        direction: None,
        bytes: 0,
        written: 0,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clear {
    Discard,
    Zero,
}
