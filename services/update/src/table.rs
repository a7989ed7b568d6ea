//! The partition table of a disk, read and written through `sfdisk`.
//!
//! A change to several entries is one write of the table, so that a slot's two partitions never
//! name different versions. Works on block devices and on image files alike.

use std::path::{Path, PathBuf};

use basalt_layout::disk::{FreshIds, PartitionType};
use basalt_layout::{Slot, SlotLabel};

use crate::{Error, command};

/// An identity drawn by chance.
pub fn fresh_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The identities of a disk that is partitioned now.
pub fn fresh_ids() -> FreshIds {
    FreshIds {
        disk: fresh_id(),
        esp: fresh_id(),
        data: fresh_id(),
        pool: fresh_id(),
        empty_root: fresh_id(),
        empty_verity: fresh_id(),
    }
}

/// One entry of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number of the partition, counted from 1.
    pub number: u32,
    /// First byte on the disk.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
    /// Partition UUID in lower case.
    pub uuid: String,
    /// Partition label.
    pub label: String,
    /// Fields that are kept as they are.
    rest: Vec<String>,
}

impl Entry {
    /// Whether the partition is of this type.
    pub fn is_a(&self, kind: PartitionType) -> bool {
        let field = |field: &String| field.strip_prefix("type=").map(str::to_lowercase);
        self.rest
            .iter()
            .filter_map(field)
            .any(|guid| guid == kind.guid())
    }
}

/// The table of one disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    disk: PathBuf,
    header: Vec<String>,
    sector_size: u64,
    entries: Vec<Entry>,
}

impl Table {
    /// Reads the table of a disk.
    pub fn read(disk: &Path) -> Result<Self, Error> {
        let dump = command::run("sfdisk", &["--dump", &disk.to_string_lossy()], "")?;
        Self::parse(disk, &dump).ok_or_else(|| Error::NotInstalled {
            reason: format!(
                "the partition table of {} cannot be understood",
                disk.display()
            ),
        })
    }

    fn parse(disk: &Path, dump: &str) -> Option<Self> {
        let (header, rows) = dump.split_once("\n\n")?;
        let header: Vec<String> = header
            .lines()
            .filter(|line| !line.starts_with("device:"))
            .map(str::to_owned)
            .collect();
        let sector_size = header
            .iter()
            .find_map(|line| line.strip_prefix("sector-size:"))
            .map_or(Some(512), |text| text.trim().parse().ok())?;
        let entries = rows
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| parse_row(line, sector_size))
            .collect::<Option<Vec<Entry>>>()?;
        Some(Self {
            disk: disk.to_owned(),
            header,
            sector_size,
            entries,
        })
    }

    /// The entry with this number.
    pub fn entry(&self, number: u32) -> Result<&Entry, Error> {
        self.entries
            .iter()
            .find(|entry| entry.number == number)
            .ok_or_else(|| Error::NotInstalled {
                reason: format!("{} has no partition {number}", self.disk.display()),
            })
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The slot whose root partition has this UUID.
    pub fn slot_of(&self, root_partuuid: &str) -> Option<Slot> {
        Slot::ALL.into_iter().find(|slot| {
            self.entry(slot.root_partition())
                .is_ok_and(|entry| entry.uuid == root_partuuid)
        })
    }

    /// What a slot holds, when both its partitions agree.
    pub fn content_of(&self, slot: Slot) -> Option<basalt_layout::Version> {
        let label = |number| SlotLabel::parse(&self.entry(number).ok()?.label);
        match (
            label(slot.root_partition())?,
            label(slot.verity_partition())?,
        ) {
            (SlotLabel::Root(root), SlotLabel::Verity(verity)) if root == verity => Some(root),
            _ => None,
        }
    }

    /// Gives an entry another identity; written by [`Table::write`].
    pub fn rename(&mut self, number: u32, label: &SlotLabel, uuid: &str) {
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.number == number)
        {
            entry.label = label.to_string();
            entry.uuid = uuid.to_owned();
        }
    }

    /// Writes the whole table in one go. No partition moves, so the kernel need not hear of it,
    /// and the disk may be in use.
    pub fn write(&self) -> Result<(), Error> {
        let disk = self.disk.to_string_lossy();
        let arguments = [
            "--force",
            "--no-reread",
            "--no-tell-kernel",
            "--wipe",
            "never",
            "--wipe-partitions",
            "never",
            "--quiet",
            &disk,
        ];
        command::run("sfdisk", &arguments, &self.script())?;
        let file = std::fs::File::open(&self.disk).map_err(|e| Error::io(&self.disk, e))?;
        file.sync_all().map_err(|e| Error::io(&self.disk, e))
    }

    fn script(&self) -> String {
        let mut script = self.header.join("\n");
        script.push_str("\n\n");
        for entry in &self.entries {
            let start = entry.offset / self.sector_size;
            let size = entry.size / self.sector_size;
            script.push_str(&format!("{} : start={start}, size={size}", entry.number));
            for field in &entry.rest {
                script.push_str(&format!(", {field}"));
            }
            script.push_str(&format!(
                ", uuid={}, name=\"{}\"\n",
                entry.uuid, entry.label
            ));
        }
        script
    }
}

