//! qcow2 images: made, measured, grown, and copied to and from; [`chain`] lays one on another.
//!
//! An image's header may name files, an image below it or one for its data. Nothing here follows
//! such a name, and an image from outside that has one is refused: whoever wrote the image chose
//! the name, and the file behind it belongs to somebody else.

pub mod chain;

use crate::copy::Progress;
use crate::error::{Context, Result, StorageError};
use crate::{Image, Layer};
use basalt_model::disk::ImageFormat;
use basalt_model::storage::VolumeId;
use imago::file::File as Opened;
use imago::format::PreallocateMode;
use imago::qcow2::Qcow2;
use imago::raw::Raw;
use imago::{
    DenyImplicitOpenGate, FormatAccess, FormatCreateBuilder, FormatDriverBuilder, Mapping,
};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// First bytes of every image.
const MAGIC: &[u8; 4] = b"QFI\xfb";
/// Bytes of a header that matter here.
const HEADER: usize = 104;
/// Incompatible feature: the data lies in another file.
const EXTERNAL_DATA: u64 = 1 << 2;
/// Data copied at once, in bytes.
const STEP: u64 = 1 << 20;
/// Unwritten parts that are skipped at once, in bytes.
const STRIDE: u64 = 1 << 30;

/// What an image's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Size of the disk in bytes.
    pub size: u64,
    /// Whether it names an image below it.
    pub has_backing: bool,
    /// Whether it names a file for its data.
    pub has_data_file: bool,
    /// Whether its data is encrypted.
    pub is_encrypted: bool,
}

/// The header of an image; none if the file is no qcow2 image.
pub fn header(file: &File) -> io::Result<Option<Header>> {
    let mut bytes = [0; HEADER];
    let len = file.read_at(&mut bytes, 0)?;
    if len < 72 || !bytes.starts_with(MAGIC) {
        return Ok(None);
    }
    let word =
        |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
    let features = if word(4) >= 3 { long(72) } else { 0 };
    Ok(Some(Header {
        size: long(24),
        has_backing: long(8) != 0 || word(16) != 0,
        has_data_file: features & EXTERNAL_DATA != 0,
        is_encrypted: word(32) != 0,
    }))
}

/// The header of an image that stands alone; what is wrong otherwise.
pub fn standalone(file: &File, volume: &VolumeId) -> Result<Option<Header>> {
    let Some(header) = header(file).context(format!("reading {volume}"))? else {
        return Ok(None);
    };
    let reason = if header.has_backing {
        "it names an image below it: flatten it with qemu-img convert first"
    } else if header.has_data_file {
        "it names another file for its data: convert it with qemu-img convert first"
    } else if header.is_encrypted {
        "it is encrypted: convert it with qemu-img convert first"
    } else {
        return Ok(Some(header));
    };
    Err(StorageError::Unfit {
        volume: volume.clone(),
        reason: reason.to_owned(),
    })
}

fn opened(file: &File) -> io::Result<Opened> {
    Opened::try_from(file.try_clone()?)
}

/// Writes an empty disk of `size` bytes into an empty file.
pub fn create(file: &File, size: u64) -> io::Result<()> {
    Qcow2::<Opened>::create_builder(opened(file)?)
        .size(size)
        .create()?;
    file.sync_all()
}

/// A disk that is read or written, on top of `below`, nearest first.
fn access(
    top: &File,
    format: ImageFormat,
    below: &[Layer],
    write: bool,
) -> io::Result<FormatAccess<Opened>> {
    let mut lower = None;
    for layer in below.iter().rev() {
        lower = Some(single(&layer.file, layer.format, lower, false)?);
    }
    single(top, format, lower, write)
}

fn single(
    file: &File,
    format: ImageFormat,
    below: Option<FormatAccess<Opened>>,
    write: bool,
) -> io::Result<FormatAccess<Opened>> {
    if format == ImageFormat::Raw {
        if below.is_some() {
            return Err(io::Error::other("a raw image cannot lie on top of another"));
        }
        let raw = Raw::builder(opened(file)?)
            .write(write)
            .open(DenyImplicitOpenGate::default())?;
        return Ok(FormatAccess::new(raw));
    }
    let names_one = header(file)?.is_some_and(|header| header.has_backing);
    if names_one != below.is_some() {
        return Err(io::Error::other(
            "the image below it is not the one that it names",
        ));
    }
    let image = Qcow2::<Opened>::builder(opened(file)?)
        .write(write)
        .backing(below)
        .data_file(None)
        .open(DenyImplicitOpenGate::default())?;
    if image.requires_external_data_file() {
        return Err(io::Error::other("its data lies in another file"));
    }
    Ok(FormatAccess::new(image))
}

/// Grows the disk in an image that nobody has open, and that lies on `below`.
pub fn grow(file: &File, below: &[Layer], size: u64) -> io::Result<()> {
    let image = access(file, ImageFormat::Qcow2, below, true)?;
    image.resize_grow(size, PreallocateMode::None)?;
    image.flush()?;
    image.sync()
}

