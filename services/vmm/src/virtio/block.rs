//! The block device: requests of the driver become reads and writes of a raw image.
//!
//! Data moves straight between guest memory and the image with vectored calls. Completions are
//! announced once per round over the queue, so a full queue costs one interrupt.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::chain::{Chain, Spans};
use super::worker::{Backend, BrokenQueue, Live, Stopped};
use super::{Description, Kind};
use crate::machine::memory::Memory;

/// Unit of all addresses.
pub const SECTOR: u64 = 512;
const QUEUE: usize = 0;
const QUEUE_SIZE: u16 = 256;

const F_SEG_MAX: u64 = 1 << 2;
const F_RO: u64 = 1 << 5;
const F_BLK_SIZE: u64 = 1 << 6;
const F_FLUSH: u64 = 1 << 9;
const F_DISCARD: u64 = 1 << 13;
const F_WRITE_ZEROES: u64 = 1 << 14;

const HEADER: usize = 16;
const ID_LEN: usize = 20;
const RANGE: usize = 16;
/// Most ranges in one discard or write-zeroes request.
const MAX_RANGES: u32 = 32;
/// Most sectors in one such range: 1 GiB.
const MAX_RANGE_SECTORS: u32 = 1 << 21;
const UNMAP: u32 = 1;

const STATUS_OK: u8 = 0;
const STATUS_IO_ERROR: u8 = 1;
const STATUS_UNSUPPORTED: u8 = 2;

/// Bytes moved since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Read by the guest.
    pub read: AtomicU64,
    /// Written by the guest.
    pub written: AtomicU64,
}

/// What a request failed with.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Io,
    Host(io::ErrorKind),
    Unsupported,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Host(error.kind())
    }
}

/// The device.
pub struct Block {
    image: Arc<File>,
    sectors: u64,
    readonly: bool,
    id: [u8; ID_LEN],
    counters: Arc<Counters>,
    name: String,
    complained: Cell<bool>,
}

impl Block {
    /// A disk called `name` in messages, on `image`; a last sector that is not whole is not shown.
    pub fn new(
        name: &str,
        image: Arc<File>,
        readonly: bool,
        serial: &str,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        // Seeking tells the size of files and block devices alike.
        let sectors = (&*image).seek(SeekFrom::End(0))? / SECTOR;
        let mut id = [0; ID_LEN];
        id.iter_mut()
            .zip(serial.bytes())
            .for_each(|(to, from)| *to = from);
        Ok(Self {
            image,
            sectors,
            readonly,
            id,
            counters,
            name: name.to_owned(),
            complained: Cell::new(false),
        })
    }

    /// What the transport needs to know.
    pub fn description(&self) -> Description {
        let mut features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH;
        features |= if self.readonly {
            F_RO
        } else {
            F_DISCARD | F_WRITE_ZEROES
        };
        let mut config = vec![0; 60];
        let mut put = |at: usize, bytes: &[u8]| config[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.sectors.to_le_bytes());
        put(12, &u32::from(QUEUE_SIZE - 2).to_le_bytes());
        put(20, &(SECTOR as u32).to_le_bytes());
        put(36, &MAX_RANGE_SECTORS.to_le_bytes());
        put(40, &MAX_RANGES.to_le_bytes());
        put(44, &8u32.to_le_bytes());
        put(48, &MAX_RANGE_SECTORS.to_le_bytes());
        put(52, &MAX_RANGES.to_le_bytes());
        put(56, &[1]);
        Description {
            kind: Kind::Block,
            features,
            queues: vec![QUEUE_SIZE],
            config,
        }
    }

    /// Carries a request out. Returns the number of bytes written to the chain, status included.
    fn serve(&self, memory: &Memory, mut chain: Chain) -> Result<usize, BrokenQueue> {
        let status = chain.writable.take_back(1).ok_or(BrokenQueue)?;
        let header = chain.readable.take_front(HEADER).ok_or(BrokenQueue)?;
        let (code, written) = match self.execute(memory, &header, &chain) {
            Ok(written) => (STATUS_OK, written),
            Err(Failure::Io) => (STATUS_IO_ERROR, 0),
            Err(Failure::Host(kind)) => {
                self.complain(kind);
                (STATUS_IO_ERROR, 0)
            }
            Err(Failure::Unsupported) => (STATUS_UNSUPPORTED, 0),
        };
        status.write(memory, &[code]);
        Ok(written + 1)
    }

