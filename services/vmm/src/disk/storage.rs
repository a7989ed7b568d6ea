//! What the qcow2 engine stands on: an open file, with the cache mode of its disk. It has no name
//! and opens nothing, so a path inside an image leads nowhere.

use std::fmt;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use imago::Storage;
use imago::io_buffers::{IoVector, IoVectorMut};
use imago::storage::drivers::CommonStorageHelper;
use rustix::io::{Errno, preadv, pwritev};

use super::raw::{PUNCH, RawImage, ZERO, fallocate};
use super::vectors::MAX_VECTORS;

/// An open file of an image chain.
#[derive(Debug)]
pub struct Opened {
    image: RawImage,
    /// Size of the file in bytes; only this process changes it.
    size: AtomicU64,
    helper: CommonStorageHelper,
}

impl Opened {
    /// The file behind `image`.
    pub fn new(image: RawImage) -> io::Result<Self> {
        let size = (&*image.file).seek(SeekFrom::End(0))?;
        Ok(Self {
            image,
            size: AtomicU64::new(size),
            helper: CommonStorageHelper::default(),
        })
    }

    fn grown_to(&self, end: u64) {
        self.size.fetch_max(end, Ordering::Relaxed);
    }

    /// Clears a range, growing the file if it ends earlier.
    fn clear(&self, offset: u64, length: u64, mode: i32) -> io::Result<()> {
        match fallocate(
            &self.image.file,
            mode & !libc::FALLOC_FL_KEEP_SIZE,
            offset,
            length,
        ) {
            Ok(()) => {}
            Err(error) if super::is_full(&error) => return Err(error),
            Err(_) => self.image.zero(offset, length, false)?,
        }
        self.grown_to(offset.saturating_add(length));
        Ok(())
    }
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("image")
    }
}

fn place(offset: u64, moved: usize) -> io::Result<u64> {
    let end = offset.checked_add(moved as u64);
    end.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

impl Storage for Opened {
    fn mem_align(&self) -> usize {
        self.image.alignment
    }

    fn req_align(&self) -> usize {
        self.image.alignment
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size.load(Ordering::Relaxed))
    }

    unsafe fn pure_readv(&self, mut bufv: IoVectorMut<'_>, mut offset: u64) -> io::Result<()> {
        while !bufv.is_empty() {
            let count = bufv.buffer_count().min(MAX_VECTORS);
            let mut pieces = bufv.into_inner();
            let moved = loop {
                match preadv(self.image.file.as_fd(), &mut pieces[..count], offset) {
                    Err(Errno::INTR) => {}
                    result => break result?,
                }
            };
            bufv = IoVectorMut::from(pieces);
            if moved == 0 {
                // The end of the file.
                bufv.fill(0);
                break;
            }
            bufv = bufv.split_tail_at(moved as u64);
            offset = place(offset, moved)?;
        }
        Ok(())
    }

    unsafe fn pure_writev(&self, mut bufv: IoVector<'_>, mut offset: u64) -> io::Result<()> {
        while !bufv.is_empty() {
            let count = bufv.buffer_count().min(MAX_VECTORS);
            let pieces = bufv.into_inner();
            let moved = loop {
                match pwritev(self.image.file.as_fd(), &pieces[..count], offset) {
                    Err(Errno::INTR) => {}
                    result => break result?,
                }
            };
            if moved == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bufv = IoVector::from(pieces).split_tail_at(moved as u64);
            offset = place(offset, moved)?;
            self.grown_to(offset);
        }
        Ok(())
    }

    unsafe fn pure_write_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        self.clear(offset, length, ZERO)
    }

    unsafe fn pure_write_allocated_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        self.clear(offset, length, ZERO)
    }

    unsafe fn pure_discard(&self, offset: u64, length: u64) -> io::Result<()> {
        // Discarding is advice.
        let _ = fallocate(&self.image.file, PUNCH, offset, length);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        match self.image.cache.honours_flush() {
            true => self.image.file.sync_data(),
            false => Ok(()),
        }
    }

    unsafe fn invalidate_cache(&self) -> io::Result<()> {
        Ok(())
    }

    fn get_storage_helper(&self) -> &CommonStorageHelper {
        &self.helper
    }
}
