//! Reads a disk's partition table, because the kernel tells neither UUIDs nor all labels early.

use std::io::{self, Read, Seek, SeekFrom};

/// More entries than any table of ours has; a larger table is not worth the memory.
const MOST_ENTRIES: u32 = 256;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// The UUID of its type, in lower case.
    pub kind: String,
    /// Its own UUID, in lower case.
    pub uuid: String,
    /// Its label.
    pub label: String,
}

/// The partitions of a disk with `sector`-byte sectors; empty when it has no GPT.
pub fn read(disk: &mut (impl Read + Seek), sector: u64) -> io::Result<Vec<Partition>> {
    let mut header = [0; 92];
    disk.seek(SeekFrom::Start(sector))?;
    disk.read_exact(&mut header)?;
    if header[..8] != *b"EFI PART" {
        return Ok(Vec::new());
    }
    let table = long(&header, 72);
    let (count, size) = (word(&header, 80).min(MOST_ENTRIES), word(&header, 84));
    if !(128..=4096).contains(&size) {
        return Ok(Vec::new());
    }
    disk.seek(SeekFrom::Start(table.saturating_mul(sector)))?;
    let mut partitions = Vec::new();
    let mut entry = vec![0; size as usize];
    for number in 1..=count {
        disk.read_exact(&mut entry)?;
        if entry[..16] != [0; 16] {
            partitions.push(Partition {
                number,
                kind: uuid(&entry[..16]),
                uuid: uuid(&entry[16..32]),
                label: label(&entry[56..128]),
            });
        }
    }
    Ok(partitions)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at + 4)) << 32 | u64::from(word(bytes, at))
}

/// A GUID as text: its first three fields are stored lowest byte first.
fn uuid(bytes: &[u8]) -> String {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::with_capacity(36);
    for (position, index) in ORDER.into_iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{:02x}", bytes[index]));
    }
    text
}

fn label(bytes: &[u8]) -> String {
    let units = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn disk() -> Vec<u8> {
        let mut disk = vec![0; 512 * 34];
        disk[512..520].copy_from_slice(b"EFI PART");
        disk[512 + 72] = 2;
        disk[512 + 80] = 128;
        disk[512 + 84] = 128;
        let entry = &mut disk[1024 + 128..1024 + 256];
        entry[..16].fill(7);
        entry[16..32].copy_from_slice(&(0..16).collect::<Vec<u8>>());
        entry[56] = b'a';
        entry[58] = b'b';
        disk
    }

    #[test]
    fn reads_number_kind_uuid_and_label() {
        let found = read(&mut Cursor::new(disk()), 512).unwrap();
        let uuid = "03020100-0504-0706-0809-0a0b0c0d0e0f".to_owned();
        assert_eq!(
            found,
            [Partition {
                number: 2,
                kind: "07070707-0707-0707-0707-070707070707".to_owned(),
                uuid,
                label: "ab".to_owned()
            }]
        );
    }

    #[test]
    fn a_disk_without_a_table_has_no_partitions() {
        assert!(
            read(&mut Cursor::new(vec![0; 4096]), 512)
                .unwrap()
                .is_empty()
        );
        assert!(read(&mut Cursor::new(vec![0; 100]), 512).is_err());
    }

    #[test]
    fn a_nonsense_entry_size_is_refused() {
        let mut disk = disk();
        disk[512 + 84..512 + 88].fill(0xff);
        assert!(read(&mut Cursor::new(disk), 512).unwrap().is_empty());
    }
}
