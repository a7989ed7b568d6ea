use super::*;

fn storage() -> LvmThinStorage {
    let name = |text: &str| text.parse().unwrap();
    LvmThinStorage::new("pool".parse().unwrap(), name("vg-1"), name("data"))
}

fn lv(name: &str, pool: &str) -> LogicalVolume {
    LogicalVolume {
        name: name.to_owned(),
        size: 1 << 30,
        pool: pool.to_owned(),
        data_percent: Some(25.0),
        metadata_percent: pool.is_empty().then_some(10.0),
        made: 7,
    }
}

fn group() -> Vec<LogicalVolume> {
    vec![
        lv("data", ""),
        lv("vm-100-disk-0", "data"),
        lv("vm-100-disk-1", "other"),
        lv("snap_vm-100-disk-0_before", "data"),
        lv("base-101-disk-0", "data"),
        lv("root", "data"),
        lv("vm-1-disk-0", "data"),
    ]
}

#[test]
fn only_guests_volumes_in_the_pool_are_listed() {
    let names: Vec<String> = storage()
        .volumes(&group())
        .iter()
        .map(|volume| volume.id.to_string())
        .collect();
    assert_eq!(names, ["pool:vm-100-disk-0", "pool:base-101-disk-0"]);
    let first = &storage().volumes(&group())[0];
    assert_eq!(
        (first.size, first.used, first.changed),
        (1 << 30, 1 << 28, 7)
    );
}

#[test]
fn room_is_the_pools() {
    let space = storage().space_of(&group()).unwrap();
    assert_eq!((space.total, space.used), (1 << 30, 1 << 28));
    assert_eq!(space.available, 3 << 28);
    assert_eq!(space.metadata, Some(0.1));
    let error = storage().space_of(&group()[1..]).unwrap_err().to_string();
    assert!(error.contains("vg-1/data"), "{error}");
    // A volume that is called like the pool is none, and a pool that is not active is no storage.
    let other = lv("data", "data");
    assert!(storage().space_of(&[other]).is_err());
    let asleep = LogicalVolume {
        metadata_percent: None,
        ..lv("data", "")
    };
    assert!(storage().space_of(&[asleep]).is_err());
}

#[test]
fn names_are_free_in_the_whole_group() {
    let vmid = Vmid::new(100).unwrap();
    let name = |taken: &[VolumeId]| storage().first_free(vmid, &group(), taken).unwrap();
    assert_eq!(name(&[]).to_string(), "pool:vm-100-disk-2");
    let elsewhere = "local:vm-100-disk-2".parse().unwrap();
    assert_eq!(name(&[elsewhere]).path(), "vm-100-disk-2");
    let planned = "pool:vm-100-disk-2".parse().unwrap();
    assert_eq!(name(&[planned]).path(), "vm-100-disk-3");
}

#[test]
fn hostile_names_reach_no_tool() {
    for bad in [
        "pool:data",
        "pool:-f",
        "pool:100/vm-100-disk-0",
        "pool:vm-100-disk-0@x",
        "pool:vm-100-disk~0",
        "pool:snap_vm-100-disk-0_before",
        "other:vm-100-disk-0",
    ] {
        let Ok(volume) = bad.parse::<VolumeId>() else {
            continue;
        };
        assert!(storage().lv(&volume).is_none(), "{bad}");
        assert!(storage().path(&volume).is_err(), "{bad}");
        let error = storage().nameable(&volume).unwrap_err().to_string();
        assert!(error.contains("vm-100-disk-0"), "{error}");
    }
    let good: VolumeId = "pool:vm-100-disk-0".parse().unwrap();
    let path = storage().path(&good).unwrap();
    assert_eq!(path, Path::new("/dev/vg-1/vm-100-disk-0"));
}

#[test]
fn a_new_volume_is_named_after_its_owner() {
    let vmid = Vmid::new(100).unwrap();
    let named = |name: &str| storage().named(vmid, name).map(|id| id.to_string());
    assert_eq!(named("vm-100-x").as_deref(), Some("pool:vm-100-x"));
    for bad in ["vm-101-disk-0", "disk", "../vm-100-x", "100/vm-100-x", ""] {
        assert_eq!(named(bad), None, "{bad}");
    }
}

#[test]
fn sizes_are_whole_sectors() {
    assert_eq!(bytes(DiskSize::from_bytes(1000)), "1024b");
    assert_eq!(bytes(DiskSize::from_bytes(4 << 30)), "4294967296b");
}
