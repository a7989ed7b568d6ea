//! A disk's partition table as the firmware sees it: the primary one, or the backup when the
//! primary is damaged (UEFI 2.10, 5.3.2).

use anyhow::Result;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

const SECTOR: u64 = 512;
/// More entries than any table of ours has.
const MOST_ENTRIES: u64 = 256;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Type, in lower case.
    pub kind: String,
    /// Its own UUID, in lower case.
    pub uuid: String,
    /// Its label.
    pub label: String,
    /// Its bytes on the disk.
    pub range: Range<u64>,
}

/// The partitions of a disk; `None` when neither copy of the table is whole.
pub fn read(disk: &File) -> Result<Option<Vec<Partition>>> {
    let sectors = disk.metadata()?.len() / SECTOR;
    for header in [1, sectors.saturating_sub(1)] {
        if let Some(partitions) = copy(disk, header)? {
            return Ok(Some(partitions));
        }
    }
    Ok(None)
}

/// One copy of the table, when its checksums are right.
fn copy(disk: &File, sector: u64) -> Result<Option<Vec<Partition>>> {
    let mut header = [0; 92];
    disk.read_exact_at(&mut header, sector * SECTOR)?;
    let mut bare = header;
    bare[16..20].fill(0);
    let whole = header[..8] == *b"EFI PART"
        && word(&header, 12) == 92
        && long(&header, 24) == sector
        && u64::from(crc32(&bare)) == word(&header, 16);
    let (count, size) = (word(&header, 80), word(&header, 84));
    if !whole || count > MOST_ENTRIES || size != 128 {
        return Ok(None);
    }
    let mut entries = vec![0; usize::try_from(count * size)?];
    disk.read_exact_at(&mut entries, long(&header, 72).saturating_mul(SECTOR))?;
    if u64::from(crc32(&entries)) != word(&header, 88) {
        return Ok(None);
    }
    let used = entries
        .chunks_exact(128)
        .filter(|entry| entry[..16] != [0; 16]);
    Ok(Some(used.map(partition).collect()))
}

fn partition(entry: &[u8]) -> Partition {
    let units = entry[56..128]
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let label: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    Partition {
        kind: guid(&entry[..16]),
        uuid: guid(&entry[16..32]),
        label: String::from_utf16_lossy(&label),
        range: long(entry, 32) * SECTOR..(long(entry, 40) + 1) * SECTOR,
    }
}

/// A GUID as text: its first three fields are stored lowest byte first.
fn guid(bytes: &[u8]) -> String {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::new();
    for (position, index) in ORDER.into_iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&hex::encode(&bytes[index..=index]));
    }
    text
}

fn long(bytes: &[u8], at: usize) -> u64 {
    word(bytes, at + 4) << 32 | word(bytes, at)
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 4]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// CRC-32 as in Ethernet, which GPT uses.
fn crc32(bytes: &[u8]) -> u32 {
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            sum >> 1 ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    });
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_layout::disk::{FreshIds, MIN_DISK_SIZE, PartitionType, Shares, install_script};
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn installed() -> tempfile::NamedTempFile {
        let disk = tempfile::NamedTempFile::new().unwrap();
        disk.as_file().set_len(MIN_DISK_SIZE).unwrap();
        let id = |digit| format!("00000000-0000-4000-8000-00000000000{digit}");
        let ids = FreshIds {
            disk: id(1),
            esp: id(2),
            data: id(3),
            empty_root: id(4),
            empty_verity: id(5),
            pool: id(6),
        };
        let hash = "ab".repeat(32).parse().unwrap();
        let script = install_script(&ids, &"0.1.0".parse().unwrap(), &hash, &Shares::DATA_ALONE);
        let mut sfdisk = Command::new("sfdisk")
            .arg("--quiet")
            .arg(disk.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = sfdisk.stdin.take().unwrap();
        input.write_all(script.as_bytes()).unwrap();
        drop(input);
        assert!(sfdisk.wait().unwrap().success());
        disk
    }

    #[test]
    fn either_copy_will_do_and_neither_will_not() {
        let disk = installed();
        let file = disk.as_file();
        let whole = read(file).unwrap().unwrap();
        assert_eq!(whole[0].kind, PartitionType::Esp.guid());
        assert_eq!(whole[1].uuid, "abababab-abab-abab-abab-abababababab");
        assert_eq!(whole[2].label, "basalt_0.1.0_verity");
        assert_eq!(whole[0].range.start, 1 << 20);

        file.write_all_at(&[1], 1024 + 60).unwrap();
        assert_eq!(read(file).unwrap().unwrap(), whole);
        file.write_all_at(&[1], file.metadata().unwrap().len() - 500)
            .unwrap();
        assert_eq!(read(file).unwrap(), None);
    }

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
