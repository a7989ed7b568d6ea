//! Filling a new volume from another one: shared blocks where the file system can, else only the
//! data, so that holes stay holes.

use crate::error::{Context, Result, StorageError};
use crate::{Image, qcow2};
use basalt_model::disk::ImageFormat;
use basalt_model::storage::VolumeId;
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// How often progress is told and a request to stop is heard, in bytes.
const STEP: u64 = 16 << 20;
/// Disks are whole sectors.
const SECTOR: u64 = 512;
/// Largest disk in bytes.
const LARGEST: u64 = 128 << 40;

/// What the copy tells whoever waits for it; `false` stops it.
pub type Progress<'a> = &'a mut (dyn FnMut(u64, u64) -> bool + Send);

/// Keeps a copy from being faster than it may be.
#[derive(Debug)]
pub struct Pace {
    limit: Option<u64>,
    began: Instant,
    place: u64,
    copied: u64,
}

impl Pace {
    /// At most `limit` bytes a second; none is no limit.
    pub fn new(limit: Option<u64>) -> Self {
        Self {
            limit: limit.filter(|limit| *limit > 0),
            began: Instant::now(),
            place: 0,
            copied: 0,
        }
    }

    /// Waits until it is time for what comes after `place`. Holes take no time: of what lies between
    /// two places at most one step was copied.
    pub fn keep(&mut self, place: u64) {
        self.copied += place.saturating_sub(self.place).min(STEP);
        self.place = place;
        let Some(limit) = self.limit else {
            return;
        };
        let due = Duration::from_secs_f64(self.copied as f64 / limit as f64);
        if let Some(early) = due.checked_sub(self.began.elapsed()) {
            std::thread::sleep(early);
        }
    }
}

/// What an image is, and how large its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// What its bytes mean.
    pub format: ImageFormat,
    /// Size of its disk in bytes.
    pub size: u64,
}

/// Finds out what an image from outside is; refuses images of other formats, and those that
/// name other files. A guest's own disk must not be asked: a guest may write any header into it.
pub fn probe(source: &File, volume: &VolumeId) -> Result<Source> {
    if let Some(header) = qcow2::standalone(source, volume)? {
        if header.size > LARGEST {
            return Err(StorageError::Unfit {
                volume: volume.clone(),
                reason: "its disk is larger than 128 TiB".to_owned(),
            });
        }
        return Ok(Source {
            format: ImageFormat::Qcow2,
            size: header.size.next_multiple_of(SECTOR),
        });
    }
    raw(source, volume)
}

/// A raw image; refuses what is clearly none.
pub fn raw(source: &File, volume: &VolumeId) -> Result<Source> {
    let size = length(source).context(format!("looking at {volume}"))?;
    let mut magic = [0; 4];
    let known = source.read_exact_at(&mut magic, 0).is_ok();
    let format = match &magic {
        b"QFI\xfb" if known => Some("qcow2"),
        b"KDMV" if known => Some("vmdk"),
        b"vhdx" if known => Some("vhdx"),
        _ => None,
    };
    let reason = match format {
        Some(format) => format!("it is a {format} image: convert it to raw first"),
        None if size == 0 => "it is empty".to_owned(),
        None => {
            return Ok(Source {
                format: ImageFormat::Raw,
                size: size.next_multiple_of(SECTOR),
            });
        }
    };
    Err(StorageError::Unfit {
        volume: volume.clone(),
        reason,
    })
}

/// Copies a disk of one format to a new one of another; see [`fill`].
pub fn convert(
    source: &Image,
    (target, to): (&File, ImageFormat),
    progress: Progress<'_>,
) -> Result<()> {
    match (source.top.format, to) {
        (ImageFormat::Raw, ImageFormat::Raw) => fill(&source.top.file, target, progress),
        _ => qcow2::convert(source, (target, to), progress),
    }
}

/// Copies all of `source` to the start of `target`, which must be at least as large and read as
/// zeros; waits for the disk.
pub fn fill(source: &File, target: &File, progress: Progress<'_>) -> Result<()> {
    let size = length(source).context("reading the size of an image")?;
    let target_size = length(target).context("reading the size of a disk")?;
    if rustix::fs::ioctl_ficlone(target, source).is_ok() {
        // Sharing took the source's size along.
        target.set_len(target_size).context("sizing a disk")?;
    } else {
        copy_data(source, target, size, progress)?;
    }
    target.sync_all().context("writing a disk")?;
    progress(size, size);
    Ok(())
}

/// The size of a file or of a block device, which only the end of it tells.
fn length(file: &File) -> rustix::io::Result<u64> {
    let place = rustix::fs::tell(file)?;
    let end = rustix::fs::seek(file, SeekFrom::End(0))?;
    rustix::fs::seek(file, SeekFrom::Start(place))?;
    Ok(end)
}

fn copy_data(source: &File, target: &File, size: u64, progress: Progress<'_>) -> Result<()> {
    let mut place = 0;
    while place < size {
        let start = match rustix::fs::seek(source, SeekFrom::Data(place)) {
            Ok(start) => start,
            // Nothing but a hole is left.
            Err(Errno::NXIO) => break,
            // A file system that knows no holes.
            Err(Errno::INVAL) => place,
            Err(error) => return Err(error).context("reading an image"),
        };
        let end = rustix::fs::seek(source, SeekFrom::Hole(start))
            .unwrap_or(size)
            .min(size);
        place = start;
        while place < end {
            if !progress(place, size) {
                return Err(StorageError::Cancelled);
            }
            place += copy_some(source, target, place, (end - place).min(STEP))?;
        }
    }
    Ok(())
}

/// Copies up to `length` bytes at `place` and says how many.
fn copy_some(source: &File, target: &File, place: u64, length: u64) -> Result<u64> {
    let (mut from, mut to) = (place, place);
    let count = usize::try_from(length).unwrap_or(usize::MAX);
    match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), count) {
        Ok(0) => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
        Ok(count) => return Ok(count as u64),
        Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let mut buffer = vec![0; count.min(1 << 20)];
            source
                .read_at(&mut buffer, place)
                .and_then(|count| match count {
                    0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
                    _ => target
                        .write_all_at(&buffer[..count], place)
                        .map(|()| count as u64),
                })
        }
        Err(error) => Err(error.into()),
    }
    .context("copying an image")
}
