//! What lies where on the disk of an installed host.

use crate::{RootHash, SlotLabel, Version};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Size of the EFI system partition.
pub const ESP_SIZE: u64 = 512 * MIB;
/// Size of a slot's root partition.
pub const ROOT_SIZE: u64 = 1536 * MIB;
/// Size of a slot's hash tree partition.
pub const VERITY_SIZE: u64 = 64 * MIB;
/// Least size of the data partition.
pub const DATA_MIN_SIZE: u64 = 2048 * MIB;
/// Least size of the pool's partition.
pub const POOL_MIN_SIZE: u64 = 2048 * MIB;
/// Most that the data partition takes when nobody says how large it shall be and there is a pool.
const DATA_DEFAULT_MOST: u64 = 64 * GIB;
/// Least that it takes then, where the disk has room for it.
const DATA_DEFAULT_LEAST: u64 = 4 * GIB;
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
/// Partition label of the pool that guests' disks lie in.
pub const POOL_LABEL: &str = "basalt-pool";
/// Name of a file in the host's state, `/var/lib/basalt`: it wants ZFS, although no disk may show a
/// partition of its type when it starts.
pub const ZFS_WANTED: &str = "zfs-wanted";
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
    /// A physical volume of LVM.
    Lvm,
    /// A member of a ZFS pool; ZFS's own tools use the same.
    Zfs,
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
            Self::Lvm => "e6d6d379-f507-44c2-a23c-238f2a3df928",
            Self::Zfs => "6a898cc3-1dd2-11b2-99a6-080020736631",
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
/// Number of the pool's partition, on a disk that has one.
pub const POOL_PARTITION: u32 = 8;
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
    /// The pool's partition.
    pub pool: String,
    /// Slot B's root, until an update fills it.
    pub empty_root: String,
    /// Slot B's hash tree, until an update fills it.
    pub empty_verity: String,
}

/// How the room behind the slots is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Size of the data partition in bytes, whole MiB; all that is left when it is absent.
    pub data: Option<u64>,
    /// The pool's partition, for which there is only room beside a data partition of a known size.
    pub pool: Option<PoolShare>,
}

impl Shares {
    /// The data partition takes everything.
    pub const DATA_ALONE: Self = Self {
        data: None,
        pool: None,
    };
}

/// The pool's partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolShare {
    /// What it is for.
    pub kind: PartitionType,
    /// Its size in bytes, whole MiB; all that is left when it is absent.
    pub size: Option<u64>,
}

/// The `sfdisk` script that partitions a whole disk, slot A already carrying `version`.
///
/// Sectors are taken to have 512 bytes; on disks with larger ones, from which no legacy BIOS boots,
/// the first partitions merely begin later.
pub fn install_script(
    ids: &FreshIds,
    version: &Version,
    root_hash: &RootHash,
    shares: &Shares,
) -> String {
    script(ids, image_of(version, root_hash), shares)
}

/// The `sfdisk` script for a disk that is to join a mirror: two empty slots, of which slot A gets
/// these identities, and partitions behind them as large as the other disk's.
pub fn joining_script(ids: &FreshIds, first_slot: [String; 2], shares: &Shares) -> String {
    let [root, verity] = first_slot;
    let image = [(SlotLabel::Empty, root), (SlotLabel::Empty, verity)];
    script(ids, image, shares)
}

/// Room behind the slots on a disk of `disk_size` bytes whose end is left to the table's second
/// copy: the size of the data partition where there is no pool.
pub const fn data_size(disk_size: u64) -> u64 {
    let before = MARGIN + ESP_SIZE + 2 * (ROOT_SIZE + VERITY_SIZE);
    disk_size.saturating_sub(before) / MIB * MIB
}

/// Why the room of a disk cannot be shared as wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// The data partition would be smaller than [`DATA_MIN_SIZE`].
    Data,
    /// The pool would be smaller than [`POOL_MIN_SIZE`]; the bytes it would get.
    Pool(u64),
}