fn parse_row(line: &str, sector_size: u64) -> Option<Entry> {
    let (node, fields) = line.split_once(" : ")?;
    let digits = node
        .trim_end()
        .chars()
        .rev()
        .take_while(char::is_ascii_digit)
        .count();
    let number = node.trim_end()[node.trim_end().len() - digits..]
        .parse()
        .ok()?;
    let mut entry = Entry {
        number,
        offset: 0,
        size: 0,
        uuid: String::new(),
        label: String::new(),
        rest: Vec::new(),
    };
    for field in split_fields(fields) {
        match field.split_once('=') {
            Some(("start", value)) => {
                entry.offset = value.trim().parse::<u64>().ok()?.checked_mul(sector_size)?;
            }
            Some(("size", value)) => {
                entry.size = value.trim().parse::<u64>().ok()?.checked_mul(sector_size)?;
            }
            Some(("uuid", value)) => entry.uuid = value.trim().to_ascii_lowercase(),
            Some(("name", value)) => entry.label = value.trim().trim_matches('"').to_owned(),
            _ => entry.rest.push(field.to_owned()),
        }
    }
    Some(entry)
}

/// Splits at commas outside quotes: attributes are one quoted list.
fn split_fields(fields: &str) -> Vec<&str> {
    let mut quoted = false;
    fields
        .split(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        })
        .map(str::trim)
        .filter(|field| !field.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn only_what_is_renamed_changes() {
        let disk = testing::blank_disk();
        let before = Table::read(disk.path()).unwrap();
        assert_eq!(before.content_of(Slot::A), Some("0.1.0".parse().unwrap()));
        assert_eq!(before.content_of(Slot::B), None);
        assert_eq!(
            before.entry(2).unwrap().size,
            basalt_layout::disk::ROOT_SIZE
        );

        let mut table = before.clone();
        let label = SlotLabel::Root("0.2.0".parse().unwrap());
        table.rename(4, &label, "00112233-4455-4677-8899-aabbccddeeff");
        table.write().unwrap();

        let after = Table::read(disk.path()).unwrap();
        assert_eq!(after, table);
        assert_eq!(after.header, before.header);
        assert_eq!(after.entry(4).unwrap().label, "basalt_0.2.0");
        assert!(
            after
                .entry(4)
                .unwrap()
                .rest
                .iter()
                .any(|field| field.contains("GUID:60"))
        );
        for number in [1, 2, 3, 5, 6] {
            assert_eq!(after.entry(number).unwrap(), before.entry(number).unwrap());
        }
        assert_eq!(
            after.slot_of("00112233-4455-4677-8899-aabbccddeeff"),
            Some(Slot::B)
        );
    }

    #[test]
    fn a_blank_disk_has_no_table() {
        let disk = tempfile::NamedTempFile::new().unwrap();
        disk.as_file().set_len(1 << 20).unwrap();
        assert!(matches!(Table::read(disk.path()), Err(Error::Tool { .. })));
    }
}
