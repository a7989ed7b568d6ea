//! The file in which a bundle is put together, and which of its blocks are in it.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use sha2::Digest as _;

use crate::blocks::{self, BLOCK, Digest};
use crate::bundle::{damaged, read_manifest};
use crate::host::Lock;
use crate::manifest::{MANIFEST_MAX_SIZE, Sha256};
use crate::signature::Keys;
use crate::{Error, Host, Manifest, Part};

/// Name of the file.
const NAME: &str = "download.bundle";

/// Bytes of a header in the archive; contents are padded to a multiple of it.
const RECORD: u64 = 512;

/// So many bytes hold manifest and signature with their headers.
pub const HEAD: u64 = MANIFEST_MAX_SIZE + 4 * RECORD;

/// Room left free on the data partition.
const RESERVE: u64 = 64 << 20;

/// A bundle's file, perhaps not whole yet.
pub struct Partial {
    file: Lock,
    path: PathBuf,
    /// The file was there before.
    old: bool,
    manifest: Manifest,
    /// What stands before the parts' headers.
    head: Vec<u8>,
    /// Where the content of the list, the root, the hash tree and the kernel image begins.
    places: [u64; 4],
    size: u64,
    blocks: Vec<Block>,
    present: u64,
}

/// One block of the root, the hash tree or the kernel image.
#[derive(Debug, Clone, Copy)]
struct Block {
    at: u64,
    length: u32,
    digest: Digest,
    here: bool,
}

impl Partial {
    /// Opens the file for the bundle with this head, whose signature has to be right.
    pub fn open(host: &Host, head: &[u8], keys: &Keys) -> Result<Self, Error> {
        let mut archive = tar::Archive::new(head);
        let mut entries = archive.entries().map_err(damaged)?;
        let manifest = read_manifest(&mut entries, keys)?;
        let mut archive = tar::Archive::new(head);
        let signature = archive.entries().map_err(damaged)?.nth(1);
        let signature = signature.transpose().map_err(damaged)?;
        let begin = signature.map_or(0, |entry| entry.raw_file_position() + RECORD);
        let head = usize::try_from(begin)
            .ok()
            .and_then(|begin| head.get(..begin));
        let head = head.ok_or_else(|| Error::Bundle("it is cut off".to_owned()))?;
        let mut at = begin;
        let mut places = [0; 4];
        for (place, part) in places.iter_mut().zip(manifest.parts.in_order()) {
            *place = at.saturating_add(RECORD);
            at = place.saturating_add(padded(part.size));
        }
        if manifest.parts.blocks.size != blocks::list_size(&manifest.parts) {
            return Err(Error::Bundle(
                "its list of blocks has a wrong size".to_owned(),
            ));
        }
        let path = host.state.join(NAME);
        let open = || {
            fs::create_dir_all(&host.state)?;
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            options.open(&path)
        };
        let file = open().map_err(|e| Error::io(&path, e))?;
        let file = Lock::take(file)?;
        let old = file.file().metadata().is_ok_and(|meta| meta.len() > 0);
        Ok(Self {
            file,
            path,
            old,
            head: head.to_vec(),
            places,
            size: at.saturating_add(2 * RECORD),
            manifest,
            blocks: Vec::new(),
            present: 0,
        })
    }

    /// What the bundle says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Bytes of the whole bundle.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Gives the file its size, its head and the headers of its parts.
    pub fn allocate(&mut self) -> Result<(), Error> {
        let fail = |e| Error::io(&self.path, e);
        let meta = self.file.file().metadata().map_err(fail)?;
        let taken = std::os::unix::fs::MetadataExt::blocks(&meta).saturating_mul(512);
        let stat = rustix::fs::fstatvfs(self.file.file()).map_err(|e| fail(e.into()))?;
        let room = stat.f_bavail.saturating_mul(stat.f_frsize);
        let room = room.saturating_add(taken).saturating_sub(RESERVE);
        if self.size > room {
            return Err(Error::TooLarge {
                what: "the bundle",
                needed: self.size,
                place: "the data partition".to_owned(),
                room,
            });
        }
        self.file.file().set_len(self.size).map_err(fail)?;
        self.file.file().write_all_at(&self.head, 0).map_err(fail)?;
        for (place, part) in self.places.iter().zip(self.manifest.parts.in_order()) {
            let header = header(part).map_err(fail)?;
            self.file
                .file()
                .write_all_at(header.as_bytes(), place - RECORD)
                .map_err(fail)?;
            let end = place + part.size;
            let padding = vec![0; usize::try_from(padded(part.size) - part.size).unwrap_or(0)];
            self.file.file().write_all_at(&padding, end).map_err(fail)?;
        }
        let end = [0; 2 * RECORD as usize];
        self.file
            .file()
            .write_all_at(&end, self.size - 2 * RECORD)
            .map_err(fail)
    }

    /// Where the list of blocks lies.
    pub fn list_range(&self) -> Range<u64> {
        self.places[0]..self.places[0] + self.manifest.parts.blocks.size
    }

    /// Whether the list of blocks is in the file.
    pub fn has_list(&self) -> Result<bool, Error> {
        if !self.old {
            return Ok(false);
        }
        Ok(self.list()?.is_some())
    }

