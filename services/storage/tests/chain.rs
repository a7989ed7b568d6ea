//! Snapshots, templates and clones of disks in a directory.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use basalt_model::disk::ImageFormat;
use basalt_model::storage::{ContentKind, DiskSize, SnapshotName, VolumeId};
use basalt_model::vmid::Vmid;
use basalt_storage::dir::DirStorage;
use basalt_storage::{Access, Layer, Snapshots, Storage, StorageError, copy, qcow2};
use imago::file::File as Opened;
use imago::qcow2::Qcow2;
use imago::raw::Raw;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

const MIB: u64 = 1 << 20;
const DISK: &str = "local:100/vm-100-disk-0.qcow2";

struct Place {
    directory: tempfile::TempDir,
    storage: DirStorage,
}

fn volume(text: &str) -> VolumeId {
    text.parse().unwrap()
}

fn name(text: &str) -> SnapshotName {
    text.parse().unwrap()
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let storage = DirStorage::open("local".parse().unwrap(), directory.path().into()).unwrap();
        Self { directory, storage }
    }

    async fn with_disk() -> Self {
        let place = Self::new();
        let size = DiskSize::from_bytes(16 * MIB);
        place.storage.create(&volume(DISK), size).await.unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("images").join(name)
    }

    fn names(&self, owner: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(owner)).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> = entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Writes a letter at the start of every MiB given, into the disk's own image, as a machine does.
    async fn write(&self, disk: &str, letter: &str, places: &[u64]) {
        let disk = volume(disk);
        let top = self.storage.open(&disk, Access::Write).await.unwrap();
        let below = self.storage.layers(&disk).await.unwrap();
        for place in places {
            let image = chain(&top, &below);
            image.write(letter.as_bytes(), place * MIB).unwrap();
            image.flush().unwrap();
        }
    }

    async fn read(&self, disk: &str, snapshot: Option<&str>) -> Vec<u8> {
        let snapshot = snapshot.map(name);
        let disk = volume(disk);
        let image = self.storage.image(&disk, snapshot.as_ref()).await.unwrap();
        let flat = tempfile::tempfile().unwrap();
        flat.set_len(128 * MIB).unwrap();
        copy::convert(&image, (&flat, ImageFormat::Raw), &mut |_, _| true).unwrap();
        words(&flat)
    }
}

/// An image to be written, on those below it.
fn chain(top: &File, below: &[Layer]) -> FormatAccess<Opened> {
    let opened = |file: &File| Opened::try_from(file.try_clone().unwrap()).unwrap();
    let qcow2 = |file: &File, lower, write| {
        let image = Qcow2::<Opened>::builder(opened(file)).write(write);
        let image = image.backing(lower).open(DenyImplicitOpenGate::default());
        FormatAccess::new(image.unwrap())
    };
    let mut lower = None;
    for layer in below.iter().rev() {
        lower = Some(match layer.format {
            ImageFormat::Qcow2 => qcow2(&layer.file, lower.take(), false),
            ImageFormat::Raw => {
                let raw = Raw::builder(opened(&layer.file)).write(false);
                FormatAccess::new(raw.open(DenyImplicitOpenGate::default()).unwrap())
            }
        });
    }
    qcow2(top, lower, true)
}

/// The first byte of every MiB.
fn words(flat: &File) -> Vec<u8> {
    let first = |place: u64| {
        let mut byte = [0];
        flat.read_exact_at(&mut byte, place * MIB).unwrap();
        byte[0]
    };
    (0..4).map(first).collect()
}

#[tokio::test]
async fn a_disk_goes_back_to_what_it_was_as_often_as_one_wants() {
    let place = Place::with_disk().await;
    let (storage, disk) = (&place.storage, volume(DISK));
    assert_eq!(storage.snapshots_of(&disk), Snapshots::WhenUnused);
    place.write(DISK, "a", &[0, 1]).await;
    storage.snapshot(&disk, &name("first")).await.unwrap();
    let twice = storage.snapshot(&disk, &name("first")).await;
    assert!(matches!(twice, Err(StorageError::Exists(_))), "{twice:?}");
    place.write(DISK, "b", &[1, 2]).await;
    storage.snapshot(&disk, &name("second")).await.unwrap();
    place.write(DISK, "c", &[2, 3]).await;
    assert_eq!(place.read(DISK, None).await, b"abcc");
    assert_eq!(place.read(DISK, Some("first")).await, b"aa\0\0");
    assert_eq!(place.read(DISK, Some("second")).await, b"abb\0");
    let listed = storage.list(Some(ContentKind::Images)).await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    let layer = volume("local:100/vm-100-disk-0.qcow2@first");
    for refused in [
        storage.remove(&layer).await,
        storage.open(&layer, Access::Write).await.map(drop),
    ] {
        assert!(
            matches!(refused, Err(StorageError::NoVolume(_))),
            "{refused:?}"
        );
    }

    let held = storage.open(&disk, Access::Write).await.unwrap();
    for refused in [
        storage.snapshot(&disk, &name("third")).await,
        storage.roll_back(&disk, &name("first")).await,
        storage.remove_snapshot(&disk, &name("first")).await,
    ] {
        assert!(
            matches!(refused, Err(StorageError::InUse(_))),
            "{refused:?}"
        );
    }
    drop(held);
    for _ in 0..2 {
        storage.roll_back(&disk, &name("first")).await.unwrap();
        assert_eq!(place.read(DISK, None).await, b"aa\0\0");
        place.write(DISK, "d", &[3]).await;
        assert_eq!(place.read(DISK, None).await, b"aa\0d");
    }
    // Two lie on the first now; both keep what they are when it goes.
    storage
        .remove_snapshot(&disk, &name("first"))
        .await
        .unwrap();
    assert_eq!(place.read(DISK, None).await, b"aa\0d");
    assert_eq!(place.read(DISK, Some("second")).await, b"abb\0");
    assert_eq!(storage.snapshots(&disk).await.unwrap(), [name("second")]);
    let none = storage.roll_back(&disk, &name("first")).await;
    assert!(
        matches!(none, Err(StorageError::NoSnapshot { .. })),
        "{none:?}"
    );
    storage.roll_back(&disk, &name("second")).await.unwrap();
    assert_eq!(place.read(DISK, None).await, b"abb\0");
    storage.remove(&disk).await.unwrap();
    assert!(!place.path("100").exists());
}