    /// Says once that the host failed, since a guest repeats what fails.
    fn complain(&self, kind: io::ErrorKind) {
        if !self.complained.replace(true) {
            tracing::error!(disk = %self.name, %kind, "a request failed on the host");
        }
    }

    fn execute(&self, memory: &Memory, header: &Spans, chain: &Chain) -> Result<usize, Failure> {
        let mut raw = [0; HEADER];
        if header.read(memory, &mut raw) != HEADER {
            return Err(Failure::Io);
        }
        let kind = u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
        let sector = u64::from_le_bytes([
            raw[8], raw[9], raw[10], raw[11], raw[12], raw[13], raw[14], raw[15],
        ]);
        match kind {
            0 => self.read(memory, sector, &chain.writable),
            1 => self.write(memory, sector, &chain.readable),
            4 => self.image.sync_data().map(|()| 0).map_err(Failure::from),
            8 => Ok(chain.writable.write(memory, &self.id)),
            11 => self.clear_ranges(memory, &chain.readable, Clear::Discard),
            13 => self.clear_ranges(memory, &chain.readable, Clear::Zero),
            _ => Err(Failure::Unsupported),
        }
    }

    /// Byte offset of `len` bytes from `sector` on, if they lie on the disk.
    fn locate(&self, sector: u64, len: u64) -> Result<u64, Failure> {
        let end = sector.checked_add(len / SECTOR).ok_or(Failure::Io)?;
        if !len.is_multiple_of(SECTOR) || end > self.sectors {
            return Err(Failure::Io);
        }
        Ok(sector * SECTOR)
    }

    fn read(&self, memory: &Memory, sector: u64, data: &Spans) -> Result<usize, Failure> {
        let len = data.len();
        let offset = self.locate(sector, len as u64)?;
        if data.fill_from(memory, self.image.as_fd(), offset)? != len {
            return Err(Failure::Io);
        }
        self.counters.read.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }

    fn write(&self, memory: &Memory, sector: u64, data: &Spans) -> Result<usize, Failure> {
        let len = data.len();
        let offset = self.locate(sector, len as u64)?;
        if self.readonly || data.drain_to(memory, self.image.as_fd(), offset)? != len {
            return Err(Failure::Io);
        }
        self.counters
            .written
            .fetch_add(len as u64, Ordering::Relaxed);
        Ok(0)
    }

    fn clear_ranges(&self, memory: &Memory, list: &Spans, kind: Clear) -> Result<usize, Failure> {
        let len = list.len();
        if self.readonly
            || len == 0
            || !len.is_multiple_of(RANGE)
            || len / RANGE > MAX_RANGES as usize
        {
            return Err(Failure::Io);
        }
        let mut raw = vec![0; len];
        list.read(memory, &mut raw);
        for range in raw.chunks_exact(RANGE) {
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
            self.clear(offset, len, kind, flags & UNMAP != 0)?;
        }
        Ok(0)
    }

    fn clear(&self, offset: u64, len: u64, kind: Clear, unmap: bool) -> Result<(), Failure> {
        let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let zero = libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE;
        let mode = if kind == Clear::Discard || unmap {
            punch
        } else {
            zero
        };
        if fallocate(&self.image, mode, offset, len).is_ok() {
            return Ok(());
        }
        match kind {
            // Discarding is advice.
            Clear::Discard => Ok(()),
            Clear::Zero => Ok(write_zeroes(&self.image, offset, len)?),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clear {
    Discard,
    Zero,
}

fn fallocate(file: &File, mode: i32, offset: u64, len: u64) -> io::Result<()> {
    let (offset, len) = (
        i64::try_from(offset).map_err(io::Error::other)?,
        i64::try_from(len).map_err(io::Error::other)?,
    );
    // SAFETY: no memory is involved.
    match unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// For images whose file system cannot clear ranges.
fn write_zeroes(file: &File, mut offset: u64, mut len: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let zeroes = vec![0; 64 * 1024];
    while len > 0 {
        let part = len.min(zeroes.len() as u64);
        file.write_all_at(&zeroes[..part as usize], offset)?;
        offset += part;
        len -= part;
    }
    Ok(())
}

impl Backend for Block {
    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        Ok(())
    }

    fn kicked(&mut self, live: &mut Live, _queue: usize) -> Result<(), BrokenQueue> {
        live.drain(QUEUE, |live| {
            while let Some(chain) = live.pop(QUEUE)? {
                let head = chain.head;
                let written = self.serve(&live.memory, chain)?;
                live.push(QUEUE, head, written)?;
            }
            Ok(Stopped::Empty)
        })
    }
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
