//! A disk that keeps track: of what was written since the last backup, and, while one runs, of
//! what the disk was when it began.
//!
//! A backup begins at a point where nothing is under way. From then on the old content of a
//! granule is copied to the *fleece*, a sparse file, before the guest overwrites it; the backup
//! reads what was copied from there and the rest from the disk. So a slow target never holds the
//! guest up. If the fleece cannot take a granule the backup has failed, and the guest goes on.
//! When a backup fails, what it was to save is marked again.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use super::bitmap::{Bitmap, GRANULE};
use super::vectors::Aligned;
use super::{Disk, Done, Operation};

/// A backup under way.
struct Backup {
    /// What was written since the backup before.
    frozen: Bitmap,
    /// Granules whose old content is in the fleece.
    copied: Bitmap,
    fleece: File,
    /// Size of the disk when it began.
    size: u64,
    failure: Option<String>,
}

/// A disk that keeps track of what is written.
pub struct TrackedDisk {
    inner: Box<dyn Disk>,
    dirty: Bitmap,
    generation: u64,
    backup: Option<Backup>,
    buffer: Aligned,
    /// Ended while a backup waited for the disk to be at rest.
    done: Vec<Done>,
}

/// Why a backup does not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One is under way.
    #[error("a backup of this disk is under way")]
    Busy,
    /// None is under way.
    #[error("no backup of this disk is under way")]
    Idle,
    /// The old content of a part could not be kept.
    #[error("the disk's old content is lost: {0}")]
    Lost(String),
    /// The disk or the fleece cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl TrackedDisk {
    /// Keeps track of `inner`, going on from `dirty` of `generation`: without them, everything
    /// counts as written.
    pub fn new(inner: Box<dyn Disk>, known: Option<(u64, Bitmap)>) -> io::Result<Self> {
        let size = inner.size();
        let (generation, dirty) = known
            .filter(|(_, dirty)| dirty.granules() == Bitmap::new(size).granules())
            .unwrap_or_else(|| {
                let mut all = Bitmap::new(size);
                all.mark(0, size);
                (0, all)
            });
        Ok(Self {
            inner,
            dirty,
            generation,
            backup: None,
            buffer: Aligned::new(GRANULE as usize)?,
            done: Vec::new(),
        })
    }

    /// What was written since the last backup, which had this number.
    pub fn written(&self) -> (u64, &Bitmap) {
        (self.generation, &self.dirty)
    }

    /// Begins a backup that keeps old content in `fleece`, an empty file. Returns what was
    /// written since the backup before: that is what an incremental backup saves.
    pub fn begin(&mut self, fleece: File) -> Result<&Bitmap, Error> {
        if self.backup.is_some() {
            return Err(Error::Busy);
        }
        self.rest()?;
        self.generation += 1;
        let size = self.inner.size();
        let backup = self.backup.insert(Backup {
            frozen: self.dirty.take(),
            copied: Bitmap::new(size),
            fleece,
            size,
            failure: None,
        });
        Ok(&backup.frozen)
    }

    /// A granule as it was when the backup began; shorter at the end of the disk.
    pub fn read_old(&mut self, granule: u64) -> Result<&[u8], Error> {
        let backup = self.backup.as_ref().ok_or(Error::Idle)?;
        if let Some(failure) = &backup.failure {
            return Err(Error::Lost(failure.clone()));
        }
        let (offset, len) = place(granule, backup.size);
        let buffer = &mut self.buffer.bytes_mut()[..len];
        match backup.copied.is_marked(granule) {
            true => backup.fleece.read_exact_at(buffer, offset)?,
            // Not overwritten since then, or it would have been copied first.
            false => self.inner.read_now(offset, buffer)?,
        }
        Ok(&*buffer)
    }

    /// Ends a backup. If it is not `saved`, what it was to save is marked once more.
    pub fn end(&mut self, saved: bool) -> Result<(), Error> {
        let backup = self.backup.take().ok_or(Error::Idle)?;
        if saved && backup.failure.is_none() {
            return Ok(());
        }
        self.dirty.join(&backup.frozen);
        match backup.failure {
            Some(failure) if saved => Err(Error::Lost(failure)),
            _ => Ok(()),
        }
    }

    /// Waits until nothing is under way.
    fn rest(&mut self) -> io::Result<()> {
        loop {
            self.inner.collect(&mut self.done);
            if self.inner.pending() == 0 {
                return Ok(());
            }
            self.inner.wait()?;
        }
    }

    /// Copies what a change is about to overwrite.
    fn keep_old(&mut self, offset: u64, len: u64) {
        let Some(backup) = self.backup.as_mut().filter(|b| b.failure.is_none()) else {
            return;
        };
        for granule in backup.copied.touched(offset, len) {
            if backup.copied.is_marked(granule) {
                continue;
            }
            let (offset, len) = place(granule, backup.size);
            let buffer = &mut self.buffer.bytes_mut()[..len];
            let copied = self
                .inner
                .read_now(offset, buffer)
                .and_then(|()| backup.fleece.write_all_at(buffer, offset));
            if let Err(error) = copied {
                backup.failure = Some(error.to_string());
                return;
            }
            backup.copied.mark(offset, 1);
        }
    }
}

