//! dm-verity over the root partition: every block read is checked against the root hash.

use crate::cmdline::{Cmdline, Mode};
use crate::device::{self, Target};
use crate::disks::Found;
use crate::error::{At, Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Name of the mapped device.
const NAME: &str = "root";

/// Sectors that a mirrored root counts as one stretch.
const REGION: u64 = 8192;

/// What the hash tree's first block says about it.
#[derive(Debug, PartialEq, Eq)]
struct Superblock {
    algorithm: String,
    data_block: u32,
    hash_block: u32,
    data_blocks: u64,
    salt: String,
    uuid: String,
}

/// Sets up the mapped device, and returns its node. A block that does not fit its hash panics the
/// kernel: a host on a damaged image must not go on, and the next try may boot the other slot.
pub fn open(found: &Found, cmdline: &Cmdline) -> Result<PathBuf> {
    let mut bytes = [0; 512];
    File::open(&found.verity)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .at("read", &found.verity)?;
    let malformed = |reason| Error::Malformed {
        path: found.verity.clone(),
        reason,
    };
    let superblock = parse(&bytes).ok_or_else(|| malformed("holds no hash tree"))?;
    if superblock.hash_block == 0 || !superblock.data_block.is_multiple_of(512) {
        return Err(malformed("has impossible block sizes"));
    }
    let (root, verity) = match (&found.twin, cmdline.mode) {
        (Some((root, verity)), Mode::Host) => (
            twice("root-image", &found.root, root)?,
            twice("root-tree", &found.verity, verity)?,
        ),
        _ => (found.root.clone(), found.verity.clone()),
    };
    let root_hash = cmdline.root_hash.to_string();
    let parameters = table(&superblock, &root, &verity, &root_hash);
    let sectors = superblock.data_blocks * u64::from(superblock.data_block / 512);
    let uuid = format!("CRYPT-VERITY-{}-{NAME}", superblock.uuid);
    let target = Target {
        sectors,
        kind: "verity",
        parameters: &parameters,
    };
    device::map(NAME, &uuid, &target).at("set up dm-verity over", &found.root)
}

/// A device that reads from the first of two equal partitions, and from the second when that fails.
fn twice(name: &str, first: &Path, second: &Path) -> Result<PathBuf> {
    let (sectors, other) = (sectors(first)?, sectors(second)?);
    let parameters = mirror_table(first, second);
    let target = Target {
        sectors: sectors.min(other),
        kind: "mirror",
        parameters: &parameters,
    };
    device::map(name, &format!("basalt-{name}"), &target).at("mirror", first)
}

/// Nothing is ever written: the two are equal from the start, and stay so.
fn mirror_table(first: &Path, second: &Path) -> String {
    format!(
        "core 2 {REGION} nosync 2 {} 0 {} 0 1 handle_errors",
        first.display(),
        second.display()
    )
}

/// Size of a device in 512-byte sectors.
fn sectors(device: &Path) -> Result<u64> {
    let end = File::open(device).and_then(|mut file| file.seek(SeekFrom::End(0)));
    Ok(end.at("measure", device)? / 512)
}

fn table(superblock: &Superblock, root: &Path, verity: &Path, root_hash: &str) -> String {
    let Superblock {
        algorithm,
        data_block,
        hash_block,
        data_blocks,
        salt,
        ..
    } = superblock;
    let salt = if salt.is_empty() { "-" } else { salt };
    format!(
        "1 {} {} {data_block} {hash_block} {data_blocks} 1 {algorithm} {root_hash} {salt} \
         1 panic_on_corruption",
        root.display(),
        verity.display()
    )
}

fn parse(bytes: &[u8; 512]) -> Option<Superblock> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if bytes[..8] != *b"verity\0\0" || word(8)? != 1 || word(12)? != 1 {
        return None;
    }
    let hex = |range: &[u8]| {
        range
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let algorithm = bytes[32..64].split(|byte| *byte == 0).next()?;
    let salt_size = usize::from(u16::from_le_bytes([bytes[80], bytes[81]]));
    Some(Superblock {
        algorithm: String::from_utf8(algorithm.to_vec()).ok()?,
        data_block: word(64)?,
        hash_block: word(68)?,
        data_blocks: u64::from_le_bytes(bytes[72..80].try_into().ok()?),
        salt: hex(bytes[88..].get(..salt_size)?),
        uuid: hex(&bytes[16..32]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> [u8; 512] {
        let mut bytes = [0; 512];
        bytes[..6].copy_from_slice(b"verity");
        bytes[8] = 1;
        bytes[12] = 1;
        bytes[32..38].copy_from_slice(b"sha256");
        bytes[64..68].copy_from_slice(&4096u32.to_le_bytes());
        bytes[68..72].copy_from_slice(&4096u32.to_le_bytes());
        bytes[72] = 9;
        bytes[80] = 2;
        bytes[88] = 0xab;
        bytes[89] = 0xcd;
        bytes
    }

    #[test]
    fn the_superblock_becomes_a_table() {
        let superblock = parse(&block()).unwrap();
        let line = table(&superblock, Path::new("/dev/a"), Path::new("/dev/b"), "ff");
        assert_eq!(
            line,
            "1 /dev/a /dev/b 4096 4096 9 1 sha256 ff abcd 1 panic_on_corruption"
        );
    }

    #[test]
    fn a_second_copy_is_read_when_the_first_fails() {
        let line = mirror_table(Path::new("/dev/a"), Path::new("/dev/b"));
        assert_eq!(
            line,
            "core 2 8192 nosync 2 /dev/a 0 /dev/b 0 1 handle_errors"
        );
    }

    #[test]
    fn anything_else_is_refused() {
        let mut bytes = block();
        bytes[80..82].fill(0xff);
        assert_eq!(parse(&bytes), None);
        assert_eq!(parse(&[0; 512]), None);
    }
}
