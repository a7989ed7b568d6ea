//! A state in a file or on a block device.
//!
//! ```text
//! 0        header: magic (8) · format version (4) · length of the tree (4) · length of memory (8)
//!          · SHA-256 of that (32)
//! 4 KiB    the tree
//! 16 MiB   memory: its parts one after the other, byte for byte
//! ```
//!
//! Memory lies page-aligned and uncompressed so that a machine can run on a private mapping of
//! the file before any of it is read; pages of zeroes are holes. The header is zero until all
//! else is on the medium: what was interrupted is never taken for a state.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use vm_memory::{Bytes, GuestAddress};

use super::dirty::PAGE;
use super::memory::{RUN, Run, for_each_run, parts};
use super::tree::{self, MAX_TREE, Tree};
use crate::machine::blocks::Blocks;
use crate::machine::ground::Ground;
use crate::machine::memory::{self, Extent, Memory};

/// Where memory starts.
pub const MEMORY_AT: u64 = basalt_model::machine::STATE_ROOM;
const TREE_AT: u64 = 4096;
const MAGIC: [u8; 8] = *b"BslState";
const FORMAT: u32 = 1;
const FIELDS: usize = 24;
const HEADER: usize = FIELDS + 32;

const _: () = assert!(TREE_AT + MAX_TREE as u64 <= MEMORY_AT);

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading failed.
    #[error("cannot read the state: {0}")]
    Read(#[from] io::Error),
    /// The header is not there: no state, or one whose saving was interrupted.
    #[error("the file holds no whole state")]
    NotWhole,
    /// No room for the memory.
    #[error(transparent)]
    Memory(#[from] memory::Error),
    /// Written by another generation.
    #[error("the state's file has version {0}; this monitor reads {FORMAT}")]
    Format(u32),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] tree::Error),
}

/// Writes a whole state; `done` is told how many bytes of memory are dealt with.
pub fn write(
    file: &File,
    memory: &Memory,
    blocks: Option<&Blocks>,
    tree: &[u8],
    mut done: impl FnMut(u64),
) -> io::Result<()> {
    file.write_all_at(&[0; HEADER], 0)?;
    file.sync_data()?;
    let parts = parts(memory, blocks);
    let total = parts.iter().map(|r| r.len).sum();
    let holes = clear(file, MEMORY_AT, total);
    let (mut base, mut seen) = (MEMORY_AT, 0);
    for region in parts {
        for_each_run(
            memory,
            region,
            |_| true,
            |offset, run| {
                let at = base + offset;
                match run {
                    Run::Bytes(bytes) => {
                        file.write_all_at(bytes, at)?;
                        seen += bytes.len() as u64;
                    }
                    Run::Zeroes(len) => {
                        if !holes {
                            write_zeroes(file, at, len)?;
                        }
                        seen += len;
                    }
                }
                done(seen);
                Ok(())
            },
        )?;
        base += region.len;
    }
    // A file that ends in zeroes must still reach its end, or mapping it would fault there.
    if is_shorter(file, MEMORY_AT + total)? {
        file.write_all_at(&[0], MEMORY_AT + total - 1)?;
    }
    file.write_all_at(tree, TREE_AT)?;
    file.sync_all()?;
    file.write_all_at(&header(tree.len() as u32, total), 0)?;
    file.sync_all()
}

fn is_shorter(file: &File, len: u64) -> io::Result<bool> {
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.len() < len)
}

/// Makes a range read as zeroes without writing it, where file or device can.
fn clear(file: &File, offset: u64, len: u64) -> bool {
    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else {
        return false;
    };
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: no memory is involved.
    unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, len) == 0 }
}

fn write_zeroes(file: &File, offset: u64, len: u64) -> io::Result<()> {
    for at in (0..len).step_by(PAGE) {
        let part = (len - at).min(PAGE as u64) as usize;
        file.write_all_at(&[0; PAGE][..part], offset + at)?;
    }
    Ok(())
}

fn header(tree: u32, memory: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[12..16].copy_from_slice(&tree.to_le_bytes());
    header[16..24].copy_from_slice(&memory.to_le_bytes());
    let sum = Sha256::digest(&header[..FIELDS]);
    header[FIELDS..].copy_from_slice(&sum);
    header
}

/// Memory of such an extent and of `blocks` with the saved content. A file is mapped and read when the guest touches it: it may
/// lose its name at once, but must not change. A device is read whole and then free, and so is a file when
/// the `ground` does not go with a mapping.
pub fn load(
    file: &File,
    extent: impl Into<Extent>,
    blocks: Option<&Blocks>,
    ground: &Ground,
) -> Result<Arc<Memory>, Error> {
    let extent = extent.into();
    let end = (&*file).seek(SeekFrom::End(0))?;
    if end < MEMORY_AT + extent.bytes + blocks.map_or(0, Blocks::plugged) {
        return Err(Error::NotWhole);
    }
    let room = blocks.map(Blocks::room);
    if file.metadata()?.is_file()
        && let Some(memory) = ground.reserve_on(extent, blocks, file, MEMORY_AT)?
    {
        return Ok(memory);
    }
    let memory = ground.reserve(extent, room)?;
    let mut buffer = vec![0; RUN];
    let mut base = MEMORY_AT;
    for region in parts(&memory, blocks) {
        for offset in (0..region.len).step_by(RUN) {
            let part = (region.len - offset).min(RUN as u64) as usize;
            file.read_exact_at(&mut buffer[..part], base + offset)?;
            // Fresh memory is zero, and stays untaken where nothing else belongs.
            if buffer[..part].iter().any(|byte| *byte != 0) {
                let at = GuestAddress(region.start + offset);
                let written = memory.write_slice(&buffer[..part], at);
                written.map_err(io::Error::other)?;
            }
        }
        base += region.len;
    }
    Ok(memory)
}