/// Where a granule lies, and how long it is.
fn place(granule: u64, size: u64) -> (u64, usize) {
    let offset = granule.saturating_mul(GRANULE);
    (offset, size.saturating_sub(offset).min(GRANULE) as usize)
}

impl Disk for TrackedDisk {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn submit(&mut self, tag: u64, operation: Operation) {
        if let Some((offset, len)) = operation.changes() {
            self.keep_old(offset, len);
            self.dirty.mark(offset, len);
        }
        self.inner.submit(tag, operation);
    }

    fn collect(&mut self, done: &mut Vec<Done>) {
        done.append(&mut self.done);
        self.inner.collect(done);
    }

    fn pending(&self) -> usize {
        self.done.len() + self.inner.pending()
    }

    fn wait(&mut self) -> io::Result<()> {
        match self.done.is_empty() {
            true => self.inner.wait(),
            false => Ok(()),
        }
    }

    fn read_now(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.inner.read_now(offset, into)
    }

    fn grow(&mut self, size: u64) -> io::Result<()> {
        self.inner.grow(size)?;
        self.dirty.grow(size);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.inner.finish()
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        self.inner.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::raw::{RawDisk, RawImage};
    use crate::disk::testing::write;
    use basalt_model::disk::CacheMode;
    use std::sync::Arc;

    const SIZE: u64 = 4 * GRANULE + 512;

    fn disk(known: Option<(u64, Bitmap)>) -> TrackedDisk {
        let file = tempfile::tempfile().unwrap();
        file.set_len(SIZE).unwrap();
        let image = RawImage {
            file: Arc::new(file),
            cache: CacheMode::Writeback,
            alignment: 1,
        };
        TrackedDisk::new(Box::new(RawDisk::new(image).unwrap()), known).unwrap()
    }

    fn marked(disk: &TrackedDisk) -> Vec<u64> {
        disk.written().1.marked().collect()
    }

    fn begin(disk: &mut TrackedDisk) -> Vec<u64> {
        let fleece = tempfile::tempfile().unwrap();
        disk.begin(fleece).unwrap().marked().collect()
    }

    #[test]
    fn the_first_backup_takes_all_and_the_next_what_was_written() {
        let mut disk = disk(None);
        assert_eq!(begin(&mut disk), [0, 1, 2, 3, 4]);
        write(&mut disk, GRANULE, &[1; 512]).unwrap();
        assert!(matches!(
            disk.begin(tempfile::tempfile().unwrap()),
            Err(Error::Busy)
        ));
        disk.end(true).unwrap();
        assert_eq!(begin(&mut disk), [1]);
        disk.end(true).unwrap();
        assert!(marked(&disk).is_empty());
        assert!(matches!(disk.end(true), Err(Error::Idle)));
    }

    #[test]
    fn a_backup_sees_the_disk_as_it_was() {
        let mut disk = disk(Some((7, Bitmap::new(SIZE))));
        for granule in 0..4 {
            write(&mut disk, granule * GRANULE, &[granule as u8 + 1; 1024]).unwrap();
        }
        write(&mut disk, 4 * GRANULE, &[5; 512]).unwrap();
        begin(&mut disk);
        assert_eq!(disk.written().0, 8);
        // Twice, and over a boundary: what counts is the first time.
        write(&mut disk, 2 * GRANULE - 512, &[0xaa; 1024]).unwrap();
        write(&mut disk, 2 * GRANULE - 512, &[0xbb; 1024]).unwrap();
        write(&mut disk, 4 * GRANULE, &[0xcc; 512]).unwrap();
        for granule in 0..5 {
            let old = disk.read_old(granule).unwrap();
            assert_eq!(old[0], granule as u8 + 1);
            assert_eq!(old.len() as u64, (SIZE - granule * GRANULE).min(GRANULE));
        }
        assert_eq!(disk.read_old(1).unwrap()[GRANULE as usize - 1], 0);
        disk.end(true).unwrap();
        assert_eq!(marked(&disk), [1, 2, 4]);
    }

    #[test]
    fn a_failed_backup_gives_its_marks_back() {
        let mut disk = disk(Some((1, Bitmap::new(SIZE))));
        write(&mut disk, 0, &[1; 512]).unwrap();
        begin(&mut disk);
        write(&mut disk, 3 * GRANULE, &[1; 512]).unwrap();
        disk.end(false).unwrap();
        assert_eq!(marked(&disk), [0, 3]);
    }

    #[test]
    fn a_fleece_that_is_full_fails_the_backup_and_not_the_guest() {
        let mut disk = disk(Some((1, Bitmap::new(SIZE))));
        write(&mut disk, 0, &[1; 512]).unwrap();
        // Not open for writing.
        disk.begin(File::open("/dev/null").unwrap()).unwrap();
        write(&mut disk, 0, &[2; 512]).unwrap();
        assert!(matches!(disk.read_old(0), Err(Error::Lost(_))));
        assert!(matches!(disk.end(true), Err(Error::Lost(_))));
        assert_eq!(marked(&disk), [0]);
    }
}