#[tokio::test]
async fn what_an_interruption_leaves_is_taken_away_by_the_next_try() {
    let place = Place::with_disk().await;
    let (storage, disk) = (&place.storage, volume(DISK));
    place.write(DISK, "a", &[0]).await;
    let (current, layer) = (
        place.path("100/vm-100-disk-0.qcow2"),
        place.path("100/vm-100-disk-0.qcow2@first"),
    );
    std::fs::hard_link(&current, &layer).unwrap();
    std::fs::write(place.path("100/vm-100-disk-0.qcow2@__new"), "half").unwrap();
    let back = storage.roll_back(&disk, &name("first")).await;
    assert!(matches!(back, Err(StorageError::NoSnapshot { .. })));
    storage
        .remove_snapshot(&disk, &name("first"))
        .await
        .unwrap();
    std::fs::hard_link(&current, &layer).unwrap();
    storage.snapshot(&disk, &name("first")).await.unwrap();
    place.write(DISK, "b", &[0]).await;
    assert_eq!(place.read(DISK, Some("first")).await, b"a\0\0\0");
    assert_eq!(
        place.names("100"),
        ["vm-100-disk-0.qcow2", "vm-100-disk-0.qcow2@first"]
    );
    // The disk itself went, the images below it did not yet.
    std::fs::remove_file(&current).unwrap();
    let gone = storage.remove(&disk).await;
    assert!(matches!(gone, Err(StorageError::NoVolume(_))), "{gone:?}");
    assert!(place.names("100").is_empty());
}

#[tokio::test]
async fn an_image_below_is_only_ever_the_disks_own() {
    let place = Place::with_disk().await;
    let (storage, disk) = (&place.storage, volume(DISK));
    let other = volume("local:101/vm-101-disk-0.qcow2");
    let size = DiskSize::from_bytes(16 * MIB);
    storage.create(&other, size).await.unwrap();
    let file = File::options()
        .read(true)
        .write(true)
        .open(place.path("100/vm-100-disk-0.qcow2"))
        .unwrap();
    for foreign in [
        "../101/vm-101-disk-0.qcow2",
        "/etc/shadow",
        "vm-100-disk-0.qcow2",
        "vm-100-disk-0.qcow2@../../101/vm-101-disk-0.qcow2",
        "vm-100-disk-1.qcow2@first",
    ] {
        qcow2::chain::set_below(&file, Some((foreign, ImageFormat::Qcow2))).unwrap();
        let opened = storage.image(&disk, None).await;
        let text = opened.unwrap_err().to_string();
        assert!(text.contains("not its own"), "{foreign}: {text}");
    }
    let own = "vm-100-disk-0.qcow2@first";
    std::fs::hard_link(
        place.path("100/vm-100-disk-0.qcow2"),
        place.path(&format!("100/{own}")),
    )
    .unwrap();
    qcow2::chain::set_below(&file, Some((own, ImageFormat::Qcow2))).unwrap();
    let text = storage.layers(&disk).await.unwrap_err().to_string();
    assert!(text.contains("more than 16"), "{text}");
}

