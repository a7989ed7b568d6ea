//! The `lvmthin` driver on a real pool: run the compiled test on an appliance that has one.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use basalt_model::storage::{ContentKind, DiskSize, SnapshotName, VolumeId};
use basalt_model::vmid::Vmid;
use basalt_storage::lvmthin::LvmThinStorage;
use basalt_storage::{Access, Storage, StorageError};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The pool that may be worked on, as GROUP/POOL.
const POOL: &str = "BASALT_TEST_POOL";

const MIB: u64 = 1 << 20;

fn storage() -> LvmThinStorage {
    let pool = std::env::var(POOL).unwrap();
    let (group, pool) = pool.split_once('/').unwrap();
    LvmThinStorage::new(
        "pool".parse().unwrap(),
        group.parse().unwrap(),
        pool.parse().unwrap(),
    )
}

fn write(disk: &File, word: &str) {
    disk.write_all_at(word.as_bytes(), 0).unwrap();
    disk.sync_all().unwrap();
}

async fn read(storage: &LvmThinStorage, volume: &VolumeId) -> String {
    let disk = storage.open(volume, Access::Read).await.unwrap();
    let mut word = [0; 5];
    disk.read_exact_at(&mut word, 0).unwrap();
    String::from_utf8_lossy(&word).into_owned()
}

#[tokio::test]
#[ignore = "needs a thin pool: BASALT_TEST_POOL=GROUP/POOL"]
async fn volumes_live_in_a_pool() {
    let storage = storage();
    let before = storage.space().await.unwrap();
    assert!(before.total > 0 && before.metadata.is_some());
    let owner = Vmid::new(900).unwrap();
    let disk = storage.free_name(owner, &[]).await.unwrap();
    assert_eq!(disk.path(), "vm-900-disk-0");
    // LVM makes whole extents of it.
    storage
        .create(&disk, DiskSize::from_bytes(10 * MIB))
        .await
        .unwrap();
    let again = storage.create(&disk, DiskSize::from_bytes(MIB)).await;
    assert!(matches!(again, Err(StorageError::Exists(_))), "{again:?}");
    let listed = storage.list(Some(ContentKind::Images)).await.unwrap();
    let found = listed.iter().find(|volume| volume.id == disk).unwrap();
    assert_eq!((found.size, found.used), (12 * MIB, 0));
    assert_eq!(
        storage.free_name(owner, &[]).await.unwrap().path(),
        "vm-900-disk-1"
    );

    let open = storage.open(&disk, Access::Write).await.unwrap();
    write(&open, "first");
    for refused in [
        storage.open(&disk, Access::Write).await.map(drop),
        storage.open(&disk, Access::Read).await.map(drop),
        storage.remove(&disk).await,
    ] {
        assert!(
            matches!(refused, Err(StorageError::InUse(_))),
            "{refused:?}"
        );
    }
    storage
        .resize(&disk, DiskSize::from_bytes(32 * MIB))
        .await
        .unwrap();
    assert_eq!(storage.volume(&disk).await.unwrap().size, 32 * MIB);
    let smaller = storage.resize(&disk, DiskSize::from_bytes(MIB)).await;
    assert!(smaller.unwrap_err().to_string().contains("only grow"));

    let snapshot: SnapshotName = "before".parse().unwrap();
    storage.snapshot(&disk, &snapshot).await.unwrap();
    let twice = storage.snapshot(&disk, &snapshot).await;
    assert!(matches!(twice, Err(StorageError::Exists(_))), "{twice:?}");
    write(&open, "later");
    let back = storage.roll_back(&disk, &snapshot).await;
    assert!(matches!(back, Err(StorageError::InUse(_))), "{back:?}");
    drop(open);

    let copy: VolumeId = "pool:vm-901-disk-0".parse().unwrap();
    storage.copy(&disk, Some(&snapshot), &copy).await.unwrap();
    assert_eq!(read(&storage, &copy).await, "first");
    assert_eq!(read(&storage, &disk).await, "later");
    storage.roll_back(&disk, &snapshot).await.unwrap();
    assert_eq!(read(&storage, &disk).await, "first");
    storage.remove_snapshot(&disk, &snapshot).await.unwrap();
    let none = storage.roll_back(&disk, &snapshot).await;
    assert!(
        matches!(none, Err(StorageError::NoSnapshot { .. })),
        "{none:?}"
    );

    for volume in [&disk, &copy] {
        storage.remove(volume).await.unwrap();
        let gone = storage.open(volume, Access::Read).await;
        assert!(matches!(gone, Err(StorageError::NoVolume(_))), "{gone:?}");
    }
}
