//! What lies where on the disk of an installed host.

use crate::{RootHash, SlotLabel, Version};

const MIB: u64 = 1 << 20;

/// Size of the EFI system partition.
pub const ESP_SIZE: u64 = 512 * MIB;
/// Size of a slot's root partition.
pub const ROOT_SIZE: u64 = 1536 * MIB;
/// Size of a slot's hash tree partition.
pub const VERITY_SIZE: u64 = 64 * MIB;
/// Least size of the data partition.
pub const DATA_MIN_SIZE: u64 = 2048 * MIB;
/// Space before the first partition and behind the last one.
pub const MARGIN: u64 = 2 * MIB;
/// Least size of a disk Basalt can be installed on.
pub const MIN_DISK_SIZE: u64 = MARGIN + ESP_SIZE + 2 * (ROOT_SIZE + VERITY_SIZE) + DATA_MIN_SIZE;

/// Partition label of the EFI system partition.
pub const ESP_LABEL: &str = "basalt-esp";
/// Partition label of the BIOS boot partition.
pub const BIOS_LABEL: &str = "basalt-bios";
/// File system label of the EFI system partition.
pub const ESP_FS_LABEL: &str = "BASALT-ESP";
/// Partition label, and file system label, of the data partition.
pub const DATA_LABEL: &str = "basalt-data";
/// Volume label of a medium that carries an answer file.
pub const ANSWER_LABEL: &str = "BASALT-ANS";
/// Name of the answer file on its medium.
pub const ANSWER_FILE: &str = "answer.toml";

/// Bit 60 of a GPT entry's attributes: the partition is never written by who mounts it.
pub const ATTRIBUTE_READ_ONLY: u8 = 60;

/// Types of the partitions Basalt makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionType {
    /// EFI system partition.
    Esp,
    /// Root file system for x86-64.
    Root,
    /// Hash tree of a root file system for x86-64.
    Verity,
    /// Linux file system data.
    Data,
    /// GRUB's core, on a disk that also boots by legacy BIOS.
    BiosBoot,
}

impl PartitionType {
    /// The type's GUID as tools print it, in lower case.
    pub const fn guid(self) -> &'static str {
        match self {
            Self::Esp => "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
            Self::Root => "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
            Self::Verity => "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5",
            Self::Data => "0fc63daf-8483-4772-8e79-3d69d8477de4",
            Self::BiosBoot => "21686148-6449-6e6f-744e-656564454649",
        }
    }
}

/// One of the two places an image can live in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The slot the installer fills.
    A,
    /// The slot the first update fills.
    B,
}

impl Slot {
    /// Both slots.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The slot that is not this one.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The slot's letter.
    pub const fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }

    /// Number of the slot's root partition.
    pub const fn root_partition(self) -> u32 {
        match self {
            Self::A => 2,
            Self::B => 4,
        }
    }

    /// Number of the slot's hash tree partition.
    pub const fn verity_partition(self) -> u32 {
        self.root_partition() + 1
    }
}

/// Number of the EFI system partition.
pub const ESP_PARTITION: u32 = 1;
/// Number of the data partition.
pub const DATA_PARTITION: u32 = 6;
/// Number of the BIOS boot partition. It lies before all others, in room that their alignment leaves
/// free anyway.
pub const BIOS_PARTITION: u32 = 7;
/// First sector of the BIOS boot partition: behind the partition table, aligned to 4 KiB.
const BIOS_FIRST_SECTOR: u64 = 40;
/// First sector of the EFI system partition.
const ESP_FIRST_SECTOR: u64 = 2048;
/// First sector behind the partition table. Programs leave more room by themselves.
const FIRST_SECTOR: u64 = 34;

/// UUIDs an installation draws by chance: one for the disk and one for each partition whose
/// identity does not follow from a root hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreshIds {
    /// The disk's own GUID.
    pub disk: String,
    /// The EFI system partition.
    pub esp: String,
    /// The data partition.
    pub data: String,
    /// Slot B's root, until an update fills it.
    pub empty_root: String,
    /// Slot B's hash tree, until an update fills it.
    pub empty_verity: String,
}

/// The `sfdisk` script that partitions a whole disk, slot A already carrying `version`.
///
/// The data partition takes what is left. Sectors are taken to have 512 bytes; on disks with larger
/// ones, from which no legacy BIOS boots, the first partitions merely begin later.
pub fn install_script(ids: &FreshIds, version: &Version, root_hash: &RootHash) -> String {
    script(ids, image_of(version, root_hash), None)
}

/// Like [`install_script`], with a data partition of just `data_size` bytes, as a mirror's members
/// have it.
pub fn mirrored_script(
    ids: &FreshIds,
    version: &Version,
    root_hash: &RootHash,
    data_size: u64,
) -> String {
    script(ids, image_of(version, root_hash), Some(data_size))
}

/// The `sfdisk` script for a disk that is to join a mirror: two empty slots, of which slot A gets
/// these identities, and a data partition of `data_size` bytes.
pub fn joining_script(ids: &FreshIds, first_slot: [String; 2], data_size: u64) -> String {
    let [root, verity] = first_slot;
    let image = [(SlotLabel::Empty, root), (SlotLabel::Empty, verity)];
    script(ids, image, Some(data_size))
}

/// Size of the data partition on a disk of `disk_size` bytes whose end it leaves to the table's
/// second copy.
pub const fn data_size(disk_size: u64) -> u64 {
    let before = MARGIN + ESP_SIZE + 2 * (ROOT_SIZE + VERITY_SIZE);
    disk_size.saturating_sub(before) / MIB * MIB
}

