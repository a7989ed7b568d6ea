use super::*;

fn storage() -> ZfsStorage {
    ZfsStorage::new(
        "local-zfs".parse().unwrap(),
        "tank/data".parse().unwrap(),
        ZfsBlockSize::default(),
        true,
    )
}

fn dataset(name: &str, made: u64) -> Dataset {
    Dataset {
        name: name.to_owned(),
        volsize: (name != "tank/data").then_some(1 << 30),
        used: 1 << 20,
        made,
        ..Dataset::default()
    }
}

fn pool() -> Vec<Dataset> {
    vec![
        dataset("tank/data", 1),
        dataset("tank/data/vm-100-disk-0", 2),
        dataset("tank/data/vm-100-disk-0@first", 3),
        dataset("tank/data/vm-100-disk-0@second", 4),
        dataset("tank/data/vm-100-disk-01@first", 4),
        dataset("tank/data/base-101-disk-0", 5),
        dataset("tank/data/swap", 6),
        dataset("tank/database/vm-102-disk-0", 7),
    ]
}

#[test]
fn only_guests_volumes_are_listed() {
    let volumes = storage().volumes(&pool());
    let names: Vec<String> = volumes.iter().map(|volume| volume.id.to_string()).collect();
    assert_eq!(
        names,
        ["local-zfs:vm-100-disk-0", "local-zfs:base-101-disk-0"]
    );
    assert_eq!((volumes[0].size, volumes[0].used), (1 << 30, 1 << 20));
}

#[test]
fn a_new_disk_has_a_free_name() {
    let owner = Vmid::new(100).unwrap();
    let first = storage().first_free(owner, &pool(), &[]).unwrap();
    assert_eq!(first.to_string(), "local-zfs:vm-100-disk-1");
    let second = storage().first_free(owner, &pool(), &[first]).unwrap();
    assert_eq!(second.to_string(), "local-zfs:vm-100-disk-2");
}

#[test]
fn no_other_dataset_can_be_named() {
    for bad in [
        "local-zfs:swap",
        "local-zfs:100/vm-100-disk-0",
        "local-zfs:vm-100-disk-0@first",
        "local-zfs:-r",
        "other:vm-100-disk-0",
    ] {
        assert_eq!(storage().dataset(&bad.parse().unwrap()), None, "{bad}");
    }
    let good = "local-zfs:vm-100-disk-0".parse().unwrap();
    assert_eq!(storage().dataset(&good).unwrap(), "tank/data/vm-100-disk-0");
    assert_eq!(
        storage().path(&good).unwrap(),
        Path::new("/dev/zvol/tank/data/vm-100-disk-0")
    );
}

#[test]
fn sizes_are_whole_blocks() {
    assert_eq!(storage().size(DiskSize::from_bytes(1)), "16384");
    assert_eq!(storage().size(DiskSize::from_bytes(32768)), "32768");
}

#[test]
fn only_the_last_snapshot_can_be_returned_to() {
    let snapshots = snapshots_of(&pool(), "tank/data/vm-100-disk-0");
    assert_eq!(snapshots.len(), 2);
    let of = |name: &str| later(&snapshots, &format!("tank/data/vm-100-disk-0@{name}"));
    assert_eq!(of("first"), Some(&snapshots[1..]));
    assert_eq!(of("second"), Some(&[][..]));
    assert_eq!(of("third"), None);
}

#[test]
fn who_shares_blocks_is_named() {
    let volume: VolumeId = "local-zfs:base-101-disk-0".parse().unwrap();
    let mut snapshot = dataset("tank/data/base-101-disk-0@x", 1);
    assert!(check_no_copies(&volume, std::slice::from_ref(&snapshot)).is_ok());
    snapshot.clones = vec!["tank/data/vm-102-disk-0".to_owned()];
    let error = check_no_copies(&volume, &[snapshot])
        .unwrap_err()
        .to_string();
    assert!(error.contains("vm-102-disk-0"), "{error}");
}
