//! The mirrored data partition: Linux's own RAID 1 over the data partitions of two system disks.
//!
//! Each member carries a superblock (version 1.2) that tells which array it belongs to, how often
//! that has changed, and what it knows of the other member. Everybody who starts or completes the
//! array reads them here first: the kernel compares counts only, and would take two disks for equal
//! that have each run alone.
//!
//! Where guests' disks have a pool of their own, the array itself is divided into partitions: one for
//! the data, one for the pool. One array and not two, so that both always come from the same disks,
//! whatever each of the disks went through alone.

use crate::disk::{DATA_LABEL, FreshIds, POOL_LABEL, PartitionType};

/// Name of the array's device.
pub const DEVICE: &str = "md0";

/// Name of the array, as its members carry it.
pub const NAME: &str = "basalt-data";

/// Number of the data's partition in an array that has a pool, too.
pub const DATA_PARTITION: u32 = 1;

/// Number of the pool's partition in it.
pub const POOL_PARTITION: u32 = 2;

/// The `sfdisk` script that divides an array: `data_size` bytes, whole MiB, for the data, and the
/// rest for the pool.
pub fn partition_script(ids: &FreshIds, data_size: u64, pool: PartitionType) -> String {
    format!(
        "label: gpt\nlabel-id: {}\n\n\
         {DATA_PARTITION} : size={}MiB, type={}, uuid={}, name=\"{DATA_LABEL}\"\n\
         {POOL_PARTITION} : type={}, uuid={}, name=\"{POOL_LABEL}\"\n",
        ids.disk,
        data_size >> 20,
        PartitionType::Data.guid(),
        ids.data,
        pool.guid(),
        ids.pool
    )
}

/// File below `/run` with the kernel name of the root partition on the disk that was booted from.
pub const ROOT_PARTITION: &str = "basalt-root";

/// Number of members.
pub const MEMBERS: usize = 2;

/// Where a member's superblock begins.
pub const SUPERBLOCK_OFFSET: u64 = 4096;

/// How many bytes of it have to be read.
pub const SUPERBLOCK_SIZE: usize = 4096;

const MAGIC: u32 = 0xa92b_4efc;
/// The fixed part, before the members' roles.
const HEAD: usize = 256;
/// The member is still being filled.
const RECOVERING: u32 = 2;
/// Roles from here on say why a member has none.
const NO_ROLE: u16 = 0xfff0;

/// What a member's superblock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The array it belongs to.
    pub array: [u8; 16],
    /// How often the array has changed, as far as this member was there.
    pub events: u64,
    /// When it changed last, in seconds.
    pub changed: u64,
    /// Whether the member holds everything.
    pub whole: bool,
    number: usize,
    roles: Vec<u16>,
}

impl Member {
    /// Reads the bytes at [`SUPERBLOCK_OFFSET`] of a partition; `None` when it is no whole
    /// superblock of a RAID 1 with two members.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if word(bytes, 0)? != MAGIC || word(bytes, 4)? != 1 {
            return None;
        }
        let (level, members) = (word(bytes, 72)?, word(bytes, 92)?);
        let count = usize::try_from(word(bytes, 220)?).ok()?;
        let end = count.checked_mul(2)?.checked_add(HEAD)?;
        if level != 1
            || members as usize != MEMBERS
            || checksum(bytes.get(..end)?) != word(bytes, 216)?
        {
            return None;
        }
        let roles = bytes[HEAD..end].chunks_exact(2);
        Some(Self {
            array: bytes.get(16..32)?.try_into().ok()?,
            events: long(bytes, 200)?,
            // The upper bits count microseconds.
            changed: long(bytes, 192)? & 0xff_ffff_ffff,
            whole: word(bytes, 8)? & RECOVERING == 0,
            number: usize::try_from(word(bytes, 160)?).ok()?,
            roles: roles
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect(),
        })
    }

    /// Its own place in the array; `None` for a spare.
    pub fn place(&self) -> Option<u16> {
        self.roles
            .get(self.number)
            .copied()
            .filter(|role| *role < NO_ROLE)
    }

    /// Whether it was alone when the array changed last.
    pub fn was_alone(&self) -> bool {
        self.roles.iter().filter(|role| **role < NO_ROLE).count() < MEMBERS
    }

    /// Whether `self` may be behind `newer`, but has nothing that `newer` does not know of: then
    /// the bitmap tells everything that has to be copied.
    pub fn only_lags(&self, newer: &Self) -> bool {
        self.array == newer.array && self.events <= newer.events && !self.was_alone()
    }
}