/// Sizes of data partition and pool, in this order, on a disk of `disk_size` bytes.
///
/// Unless `wished`, the data partition takes a quarter, 4 GiB at least and 64 GiB at most: it holds
/// the system's state, installation media, templates and an update that is put together.
pub fn share(disk_size: u64, wished: Option<u64>) -> Result<(u64, u64), NoRoom> {
    let room = data_size(disk_size);
    let usual = (room / 4)
        .clamp(DATA_DEFAULT_LEAST, DATA_DEFAULT_MOST)
        .min(room.saturating_sub(POOL_MIN_SIZE).max(DATA_MIN_SIZE));
    let data = wished.unwrap_or(usual) / MIB * MIB;
    if data < DATA_MIN_SIZE {
        return Err(NoRoom::Data);
    }
    match room.saturating_sub(data) {
        pool if pool < POOL_MIN_SIZE => Err(NoRoom::Pool(pool)),
        pool => Ok((data, pool)),
    }
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

fn script(ids: &FreshIds, image: [(SlotLabel, String); 2], shares: &Shares) -> String {
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
        (shares.data, PartitionType::Data, &ids.data, DATA_LABEL),
    ];
    let pool = shares.pool.map(|pool| {
        (
            POOL_PARTITION,
            (pool.size, pool.kind, &ids.pool, POOL_LABEL),
        )
    });
    for (number, (size, kind, uuid, label)) in (ESP_PARTITION..).zip(rows).chain(pool) {
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
            .chain([
                ESP_PARTITION,
                DATA_PARTITION,
                BIOS_PARTITION,
                POOL_PARTITION,
            ])
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(Slot::A.other().other(), Slot::A);
    }

    fn ids() -> FreshIds {
        let id = |n: u8| format!("00000000-0000-4000-8000-0000000000{n:02}");
        FreshIds {
            disk: id(1),
            esp: id(2),
            data: id(3),
            empty_root: id(4),
            empty_verity: id(5),
            pool: id(6),
        }
    }

    fn rows(shares: &Shares) -> Vec<String> {
        let hash = "ab".repeat(32).parse().unwrap();
        install_script(&ids(), &"0.1.0".parse().unwrap(), &hash, shares)
            .lines()
            .filter(|line| line.contains("type="))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn script_names_every_partition() {
        let rows = rows(&Shares::DATA_ALONE);
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

    #[test]
    fn a_pool_lies_behind_the_data() {
        let kind = PartitionType::Lvm;
        let shares = |size| Shares {
            data: Some(8 << 30),
            pool: Some(PoolShare { kind, size }),
        };
        let one = rows(&shares(None));
        assert!(one[6].starts_with("6 : size=8192MiB, type=0fc63daf"));
        assert!(one[7].starts_with("8 : type=e6d6d379"), "{}", one[7]);
        assert!(one[7].contains("name=\"basalt-pool\""));
        let mirrored = rows(&shares(Some(4 << 30)));
        assert!(mirrored[7].starts_with("8 : size=4096MiB, type=e6d6d379"));
    }

    #[test]
    fn a_disk_is_shared_sensibly_or_refused() {
        let before = MIN_DISK_SIZE - DATA_MIN_SIZE;
        let data = |room: u64, wished| share(before + room, wished).map(|(data, _)| data);
        assert_eq!(data(1 << 40, None), Ok(64 * GIB));
        assert_eq!(data(40 * GIB, None), Ok(10 * GIB));
        assert_eq!(data(12 * GIB, None), Ok(4 * GIB));
        assert_eq!(data(5 * GIB, None), Ok(3 * GIB));
        assert_eq!(data(4 * GIB, None), Ok(2 * GIB));
        assert_eq!(data(4 * GIB - 1, None), Err(NoRoom::Pool(2 * GIB - MIB)));
        assert_eq!(data(40 * GIB, Some(16 * GIB + 5)), Ok(16 * GIB));
        assert_eq!(data(40 * GIB, Some(GIB)), Err(NoRoom::Data));
        assert_eq!(data(40 * GIB, Some(39 * GIB)), Err(NoRoom::Pool(GIB)));
        assert_eq!(data(GIB, Some(39 * GIB)), Err(NoRoom::Pool(0)));
        for room in [4 * GIB, 17 * GIB + 12_345, 1 << 41] {
            let (data, pool) = share(before + room, None).unwrap();
            assert_eq!(data + pool, data_size(before + room));
        }
    }
}