    /// The list, when it has the digest that the manifest says.
    fn list(&self) -> Result<Option<Vec<u8>>, Error> {
        let part = &self.manifest.parts.blocks;
        let mut list = vec![0; usize::try_from(part.size).unwrap_or(0)];
        self.file
            .file()
            .read_exact_at(&mut list, self.places[0])
            .map_err(|e| Error::io(&self.path, e))?;
        let digest = Sha256(sha2::Sha256::digest(&list).into());
        Ok(Some(list).filter(|_| digest == part.sha256))
    }

    /// Learns the blocks from the list.
    pub fn load_list(&mut self) -> Result<(), Error> {
        let damaged = || Error::Bundle("its list of blocks is damaged".to_owned());
        let list = self.list()?.ok_or_else(damaged)?;
        let mut digests = list.chunks_exact(size_of::<Digest>());
        let parts = &self.manifest.parts;
        for (part, place) in [&parts.root, &parts.verity, &parts.uki]
            .into_iter()
            .zip(&self.places[1..])
        {
            let mut at = 0;
            while at < part.size {
                let length = (part.size - at).min(BLOCK as u64);
                let digest = digests.next().ok_or_else(damaged)?;
                self.blocks.push(Block {
                    at: place + at,
                    length: u32::try_from(length).unwrap_or(0),
                    digest: digest.try_into().map_err(|_| damaged())?,
                    here: false,
                });
                at += length;
            }
        }
        Ok(())
    }

    /// Bytes of all blocks.
    pub fn blocks_size(&self) -> u64 {
        self.blocks
            .iter()
            .map(|block| u64::from(block.length))
            .sum()
    }

    /// Bytes of the blocks that are in the file.
    pub fn present(&self) -> u64 {
        self.present
    }

    /// Finds the blocks that an earlier try has left; returns their bytes.
    pub fn find_kept(&mut self) -> Result<u64, Error> {
        if self.old {
            let mut buffer = [0; BLOCK];
            for block in &mut self.blocks {
                let bytes = &mut buffer[..block.length as usize];
                self.file
                    .file()
                    .read_exact_at(bytes, block.at)
                    .map_err(|e| Error::io(&self.path, e))?;
                if blocks::digest(bytes) == block.digest {
                    block.here = true;
                    self.present += u64::from(block.length);
                }
            }
        }
        Ok(self.present)
    }

    /// The digests of the blocks that are missing, each with the numbers of its blocks.
    pub fn wanted(&self) -> std::collections::HashMap<Digest, Vec<usize>> {
        let mut wanted: std::collections::HashMap<Digest, Vec<usize>> = Default::default();
        for (number, block) in self.blocks.iter().enumerate() {
            if !block.here {
                wanted.entry(block.digest).or_default().push(number);
            }
        }
        wanted
    }

    /// Keeps the bytes of a block, which are known to be right.
    pub fn put(&mut self, number: usize, bytes: &[u8]) -> Result<(), Error> {
        let Some(block) = self.blocks.get_mut(number) else {
            return Ok(());
        };
        // A digest may stand for a short block, too.
        if block.here || block.length as usize != bytes.len() {
            return Ok(());
        }
        block.here = true;
        self.present += u64::from(block.length);
        let at = block.at;
        self.write(at, bytes)
    }

    /// Keeps a block that came from the server.
    pub fn take(&mut self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        let number = self.blocks.partition_point(|block| block.at < at);
        let known = self.blocks.get(number).filter(|block| {
            block.at == at
                && block.length as usize == bytes.len()
                && block.digest == blocks::digest(bytes)
        });
        if known.is_none() {
            return Err(Error::Bundle(format!(
                "what the server gives at byte {at} is not what the manifest names"
            )));
        }
        self.put(number, bytes)
    }

    /// Writes bytes of the file.
    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .file()
            .write_all_at(bytes, at)
            .map_err(|e| Error::io(&self.path, e))
    }

    /// The stretches to fetch; two that are at most `gap` blocks apart are one.
    pub fn missing(&self, gap: u64) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for block in self.blocks.iter().filter(|block| !block.here) {
            let end = block.at + u64::from(block.length);
            // A stretch stays within one part: between two parts stands a header.
            let crosses = self.places.iter().any(|place| {
                ranges.last().is_some_and(|last| last.start < *place) && *place <= block.at
            });
            match ranges.last_mut() {
                Some(last) if !crosses && block.at <= last.end + gap * BLOCK as u64 => {
                    last.end = end;
                }
                _ => ranges.push(block.at..end),
            }
        }
        ranges
    }

    /// Ends the work on the file.
    pub fn finish(self) -> Result<PathBuf, Error> {
        self.file
            .file()
            .sync_all()
            .map_err(|e| Error::io(&self.path, e))?;
        Ok(self.path)
    }
}

fn padded(size: u64) -> u64 {
    size.checked_next_multiple_of(RECORD).unwrap_or(u64::MAX)
}

/// The header of a part, made as the builder makes it.
fn header(part: &Part) -> std::io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(&part.file)?;
    header.set_size(part.size);
    header.set_mode(0o644);
    header.set_cksum();
    Ok(header)
}
