//! A pool for guests' disks that is to be made, and the disks that it may have for itself.

use anyhow::{bail, ensure};
use basalt_layout::disk::POOL_MIN_SIZE;
use basalt_model::host::answer::{ApartChoice, Existing as Wish, GuestStorage, PoolLevel};

use super::choose::choose_disk;
use crate::disks::{Disk, gib};
use crate::existing;

/// A pool that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolPlan {
    /// On what the system leaves of its own disks.
    Beside {
        /// Of which kind.
        storage: GuestStorage,
        /// What the system keeps for itself, in bytes.
        data_size: u64,
        /// What is left for the pool, in bytes.
        pool_size: u64,
    },
    /// Of ZFS, on disks of its own.
    Apart {
        /// How it bears the loss of some.
        level: PoolLevel,
        /// Which ones.
        disks: Vec<Disk>,
        /// About what guests can use of them, in bytes.
        pool_size: u64,
    },
}

impl PoolPlan {
    /// The plan for a pool of ZFS on these disks.
    pub fn apart(level: PoolLevel, disks: Vec<Disk>) -> anyhow::Result<Self> {
        let of_data = match level.data_disks(disks.len()) {
            Ok(count) => count as u64,
            Err(needs) => bail!("data.disks: `{}` needs {needs}", level.as_str()),
        };
        let smallest = disks.iter().map(|disk| disk.size).min().unwrap_or_default();
        Ok(Self::Apart {
            level,
            disks,
            pool_size: smallest.saturating_mul(of_data),
        })
    }

    /// Of which kind it is.
    pub fn storage(&self) -> GuestStorage {
        match self {
            Self::Beside { storage, .. } => *storage,
            Self::Apart { .. } => GuestStorage::Zfs,
        }
    }

    /// The disks that it has for itself.
    pub fn own_disks(&self) -> &[Disk] {
        match self {
            Self::Beside { .. } => &[],
            Self::Apart { disks, .. } => disks,
        }
    }

    /// What it is and where it lies, for who has to say yes to it.
    pub fn describe(&self) -> String {
        let what = self.storage().describe();
        match self {
            Self::Beside {
                data_size,
                pool_size,
                ..
            } => format!(
                "{what}: {} beside {} for the system",
                gib(*pool_size),
                gib(*data_size)
            ),
            Self::Apart {
                level,
                disks,
                pool_size,
            } => {
                let names: Vec<String> = disks
                    .iter()
                    .map(|disk| format!("{} (holds {})", disk.path.display(), disk.content))
                    .collect();
                format!(
                    "{what}: about {} as {}; everything is lost on {}",
                    gib(*pool_size),
                    level.describe(),
                    names.join(", ")
                )
            }
        }
    }
}

/// The pool on the disks that an answer file names; `system` are those that Basalt is installed on.
pub fn choose(
    choice: &ApartChoice,
    system: &[&Disk],
    disks: &[Disk],
    wish: Wish,
) -> anyhow::Result<PoolPlan> {
    let mut chosen: Vec<Disk> = Vec::new();
    for wanted in &choice.disks {
        let disk = choose_disk("data.disks", wanted, disks)?;
        let taken: Vec<&Disk> = system.iter().copied().chain(&chosen).collect();
        check(disk, &taken)?;
        if let Some(held) = held_by(disk)
            && wish != Wish::Wipe
        {
            bail!(
                "existing.action: {} already holds {held}; say `wipe`",
                disk.path.display()
            );
        }
        chosen.push(disk.clone());
    }
    PoolPlan::apart(choice.level, chosen)
}

/// Whether a pool can have a disk for itself beside those that are taken.
pub fn check(disk: &Disk, taken: &[&Disk]) -> anyhow::Result<()> {
    let path = disk.path.display();
    ensure!(
        !taken.iter().any(|other| other.path == disk.path),
        "data.disks: {path} is there twice, or is a disk of the system"
    );
    if let Some(reason) = &disk.busy {
        bail!("data.disks: {path} cannot be used: {reason}");
    }
    ensure!(
        disk.size >= POOL_MIN_SIZE,
        "data.disks: {path} is too small: it has {}, a pool needs {}",
        disk.size_text(),
        gib(POOL_MIN_SIZE)
    );
    Ok(())
}

/// What of Basalt's is on a disk that nobody should lose by saying nothing.
pub fn held_by(disk: &Disk) -> Option<String> {
    if let Some(found) = existing::find(&disk.path) {
        return Some(found.to_string());
    }
    existing::has_pool(&disk.path).then(|| "a pool of guests' disks".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::disk;
    use super::*;
    use basalt_model::host::answer::DiskChoice;

    const GIB: u64 = 1 << 30;

    fn disks() -> Vec<Disk> {
        let path = |letter: char| format!("/dev/none-{letter}");
        ('a'..='d')
            .map(|letter| disk(&path(letter), &letter.to_string(), 10 * GIB))
            .collect()
    }

    fn of(level: PoolLevel, serials: &[&str]) -> ApartChoice {
        ApartChoice {
            level,
            disks: serials
                .iter()
                .map(|serial| DiskChoice::Serial((*serial).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn a_pool_on_disks_of_its_own_has_the_room_that_its_level_leaves() {
        let disks = disks();
        let plan = |choice| choose(&choice, &[&disks[0]], &disks, Wish::Refuse);
        let three = plan(of(PoolLevel::Raidz, &["b", "c", "d"])).unwrap();
        assert_eq!(three.storage(), GuestStorage::Zfs);
        assert_eq!(three.own_disks(), &disks[1..]);
        let text = three.describe();
        assert!(text.contains("about 20.0 GiB as RAIDZ"), "{text}");
        assert!(
            text.contains("lost on /dev/none-b (holds nothing)"),
            "{text}"
        );
        let mirror = plan(of(PoolLevel::Mirror, &["b", "c"])).unwrap();
        assert!(mirror.describe().contains("about 10.0 GiB"));
    }

    #[test]
    fn disks_that_cannot_be_a_pools_are_refused() {
        let mut disks = disks();
        disks[3].busy = Some("the installer runs from it".to_owned());
        disks[2].size = GIB;
        let refused = |level, serials: &[&str]| {
            choose(&of(level, serials), &[&disks[0]], &disks, Wish::Refuse)
                .unwrap_err()
                .to_string()
        };
        for (serials, words) in [
            (&["a"][..], "is a disk of the system"),
            (&["x"], "data.disks.serial: no disk has the serial x"),
            (&["c"], "too small"),
            (&["d"], "the installer runs from it"),
        ] {
            let said = refused(PoolLevel::Single, serials);
            assert!(said.contains(words), "{said}");
        }
        let twice = refused(PoolLevel::Mirror, &["b", "b"]);
        assert!(twice.contains("is there twice"), "{twice}");
        let few = refused(PoolLevel::Raidz, &["b"]);
        assert!(few.contains("`raidz` needs three disks or more"), "{few}");
    }
}
