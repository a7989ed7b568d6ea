//! Installing into files: what ends up where, and what bad bundles change (nothing).

use std::fs;
use std::io::{Read, Seek, SeekFrom};

use basalt_layout::{Slot, Tries, UkiName};

use super::*;
use crate::manifest::Sha256;
use crate::rollback;
use crate::status::{State, status};
use crate::testing::{self, FakeHost};

fn install_into(fake: &FakeHost, path: &Path) -> Result<Installed, Error> {
    let options = Options::default();
    let ears = &mut testing::Ears::default();
    install(&fake.host, path, options, testing::ALL, ears)
}

fn slot_bytes(fake: &FakeHost, number: u32, count: usize) -> Vec<u8> {
    let table = Table::read(&fake.host.disk).unwrap();
    let mut file = File::open(&fake.host.disk).unwrap();
    file.seek(SeekFrom::Start(table.entry(number).unwrap().offset))
        .unwrap();
    let mut bytes = vec![0; count];
    file.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_newer_version_goes_to_the_other_slot() {
    let fake = testing::host();
    fs::write(&fake.host.failure_record, "{}").unwrap();
    let bundle = testing::bundle("0.2.0");
    let done = install_into(&fake, &bundle.write(fake.dir.path())).unwrap();
    assert_eq!(done.slot, Slot::B);
    assert_eq!(
        fake.boot_files(),
        ["basalt_0.1.0.efi", "basalt_0.2.0+3.efi"]
    );
    assert_eq!(slot_bytes(&fake, 4, 3_000_000), bundle.files[1].1);
    assert_eq!(slot_bytes(&fake, 5, 40_000), bundle.files[2].1);
    let table = Table::read(&fake.host.disk).unwrap();
    let hash = testing::hash_of("0.2.0");
    assert_eq!(table.entry(4).unwrap().uuid, hash.root_partuuid());
    assert_eq!(table.entry(5).unwrap().uuid, hash.verity_partuuid());
    assert!(!fake.host.failure_record.exists());

    let status = status(&fake.host).unwrap();
    assert!(status.slots[0].running && status.slots[0].state == State::Good);
    assert_eq!(status.slots[1].state, State::Trial);
    assert_eq!(status.slots[1].tries_left, Some(3));

    // The next one takes the same slot, for the running one is never touched.
    let next = testing::bundle("0.3.0").write(fake.dir.path());
    assert_eq!(install_into(&fake, &next).unwrap().slot, Slot::B);
    assert_eq!(
        fake.boot_files(),
        ["basalt_0.1.0.efi", "basalt_0.3.0+3.efi"]
    );
}

#[test]
fn bad_bundles_change_nothing() {
    let fake = testing::host();
    let dir = fake.dir.path();
    install_into(&fake, &testing::bundle("0.1.1").write(dir)).unwrap();
    let before = fake.fingerprint();
    let good = testing::bundle("0.2.0");
    let refuse = |path: &Path, expected: &str| {
        let error = install_into(&fake, path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nexpected: {expected}");
        assert_eq!(fake.fingerprint(), before, "{expected}");
        assert_eq!(
            slot_bytes(&fake, 4, 100),
            testing::bundle("0.1.1").files[1].1[..100]
        );
    };

    let path = good.write(dir);
    let whole = fs::read(&path).unwrap();
    for length in [0, 100, 600, 5_000, 2_000_000, whole.len() - 60_000] {
        fs::write(&path, &whole[..length]).unwrap();
        refuse(&path, "cannot be used");
    }
    // A bit of the list of blocks, of the root, of the hash tree and of the kernel image.
    for position in [5_000, 20_000, 3_030_000, 3_090_000] {
        let mut flipped = whole.clone();
        flipped[position] ^= 1;
        fs::write(&path, flipped).unwrap();
        refuse(&path, "checksum is wrong");
    }
    // A bit of the manifest, and of its signature.
    for position in [700, whole.iter().position(|byte| *byte == b'}').unwrap()] {
        let mut flipped = whole.clone();
        flipped[position] ^= 1;
        fs::write(&path, flipped).unwrap();
        refuse(&path, "or what it signs was changed");
    }
    fs::write(&path, "no archive at all".repeat(100)).unwrap();
    refuse(&path, "no tar archive");

    let changed = |change: &dyn Fn(&mut testing::BundleBuilder)| {
        let mut bundle = testing::bundle("0.2.0");
        change(&mut bundle);
        bundle.write(dir)
    };
    refuse(&changed(&|b| b.key = None), "is not signed");
    refuse(
        &changed(&|b| b.key = Some(2)),
        "no key that this host trusts (development)",
    );
    refuse(
        &changed(&|b| b.manifest.architecture = "aarch64".into()),
        "architecture `aarch64`",
    );
    refuse(
        &changed(&|b| b.manifest.name = "granite".into()),
        "product `granite`",
    );
    refuse(&changed(&|b| b.manifest.format = 9), "format is 9");
    refuse(
        &changed(&|b| b.manifest.parts.root.size = 2 << 30),
        "the root file system needs",
    );
    refuse(
        &changed(&|b| b.manifest.parts.verity.size = 1 << 30),
        "the hash tree needs",
    );
    refuse(
        &changed(&|b| b.manifest.parts.uki.size = 1 << 60),
        "the kernel image needs",
    );
    refuse(
        &changed(&|b| b.manifest.parts.root.sha256 = Sha256([0; 32])),
        "checksum is wrong",
    );
    refuse(
        &changed(&|b| b.files.swap(0, 1)),
        "expected `basalt_0.2.0.blocks`",
    );
    refuse(
        &changed(&|b| b.files.truncate(3)),
        "`basalt_0.2.0.efi` is missing",
    );
    refuse(
        &changed(&|b| b.files.push(("more".into(), vec![1]))),
        "more in it",
    );
    refuse(&testing::bundle("0.1.0").write(dir), "already running");
    refuse(
        &testing::bundle("0.1.1").write(dir),
        "version 0.1.1 is already in slot b",
    );
    refuse(
        &testing::bundle("0.0.9").write(dir),
        "older than the running",
    );
}

#[test]
fn a_failing_disk_leaves_the_running_version_alone() {
    let mut fake = testing::host();
    let path = testing::bundle("0.2.0").write(fake.dir.path());
    // Nothing can be written where the kernel image should go.
    let esp = fake.dir.path().join("esp/EFI/Linux/basalt-update.new");
    fs::create_dir(&esp).unwrap();
    assert!(install_into(&fake, &path).is_err());
    fs::remove_dir(&esp).unwrap();
    // There is no room left where it should go.
    std::os::unix::fs::symlink("/dev/full", &esp).unwrap();
    let error = install_into(&fake, &path).unwrap_err().to_string();
    assert!(error.contains("No space left"), "{error}");
    assert_eq!(fake.boot_files(), ["basalt_0.1.0.efi"]);
    assert_eq!(
        Table::read(&fake.host.disk).unwrap().content_of(Slot::B),
        None
    );
    // Somebody stops it in the middle of the slot.
    let mut ears = testing::Ears {
        stop_at: Some("writing"),
        ..Default::default()
    };
    let stopped = install(
        &fake.host,
        &path,
        Options::default(),
        testing::ALL,
        &mut ears,
    );
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(fake.boot_files(), ["basalt_0.1.0.efi"]);
    // And it can be tried again.
    assert!(install_into(&fake, &path).is_ok());
    // Two at a time are refused.
    let _held = fake.host.lock().unwrap();
    assert!(matches!(install_into(&fake, &path), Err(Error::Busy)));
    fake.host.root_hash = testing::hash_of("other");
    drop(_held);
    assert!(matches!(
        install_into(&fake, &path),
        Err(Error::NotInstalled { .. })
    ));
}

#[test]
fn a_slot_that_cannot_be_written_is_told() {
    let fake = testing::host();
    let path = testing::bundle("0.2.0").write(fake.dir.path());
    let full = Target {
        path: PathBuf::from("/dev/full"),
        offset: 0,
        size: 1 << 30,
    };
    let mut writer = SlotWriter {
        root: full.clone(),
        verity: full,
        uki: fake.dir.path().join("uki"),
        current: None,
    };
    let keys = fake.host.keys().unwrap();
    let ears = &mut testing::Ears::default();
    let error = bundle::read(&path, &keys, &mut writer, testing::ALL, ears).unwrap_err();
    assert!(error.to_string().starts_with("/dev/full: "), "{error}");
}

#[test]
fn an_older_version_is_booted_once_and_kept_when_healthy() {
    let mut fake = testing::host();
    let path = testing::bundle("0.0.9").write(fake.dir.path());
    let options = Options {
        allow_downgrade: true,
    };
    let ears = &mut testing::Ears::default();
    install(&fake.host, &path, options, testing::ALL, ears).unwrap();
    assert!(fake.dir.path().join("efivars").read_dir().unwrap().count() == 1);
    assert_eq!(fake.default_entry(), None);

    // It came up healthy: from now on it is the default.
    fake.host.version = "0.0.9".parse().unwrap();
    fake.host.root_hash = testing::hash_of("0.0.9");
    rollback::commit(&fake.host).unwrap();
    assert_eq!(fake.default_entry().as_deref(), Some("basalt_0.0.9[+.]*"));

    // An update that waits for its reboot must not be shut out.
    install_into(&fake, &testing::bundle("0.2.0").write(fake.dir.path())).unwrap();
    assert_eq!(fake.default_entry(), None);
    rollback::commit(&fake.host).unwrap();
    assert_eq!(fake.default_entry(), None);
}

#[test]
fn a_kernel_image_that_is_cut_off_does_not_count() {
    let fake = testing::host();
    let bundle = testing::bundle("0.2.0").write(fake.dir.path());
    let file = fake.dir.path().join("esp/EFI/Linux/basalt_0.2.0+3.efi");
    install_into(&fake, &bundle).unwrap();
    for length in [0, 700] {
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..length]).unwrap();
        assert_eq!(status(&fake.host).unwrap().slots[1].state, State::Empty);
        let error = rollback::roll_back(&fake.host).unwrap_err().to_string();
        assert!(error.contains("no whole kernel image"), "{error}");
        // The boot loader would take the newer one, which cannot start.
        rollback::commit(&fake.host).unwrap();
        assert_eq!(fake.default_entry().as_deref(), Some("basalt_0.1.0[+.]*"));
        // Installing it once more is no repetition, but the repair.
        install_into(&fake, &bundle).unwrap();
        assert_eq!(fs::read(&file).unwrap(), whole);
        assert_eq!(status(&fake.host).unwrap().slots[1].state, State::Trial);
    }
}

#[test]
fn going_back_needs_something_to_go_back_to() {
    let fake = testing::host();
    let error = rollback::roll_back(&fake.host).unwrap_err();
    assert!(error.to_string().contains("slot b is empty"), "{error}");
    install_into(&fake, &testing::bundle("0.2.0").write(fake.dir.path())).unwrap();
    assert_eq!(
        rollback::roll_back(&fake.host).unwrap().to_string(),
        "0.2.0"
    );

    let folder = fake.dir.path().join("esp/EFI/Linux");
    let tries = Some(Tries { left: 0, done: 3 });
    let failed = UkiName {
        version: "0.2.0".parse().unwrap(),
        tries,
    };
    fs::rename(
        folder.join("basalt_0.2.0+3.efi"),
        folder.join(failed.to_string()),
    )
    .unwrap();
    let error = rollback::roll_back(&fake.host).unwrap_err();
    assert!(
        error.to_string().contains("did not become healthy"),
        "{error}"
    );
    assert_eq!(status(&fake.host).unwrap().slots[1].state, State::Failed);
}
