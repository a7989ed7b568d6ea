//! dm-verity's check of a whole root file system, done at once instead of at each read.

use anyhow::{Context, Result, bail, ensure};
use basalt_layout::RootHash;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Block size of data and tree, the only one we make.
const BLOCK: u64 = 4096;
/// Digests in a block of the tree.
const PER_BLOCK: u64 = BLOCK / 32;
/// Blocks read at a time.
const CHUNK: u64 = 256;

/// What the tree's first block says about it.
struct Superblock {
    data_blocks: u64,
    salt: Vec<u8>,
}

/// Checks every block of the root at `root` against the tree at `tree`, and the tree against
/// `wanted`.
pub fn verify(disk: &File, root: &Range<u64>, tree: &Range<u64>, wanted: &RootHash) -> Result<()> {
    let superblock = superblock(disk, tree)?;
    let salt = &superblock.salt;
    ensure!(
        superblock.data_blocks * BLOCK <= root.end - root.start,
        "the tree is for more blocks than the partition has"
    );
    let mut digests = hashes(disk, root.start, superblock.data_blocks, salt)?;
    let mut level_end = level_start(superblock.data_blocks);
    let mut count = superblock.data_blocks;
    while count > 1 {
        count = count.div_ceil(PER_BLOCK);
        let start = tree.start + (level_end - count) * BLOCK;
        level_end -= count;
        compare(disk, start, &digests)?;
        digests = hashes(disk, start, count, salt)?;
    }
    ensure!(
        digests == hex::decode(wanted.to_string())?,
        "the tree's root hash is {}, not {wanted}",
        hex::encode(digests)
    );
    Ok(())
}

/// The block behind the tree's lowest level. The tree begins behind the superblock with its
/// highest level.
fn level_start(data_blocks: u64) -> u64 {
    let mut total = 1;
    let mut count = data_blocks;
    while count > 1 {
        count = count.div_ceil(PER_BLOCK);
        total += count;
    }
    total
}

fn superblock(disk: &File, tree: &Range<u64>) -> Result<Superblock> {
    let mut bytes = [0; 512];
    disk.read_exact_at(&mut bytes, tree.start)?;
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let is_ours = bytes[..8] == *b"verity\0\0"
        && (word(8), word(12)) == (1, 1)
        && bytes[32..39] == *b"sha256\0"
        && (u64::from(word(64)), u64::from(word(68))) == (BLOCK, BLOCK);
    if !is_ours {
        bail!("there is no hash tree");
    }
    let salt_size = usize::from(u16::from_le_bytes([bytes[80], bytes[81]]));
    let salt = bytes[88..]
        .get(..salt_size)
        .context("the salt is too long")?;
    Ok(Superblock {
        data_blocks: u64::from(word(76)) << 32 | u64::from(word(72)),
        salt: salt.to_vec(),
    })
}

/// The digests of `count` blocks from `start`, one behind the other.
fn hashes(disk: &File, start: u64, count: u64, salt: &[u8]) -> Result<Vec<u8>> {
    let mut digests = Vec::new();
    let mut buffer = vec![0; usize::try_from(CHUNK * BLOCK)?];
    let mut done = 0;
    while done < count {
        let blocks = CHUNK.min(count - done);
        let bytes = &mut buffer[..usize::try_from(blocks * BLOCK)?];
        disk.read_exact_at(bytes, start + done * BLOCK)?;
        for block in bytes.chunks_exact(usize::try_from(BLOCK)?) {
            digests.extend(
                Sha256::new()
                    .chain_update(salt)
                    .chain_update(block)
                    .finalize(),
            );
        }
        done += blocks;
    }
    Ok(digests)
}

/// Compares digests with those that a level of the tree keeps from `start`.
fn compare(disk: &File, start: u64, digests: &[u8]) -> Result<()> {
    let mut kept = vec![0; digests.len()];
    disk.read_exact_at(&mut kept, start)?;
    let wrong = kept
        .chunks_exact(32)
        .zip(digests.chunks_exact(32))
        .position(|(kept, found)| kept != found);
    match wrong {
        Some(index) => bail!("block {index} does not fit its digest"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKS: u64 = 300;
    /// What veritysetup says of the blocks and the salt below.
    const ROOT_HASH: &str = "a8be4d13bfb54397eafbbc6aec8c59a134f91b2df9fdb6f3d76f43881c913806";

    /// A root of three hundred blocks at 0 and its tree at 4 MiB.
    fn disk() -> tempfile::NamedTempFile {
        let disk = tempfile::NamedTempFile::new().unwrap();
        let file = disk.as_file();
        for index in 0..BLOCKS {
            let byte = u8::try_from(index % 251).unwrap();
            file.write_all_at(&[byte; 4096], index * BLOCK).unwrap();
        }
        let salt = [0xab, 0xcd];
        let mut superblock = [0; 4096];
        superblock[..6].copy_from_slice(b"verity");
        superblock[8] = 1;
        superblock[12] = 1;
        superblock[32..38].copy_from_slice(b"sha256");
        superblock[65] = 0x10;
        superblock[69] = 0x10;
        superblock[72..80].copy_from_slice(&BLOCKS.to_le_bytes());
        superblock[80] = 2;
        superblock[88..90].copy_from_slice(&salt);
        let leaves = hashes(file, 0, BLOCKS, &salt).unwrap();
        let base = 4 << 20;
        file.set_len(base + 5 * BLOCK).unwrap();
        file.write_all_at(&superblock, base).unwrap();
        file.write_all_at(&leaves, base + 2 * BLOCK).unwrap();
        let top = hashes(file, base + 2 * BLOCK, 3, &salt).unwrap();
        file.write_all_at(&top, base + BLOCK).unwrap();
        disk
    }

    fn check(disk: &File) -> Result<()> {
        let base = 4 << 20;
        let tree = base..base + 5 * BLOCK;
        verify(disk, &(0..base), &tree, &ROOT_HASH.parse().unwrap())
    }

    #[test]
    fn a_whole_root_passes() {
        check(disk().as_file()).unwrap();
    }

    #[test]
    fn any_changed_byte_is_found() {
        let base = 4 << 20;
        for at in [
            0,
            299 * BLOCK + 17,
            base,
            base + BLOCK + 33,
            base + 4 * BLOCK,
        ] {
            let disk = disk();
            disk.as_file().write_all_at(&[0x77], at).unwrap();
            assert!(check(disk.as_file()).is_err(), "{at}");
        }
    }
}
