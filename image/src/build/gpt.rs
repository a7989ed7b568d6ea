//! Gives the partitions of a finished ISO their identities, which the ISO's writer cannot set.

use super::error::{At, Error, Result};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

const SECTOR: u64 = 512;
const HEADER_SIZE: usize = 92;
const ENTRY_SIZE: usize = 128;
/// A label has room for so many UTF-16 units.
const LABEL_UNITS: usize = 36;

/// Who a partition is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its number, from 1.
    pub number: u32,
    /// GUID of its type.
    pub kind: &'static str,
    /// Its own GUID.
    pub uuid: String,
    /// Its label.
    pub label: String,
    /// Whether its attributes say that it is never written.
    pub read_only: bool,
}

/// Sets `identities` in both copies of the partition table.
pub(super) fn identify(path: &Path, identities: &[Identity]) -> Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .at("open", path)?;
    let primary = Table::read(&file, path, SECTOR)?;
    let backup = Table::read(&file, path, primary.other * SECTOR)?;
    for mut table in [primary, backup] {
        for identity in identities {
            table
                .set(identity)
                .map_err(|reason| malformed(path, &reason))?;
        }
        table.write(&file, path)?;
    }
    file.sync_all().at("write", path)
}

fn malformed(path: &Path, reason: &str) -> Error {
    Error::Invalid(format!("{}: {reason}", path.display()))
}

/// One copy of a partition table.
struct Table {
    at: u64,
    header: [u8; HEADER_SIZE],
    entries_at: u64,
    entries: Vec<u8>,
    /// Sector of the other copy's header.
    other: u64,
}

impl Table {
    fn read(file: &File, path: &Path, at: u64) -> Result<Self> {
        let mut header = [0; HEADER_SIZE];
        file.read_exact_at(&mut header, at).at("read", path)?;
        let (count, size) = (word(&header, 80), word(&header, 84));
        if header[..8] != *b"EFI PART" || size as usize != ENTRY_SIZE || count > 256 {
            return Err(malformed(path, "there is no partition table that we know"));
        }
        let entries_at = long(&header, 72) * SECTOR;
        let mut entries = vec![0; count as usize * ENTRY_SIZE];
        file.read_exact_at(&mut entries, entries_at)
            .at("read", path)?;
        let other = long(&header, 32);
        Ok(Self {
            at,
            header,
            entries_at,
            entries,
            other,
        })
    }

    fn set(&mut self, identity: &Identity) -> std::result::Result<(), String> {
        let start = (identity.number as usize)
            .wrapping_sub(1)
            .saturating_mul(ENTRY_SIZE);
        let entry = self
            .entries
            .get_mut(start..start.saturating_add(ENTRY_SIZE))
            .filter(|entry| entry[..16] != [0; 16])
            .ok_or_else(|| format!("there is no partition {}", identity.number))?;
        entry[..16].copy_from_slice(&guid(identity.kind)?);
        entry[16..32].copy_from_slice(&guid(&identity.uuid)?);
        let attributes = u64::from(identity.read_only) << basalt_layout::disk::ATTRIBUTE_READ_ONLY;
        entry[48..56].copy_from_slice(&attributes.to_le_bytes());
        let label: Vec<u16> = identity.label.encode_utf16().collect();
        if label.len() > LABEL_UNITS {
            return Err(format!("the label {:?} is too long", identity.label));
        }
        entry[56..].fill(0);
        for (place, unit) in entry[56..].chunks_exact_mut(2).zip(label) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
        Ok(())
    }

    fn write(&mut self, file: &File, path: &Path) -> Result<()> {
        self.header[88..92].copy_from_slice(&crc32(&self.entries).to_le_bytes());
        // The header's own sum is taken with its place empty.
        self.header[16..20].fill(0);
        let sum = crc32(&self.header);
        self.header[16..20].copy_from_slice(&sum.to_le_bytes());
        file.write_all_at(&self.entries, self.entries_at)
            .at("write", path)?;
        file.write_all_at(&self.header, self.at).at("write", path)
    }
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

/// A GUID as the table stores it: the first three fields lowest byte first.
fn guid(text: &str) -> std::result::Result<[u8; 16], String> {
    let mut bytes = [0; 16];
    let digits = text.replace('-', "");
    hex::decode_to_slice(&digits, &mut bytes).map_err(|_| format!("{text:?} is no GUID"))?;
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    Ok(bytes)
}

/// The CRC-32 that partition tables use.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            sum >> 1 ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(number: u32) -> Identity {
        Identity {
            number,
            kind: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
            uuid: "00112233-4455-6677-8899-aabbccddeeff".to_owned(),
            label: "basalt_0.1.0".to_owned(),
            read_only: true,
        }
    }

    fn image(dir: &Path) -> std::path::PathBuf {
        let mut bytes = vec![0u8; 512 * 100];
        for (at, entries, other) in [(1u8, 2u8, 99u8), (99, 66, 1)] {
            let header = usize::from(at) * 512;
            bytes[header..header + 8].copy_from_slice(b"EFI PART");
            bytes[header + 32] = other;
            bytes[header + 72] = entries;
            bytes[header + 80] = 128;
            bytes[header + 84] = 128;
            let entry = usize::from(entries) * 512 + ENTRY_SIZE;
            bytes[entry] = 9;
        }
        let path = dir.join("image");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn the_sum_is_the_standard_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn both_copies_change_and_have_right_sums() {
        let dir = tempfile::tempdir().unwrap();
        let path = image(dir.path());
        identify(&path, &[identity(2)]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for (header, entries) in [(512, 1024), (99 * 512, 66 * 512)] {
            let entry = &bytes[entries + ENTRY_SIZE..entries + 2 * ENTRY_SIZE];
            assert_eq!(entry[16..24], [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66]);
            assert_eq!(entry[55], 0x10);
            assert_eq!((entry[56], entry[58]), (b'b', b'a'));
            let mut copy = bytes[header..header + HEADER_SIZE].to_vec();
            copy[16..20].fill(0);
            assert_eq!(word(&bytes, header + 16), crc32(&copy));
        }
    }

    #[test]
    fn a_missing_partition_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = image(dir.path());
        let error = identify(&path, &[identity(3)]).unwrap_err().to_string();
        assert!(error.ends_with("there is no partition 3"), "{error}");
    }
}
