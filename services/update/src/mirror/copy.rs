//! Copying a slot's partitions from disk to disk.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use crate::Error;
use crate::host::Target;

/// Bytes copied at a time.
const CHUNK: usize = 4 << 20;

/// Copies the first `size` bytes and flushes them. What is there already is not written again.
pub fn copy(from: &Target, to: &Target, size: u64) -> Result<(), Error> {
    if size > from.size.min(to.size) {
        return Err(Error::TooLarge {
            what: "a slot's content",
            needed: size,
            place: to.path.display().to_string(),
            room: from.size.min(to.size),
        });
    }
    let reading = |e| Error::io(&from.path, e);
    let writing = |e| Error::io(&to.path, e);
    let mut source = File::open(&from.path).map_err(reading)?;
    source.seek(SeekFrom::Start(from.offset)).map_err(reading)?;
    let mut target = File::options()
        .read(true)
        .write(true)
        .open(&to.path)
        .map_err(writing)?;
    let (mut wanted, mut found) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut done = 0;
    while done < size {
        let length = usize::try_from(size - done).map_or(CHUNK, |left| left.min(CHUNK));
        let (wanted, found) = (&mut wanted[..length], &mut found[..length]);
        source.read_exact(wanted).map_err(reading)?;
        let place = SeekFrom::Start(to.offset + done);
        target.seek(place).map_err(writing)?;
        target.read_exact(found).map_err(writing)?;
        if wanted != found {
            target.seek(place).map_err(writing)?;
            target.write_all(wanted).map_err(writing)?;
        }
        done += length as u64;
    }
    target.sync_all().map_err(writing)
}

/// How many bytes of the root partition the hash tree in `verity` covers; all of it when that does
/// not say.
pub fn root_size(verity: &Target, partition: u64) -> Result<u64, Error> {
    let mut head = [0; 80];
    File::open(&verity.path)
        .and_then(|mut file| {
            file.seek(SeekFrom::Start(verity.offset))?;
            file.read_exact(&mut head)
        })
        .map_err(|e| Error::io(&verity.path, e))?;
    if head[..8] != *b"verity\0\0" {
        return Ok(partition);
    }
    let number = |range: std::ops::Range<usize>| {
        let bytes = head[range].iter().rev();
        bytes.fold(0u64, |value, byte| value << 8 | u64::from(*byte))
    };
    Ok(number(64..68).saturating_mul(number(72..80)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(dir: &std::path::Path, name: &str, bytes: &[u8]) -> Target {
        let path = dir.join(name);
        std::fs::write(&path, bytes).unwrap();
        Target {
            path,
            offset: 512,
            size: bytes.len() as u64 - 512,
        }
    }

    #[test]
    fn just_what_is_asked_for_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let from = target(dir.path(), "from", &[1; 4096]);
        let to = target(dir.path(), "to", &[2; 4096]);
        copy(&from, &to, 1000).unwrap();
        let bytes = std::fs::read(&to.path).unwrap();
        assert!(bytes[..512].iter().all(|byte| *byte == 2));
        assert!(bytes[512..1512].iter().all(|byte| *byte == 1));
        assert!(bytes[1512..].iter().all(|byte| *byte == 2));
        assert!(copy(&from, &to, 5000).is_err());
    }

    #[test]
    fn the_hash_tree_tells_the_roots_size() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; 1024];
        bytes[512..518].copy_from_slice(b"verity");
        bytes[512 + 65] = 0x10;
        bytes[512 + 72] = 3;
        let tree = target(dir.path(), "tree", &bytes);
        assert_eq!(root_size(&tree, 99).unwrap(), 3 * 4096);
        let none = target(dir.path(), "none", &[0; 1024]);
        assert_eq!(root_size(&none, 99).unwrap(), 99);
    }
}
