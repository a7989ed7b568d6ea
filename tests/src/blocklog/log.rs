//! The log that QEMU's `blklogwrites` driver writes, in the format of Linux's `dm-log-writes`
//! (Documentation/admin-guide/device-mapper/log-writes.rst).
//!
//! The first sector holds magic, version, number of entries and the sector size; then each entry
//! has a sector for itself and, unless it is a discard, its data behind it. QEMU logs an operation
//! when it has completed, and says how many there are at every flush, before the guest hears of it.

use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: u64 = 0x6a_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;
/// Bytes of an entry that mean something.
const ENTRY_SIZE: usize = 32;

/// What a machine did to its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Wrote; the data begins at this byte of the log.
    Write(u64),
    /// Gave the bytes up; they read as zeros, or as before.
    Discard,
    /// Asked for everything it had written to be kept.
    Flush,
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What was done.
    pub what: What,
    /// First byte on the disk.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

impl Entry {
    /// The bytes of the disk it is about.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.length
    }
}

/// A finished log.
#[derive(Debug)]
pub struct Log {
    file: File,
    entries: Vec<Entry>,
}

impl Log {
    /// Reads the entries of a log; their data stays in the file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let entries = read(&file).with_context(|| path.display().to_string())?;
        Ok(Self { file, entries })
    }

    /// All operations, in the order in which they completed.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What a write wrote; nothing for other entries.
    pub fn data(&self, entry: &Entry) -> Result<Vec<u8>> {
        let What::Write(at) = entry.what else {
            return Ok(Vec::new());
        };
        let mut bytes = vec![0; usize::try_from(entry.length)?];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

/// How many entries a log that is still being written had at the last flush.
pub fn recorded(path: &Path) -> Result<usize> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    if file.metadata()?.len() == 0 {
        return Ok(0);
    }
    Ok(usize::try_from(superblock(&file)?.0)?)
}

/// Number of entries, and the size of the log's sectors.
fn superblock(file: &File) -> Result<(u64, u64)> {
    let mut bytes = [0; 28];
    file.read_exact_at(&mut bytes, 0)?;
    ensure!(
        long(&bytes, 0) == MAGIC && long(&bytes, 8) == VERSION,
        "no log of disk writes"
    );
    let sector = long(&[&bytes[24..28], &[0; 4]].concat(), 0);
    ensure!(
        sector.is_power_of_two() && sector >= 512,
        "impossible sector size {sector}"
    );
    Ok((long(&bytes, 16), sector))
}

fn read(file: &File) -> Result<Vec<Entry>> {
    let (count, sector) = superblock(file)?;
    let mut entries = Vec::new();
    let mut at = sector;
    for index in 0..count {
        let mut bytes = [0; ENTRY_SIZE];
        file.read_exact_at(&mut bytes, at)
            .with_context(|| format!("entry {index} of {count} is missing"))?;
        at += sector;
        let bytes_of = |sectors: u64| {
            sectors
                .checked_mul(sector)
                .with_context(|| format!("entry {index} is impossibly large"))
        };
        let (offset, length) = (bytes_of(long(&bytes, 0))?, bytes_of(long(&bytes, 8))?);
        let what = match long(&bytes, 16) {
            0 => What::Write(at),
            FLUSH if length == 0 => What::Flush,
            DISCARD => What::Discard,
            flags => bail!("entry {index} has flags {flags:#x}, which QEMU never writes"),
        };
        if matches!(what, What::Write(_)) {
            at += length;
        }
        entries.push(Entry {
            what,
            offset,
            length,
        });
    }
    Ok(entries)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A log of operations with their data, as QEMU would have written it.
    pub fn made_of(operations: &[(u64, u64, u64, &[u8])]) -> tempfile::NamedTempFile {
        let mut bytes = Vec::new();
        let mut block = |fields: &[u64], data: &[u8]| {
            let mut sector: Vec<u8> = fields
                .iter()
                .flat_map(|field| field.to_le_bytes())
                .collect();
            sector.resize(512, 0);
            bytes.extend(sector);
            bytes.extend(data);
        };
        block(&[MAGIC, VERSION, operations.len() as u64, 512], &[]);
        for (sector, count, flags, data) in operations {
            block(&[*sector, *count, *flags, 0], data);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn every_kind_of_entry_is_read() {
        let file = made_of(&[
            (3, 1, 0, &[7; 512]),
            (0, 0, FLUSH, &[]),
            (8, 100, DISCARD, &[]),
            (1, 2, 0, &[9; 1024]),
        ]);
        let log = Log::open(file.path()).unwrap();
        let [one, flush, discard, two] = log.entries() else {
            panic!("{:?}", log.entries());
        };
        assert_eq!((one.offset, one.length), (1536, 512));
        assert_eq!(log.data(one).unwrap(), [7; 512]);
        assert_eq!(flush.what, What::Flush);
        assert_eq!((discard.what, discard.length), (What::Discard, 51_200));
        assert_eq!(two.range(), 512..1536);
        assert_eq!(log.data(two).unwrap(), [9; 1024]);
        assert_eq!(recorded(file.path()).unwrap(), 4);
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |operations: &[(u64, u64, u64, &[u8])]| {
            let file = made_of(operations);
            Log::open(file.path()).map(drop).unwrap_err()
        };
        let why = format!("{:#}", refused(&[(0, 1, 8, &[0; 512])]));
        assert!(why.contains("flags 0x8"), "{why}");
        let why = format!("{:#}", refused(&[(0, 1, 0, &[]), (0, 0, FLUSH, &[])]));
        assert!(why.contains("entry 1 of 2"), "{why}");
        let none = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(recorded(none.path()).unwrap(), 0);
        assert!(Log::open(none.path()).is_err());
    }

    #[test]
    fn what_qemu_writes_is_understood() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, log) = (dir.path().join("disk"), dir.path().join("log"));
        File::create(&disk).unwrap().set_len(1 << 20).unwrap();
        File::create(&log).unwrap();
        let stack = basalt_image::appliance::qemu::recorder(&log)
            + &format!(
                ",image.file.driver=file,image.file.filename={}",
                disk.display()
            );
        let status = basalt_image::build::Emulator::ensure()
            .unwrap()
            .command("qemu-io")
            .args(["-c", "write -P 5 4k 1k", "-c", "write -z 8k 4k"])
            .args(["-c", "discard 64k 64k", "-c", "flush", "--image-opts"])
            .arg(stack)
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        let log = Log::open(&log).unwrap();
        let writes: Vec<_> = log
            .entries()
            .iter()
            .filter(|entry| entry.what != What::Flush)
            .map(|entry| (entry.range(), log.data(entry).unwrap()))
            .collect();
        assert_eq!(writes[0], (4096..5120, vec![5; 1024]));
        assert_eq!(writes[1], (8192..12_288, vec![0; 4096]));
        assert_eq!(writes[2], (65_536..131_072, Vec::new()));
        assert_eq!(log.entries().last().unwrap().what, What::Flush);
    }
}
