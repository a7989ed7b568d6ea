//! Blocks of a new version that this host has already: in its slots, and among its kernel images.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use basalt_layout::Slot;

use super::partial::Partial;
use crate::blocks::{self, BLOCK, read_full};
use crate::host::Target;
use crate::table::Table;
use crate::{Error, Host};

/// Bytes read at a time.
const BUFFER: usize = 1 << 20;

/// Copies every block that is found; returns their bytes. What cannot be read is left out: it
/// only has to be fetched.
pub fn reuse(host: &Host, partial: &mut Partial) -> Result<u64, Error> {
    let before = partial.present();
    let table = Table::read(&host.disk)?;
    for slot in Slot::ALL {
        let root = host.target(&table, slot.root_partition())?;
        let verity = host.target(&table, slot.verity_partition())?;
        let Ok(Some(size)) = data_size(&verity) else {
            continue;
        };
        match open(&root, size.min(root.size)) {
            Ok(reader) => scan(reader, partial)?,
            Err(error) => tracing::warn!(%error, slot = %slot.letter(), "slot not read"),
        }
    }
    let esp = host.open_esp()?;
    for uki in esp.ukis()? {
        match File::open(&uki.path) {
            Ok(file) => scan(file, partial)?,
            Err(error) => tracing::warn!(%error, path = %uki.path.display(), "not read"),
        }
    }
    Ok(partial.present() - before)
}

fn open(target: &Target, size: u64) -> std::io::Result<impl Read> {
    let mut file = File::open(&target.path)?;
    file.seek(SeekFrom::Start(target.offset))?;
    Ok(file.take(size))
}

/// Bytes that a hash tree covers, by its superblock (`struct verity_sb` of cryptsetup).
fn data_size(verity: &Target) -> std::io::Result<Option<u64>> {
    let mut superblock = [0; 80];
    let mut reader = open(verity, superblock.len() as u64)?;
    if read_full(&mut reader, &mut superblock)? < superblock.len()
        || !superblock.starts_with(b"verity\0\0")
    {
        return Ok(None);
    }
    let number = |range: std::ops::Range<usize>| {
        superblock[range]
            .iter()
            .rev()
            .fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    Ok(number(72..80).checked_mul(number(64..68)))
}

fn scan(reader: impl Read, partial: &mut Partial) -> Result<(), Error> {
    let wanted = partial.wanted();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut reader = BufReader::with_capacity(BUFFER, reader);
    let mut block = [0; BLOCK];
    loop {
        let count = match read_full(&mut reader, &mut block) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) => {
                tracing::warn!(%error, "a slot cannot be read to its end");
                return Ok(());
            }
        };
        for number in wanted
            .get(&blocks::digest(&block[..count]))
            .into_iter()
            .flatten()
        {
            partial.put(*number, &block[..count])?;
        }
    }
}