#[tokio::test]
async fn clones_share_a_templates_disk_and_outlive_it() {
    let place = Place::with_disk().await;
    let (storage, disk) = (&place.storage, volume(DISK));
    place.write(DISK, "a", &[0, 1]).await;
    let clone = volume("local:101/vm-101-disk-0.qcow2");
    let early = storage.copy(&disk, None, &clone).await.unwrap_err();
    assert!(early.to_string().contains("template"), "{early}");
    storage.snapshot(&disk, &name("first")).await.unwrap();
    let refused = storage.make_base(&disk).await.unwrap_err();
    assert!(refused.to_string().contains("'first'"), "{refused}");
    storage
        .remove_snapshot(&disk, &name("first"))
        .await
        .unwrap();

    let base = storage.make_base(&disk).await.unwrap();
    assert_eq!(base.to_string(), "local:100/base-100-disk-0.qcow2");
    assert_eq!(storage.make_base(&disk).await.unwrap(), base);
    let next = storage.free_name(Vmid::MIN, &[]).await.unwrap();
    assert_eq!(next.name(), "vm-100-disk-1.raw");
    storage.copy(&base, None, &clone).await.unwrap();
    let again = storage.copy(&base, None, &clone).await;
    assert!(matches!(again, Err(StorageError::Exists(_))), "{again:?}");
    place
        .write("local:101/vm-101-disk-0.qcow2", "b", &[1])
        .await;
    assert_eq!(place.read(base.to_string().as_str(), None).await, b"aa\0\0");
    assert_eq!(
        place.read("local:101/vm-101-disk-0.qcow2", None).await,
        b"ab\0\0"
    );
    let file = std::fs::metadata(place.path("101/vm-101-disk-0.qcow2")).unwrap();
    assert!(file.blocks() * 512 < 2 * MIB, "{}", file.blocks());

    // A clone runs while the template goes, and another one of the clone's own is made.
    let running = storage.layers(&clone).await.unwrap();
    storage.remove(&base).await.unwrap();
    drop(running);
    assert_eq!(
        place.read("local:101/vm-101-disk-0.qcow2", None).await,
        b"ab\0\0"
    );
    let second = storage.make_base(&clone).await.unwrap();
    assert_eq!(place.names("101"), ["base-101-disk-0.qcow2"]);
    assert_eq!(
        place.read(second.to_string().as_str(), None).await,
        b"ab\0\0"
    );
}

#[tokio::test]
async fn raw_templates_are_shared_and_raw_disks_have_no_snapshots() {
    let place = Place::new();
    let storage = &place.storage;
    let disk = volume("local:100/vm-100-disk-0.raw");
    let size = DiskSize::from_bytes(100 * MIB);
    storage.create(&disk, size).await.unwrap();
    let file = storage.open(&disk, Access::Write).await.unwrap();
    file.write_all_at(b"a", 0).unwrap();
    drop(file);
    assert_eq!(storage.snapshots_of(&disk), Snapshots::Never);
    let refused = storage.snapshot(&disk, &name("first")).await.unwrap_err();
    assert!(refused.to_string().contains("use qcow2"), "{refused}");

    let base = storage.make_base(&disk).await.unwrap();
    let raw = volume("local:101/vm-101-disk-0.raw");
    let wrong = storage.copy(&base, None, &raw).await.unwrap_err();
    assert!(wrong.to_string().contains(".qcow2"), "{wrong}");
    let clone = "local:101/vm-101-disk-0.qcow2";
    storage.copy(&base, None, &volume(clone)).await.unwrap();
    place.write(clone, "b", &[3]).await;
    storage
        .snapshot(&volume(clone), &name("first"))
        .await
        .unwrap();
    place.write(clone, "c", &[0]).await;
    assert_eq!(place.read(clone, None).await, b"c\0\0b");
    storage
        .roll_back(&volume(clone), &name("first"))
        .await
        .unwrap();
    assert_eq!(place.read(clone, None).await, b"a\0\0b");
    storage
        .remove_snapshot(&volume(clone), &name("first"))
        .await
        .unwrap();
    assert_eq!(place.read(clone, None).await, b"a\0\0b");
    let larger = DiskSize::from_bytes(120 * MIB);
    storage.resize(&volume(clone), larger).await.unwrap();
    assert_eq!(
        storage.volume(&volume(clone)).await.unwrap().size,
        120 * MIB
    );
}

#[tokio::test]
async fn what_firmware_keeps_goes_back_with_the_disks() {
    let place = Place::new();
    let storage = &place.storage;
    let variables = volume("local:100/vm-100-disk-1.raw");
    let size = DiskSize::from_bytes(MIB);
    storage.create(&variables, size).await.unwrap();
    let write = async |word: &[u8]| {
        let file = storage.open(&variables, Access::Write).await.unwrap();
        file.write_all_at(word, 0).unwrap();
    };
    write(b"one").await;
    assert_eq!(storage.snapshots_of(&variables), Snapshots::WhenUnused);
    storage.snapshot(&variables, &name("first")).await.unwrap();
    let twice = storage.snapshot(&variables, &name("first")).await;
    assert!(matches!(twice, Err(StorageError::Exists(_))), "{twice:?}");
    write(b"two").await;
    storage.roll_back(&variables, &name("first")).await.unwrap();
    let file = std::fs::read(place.path("100/vm-100-disk-1.raw")).unwrap();
    assert_eq!((&file[..3], file.len() as u64), (&b"one"[..], MIB));
    storage
        .remove_snapshot(&variables, &name("first"))
        .await
        .unwrap();
    assert_eq!(place.names("100"), ["vm-100-disk-1.raw"]);
}
