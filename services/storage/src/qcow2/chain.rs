//! qcow2 images on top of one another: an image holds what differs from the one below it, and names
//! that in its header.

use super::{MAGIC, access, header, opened};
use crate::Layer;
use basalt_model::disk::ImageFormat;
use imago::file::File as Opened;
use imago::qcow2::Qcow2;
use imago::{FormatAccess, FormatCreateBuilder, ShallowMapping};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Longest name of an image below another, in bytes (QEMU's `docs/interop/qcow2.rst`).
const LONGEST_NAME: u32 = 1023;
/// A disk writes so much at once, whole or not at all.
const SECTOR: usize = 512;
/// The header extension with the format of the image below.
const FORMAT: u32 = 0xe279_2aca;
/// Data copied at once, in bytes.
const STEP: u64 = 1 << 20;
/// Looked at at once, in bytes.
const STRIDE: u64 = 1 << 30;

/// The word for a format in a header.
fn word(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Raw => "raw",
        ImageFormat::Qcow2 => "qcow2",
    }
}

/// The name of the image below this one, as its header has it; whoever wrote the image chose it.
pub fn below(file: &File) -> io::Result<Option<String>> {
    let mut bytes = [0; 20];
    let len = file.read_at(&mut bytes, 0)?;
    if len < bytes.len() || !bytes.starts_with(MAGIC) {
        return Ok(None);
    }
    let (offset, length) = (long(&bytes, 8), short(&bytes, 16));
    if offset == 0 {
        return Ok(None);
    }
    if length > LONGEST_NAME {
        return Err(io::Error::other(
            "the name of the image below it is too long",
        ));
    }
    let mut name = vec![0; length as usize];
    file.read_exact_at(&mut name, offset)?;
    String::from_utf8(name)
        .map(Some)
        .map_err(|_| io::Error::other("the name of the image below it is no text"))
}

fn short(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(short(bytes, at)) << 32 | u64::from(short(bytes, at + 4))
}

/// Writes a disk of `size` bytes into an empty file that differs in nothing from the image `name`
/// below it.
pub fn create_on(file: &File, size: u64, name: &str, format: ImageFormat) -> io::Result<()> {
    Qcow2::<Opened>::create_builder(opened(file)?)
        .size(size)
        .backing(name.to_owned(), word(format).to_owned())
        .create()?;
    file.sync_all()
}

/// Takes into `top` what it lacks and only the nearest image below it has, so that it no longer
/// needs that one. What the disk is does not change at any moment, so this may be interrupted and
/// repeated.
pub fn absorb(top: &File, below: &[Layer]) -> io::Result<()> {
    let Some((nearest, rest)) = below.split_first() else {
        return Ok(());
    };
    let disk = access(top, ImageFormat::Qcow2, below, true)?;
    // With what is below it: its own part is what it does not pass on.
    let lower = access(&nearest.file, nearest.format, rest, false)?;
    let end = lower.size().min(disk.size());
    let mut buffer = vec![0; STEP as usize];
    let mut place = 0;
    while place < end {
        let (part, length) = part(&disk, place, STRIDE.min(end - place))?;
        let stop = place + length;
        match part {
            Part::Below => {
                let zeros_matter = !rest.is_empty();
                fetch(&disk, &lower, place..stop, zeros_matter, &mut buffer)?;
            }
            Part::Data | Part::Zeros | Part::Nothing => {}
        }
        place = stop;
    }
    disk.flush()?;
    disk.sync()
}

/// Copies into `disk` what `lower` itself has of a range that `disk` has not. Zeros only matter where
/// something else lies below them.
fn fetch(
    disk: &FormatAccess<Opened>,
    lower: &FormatAccess<Opened>,
    range: std::ops::Range<u64>,
    zeros_matter: bool,
    buffer: &mut [u8],
) -> io::Result<()> {
    let mut place = range.start;
    while place < range.end {
        let (part, length) = part(lower, place, range.end - place)?;
        match part {
            // What lies further down is reached without it, too; and without anything below,
            // what was never written is zeros either way.
            Part::Below | Part::Nothing => place += length,
            Part::Zeros => {
                if zeros_matter {
                    disk.write_zeroes(place, length)?;
                }
                place += length;
            }
            Part::Data => {
                let length = length.min(STEP);
                let data = &mut buffer[..length as usize];
                lower.read(&mut *data, place)?;
                if zeros_matter || data.iter().any(|byte| *byte != 0) {
                    disk.write(&*data, place)?;
                }
                place += length;
            }
        }
    }
    Ok(())
}

