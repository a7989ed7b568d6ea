//! The disk as it would be found after a power cut.
//!
//! A disk has a write cache that forgets. What was written before the last completed flush is
//! there; of each later write all, nothing or some of its 512-byte sectors are.

use super::cuts::Cut;
use super::log::{Entry, Log, What};
use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Smallest part of a write that arrives or does not.
const SECTOR: usize = 512;
/// Grain in which changes are remembered.
const GRAIN: u64 = 1 << 20;
/// Longest discard that is carried out before it was flushed: none has to be.
const SHORT_DISCARD: u64 = 1 << 20;

/// A disk that goes from cut to cut.
#[derive(Debug)]
pub struct Replay<'a> {
    log: &'a Log,
    path: PathBuf,
    disk: File,
    done: usize,
    /// What was there before the writes that were not flushed, in their order.
    undo: Vec<(u64, Vec<u8>)>,
    changes: Vec<u64>,
}

impl<'a> Replay<'a> {
    /// Goes on from `path`, a raw image of the disk when the recording began; changes it.
    pub fn new(log: &'a Log, path: &Path) -> Result<Self> {
        let disk = File::options()
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let size = disk.metadata()?.len();
        Ok(Self {
            log,
            path: path.to_owned(),
            disk,
            done: 0,
            undo: Vec::new(),
            changes: vec![0; usize::try_from(size.div_ceil(GRAIN))?],
        })
    }

    /// The disk.
    pub fn disk(&self) -> &File {
        &self.disk
    }

    /// The disk's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number that changes whenever something in this range may have changed.
    pub fn stamp(&self, range: &Range<u64>) -> u64 {
        self.changes[self.grains(range)].iter().sum()
    }

    /// Makes the disk what it is after a cut; cuts must come in their order.
    pub fn cut(&mut self, cut: &Cut) -> Result<()> {
        self.take_back()?;
        ensure!(self.done <= cut.flushed, "cuts must come in their order");
        for entry in &self.log.entries()[self.done..cut.flushed] {
            match entry.what {
                What::Write(_) => self.write(entry.offset, &self.log.data(entry)?)?,
                What::Discard => self.discard(entry)?,
                What::Flush => {}
            }
        }
        self.done = cut.flushed;
        let mut rng = StdRng::seed_from_u64(cut.seed);
        // From a cache that had hardly begun to one that had nearly finished.
        let share = rng.gen_range(0.05..0.95);
        for entry in &self.log.entries()[cut.flushed..cut.seen] {
            self.perhaps(entry, share, &mut rng)?;
        }
        Ok(())
    }

