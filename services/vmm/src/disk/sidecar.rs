//! What was written, kept beside the image while the machine is off, so that an incremental
//! backup is possible after a stop.
//!
//! The file says which image it belongs to, and whether the machine stopped cleanly. It is
//! trusted once: reading it takes the clean mark off, so what a crash leaves is not believed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::bitmap::Bitmap;

const MAGIC: &[u8; 8] = b"BasaltD1";
/// Magic, clean mark, identity, generation, size, checksum.
const HEADER: usize = 8 + 8 + 16 + 8 + 8 + 8;
const CLEAN_AT: usize = 8;
const CHECKSUM_AT: usize = HEADER - 8;
const CLEAN: u64 = 1;

/// What the file keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Identity of the image.
    pub image: [u8; 16],
    /// Number of the last backup.
    pub generation: u64,
    /// Size of the disk in bytes.
    pub size: u64,
    /// What was written since then.
    pub dirty: Bitmap,
}

/// Writes everything, then the mark that it is whole.
pub fn store(file: &File, kept: &Kept) -> io::Result<()> {
    let mut bytes = vec![0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[16..32].copy_from_slice(&kept.image);
    bytes[32..40].copy_from_slice(&kept.generation.to_le_bytes());
    bytes[40..48].copy_from_slice(&kept.size.to_le_bytes());
    bytes.extend(kept.dirty.to_bytes());
    let sum = checksum(&bytes);
    bytes[CHECKSUM_AT..HEADER].copy_from_slice(&sum.to_le_bytes());
    set_clean(file, 0)?;
    file.set_len(bytes.len() as u64)?;
    file.write_all_at(&bytes, 0)?;
    file.sync_data()?;
    set_clean(file, CLEAN)
}

/// Reads what was kept for an image of `size` bytes and takes the clean mark off; none if it is
/// for another image, not clean, or damaged.
pub fn load(file: &File, image: [u8; 16], size: u64) -> io::Result<Option<Kept>> {
    // Measured before anything is allocated: an image's header may name any size.
    let expected = HEADER as u64 + Bitmap::byte_len(size);
    if file.metadata()?.len() != expected {
        return Ok(None);
    }
    let mut bytes = vec![0; expected as usize];
    file.read_exact_at(&mut bytes, 0)?;
    set_clean(file, 0)?;
    Ok(parse(&bytes, image, size))
}

fn parse(bytes: &[u8], image: [u8; 16], size: u64) -> Option<Kept> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let good = bytes.starts_with(MAGIC)
        && number(CLEAN_AT)? == CLEAN
        && bytes.get(16..32)? == image
        && number(40)? == size
        && number(CHECKSUM_AT)? == checksum(bytes);
    if !good {
        return None;
    }
    Some(Kept {
        image,
        generation: number(32)?,
        size,
        dirty: Bitmap::from_bytes(size, bytes.get(HEADER..)?)?,
    })
}

fn set_clean(file: &File, mark: u64) -> io::Result<()> {
    file.write_all_at(&mark.to_le_bytes(), CLEAN_AT as u64)?;
    file.sync_data()
}

/// FNV-1a over all but the clean mark and the checksum itself: finds damage, not intent.
fn checksum(bytes: &[u8]) -> u64 {
    let counted =
        |at: &usize| !(CLEAN_AT..CLEAN_AT + 8).contains(at) && !(CHECKSUM_AT..HEADER).contains(at);
    let step = |sum: u64, at: usize| (sum ^ u64::from(bytes[at])).wrapping_mul(0x0100_0000_01b3);
    (0..bytes.len())
        .filter(counted)
        .fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::bitmap::GRANULE;

    const IMAGE: [u8; 16] = [3; 16];
    const SIZE: u64 = 100 * GRANULE;

    fn kept() -> Kept {
        let mut dirty = Bitmap::new(SIZE);
        dirty.mark(7 * GRANULE, 1);
        Kept {
            image: IMAGE,
            generation: 9,
            size: SIZE,
            dirty,
        }
    }

    fn stored() -> File {
        let file = tempfile::tempfile().unwrap();
        store(&file, &kept()).unwrap();
        file
    }

    #[test]
    fn what_is_kept_is_believed_once() {
        let file = stored();
        assert_eq!(load(&file, IMAGE, SIZE).unwrap(), Some(kept()));
        assert_eq!(load(&file, IMAGE, SIZE).unwrap(), None);
        store(&file, &kept()).unwrap();
        assert_eq!(load(&file, IMAGE, SIZE).unwrap(), Some(kept()));
    }

    #[test]
    fn other_images_and_damage_are_not_believed() {
        assert_eq!(load(&stored(), [4; 16], SIZE).unwrap(), None);
        assert_eq!(load(&stored(), IMAGE, SIZE + GRANULE).unwrap(), None);
        for at in (0..stored().metadata().unwrap().len()).step_by(5) {
            let file = stored();
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
            assert_eq!(load(&file, IMAGE, SIZE).unwrap(), None, "byte {at}");
        }
        assert_eq!(load(&stored(), IMAGE, u64::MAX).unwrap(), None);
        let short = stored();
        short.set_len(20).unwrap();
        assert_eq!(load(&short, IMAGE, SIZE).unwrap(), None);
    }
}