/// What an image itself has of a part of its disk.
enum Part {
    /// Its data.
    Data,
    /// That it is zeros.
    Zeros,
    /// Nothing: the image below it has it.
    Below,
    /// Nothing, and there is no image below.
    Nothing,
}

fn part(image: &FormatAccess<Opened>, place: u64, most: u64) -> io::Result<(Part, u64)> {
    let (mapping, length) = image.get_shallow_mapping(place, most)?;
    let part = match mapping {
        ShallowMapping::Indirect { .. } => Part::Below,
        ShallowMapping::Zero { explicit: true, .. } => Part::Zeros,
        ShallowMapping::Zero { .. } | ShallowMapping::Eof { .. } => Part::Nothing,
        _ => Part::Data,
    };
    // Past its end there is nothing, for as long as one asks.
    let length = if length == 0 { most } else { length.min(most) };
    Ok((part, length))
}

/// Names another image below this one, or none. The header changes in one write of a sector: an
/// interruption leaves the old name or the new one.
pub fn set_below(file: &File, image: Option<(&str, ImageFormat)>) -> io::Result<()> {
    let mut sector = [0; SECTOR];
    file.read_exact_at(&mut sector, 0)?;
    if header(file)?.is_none() {
        return Err(io::Error::other("it is no qcow2 image"));
    }
    let (mut offset, mut length) = (0, 0);
    if let Some((name, format)) = image {
        let cluster = 1u64.checked_shl(short(&sector, 20)).unwrap_or(0);
        if cluster < 4096 || name.len() as u64 >= cluster / 4 || name.len() > LONGEST_NAME as usize
        {
            return Err(io::Error::other(
                "there is no room for the name of the image below it",
            ));
        }
        // Of two places in the header's cluster the one that is not in use.
        let places = [cluster / 2, cluster / 4 * 3];
        offset = if long(&sector, 8) == places[0] {
            places[1]
        } else {
            places[0]
        };
        length = name.len() as u32;
        file.write_all_at(name.as_bytes(), offset)?;
        file.sync_data()?;
        set_format(&mut sector, format);
    }
    sector[8..16].copy_from_slice(&offset.to_be_bytes());
    sector[16..20].copy_from_slice(&length.to_be_bytes());
    file.write_all_at(&sector, 0)?;
    file.sync_data()
}

