//! Raw images and block devices, one operation at a time: what [`super::uring`] falls back to
//! where the kernel has no io_uring, and does what that leaves to it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use basalt_model::disk::CacheMode;

use super::vectors::{Aligned, Vectors};
use super::{Disk, Done, Operation, SECTOR};

/// Largest request that is copied because its memory is not aligned for direct access, in bytes;
/// drivers keep far below it.
const MAX_BOUNCE: usize = 16 << 20;
/// Piece in which zeroes are written where a file system cannot clear ranges.
const ZEROES: usize = 64 * 1024;

/// An open raw image and how to treat it.
#[derive(Debug, Clone)]
pub struct RawImage {
    /// The image.
    pub file: Arc<File>,
    /// How the host keeps its data.
    pub cache: CacheMode,
    /// What memory must be aligned to, a power of two; 1 when access is not direct.
    pub alignment: usize,
}

impl RawImage {
    /// Bytes of the image, in whole sectors.
    pub fn size(&self) -> io::Result<u64> {
        // Seeking tells the size of files and block devices alike.
        let size = (&*self.file).seek(SeekFrom::End(0))?;
        Ok(size / SECTOR * SECTOR)
    }

    /// The same memory if the kernel can use it directly; otherwise memory of our own.
    pub fn aligned(&self, vectors: &Vectors, copy: bool) -> io::Result<Option<Arc<Aligned>>> {
        if vectors.is_aligned(self.alignment) {
            return Ok(None);
        }
        if vectors.len() > MAX_BOUNCE {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut buffer = Aligned::new(vectors.len())?;
        if copy {
            vectors.copy_to(buffer.bytes_mut());
        }
        Ok(Some(Arc::new(buffer)))
    }

    /// Carries an operation out.
    pub fn execute(&self, operation: &Operation) -> io::Result<()> {
        match operation {
            Operation::Read { offset, into } => self.read(into, *offset),
            Operation::Write { offset, from } => self.write(from, *offset),
            Operation::Flush if self.cache.honours_flush() => self.file.sync_data(),
            Operation::Flush => Ok(()),
            Operation::Discard { offset, len } => {
                // Discarding is advice.
                let _ = fallocate(&self.file, PUNCH, *offset, *len);
                Ok(())
            }
            Operation::Zero { offset, len, unmap } => self.zero(*offset, *len, *unmap),
        }
    }

    fn read(&self, into: &Vectors, offset: u64) -> io::Result<()> {
        match self.aligned(into, false)? {
            None => into.read_from(self.file.as_fd(), offset),
            Some(buffer) => {
                let own = Vectors::own(buffer.clone(), into.len());
                own.read_from(self.file.as_fd(), offset)?;
                into.copy_from(&buffer.bytes()[..into.len()]);
                Ok(())
            }
        }
    }

    fn write(&self, from: &Vectors, offset: u64) -> io::Result<()> {
        match self.aligned(from, true)? {
            None => from.write_to(self.file.as_fd(), offset)?,
            Some(buffer) => {
                Vectors::own(buffer, from.len()).write_to(self.file.as_fd(), offset)?;
            }
        }
        self.settle()
    }

    /// Makes a write durable where every one must be.
    pub fn settle(&self) -> io::Result<()> {
        match self.cache.is_synchronous() {
            true => self.file.sync_data(),
            false => Ok(()),
        }
    }

    /// Clears a range, by writing zeroes if there is no other way.
    pub fn zero(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()> {
        let mode = if unmap { PUNCH } else { ZERO };
        match fallocate(&self.file, mode, offset, len) {
            Ok(()) => {}
            Err(error) if super::is_full(&error) => return Err(error),
            Err(_) => self.write_zeroes(offset, len)?,
        }
        self.settle()
    }

    fn write_zeroes(&self, mut offset: u64, mut len: u64) -> io::Result<()> {
        let zeroes = Aligned::new(ZEROES)?;
        while len > 0 {
            let part = len.min(ZEROES as u64);
            self.file
                .write_all_at(&zeroes.bytes()[..part as usize], offset)?;
            offset += part;
            len -= part;
        }
        Ok(())
    }
}

/// Gives room back; the range reads as zeroes.
pub const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
/// Clears a range and keeps its room.
pub const ZERO: i32 = libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE;

/// Changes the room a file takes.
pub fn fallocate(file: &File, mode: i32, offset: u64, len: u64) -> io::Result<()> {
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

/// A raw image that works at once.
pub struct RawDisk {
    image: RawImage,
    size: u64,
    done: Vec<Done>,
}

impl RawDisk {
    /// A disk on `image`; a last sector that is not whole is not shown.
    pub fn new(image: RawImage) -> io::Result<Self> {
        Ok(Self {
            size: image.size()?,
            image,
            done: Vec::new(),
        })
    }
}

impl Disk for RawDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn submit(&mut self, tag: u64, operation: Operation) {
        let result = self.image.execute(&operation);
        self.done.push(Done {
            tag,
            operation,
            result,
        });
    }

    fn collect(&mut self, done: &mut Vec<Done>) {
        done.append(&mut self.done);
    }

    fn pending(&self) -> usize {
        self.done.len()
    }

    fn wait(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn read_now(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.image.file.read_exact_at(into, offset)
    }

    fn grow(&mut self, size: u64) -> io::Result<()> {
        self.size = grown(&self.image, size)?;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// `size` if the image is that large by now.
pub fn grown(image: &RawImage, size: u64) -> io::Result<u64> {
    let found = image.size()?;
    match found >= size {
        true => Ok(size),
        false => Err(io::Error::other(format!(
            "the image has {found} bytes, not {size}: grow it first"
        ))),
    }
}