/// Reads the tree; says how long memory is.
pub fn read_tree(file: &File) -> Result<(Tree, u64), Error> {
    let mut head = [0; HEADER];
    file.read_exact_at(&mut head, 0)
        .map_err(|_| Error::NotWhole)?;
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&head[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let whole = Sha256::digest(&head[..FIELDS]).as_slice() == &head[FIELDS..];
    if !whole || head[..8] != MAGIC {
        return Err(Error::NotWhole);
    }
    let (format, len) = (number(8) as u32, (number(8) >> 32) as usize);
    if format != FORMAT {
        return Err(Error::Format(format));
    }
    if len > MAX_TREE {
        return Err(tree::Error::TooLarge.into());
    }
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, TREE_AT)?;
    Ok((Tree::decode(&bytes)?, number(16)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::layout::{BLOCK, MIB};
    use crate::machine::memory::reserve;
    use crate::state::tree::Kind;
    use std::os::unix::fs::MetadataExt;

    fn tree_bytes() -> Vec<u8> {
        let mut tree = Tree::default();
        tree.put("machine", Kind::Machine, &7).unwrap();
        tree.encode().unwrap()
    }

    fn saved() -> File {
        let memory = reserve(64 * MIB).unwrap();
        memory
            .write_slice(b"page", GuestAddress(5 * MIB + 1))
            .unwrap();
        let file = tempfile::tempfile().unwrap();
        // What was there before must not shine through.
        file.write_all_at(&[0xaa; 4096], MEMORY_AT + 9 * MIB)
            .unwrap();
        let mut last = 0;
        write(&file, &memory, None, &tree_bytes(), |done| last = done).unwrap();
        assert_eq!(last, 64 * MIB);
        file
    }

    #[test]
    fn memory_comes_back_by_mapping_and_the_file_is_sparse() {
        let file = saved();
        let (mut tree, memory) = read_tree(&file).unwrap();
        assert_eq!(memory, 64 * MIB);
        assert_eq!(tree.take::<u32>("machine", Kind::Machine).unwrap(), 7);
        assert!(file.metadata().unwrap().blocks() * 512 < MIB);
        let memory = load(&file, 64 * MIB, None, &Ground::default()).unwrap();
        let mut text = [0; 4];
        memory
            .read_slice(&mut text, GuestAddress(5 * MIB + 1))
            .unwrap();
        assert_eq!(&text, b"page");
        assert_eq!(memory.read_obj::<u8>(GuestAddress(9 * MIB)).unwrap(), 0);
        assert_eq!(
            memory.read_obj::<u8>(GuestAddress(64 * MIB - 1)).unwrap(),
            0
        );
        // The machine's writes are its own.
        memory
            .write_slice(b"mine", GuestAddress(5 * MIB + 1))
            .unwrap();
        file.read_exact_at(&mut text, MEMORY_AT + 5 * MIB + 1)
            .unwrap();
        assert_eq!(&text, b"page");
    }

    #[test]
    fn blocks_come_back_where_they_were_and_holes_take_no_room() {
        const ROOM: u64 = 4 << 30;
        let blocks = Blocks::new(64 * MIB, (ROOM, 1 << 30));
        blocks.set(1..3, true);
        blocks.set(9..10, true);
        let memory = memory::reserve_with_room(64 * MIB, Some(blocks.room())).unwrap();
        let at = |block: u64| GuestAddress(ROOM + block * BLOCK + 5);
        for block in [1, 2, 9] {
            memory.write_obj(block as u8, at(block)).unwrap();
        }
        // A hole, whatever is there.
        memory.write_obj(4u8, at(4)).unwrap();
        let file = tempfile::tempfile().unwrap();
        write(&file, &memory, Some(&blocks), &tree_bytes(), |_| ()).unwrap();
        let total = 64 * MIB + 3 * BLOCK;
        assert_eq!(read_tree(&file).unwrap().1, total);
        assert_eq!(file.metadata().unwrap().len(), MEMORY_AT + total);
        let loaded = load(&file, 64 * MIB, Some(&blocks), &Ground::default()).unwrap();
        let byte = |block: u64| loaded.read_obj::<u8>(at(block)).unwrap();
        assert_eq!([1, 2, 4, 9].map(byte), [1, 2, 0, 9]);
        file.set_len(MEMORY_AT + total - 1).unwrap();
        assert!(load(&file, 64 * MIB, Some(&blocks), &Ground::default()).is_err());
    }

    #[test]
    fn what_was_interrupted_is_no_state() {
        let file = saved();
        file.write_all_at(&[0; HEADER], 0).unwrap();
        assert!(matches!(read_tree(&file), Err(Error::NotWhole)));
        assert!(matches!(
            read_tree(&tempfile::tempfile().unwrap()),
            Err(Error::NotWhole)
        ));
        let file = saved();
        file.write_all_at(b"x", TREE_AT + 40).unwrap();
        let error = read_tree(&file).err().unwrap();
        assert_eq!(error.to_string(), "the state is damaged");
        file.set_len(MEMORY_AT + 64 * MIB - 1).unwrap();
        assert!(matches!(
            load(&file, 64 * MIB, None, &Ground::default()),
            Err(Error::NotWhole)
        ));
    }
}
