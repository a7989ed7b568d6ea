//! A disk's images as they came: prepared while the process may still do so, opened as often as
//! the machine is built.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use basalt_model::disk::{CacheMode, ImageFormat};

use super::Disk;
use super::qcow2::Qcow2Disk;
use super::raw::{RawDisk, RawImage};
use super::ring::{self, Home, Ring, Rings};
use super::uring::UringDisk;
use super::vectors::{ALIGNMENT, Aligned};

/// Alignment of memory and places that direct access asks for on disks with sectors of 512 bytes.
const DIRECT_ALIGNMENT: usize = 512;

/// A disk's images.
pub struct Image {
    format: ImageFormat,
    image: RawImage,
    backing: Vec<(ImageFormat, RawImage)>,
    readonly: bool,
    home: Home,
}

impl Image {
    /// Takes the images of a disk, `backing` nearest first: leaves the page cache out where the
    /// mode asks for it and the file can, and takes one of `rings`.
    pub fn prepare(
        name: &str,
        format: ImageFormat,
        file: File,
        backing: Vec<(ImageFormat, File)>,
        cache: CacheMode,
        readonly: bool,
        rings: &mut Rings,
    ) -> Self {
        let image = raw_image(name, file, cache);
        let below = |(format, file)| (format, raw_image(name, file, cache));
        let ring = match format {
            ImageFormat::Raw => rings.take(image.file.as_fd()),
            ImageFormat::Qcow2 => None,
        };
        Self {
            format,
            image,
            backing: backing.into_iter().map(below).collect(),
            readonly,
            home: Arc::new(Mutex::new(ring)),
        }
    }

    /// Opens the disk; the one opened before must be gone.
    pub fn open(&self) -> io::Result<Box<dyn Disk>> {
        Ok(match self.format {
            ImageFormat::Raw => match UringDisk::new(self.image.clone(), &self.home)? {
                Some(disk) => Box::new(disk),
                None => Box::new(RawDisk::new(self.image.clone())?),
            },
            ImageFormat::Qcow2 => {
                Box::new(Qcow2Disk::new(&self.image, &self.backing, self.readonly)?)
            }
        })
    }

    /// The file that holds what the guest writes.
    pub fn written(&self) -> Arc<File> {
        self.image.file.clone()
    }

    /// The ring, once the disk that was opened last is gone.
    pub fn take_ring(&self) -> Option<Ring> {
        ring::take(&self.home)
    }

    /// Descriptors that must stay open.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let mut all = vec![self.image.file.as_raw_fd()];
        all.extend(self.backing.iter().map(|(_, image)| image.file.as_raw_fd()));
        let ring = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(ring.iter().flat_map(Ring::descriptors));
        all
    }
}

fn raw_image(name: &str, file: File, cache: CacheMode) -> RawImage {
    let direct = cache.is_direct() && go_direct(&file);
    if cache.is_direct() && !direct {
        tracing::warn!(
            disk = name,
            "its file cannot be accessed past the page cache"
        );
    }
    RawImage {
        file: Arc::new(file),
        cache,
        alignment: if direct { DIRECT_ALIGNMENT } else { 1 },
    }
}

/// Leaves the page cache out if sectors can be reached that way.
fn go_direct(file: &File) -> bool {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let Ok(flags) = fcntl_getfl(file) else {
        return false;
    };
    if fcntl_setfl(file, flags | OFlags::DIRECT).is_err() {
        return false;
    }
    let fits = Aligned::new(2 * ALIGNMENT).and_then(|mut buffer| {
        let sector = &mut buffer.bytes_mut()[DIRECT_ALIGNMENT..2 * DIRECT_ALIGNMENT];
        file.read_at(sector, 0)
    });
    if fits.is_err() {
        // Disks whose sectors are larger, for one.
        let _ = fcntl_setfl(file, flags);
    }
    fits.is_ok()
}
