//! How the room on the disk is shared between the system and a pool for guests' disks.

use anyhow::{bail, ensure};
use basalt_layout::disk::{DATA_MIN_SIZE, NoRoom, POOL_MIN_SIZE, share};
use basalt_model::host::answer::{DataChoice, EncryptionChoice};

use super::{Mode, PoolPlan};
use crate::disks::{Disk, gib};
use crate::existing::Existing;

/// The pool that is wished for on `disk`, and on its mirror; none for a directory.
pub fn choose(
    choice: &DataChoice,
    disk: &Disk,
    mirror: Option<&Disk>,
) -> anyhow::Result<Option<PoolPlan>> {
    let storage = choice.storage.unwrap_or_default();
    if !storage.is_pool() {
        return Ok(None);
    }
    let smaller = mirror
        .filter(|mirror| mirror.size < disk.size)
        .unwrap_or(disk);
    let path = smaller.path.display();
    match share(smaller.size, choice.system_size.map(|size| size.bytes())) {
        Ok((data_size, pool_size)) => Ok(Some(PoolPlan::Beside {
            storage,
            data_size,
            pool_size,
        })),
        Err(NoRoom::Data) => bail!(
            "data.system_size: too small: the system keeps {} at least",
            gib(DATA_MIN_SIZE)
        ),
        Err(NoRoom::Pool(left)) => {
            let cure = match choice.system_size {
                Some(_) => "give the system less, or choose `directory`",
                None => "choose `directory`, or a larger disk",
            };
            let key = match choice.system_size {
                Some(_) => "data.system_size",
                None => "data.storage",
            };
            bail!(
                "{key}: {path} is too small: beside the system {} are left, a pool needs {}; {cure}",
                gib(left),
                gib(POOL_MIN_SIZE)
            )
        }
    }
}

/// Refuses a wish that data which stays does not allow.
pub fn check_kept(
    choice: &DataChoice,
    mode: Mode,
    disk: &Disk,
    found: Option<&Existing>,
) -> anyhow::Result<()> {
    let Some(existing) = found.filter(|_| mode != Mode::Fresh) else {
        return Ok(());
    };
    let path = disk.path.display();
    if let (Some(wish), Some(found)) = (choice.storage, existing.storage) {
        ensure!(
            wish == found,
            "data.storage: {path} keeps guests' disks in `{}`, and that stays when its data does; leave \
             the key out, or say `wipe`",
            found.as_str()
        );
    }
    ensure!(
        choice.encryption == EncryptionChoice::None || existing.encrypted != Some(false),
        "data.encryption: what {path} holds is not encrypted, and that stays when its data does; leave \
         the key out, or say `wipe`"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::disk;
    use super::*;
    use basalt_model::host::answer::{GuestStorage, RecoveryKey};

    const GIB: u64 = 1 << 30;

    fn thin(system_size: Option<&str>) -> DataChoice {
        DataChoice {
            storage: Some(GuestStorage::LvmThin),
            system_size: system_size.map(|text| text.parse().unwrap()),
            ..DataChoice::default()
        }
    }

    /// Sizes of what the system keeps, and of the pool beside it.
    fn sizes(plan: Option<PoolPlan>) -> (u64, u64) {
        match plan {
            Some(PoolPlan::Beside {
                data_size,
                pool_size,
                ..
            }) => (data_size, pool_size),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pool_takes_what_the_system_leaves() {
        let large = disk("/dev/vda", "S", 100 * GIB);
        assert_eq!(choose(&DataChoice::default(), &large, None).unwrap(), None);
        let (data, pool) = sizes(choose(&thin(Some("16 GiB")), &large, None).unwrap());
        assert_eq!(data, 16 * GIB);
        assert!((80 * GIB..81 * GIB).contains(&pool));
        let small = disk("/dev/vdb", "T", 40 * GIB);
        let mirrored = choose(&thin(Some("16 GiB")), &large, Some(&small)).unwrap();
        assert!(sizes(mirrored).1 < 24 * GIB);
    }

    #[test]
    fn a_disk_too_small_for_a_pool_is_refused() {
        let small = disk("/dev/vda", "S", 6 * GIB);
        let error = choose(&thin(None), &small, None).unwrap_err().to_string();
        assert!(
            error.starts_with("data.storage: /dev/vda is too small: beside the system 0."),
            "{error}"
        );
        let large = disk("/dev/vda", "S", 32 * GIB);
        let error = choose(&thin(Some("30 GiB")), &large, None)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("data.system_size: /dev/vda is too small")
                && error.contains("give the system less"),
            "{error}"
        );
    }

    #[test]
    fn data_that_stays_keeps_its_place() {
        let disk = disk("/dev/vda", "S", 32 * GIB);
        let found = Existing {
            versions: Vec::new(),
            host: None,
            storage: Some(GuestStorage::Directory),
            encrypted: Some(false),
        };
        let check = |choice: &DataChoice, mode| check_kept(choice, mode, &disk, Some(&found));
        check(&thin(None), Mode::Fresh).unwrap();
        check(&DataChoice::default(), Mode::KeepData).unwrap();
        let error = check(&thin(None), Mode::KeepData).unwrap_err().to_string();
        assert!(
            error.starts_with("data.storage: /dev/vda keeps guests' disks in `directory`"),
            "{error}"
        );
        assert!(check_kept(&thin(None), Mode::KeepData, &disk, None).is_ok());
        let key = RecoveryKey::new(&"key ".repeat(9)).unwrap();
        let encrypted = DataChoice {
            encryption: EncryptionChoice::Tpm(key),
            ..DataChoice::default()
        };
        check(&encrypted, Mode::Fresh).unwrap();
        let error = check(&encrypted, Mode::Repair).unwrap_err().to_string();
        assert!(
            error.starts_with("data.encryption: what /dev/vda holds"),
            "{error}"
        );
        let same = Existing {
            encrypted: Some(true),
            ..found.clone()
        };
        check_kept(&encrypted, Mode::Repair, &disk, Some(&same)).unwrap();
    }
}