/// Says in the header's extension, if it is there, what the image below is. Nothing here believes it;
/// other programs do.
fn set_format(sector: &mut [u8; SECTOR], format: ImageFormat) {
    let mut at = short(sector, 100) as usize;
    while at.checked_add(16).is_some_and(|end| end <= SECTOR) {
        let (kind, length) = (short(sector, at), short(sector, at + 4) as usize);
        if kind == 0 {
            return;
        }
        if kind == FORMAT && (1..=8).contains(&length) {
            let name = word(format).as_bytes();
            sector[at + 4..at + 8].copy_from_slice(&(name.len() as u32).to_be_bytes());
            sector[at + 8..at + 16].fill(0);
            sector[at + 8..at + 8 + name.len()].copy_from_slice(name);
            return;
        }
        let Some(next) = length.checked_next_multiple_of(8) else {
            return;
        };
        at = at.saturating_add(8).saturating_add(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::qcow2::{convert, create, grow};

    const SIZE: u64 = 8 << 20;
    const CLUSTER: u64 = 64 << 10;

    fn on(name: &str, format: ImageFormat) -> File {
        let file = tempfile::tempfile().unwrap();
        create_on(&file, SIZE, name, format).unwrap();
        file
    }

    fn layer(file: &File, format: ImageFormat) -> Layer {
        Layer {
            file: file.try_clone().unwrap(),
            format,
        }
    }

    fn write(top: &File, below: &[Layer], place: u64, byte: u8, length: usize) {
        let disk = access(top, ImageFormat::Qcow2, below, true).unwrap();
        disk.write(&vec![byte; length][..], place).unwrap();
        disk.flush().unwrap();
    }

    fn content(top: &File, below: Vec<Layer>) -> Vec<u8> {
        let flat = tempfile::tempfile().unwrap();
        flat.set_len(SIZE).unwrap();
        let top = layer(top, ImageFormat::Qcow2);
        let image = Image { top, below };
        convert(&image, (&flat, ImageFormat::Raw), &mut |_, _| true).unwrap();
        let mut bytes = vec![0; SIZE as usize];
        flat.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn an_image_in_the_middle_can_go_and_the_disk_stays_what_it_is() {
        use ImageFormat::{Qcow2, Raw};
        let base = tempfile::tempfile().unwrap();
        base.set_len(SIZE).unwrap();
        base.write_all_at(&vec![1; SIZE as usize / 2], 0).unwrap();
        let middle = on("base", Raw);
        let top = on("middle", Qcow2);
        let (base, middle) = (|| layer(&base, Raw), (|| layer(&middle, Qcow2), &middle));
        let (below_middle, middle) = middle;
        write(middle, &[base()], 5 * CLUSTER + 100, 2, 3000);
        write(middle, &[base()], 7 << 20, 3, 100_000);
        let zeroed = access(middle, Qcow2, &[base()], true).unwrap();
        zeroed.write_zeroes(0, 2 * CLUSTER).unwrap();
        zeroed.flush().unwrap();
        drop(zeroed);
        let chain = || vec![below_middle(), base()];
        write(&top, &chain(), 5 * CLUSTER + 1000, 4, 10);
        let before = content(&top, chain());
        assert_eq!((before[0], before[CLUSTER as usize * 2]), (0, 1));
        assert_eq!(before[5 * CLUSTER as usize + 1005], 4);

        absorb(&top, &chain()).unwrap();
        assert!(before == content(&top, chain()));
        absorb(&top, &chain()).unwrap();
        set_below(&top, Some(("base", Raw))).unwrap();
        assert_eq!(below(&top).unwrap().as_deref(), Some("base"));
        assert!(before == content(&top, vec![base()]));

        absorb(&top, &[base()]).unwrap();
        set_below(&top, None).unwrap();
        assert_eq!(below(&top).unwrap(), None);
        assert!(before == content(&top, Vec::new()));
    }

    #[test]
    fn a_disk_that_grew_since_keeps_zeros_at_its_end() {
        let below = tempfile::tempfile().unwrap();
        create(&below, SIZE / 2 + 512).unwrap();
        write(&below, &[], SIZE / 2, 9, 512);
        let top = tempfile::tempfile().unwrap();
        create_on(&top, SIZE / 2 + 512, "below", ImageFormat::Qcow2).unwrap();
        let chain = || vec![layer(&below, ImageFormat::Qcow2)];
        grow(&top, &chain(), SIZE).unwrap();
        let before = content(&top, chain());
        let half = SIZE as usize / 2;
        assert_eq!((before[half + 511], before[half + 512]), (9, 0));
        absorb(&top, &chain()).unwrap();
        set_below(&top, None).unwrap();
        assert!(before == content(&top, Vec::new()));
    }

    #[test]
    fn names_change_places_and_the_format_changes_with_them() {
        let image = on("vm-100-disk-0.qcow2@first", ImageFormat::Qcow2);
        for (name, format) in [
            ("a", ImageFormat::Raw),
            ("a-longer-name", ImageFormat::Qcow2),
            ("b", ImageFormat::Raw),
        ] {
            set_below(&image, Some((name, format))).unwrap();
            assert_eq!(below(&image).unwrap().as_deref(), Some(name));
            let mut sector = [0; SECTOR];
            image.read_exact_at(&mut sector, 0).unwrap();
            let text = String::from_utf8_lossy(&sector).into_owned();
            assert!(text.contains(word(format)), "{format:?}");
        }
        let plain = tempfile::tempfile().unwrap();
        plain.set_len(SIZE).unwrap();
        assert!(set_below(&plain, None).is_err());
        assert_eq!(below(&plain).unwrap(), None);
    }
}
