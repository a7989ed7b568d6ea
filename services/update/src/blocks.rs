//! What the blocks of a bundle's parts are, so that a host need not fetch what it has already.
//!
//! One version differs from the next in few files, but a file that has grown moves all that
//! follow. The root file system (erofs) moves them by whole blocks of 4 KiB, so that is the size
//! of the blocks here, and a block is known wherever it lies. The list is one digest for each
//! block of the root file system, the hash tree and the kernel image, in this order; the last
//! block of each may be short.
//!
//! A digest is cut to 16 bytes: it only finds blocks. What was put together from them counts
//! only after the whole part has its SHA-256 digest from the signed manifest.

use std::io::{self, Read};

use sha2::Digest as _;

use crate::Parts;

/// Bytes of a block.
pub const BLOCK: usize = 4096;

/// The digest of a block.
pub type Digest = [u8; 16];

/// The digest of one block.
pub fn digest(block: &[u8]) -> Digest {
    let mut short = Digest::default();
    let whole = sha2::Sha256::digest(block);
    short.copy_from_slice(&whole[..size_of::<Digest>()]);
    short
}

/// Appends the digests of all blocks of a part to a list.
pub fn append(list: &mut Vec<u8>, mut part: impl Read) -> io::Result<()> {
    let mut block = [0; BLOCK];
    loop {
        let count = read_full(&mut part, &mut block)?;
        if count == 0 {
            return Ok(());
        }
        list.extend(digest(&block[..count]));
    }
}

/// Bytes of the list for these parts.
pub fn list_size(parts: &Parts) -> u64 {
    [&parts.root, &parts.verity, &parts.uki]
        .iter()
        .map(|part| part.size.div_ceil(BLOCK as u64) * size_of::<Digest>() as u64)
        .sum()
}

/// Reads until the buffer is full or there is no more.
pub(crate) fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_has_its_digest() {
        let mut list = Vec::new();
        let bytes = vec![7; 2 * BLOCK + 1];
        append(&mut list, bytes.as_slice()).unwrap();
        append(&mut list, &bytes[..BLOCK]).unwrap();
        let blocks: Vec<&[u8]> = list.chunks(16).collect();
        assert_eq!(blocks.len(), 4);
        assert_eq!(blocks[0], blocks[1]);
        assert_eq!(blocks[0], blocks[3]);
        assert_eq!(blocks[2], digest(&[7]));
    }
}