/// Copies all of a disk to the start of another one, which must be at least as large and read as
/// zeros, when one of the two is a qcow2 image; waits for the disk.
pub fn convert(
    source: &Image,
    (target, format): (&File, ImageFormat),
    progress: Progress<'_>,
) -> Result<()> {
    let top = &source.top;
    let from = access(&top.file, top.format, &source.below, false).context("opening an image")?;
    let to = access(target, format, &[], true).context("opening a disk")?;
    let size = from.size();
    let mut buffer = vec![0; STEP as usize];
    let mut place = 0;
    while place < size {
        if !progress(place, size) {
            return Err(StorageError::Cancelled);
        }
        let (written, length) = {
            let stride = STRIDE.min(size - place);
            let (mapping, length) = from
                .get_mapping(place, stride)
                .context("reading an image")?;
            (
                !matches!(mapping, Mapping::Zero { .. } | Mapping::Eof { .. }),
                length,
            )
        };
        if !written && length > 0 {
            place += length;
            continue;
        }
        let length = length.clamp(1, STEP).min(size - place);
        let data = &mut buffer[..length as usize];
        from.read(&mut *data, place).context("reading an image")?;
        if data.iter().any(|byte| *byte != 0) {
            to.write(&*data, place).context("writing a disk")?;
        }
        place += length;
    }
    to.flush().context("writing a disk")?;
    to.sync().context("writing a disk")?;
    progress(size, size);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(size: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        create(&file, size).unwrap();
        file
    }

    fn id() -> VolumeId {
        "local:import/a.qcow2".parse().unwrap()
    }

    #[test]
    fn an_image_is_made_and_grown() {
        let file = image(5 << 20);
        let found = standalone(&file, &id()).unwrap().unwrap();
        assert_eq!(found.size, 5 << 20);
        grow(&file, &[], 9 << 30).unwrap();
        assert_eq!(header(&file).unwrap().unwrap().size, 9 << 30);
        assert!(file.metadata().unwrap().len() < 2 << 20);
    }

    #[test]
    fn a_disk_survives_both_conversions_and_holes_stay_holes() {
        let raw = tempfile::tempfile().unwrap();
        raw.set_len(64 << 20).unwrap();
        raw.write_all_at(&[7; 100_000], 3 << 20).unwrap();
        raw.write_all_at(&[9; 512], (64 << 20) - 512).unwrap();
        let packed = image(64 << 20);
        let convert = |(from, format): (&File, ImageFormat), to: (&File, ImageFormat), goes_on| {
            let source = Image::single(from.try_clone().unwrap(), format);
            super::convert(&source, to, &mut |_, _| goes_on)
        };
        use ImageFormat::{Qcow2, Raw};
        convert((&raw, Raw), (&packed, Qcow2), true).unwrap();
        assert!(packed.metadata().unwrap().len() < 4 << 20);
        let back = tempfile::tempfile().unwrap();
        back.set_len(64 << 20).unwrap();
        convert((&packed, Qcow2), (&back, Raw), true).unwrap();
        let (mut a, mut b) = (vec![0; 64 << 20], vec![0; 64 << 20]);
        raw.read_exact_at(&mut a, 0).unwrap();
        back.read_exact_at(&mut b, 0).unwrap();
        assert!(a == b);
        use std::os::unix::fs::MetadataExt;
        assert!(back.metadata().unwrap().blocks() * 512 < 4 << 20);
        let stopped = convert((&packed, Qcow2), (&back, Raw), false);
        assert!(matches!(stopped, Err(StorageError::Cancelled)));
    }

    #[test]
    fn images_that_name_other_files_are_refused() {
        let patch = |at: u64, bytes: &[u8]| {
            let file = image(1 << 20);
            file.write_all_at(bytes, at).unwrap();
            standalone(&file, &id()).unwrap_err().to_string()
        };
        assert!(patch(8, &200u64.to_be_bytes()).contains("below"));
        assert!(patch(16, &11u32.to_be_bytes()).contains("below"));
        assert!(patch(72, &EXTERNAL_DATA.to_be_bytes()).contains("another file"));
        assert!(patch(32, &2u32.to_be_bytes()).contains("encrypted"));
    }

    #[test]
    fn other_files_are_no_images() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(header(&file).unwrap(), None);
        file.write_all_at(&[0x55; 4096], 0).unwrap();
        assert_eq!(header(&file).unwrap(), None);
        file.write_all_at(MAGIC, 0).unwrap();
        // Noise after the magic: an answer or a refusal, never a crash.
        let _ = standalone(&file, &id());
        let noise = Image::single(file, ImageFormat::Qcow2);
        let target = image(1 << 20);
        assert!(convert(&noise, (&target, ImageFormat::Qcow2), &mut |_, _| true).is_err());
    }
}