    /// Carries out a write that no flush has confirmed, or some of it.
    fn perhaps(&mut self, entry: &Entry, share: f64, rng: &mut StdRng) -> Result<()> {
        if entry.what == What::Discard {
            if entry.length <= SHORT_DISCARD && rng.gen_bool(share) {
                self.keep(&entry.range())?;
                self.discard(entry)?;
            }
            return Ok(());
        }
        let data = self.log.data(entry)?;
        let torn = rng.gen_bool(0.25);
        if !torn && !rng.gen_bool(share) {
            return Ok(());
        }
        let piece = if torn { SECTOR } else { data.len().max(1) };
        for (offset, bytes) in (entry.offset..).step_by(piece).zip(data.chunks(piece)) {
            if !torn || rng.gen_bool(share) {
                self.keep(&(offset..offset + bytes.len() as u64))?;
                self.write(offset, bytes)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, range: &Range<u64>) -> Result<()> {
        let mut old = vec![0; usize::try_from(range.end - range.start)?];
        self.disk.read_exact_at(&mut old, range.start)?;
        self.undo.push((range.start, old));
        Ok(())
    }

    fn take_back(&mut self) -> Result<()> {
        for (offset, old) in std::mem::take(&mut self.undo).into_iter().rev() {
            self.write(offset, &old)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.disk.write_all_at(bytes, offset)?;
        self.changed(&(offset..offset + bytes.len() as u64));
        Ok(())
    }

    fn discard(&mut self, entry: &Entry) -> Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&self.disk, flags, entry.offset, entry.length)
            .context("the file system of the work folder cannot make holes")?;
        self.changed(&entry.range());
        Ok(())
    }

    fn changed(&mut self, range: &Range<u64>) {
        let grains = self.grains(range);
        for change in &mut self.changes[grains] {
            *change += 1;
        }
    }

    fn grains(&self, range: &Range<u64>) -> Range<usize> {
        let most = self.changes.len();
        let index = |grain: u64| usize::try_from(grain).map_or(most, |grain| grain.min(most));
        index(range.start / GRAIN)..index(range.end.div_ceil(GRAIN))
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::tests::made_of;
    use super::*;

    fn disk() -> tempfile::NamedTempFile {
        let disk = tempfile::NamedTempFile::new().unwrap();
        disk.as_file().set_len(4 << 20).unwrap();
        disk
    }

    fn boundary(at: usize) -> Cut {
        Cut {
            flushed: at,
            seen: at,
            seed: 0,
        }
    }

    fn sector(disk: &Replay<'_>, number: u64) -> u8 {
        let mut bytes = [0; SECTOR];
        disk.disk().read_exact_at(&mut bytes, number * 512).unwrap();
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "{number}");
        bytes[0]
    }

    #[test]
    fn what_was_flushed_is_there_and_stays() {
        let file = made_of(&[
            (1, 1, 0, &[1; 512]),
            (0, 0, 1, &[]),
            (1, 2, 0, &[2; 1024]),
            (0, 0, 1, &[]),
            (1, 1, 4, &[]),
            (0, 0, 1, &[]),
        ]);
        let log = Log::open(file.path()).unwrap();
        let disk = disk();
        let mut replay = Replay::new(&log, disk.path()).unwrap();
        let mut states = Vec::new();
        for cut in [0, 2, 4, 6].map(boundary) {
            replay.cut(&cut).unwrap();
            states.push((sector(&replay, 1), sector(&replay, 2)));
        }
        assert_eq!(states, [(0, 0), (1, 0), (2, 2), (0, 2)]);
        assert!(replay.cut(&boundary(2)).is_err());
    }

    #[test]
    fn what_was_not_flushed_may_be_there_sector_by_sector() {
        let data = [3; 512 * 8];
        let file = made_of(&[(0, 0, 1, &[]), (8, 8, 0, &data), (40, 1, 4, &[])]);
        let log = Log::open(file.path()).unwrap();
        let disk = disk();
        disk.as_file().write_all_at(&[9; 512], 40 * 512).unwrap();
        let mut replay = Replay::new(&log, disk.path()).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let cut = Cut {
                flushed: 1,
                seen: 3,
                seed,
            };
            replay.cut(&cut).unwrap();
            let there: Vec<u8> = (8..16).map(|number| sector(&replay, number)).collect();
            seen.insert((
                there.iter().filter(|byte| **byte == 3).count(),
                sector(&replay, 40),
            ));
        }
        let counts: Vec<usize> = seen.iter().map(|(count, _)| *count).collect();
        assert!(counts.contains(&0) && counts.contains(&8) && counts.contains(&4));
        assert!(seen.iter().any(|(_, byte)| *byte == 0));
        // And none of it stays.
        replay.cut(&boundary(1)).unwrap();
        assert!((8..16).all(|number| sector(&replay, number) == 0));
        assert_eq!(sector(&replay, 40), 9);
    }

    #[test]
    fn changes_are_noticed_where_they_are() {
        let file = made_of(&[(2048, 1, 0, &[1; 512]), (0, 0, 1, &[])]);
        let log = Log::open(file.path()).unwrap();
        let disk = disk();
        let mut replay = Replay::new(&log, disk.path()).unwrap();
        let (first, second) = (0..GRAIN, GRAIN..2 * GRAIN);
        let before = (replay.stamp(&first), replay.stamp(&second));
        replay.cut(&boundary(2)).unwrap();
        assert_eq!(replay.stamp(&first), before.0);
        assert_ne!(replay.stamp(&second), before.1);
    }
}
