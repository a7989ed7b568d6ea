//! A picture the firmware describes and the guest keeps in its own memory: QEMU's `ramfb`.
//!
//! The guest writes 28 bytes, big endian, into the firmware configuration file [`FILE`]: address
//! (8), pixel format (4, as DRM's four character code), flags (4), width, height, stride (4 each).

use crate::display::{MAX_SIDE, Surface};

/// The firmware configuration file.
pub const FILE: &str = "etc/ramfb";
/// Its length.
pub const LEN: usize = 28;
/// `XR24`: four bytes a pixel, blue first.
const XRGB8888: u32 = u32::from_le_bytes(*b"XR24");
const BYTES_PER_PIXEL: u32 = 4;

/// What the guest shows; `None` when it shows nothing, or nothing that can be shown.
pub fn surface(bytes: &[u8]) -> Option<Surface> {
    let (address, rest) = bytes.split_first_chunk()?;
    let mut words = rest
        .as_chunks()
        .0
        .iter()
        .map(|word| u32::from_be_bytes(*word));
    let (format, _flags) = (words.next()?, words.next()?);
    let (width, height, stride) = (words.next()?, words.next()?, words.next()?);
    let sides = 1..=MAX_SIDE;
    if format != XRGB8888 || !sides.contains(&width) || !sides.contains(&height) {
        return None;
    }
    let row = width * BYTES_PER_PIXEL;
    // Zero means that rows follow each other without a gap.
    let stride = if stride == 0 { row } else { stride };
    (stride >= row).then_some(Surface {
        address: u64::from_be_bytes(*address),
        width,
        height,
        stride,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(address: u64, format: u32, width: u32, height: u32, stride: u32) -> Vec<u8> {
        let mut bytes = address.to_be_bytes().to_vec();
        for word in [format, 0, width, height, stride] {
            bytes.extend(word.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn a_picture_is_described_in_28_bytes() {
        let description = bytes(0x7e00_0000, XRGB8888, 1280, 800, 5120);
        assert_eq!(description.len(), LEN);
        let picture = surface(&description).unwrap();
        assert_eq!((picture.address, picture.stride), (0x7e00_0000, 5120));
        assert_eq!((picture.width, picture.height), (1280, 800));
        let dense = surface(&bytes(0, XRGB8888, 1280, 800, 0)).unwrap();
        assert_eq!(dense.stride, 5120);
    }

    #[test]
    fn what_cannot_be_shown_is_no_picture() {
        for wrong in [
            bytes(0, XRGB8888, 0, 800, 5120),
            bytes(0, XRGB8888, 1280, 0, 5120),
            bytes(0, XRGB8888, MAX_SIDE + 1, 800, u32::MAX),
            bytes(0, XRGB8888, 1280, u32::MAX, 5120),
            bytes(0, XRGB8888, 1280, 800, 5119),
            bytes(0, u32::from_le_bytes(*b"RG16"), 1280, 800, 5120),
            vec![0; LEN],
            vec![0; 11],
        ] {
            assert_eq!(surface(&wrong), None);
        }
    }
}