/// Which of an array's members it is started from, as indices: both where they know of one another;
/// otherwise the one that has changed more often.
pub fn start_from(members: &[&Member]) -> Vec<usize> {
    let rank = |member: &Member| (member.whole, member.events, member.changed);
    let Some(best) = (0..members.len()).max_by_key(|index| rank(members[*index])) else {
        return Vec::new();
    };
    let fits = |index: &usize| {
        *index == best || (members[*index].only_lags(members[best]) && !members[best].was_alone())
    };
    (0..members.len()).filter(fits).collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The kernel's sum over a superblock, whose own field counts as zero.
fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = 0u64;
    for (index, chunk) in bytes.chunks(4).enumerate() {
        let mut four = [0; 4];
        four[..chunk.len()].copy_from_slice(chunk);
        if index != 216 / 4 {
            sum += u64::from(u32::from_le_bytes(four));
        }
    }
    // Both halves are added; what is carried out of the sum is lost, as the kernel has it.
    (sum as u32).wrapping_add((sum >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A superblock as the kernel writes it.
    fn superblock(number: u32, events: u64, roles: [u16; 2]) -> Vec<u8> {
        let mut bytes = vec![0; SUPERBLOCK_SIZE];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC.to_le_bytes());
        put(4, &1u32.to_le_bytes());
        put(16, &[7; 16]);
        put(72, &1u32.to_le_bytes());
        put(92, &2u32.to_le_bytes());
        put(160, &number.to_le_bytes());
        put(200, &events.to_le_bytes());
        put(220, &2u32.to_le_bytes());
        put(256, &roles[0].to_le_bytes());
        put(258, &roles[1].to_le_bytes());
        let sum = checksum(&bytes[..260]);
        bytes[216..220].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn member(number: u32, events: u64, roles: [u16; 2]) -> Member {
        Member::parse(&superblock(number, events, roles)).unwrap()
    }

    const GONE: u16 = 0xfffe;

    #[test]
    fn a_superblock_is_read_and_damage_is_seen() {
        let mut bytes = superblock(1, 9, [0, 1]);
        let found = Member::parse(&bytes).unwrap();
        assert_eq!(
            (found.place(), found.events, found.was_alone()),
            (Some(1), 9, false)
        );
        bytes[201] ^= 1;
        assert_eq!(Member::parse(&bytes), None);
        assert_eq!(Member::parse(&[0; SUPERBLOCK_SIZE]), None);
        assert_eq!(Member::parse(&[]), None);
    }

    #[test]
    fn both_start_that_know_of_one_another() {
        let (a, b) = (member(0, 9, [0, 1]), member(1, 9, [0, 1]));
        assert_eq!(start_from(&[&a, &b]), [0, 1]);
        assert_eq!(start_from(&[&a]), [0]);
        assert_eq!(start_from(&[]), [0; 0]);
    }

    #[test]
    fn who_was_away_waits() {
        let (old, new) = (member(0, 9, [0, 1]), member(1, 20, [GONE, 1]));
        assert_eq!(start_from(&[&old, &new]), [1]);
        assert!(old.only_lags(&new));
    }

    #[test]
    fn who_ran_alone_is_never_taken_for_equal() {
        let (a, b) = (member(0, 20, [0, GONE]), member(1, 20, [GONE, 1]));
        assert_eq!(start_from(&[&a, &b]).len(), 1);
        assert!(!a.only_lags(&b) && !b.only_lags(&a));
        // A disk that was away and has run alone since holds what nobody else has.
        let alone = member(0, 15, [0, GONE]);
        assert_eq!(start_from(&[&alone, &b]), [1]);
        assert!(!alone.only_lags(&b));
    }
}
