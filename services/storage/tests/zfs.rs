//! The `zfspool` driver on a real pool: run the compiled test on an appliance that has one.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use basalt_model::storage::{ContentKind, DiskSize, SnapshotName, VolumeId, ZfsBlockSize};
use basalt_model::vmid::Vmid;
use basalt_storage::zfs::ZfsStorage;
use basalt_storage::{Access, Storage, StorageError};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The dataset that may be worked on, as POOL/DATASET.
const POOL: &str = "BASALT_TEST_DATASET";

const MIB: u64 = 1 << 20;

fn storage() -> ZfsStorage {
    let pool = std::env::var(POOL).unwrap();
    ZfsStorage::new(
        "pool".parse().unwrap(),
        pool.parse().unwrap(),
        ZfsBlockSize::default(),
        true,
    )
}

fn write(disk: &File, word: &str) {
    disk.write_all_at(word.as_bytes(), 0).unwrap();
    disk.sync_all().unwrap();
}

async fn read(storage: &ZfsStorage, volume: &VolumeId) -> String {
    let disk = storage.open(volume, Access::Read).await.unwrap();
    let mut word = [0; 5];
    disk.read_exact_at(&mut word, 0).unwrap();
    String::from_utf8_lossy(&word).into_owned()
}

#[tokio::test]
#[ignore = "needs a pool of ZFS: BASALT_TEST_DATASET=POOL/DATASET"]
async fn volumes_live_in_a_pool() {
    let storage = storage();
    let before = storage.space().await.unwrap();
    assert!(before.total > 0 && before.metadata.is_none());
    let owner = Vmid::new(900).unwrap();
    let disk = storage.free_name(owner, &[]).await.unwrap();
    assert_eq!(disk.path(), "vm-900-disk-0");
    // ZFS makes whole blocks of it.
    storage
        .create(&disk, DiskSize::from_bytes(10 * MIB + 1))
        .await
        .unwrap();
    let again = storage.create(&disk, DiskSize::from_bytes(MIB)).await;
    assert!(matches!(again, Err(StorageError::Exists(_))), "{again:?}");
    let listed = storage.list(Some(ContentKind::Images)).await.unwrap();
    let found = listed.iter().find(|volume| volume.id == disk).unwrap();
    assert_eq!(found.size, 10 * MIB + (16 << 10));
    assert!(found.used < MIB, "{}", found.used);
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
    let shared = storage.remove_snapshot(&disk, &snapshot).await.unwrap_err();
    assert!(
        shared.to_string().contains("vm-901-disk-0 shares"),
        "{shared}"
    );
    let later: SnapshotName = "later".parse().unwrap();
    storage.snapshot(&disk, &later).await.unwrap();
    let refused = storage.roll_back(&disk, &snapshot).await.unwrap_err();
    assert!(
        refused.to_string().contains("remove later first"),
        "{refused}"
    );
    storage.remove_snapshot(&disk, &later).await.unwrap();

    // A copy of what a disk is now takes the snapshot with it that it shares blocks with.
    let now: VolumeId = "pool:vm-902-disk-0".parse().unwrap();
    storage.copy(&disk, None, &now).await.unwrap();
    assert_eq!(read(&storage, &now).await, "first");
    let shared = storage.remove(&disk).await.unwrap_err();
    assert!(shared.to_string().contains("vm-902-disk-0"), "{shared}");
    storage.remove(&now).await.unwrap();
    storage.remove(&copy).await.unwrap();
    storage.remove_snapshot(&disk, &snapshot).await.unwrap();
    let none = storage.roll_back(&disk, &snapshot).await;
    assert!(
        matches!(none, Err(StorageError::NoSnapshot { .. })),
        "{none:?}"
    );

    storage.remove(&disk).await.unwrap();
    for volume in [&disk, &copy, &now] {
        let gone = storage.open(volume, Access::Read).await;
        assert!(matches!(gone, Err(StorageError::NoVolume(_))), "{gone:?}");
    }
}
