//! Disks made of plain files that follow one another.

use super::*;
use crate::host::EspPlace;
use crate::install::{Installed, Options, install};
use crate::mirror::SystemDisks;
use crate::testing::{self, FakeHost};
use crate::{Host, rollback};
use basalt_layout::{Tries, UkiName};
use std::os::unix::fs::FileExt;

/// A host with a second disk, which has what the first one has.
fn mirrored() -> (FakeHost, SystemDisk) {
    let mut fake = testing::host();
    let path = fake.dir.path().join("second");
    // It stays sparse: the file is only given another name.
    fs::rename(
        testing::blank_disk().into_temp_path().keep().unwrap(),
        &path,
    )
    .unwrap();
    let esp = fake.dir.path().join("second-esp");
    fs::create_dir_all(esp.join(UKI_FOLDER)).unwrap();
    let kernel = testing::kernel(b"kernel");
    fs::write(esp.join(UKI_FOLDER).join("basalt_0.1.0.efi"), kernel).unwrap();
    let second = SystemDisk {
        path,
        esp: EspPlace::Folder(esp),
    };
    fake.host.others = SystemDisks::Leading(vec![second.clone()]);
    (fake, second)
}

fn images(disk: &SystemDisk) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(disk.esp.open().unwrap().uki_folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn update(fake: &FakeHost, version: &str) -> Installed {
    let path = testing::bundle(version).write(fake.dir.path());
    let ears = &mut testing::Ears::default();
    install(&fake.host, &path, Options::default(), testing::ALL, ears).unwrap()
}

fn assert_same(host: &Host, second: &SystemDisk) {
    assert_eq!(images(&host.as_disk()), images(second));
    let (a, b) = (
        Table::read(&host.disk).unwrap(),
        Table::read(&second.path).unwrap(),
    );
    for slot in Slot::ALL {
        assert_eq!(a.content_of(slot), b.content_of(slot));
        for number in parts(slot)
            .into_iter()
            .filter(|_| a.content_of(slot).is_some())
        {
            assert_eq!(a.entry(number).unwrap().uuid, b.entry(number).unwrap().uuid);
            let read = |disk: &Path, table: &Table| {
                let mut bytes = vec![0; 40_000];
                let offset = table.entry(number).unwrap().offset;
                fs::File::open(disk)
                    .unwrap()
                    .read_exact_at(&mut bytes, offset)
                    .unwrap();
                bytes
            };
            assert_eq!(
                read(&host.disk, &a),
                read(&second.path, &b),
                "partition {number}"
            );
        }
    }
}

#[test]
fn an_update_reaches_both_disks() {
    let (fake, second) = mirrored();
    update(&fake, "0.2.0");
    assert_eq!(images(&second), ["basalt_0.1.0.efi", "basalt_0.2.0+3.efi"]);
    assert_same(&fake.host, &second);
    // What the boot loader and the health checks make of the tries, the other disk learns.
    let folder = fake.dir.path().join("esp").join(UKI_FOLDER);
    fs::rename(
        folder.join("basalt_0.2.0+3.efi"),
        folder.join("basalt_0.2.0+0-3.efi"),
    )
    .unwrap();
    rollback::commit(&fake.host).unwrap();
    assert_eq!(
        images(&second),
        ["basalt_0.1.0.efi", "basalt_0.2.0+0-3.efi"]
    );
    update(&fake, "0.3.0");
    assert_eq!(images(&second), ["basalt_0.1.0.efi", "basalt_0.3.0+3.efi"]);
    assert_same(&fake.host, &second);
}

#[test]
fn a_disk_that_missed_two_versions_is_always_bootable() {
    let (mut fake, second) = mirrored();
    fake.host.others = SystemDisks::Leading(Vec::new());
    update(&fake, "0.2.0");
    fake.host.version = "0.2.0".parse().unwrap();
    fake.host.root_hash = testing::hash_of("0.2.0");
    update(&fake, "0.3.0");
    assert_eq!(images(&second), ["basalt_0.1.0.efi"]);
    // The empty slot comes first: that is the one with 0.2.0.
    let work = Work {
        from: &fake.host.as_disk(),
        to: &second,
        from_table: Table::read(&fake.host.disk).unwrap(),
        table: Table::read(&second.path).unwrap(),
        from_esp: fake.host.open_esp().unwrap(),
        esp: second.esp.open().unwrap(),
    };
    assert_eq!(work.order().unwrap(), [Slot::B, Slot::A]);
    assert_eq!(
        follow(&fake.host.as_disk(), &second).unwrap(),
        Outcome::Wholly
    );
    assert_eq!(
        images(&second),
        ["basalt_0.2.0+3.efi", "basalt_0.3.0+3.efi"]
    );
    assert_same(&fake.host, &second);
}

#[test]
fn a_blank_disk_gets_everything_and_nothing_is_lost_by_repeating() {
    let (fake, second) = mirrored();
    fs::write(fake.dir.path().join("esp/loader.txt"), "x").unwrap();
    let mut table = Table::read(&second.path).unwrap();
    for number in parts(Slot::A) {
        table.rename(number, &SlotLabel::Empty, &fresh_id());
    }
    table.write().unwrap();
    let folder = second.esp.open().unwrap().uki_folder();
    fs::remove_dir_all(&folder).unwrap();
    for _ in 0..2 {
        assert_eq!(
            follow(&fake.host.as_disk(), &second).unwrap(),
            Outcome::Wholly
        );
        assert_eq!(images(&second), ["basalt_0.1.0.efi"]);
        assert_same(&fake.host, &second);
    }
    assert_eq!(
        fs::read(fake.dir.path().join("second-esp/loader.txt")).unwrap(),
        b"x"
    );
}

#[test]
fn the_last_version_that_boots_is_never_removed() {
    let (fake, second) = mirrored();
    let folder = fake.dir.path().join("esp").join(UKI_FOLDER);
    let name = UkiName {
        version: "0.1.0".parse().unwrap(),
        tries: Some(Tries { left: 2, done: 1 }),
    };
    fs::remove_file(folder.join("basalt_0.1.0.efi")).unwrap();
    follow(&fake.host.as_disk(), &second).unwrap();
    assert_eq!(images(&second), ["basalt_0.1.0.efi"]);
    let another = testing::kernel(b"another kernel");
    fs::write(folder.join(name.to_string()), another).unwrap();
    follow(&fake.host.as_disk(), &second).unwrap();
    assert!(images(&second).contains(&name.to_string()));
}

#[test]
fn a_kernel_image_that_is_cut_off_is_not_passed_on() {
    let (fake, second) = mirrored();
    let ours = fake.dir.path().join("esp").join(UKI_FOLDER);
    let theirs = second.esp.open().unwrap().uki_folder();
    let name = "basalt_0.1.0.efi";
    let whole = fs::read(ours.join(name)).unwrap();
    fs::write(ours.join(name), &whole[..whole.len() - 1]).unwrap();
    follow(&fake.host.as_disk(), &second).unwrap();
    assert_eq!(fs::read(theirs.join(name)).unwrap(), whole);
    // And one that is cut off on the other disk is made whole.
    fs::write(ours.join(name), &whole).unwrap();
    fs::write(theirs.join(name), b"").unwrap();
    follow(&fake.host.as_disk(), &second).unwrap();
    assert_eq!(fs::read(theirs.join(name)).unwrap(), whole);
}

#[test]
fn a_host_that_is_behind_refuses_updates() {
    let (mut fake, second) = mirrored();
    fake.host.others = SystemDisks::Behind(second);
    let path = testing::bundle("0.2.0").write(fake.dir.path());
    let ears = &mut testing::Ears::default();
    let error = install(&fake.host, &path, Options::default(), testing::ALL, ears).unwrap_err();
    assert!(error.to_string().contains("catches up"), "{error}");
    assert_eq!(fake.boot_files(), ["basalt_0.1.0.efi"]);
}