fn image_of(version: &Version, root_hash: &RootHash) -> [(SlotLabel, String); 2] {
    [
        (SlotLabel::Root(version.clone()), root_hash.root_partuuid()),
        (
            SlotLabel::Verity(version.clone()),
            root_hash.verity_partuuid(),
        ),
    ]
}

fn script(ids: &FreshIds, image: [(SlotLabel, String); 2], data_size: Option<u64>) -> String {
    let [(root_label, root), (verity_label, verity)] =
        image.map(|(label, uuid)| (label.to_string(), uuid));
    let empty = SlotLabel::Empty.to_string();
    let mut script = format!(
        "label: gpt\nlabel-id: {}\nunit: sectors\nfirst-lba: {FIRST_SECTOR}\n\n\
         {BIOS_PARTITION} : start={BIOS_FIRST_SECTOR}, size={}, type={}, name=\"{BIOS_LABEL}\"\n",
        ids.disk,
        ESP_FIRST_SECTOR - BIOS_FIRST_SECTOR,
        PartitionType::BiosBoot.guid()
    );
    let rows = [
        (Some(ESP_SIZE), PartitionType::Esp, &ids.esp, ESP_LABEL),
        (Some(ROOT_SIZE), PartitionType::Root, &root, &root_label),
        (
            Some(VERITY_SIZE),
            PartitionType::Verity,
            &verity,
            &verity_label,
        ),
        (
            Some(ROOT_SIZE),
            PartitionType::Root,
            &ids.empty_root,
            &empty,
        ),
        (
            Some(VERITY_SIZE),
            PartitionType::Verity,
            &ids.empty_verity,
            &empty,
        ),
        (data_size, PartitionType::Data, &ids.data, DATA_LABEL),
    ];
    for (number, (size, kind, uuid, label)) in (ESP_PARTITION..).zip(rows) {
        script.push_str(&format!("{number} : "));
        if number == ESP_PARTITION {
            script.push_str(&format!("start={ESP_FIRST_SECTOR}, "));
        }
        if let Some(size) = size {
            script.push_str(&format!("size={}MiB, ", size / MIB));
        }
        script.push_str(&format!(
            "type={}, uuid={uuid}, name=\"{label}\"",
            kind.guid()
        ));
        if matches!(kind, PartitionType::Root | PartitionType::Verity) {
            script.push_str(&format!(", attrs=\"GUID:{ATTRIBUTE_READ_ONLY}\""));
        }
        script.push('\n');
    }
    script
}

/// The path of a partition of a disk: `/dev/vda` → `/dev/vda2`, `/dev/nvme0n1` → `/dev/nvme0n1p2`.
pub fn partition_path(disk: &str, number: u32) -> String {
    let separator = if disk.ends_with(|c: char| c.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    format!("{disk}{separator}{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_paths_follow_the_kernel() {
        assert_eq!(partition_path("/dev/vda", 6), "/dev/vda6");
        assert_eq!(partition_path("/dev/nvme0n1", 2), "/dev/nvme0n1p2");
        assert_eq!(partition_path("/dev/loop7", 1), "/dev/loop7p1");
    }

    #[test]
    fn a_mirrors_data_partition_fits_the_smaller_disk() {
        let before = ESP_FIRST_SECTOR * 512 + ESP_SIZE + 2 * (ROOT_SIZE + VERITY_SIZE);
        for disk in [MIN_DISK_SIZE, MIN_DISK_SIZE + 12_345, 32 << 30] {
            let size = data_size(disk);
            assert!(size >= DATA_MIN_SIZE && size.is_multiple_of(MIB));
            // 33 sectors at the end are the table's second copy.
            assert!(before + size + 33 * 512 <= disk, "{disk}");
        }
    }

    #[test]
    fn slots_do_not_overlap() {
        let mut numbers: Vec<u32> = Slot::ALL
            .into_iter()
            .flat_map(|slot| [slot.root_partition(), slot.verity_partition()])
            .chain([ESP_PARTITION, DATA_PARTITION, BIOS_PARTITION])
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(Slot::A.other().other(), Slot::A);
    }

    #[test]
    fn script_names_every_partition() {
        let id = |n: u8| format!("00000000-0000-4000-8000-0000000000{n:02}");
        let ids = FreshIds {
            disk: id(1),
            esp: id(2),
            data: id(3),
            empty_root: id(4),
            empty_verity: id(5),
        };
        let hash = "ab".repeat(32).parse().unwrap();
        let script = install_script(&ids, &"0.1.0".parse().unwrap(), &hash);
        let rows: Vec<&str> = script
            .lines()
            .filter(|line| line.contains("type="))
            .collect();
        assert_eq!(rows.len(), 7);
        assert!(rows[0].starts_with("7 : start=40, size=2008, type=21686148"));
        assert!(rows[1].starts_with("1 : start=2048, size=512MiB"));
        assert!(rows[2].starts_with("2 : size=1536MiB"));
        assert!(rows[2].contains("uuid=abababab-abab-abab-abab-abababababab"));
        assert!(rows[2].contains("name=\"basalt_0.1.0\""));
        assert!(rows[3].contains("name=\"basalt_0.1.0_verity\""));
        assert!(rows[4].contains("name=\"_empty\""));
        assert!(rows[6].starts_with("6 : type=0fc63daf"));
    }
}
