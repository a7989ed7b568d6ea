//! The system disks of a host: the one it was started from, and with a mirror the other one.
//!
//! Data is mirrored by the kernel ([`array`]). Slots and boot files are not: they are written to the
//! disk that the host was started from, whose boot loader counts the tries, and then to the other
//! one ([`follow`]), each in an order that keeps it bootable at every instant.
//!
//! A disk that was away is behind in both. Its boot files come first, its data second: a member that
//! is whole never has older boot files than the other. A new disk ([`join`]) gets its data first, so
//! that nothing boots from it before it has everything. Pools of ZFS mirror by themselves ([`zpool`]).

pub mod array;
mod copy;
mod follow;
mod join;
mod zpool;

use std::path::{Path, PathBuf};

use basalt_layout::disk::{DATA_LABEL, DATA_PARTITION, ESP_PARTITION, partition_path};
use basalt_layout::mirror::Member;

use crate::block::Blocks;
use crate::host::EspPlace;
use crate::{Error, Host};
use array::{Array, MemberState};

pub use follow::Outcome;
pub use join::join;

/// One disk with slots, an EFI system partition and, on a real host, a member of the mirror.
#[derive(Debug, Clone)]
pub struct SystemDisk {
    /// The disk: a block device, or an image file.
    pub path: PathBuf,
    /// Its EFI system partition.
    pub esp: EspPlace,
}

impl SystemDisk {
    /// The disk with this device.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            esp: EspPlace::Device(partition(path, ESP_PARTITION)),
        }
    }

    /// Its data partition.
    fn data(&self) -> PathBuf {
        partition(&self.path, DATA_PARTITION)
    }
}

fn partition(disk: &Path, number: u32) -> PathBuf {
    PathBuf::from(partition_path(&disk.to_string_lossy(), number))
}

/// How the disk that the host was started from stands to the others.
#[derive(Debug, Clone)]
pub enum SystemDisks {
    /// It has everything, and these follow it; none on a host with one disk.
    Leading(Vec<SystemDisk>),
    /// It was away, and this one went on without it.
    Behind(SystemDisk),
}

impl SystemDisks {
    /// Looks at the disks beside `disk`.
    pub fn detect(blocks: &Blocks, disk: &Path) -> Result<Self, Error> {
        let known = members(blocks, disk)?;
        let array = Array::read(blocks);
        let whole = |found: &&Found| found.state(array.as_ref()) == MemberState::Whole;
        let is_own = |found: &&Found| found.disk.path == disk;
        let others: Vec<SystemDisk> = known
            .iter()
            .filter(whole)
            .filter(|found| !is_own(found))
            .map(|found| found.disk.clone())
            .collect();
        let own = known.iter().find(is_own);
        Ok(match (own, others.first()) {
            (Some(own), Some(newer)) if !whole(&own) => Self::Behind(newer.clone()),
            _ => Self::Leading(others),
        })
    }

    /// Refuses a change while the disk that was started from has to catch up.
    pub fn check_leading(&self) -> Result<(), Error> {
        match self {
            Self::Leading(_) => Ok(()),
            Self::Behind(newer) => Err(Error::Mirror(format!(
                "the host was started from a disk that was away, and catches up with {} first",
                newer.path.display()
            ))),
        }
    }

    /// Brings slots and boot files of the other disks up to what `host` has. What fails is told and
    /// tried again later: the disk that was written first is whole without the others.
    pub fn follow(&self, host: &Host) {
        let Self::Leading(others) = self else {
            return;
        };
        for other in others {
            match follow::follow(&host.as_disk(), other) {
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(disk = %other.path.display(), "does not follow: {error}")
                }
            }
        }
    }
}

/// A member of the host's mirror, wherever it is.
#[derive(Debug)]
struct Found {
    disk: SystemDisk,
    name: String,
    member: Member,
}

impl Found {
    fn state(&self, array: Option<&Array>) -> MemberState {
        array.map_or(MemberState::Away, |array| array.state_of(&self.name))
    }
}

/// All members of the mirror that `disk` belongs to; none when it belongs to none.
fn members(blocks: &Blocks, disk: &Path) -> Result<Vec<Found>, Error> {
    let Some(own) = array::read_member(&partition(disk, DATA_PARTITION)) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for name in blocks.names()? {
        let Some(part) = blocks.partition(&name) else {
            continue;
        };
        if part.number != DATA_PARTITION || part.label.as_deref() != Some(DATA_LABEL) {
            continue;
        }
        if let Some(member) = array::read_member(&part.path())
            && member.array == own.array
        {
            let disk = SystemDisk::at(&part.disk_path());
            found.push(Found { disk, name, member });
        }
    }
    Ok(found)
}

/// Makes the mirror whole again, as far as the disks that are there allow, and pools of ZFS. Does
/// nothing on a host without either; returns when all that was begun is done.
pub fn complete(host: &Host) -> Result<(), Error> {
    // Neither waits for the other: who is broken here may be whole there.
    let pools = zpool::complete();
    complete_array(host)?;
    pools
}

fn complete_array(host: &Host) -> Result<(), Error> {
    let blocks = Blocks::default();
    let Some(array) = Array::read(&blocks) else {
        return Ok(());
    };
    array.forget_detached()?;
    let known = members(&blocks, &host.disk)?;
    let whole = known
        .iter()
        .find(|found| found.state(Some(&array)) == MemberState::Whole);
    for away in known
        .iter()
        .filter(|found| found.state(Some(&array)) == MemberState::Away)
    {
        let source = whole.ok_or_else(|| Error::Mirror("no disk has everything".to_owned()))?;
        let path = away.disk.path.display();
        let outcome = {
            let _lock = host.lock()?;
            follow::follow(&source.disk, &away.disk)?
        };
        if outcome == Outcome::Partly {
            tracing::warn!(disk = %path, "runs an older version: it catches up after a reboot");
            continue;
        }
        tracing::info!(disk = %path, "has returned");
        array.add_again(&away.disk.data(), &away.member, &source.member)?;
    }
    array.wait(&blocks);
    let _lock = host.lock()?;
    let disks = SystemDisks::detect(&blocks, &host.disk)?;
    disks.follow(host);
    Ok(())
}
