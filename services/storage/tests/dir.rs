//! The directory driver on real files, and container roots on real loop devices.

#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

use basalt_model::storage::{ContentKind, DiskSize, StorageId, VolumeId};
use basalt_model::vmid::Vmid;
use basalt_storage::dir::DirStorage;
use basalt_storage::{Access, Checksum, Storage, StorageError, copy, rootfs};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

struct Place {
    directory: tempfile::TempDir,
    storage: DirStorage,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let storage = DirStorage::open(StorageId::local(), directory.path().to_path_buf()).unwrap();
        Self { directory, storage }
    }

    fn path(&self, below: &str) -> std::path::PathBuf {
        self.directory.path().join(below)
    }
}

fn volume(text: &str) -> VolumeId {
    text.parse().unwrap()
}

fn vmid() -> Vmid {
    Vmid::MIN
}

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn a_disk_is_sparse_named_in_turn_and_gone_when_removed() {
    let place = Place::new();
    let first = place.storage.free_name(vmid(), &[]).await.unwrap();
    assert_eq!(first.to_string(), "local:100/vm-100-disk-0.raw");
    let second = place
        .storage
        .free_name(vmid(), std::slice::from_ref(&first))
        .await
        .unwrap();
    assert_eq!(second.to_string(), "local:100/vm-100-disk-1.raw");

    place
        .storage
        .create(&first, DiskSize::from_bytes(64 * MIB))
        .await
        .unwrap();
    let listed = place.storage.list(Some(ContentKind::Images)).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].size, listed[0].used), (64 * MIB, 0));
    assert_eq!(listed[0].id, first);
    let again = place
        .storage
        .create(&first, DiskSize::from_bytes(MIB))
        .await;
    assert!(matches!(again, Err(StorageError::Exists(_))));

    place.storage.remove(&first).await.unwrap();
    assert!(place.storage.list(None).await.unwrap().is_empty());
    assert!(!place.path("images/100").exists());
    let gone = place.storage.remove(&first).await;
    assert!(matches!(gone, Err(StorageError::NoVolume(_))));
}

#[tokio::test]
async fn a_volume_in_use_is_neither_opened_twice_nor_removed() {
    let place = Place::new();
    let disk = volume("local:100/vm-100-disk-0.raw");
    place
        .storage
        .create(&disk, DiskSize::from_bytes(MIB))
        .await
        .unwrap();
    let held = place.storage.open(&disk, Access::Write).await.unwrap();
    for access in [Access::Read, Access::Write] {
        let other = place.storage.open(&disk, access).await;
        assert!(matches!(other, Err(StorageError::InUse(_))));
    }
    assert!(matches!(
        place.storage.remove(&disk).await,
        Err(StorageError::InUse(_))
    ));
    drop(held);
    let one = place.storage.open(&disk, Access::Read).await.unwrap();
    let two = place.storage.open(&disk, Access::Read).await.unwrap();
    drop((one, two));
    place.storage.remove(&disk).await.unwrap();
}

#[tokio::test]
async fn nothing_outside_is_reached_through_links() {
    let place = Place::new();
    let secret = place
        .directory
        .path()
        .parent()
        .unwrap()
        .join("basalt-secret-test");
    std::fs::write(&secret, "secret").unwrap();
    std::os::unix::fs::symlink(&secret, place.path("template/iso/link.iso")).unwrap();
    std::os::unix::fs::symlink("/", place.path("images/100")).unwrap();
    assert!(
        place
            .storage
            .open(&volume("local:iso/link.iso"), Access::Read)
            .await
            .is_err()
    );
    assert!(
        place
            .storage
            .open(&volume("local:100/etc"), Access::Read)
            .await
            .is_err()
    );
    assert!(
        place
            .storage
            .list(Some(ContentKind::Iso))
            .await
            .unwrap()
            .is_empty()
    );
    std::fs::remove_file(&secret).unwrap();
}

#[tokio::test]
async fn a_special_file_is_no_volume_and_holds_nobody_up() {
    let place = Place::new();
    let fifo = place.path("template/iso/fifo.iso");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let opened = place
        .storage
        .open(&volume("local:iso/fifo.iso"), Access::Read)
        .await;
    assert!(matches!(opened, Err(StorageError::Unfit { .. })));
}

#[tokio::test]
async fn an_upload_appears_whole_or_not_at_all() {
    let place = Place::new();
    let bytes = b"x".repeat(100_000);
    let iso = place.path("template/iso");
    let empty = |path: &Path| std::fs::read_dir(path).unwrap().next().is_none();

    let mut damaged = place
        .storage
        .upload(ContentKind::Iso, "a.iso")
        .await
        .unwrap();
    damaged.expect(Checksum::Sha256("00".repeat(32)));
    damaged.write(&bytes).unwrap();
    assert!(matches!(
        damaged.finish(),
        Err(StorageError::Checksum { .. })
    ));
    assert!(empty(&iso));

    let mut broken_off = place
        .storage
        .upload(ContentKind::Iso, "a.iso")
        .await
        .unwrap();
    broken_off.write(&bytes).unwrap();
    drop(broken_off);
    assert!(empty(&iso));

    let mut good = place
        .storage
        .upload(ContentKind::Iso, "a.iso")
        .await
        .unwrap();
    good.expect(Checksum::Sha256(
        hex::encode(Sha256::digest(&bytes)).to_uppercase(),
    ));
    good.write(&bytes[..7]).unwrap();
    good.write(&bytes[7..]).unwrap();
    assert_eq!(good.finish().unwrap(), volume("local:iso/a.iso"));
    assert_eq!(std::fs::read(iso.join("a.iso")).unwrap(), bytes);

    let mut open = File::open(iso.join("a.iso")).unwrap();
    let mut again = place
        .storage
        .upload(ContentKind::Iso, "a.iso")
        .await
        .unwrap();
    again.write(b"later").unwrap();
    assert_eq!(std::fs::read(iso.join("a.iso")).unwrap(), bytes);
    again.finish().unwrap();
    assert_eq!(std::fs::read(iso.join("a.iso")).unwrap(), b"later");
    assert_eq!(std::fs::read_dir(&iso).unwrap().count(), 1);
    let mut kept = Vec::new();
    open.read_to_end(&mut kept).unwrap();
    assert_eq!(kept, bytes);
    let wrong = place.storage.upload(ContentKind::Vztmpl, "../a.tar").await;
    assert!(matches!(wrong, Err(StorageError::FileName { .. })));
}

#[tokio::test]
async fn two_uploads_of_one_name_do_not_mix() {
    let place = Place::new();
    let mut one = place
        .storage
        .upload(ContentKind::Iso, "a.iso")
        .await
        .unwrap();
    let mut two = place
        .storage
        .upload(ContentKind::Iso, "a.iso")
        .await
        .unwrap();
    one.write(b"one").unwrap();
    two.write(b"two").unwrap();
    two.finish().unwrap();
    let found = || std::fs::read(place.path("template/iso/a.iso")).unwrap();
    assert_eq!(found(), b"two");
    one.finish().unwrap();
    assert_eq!(found(), b"one");
}

#[test]
fn a_copy_keeps_holes_and_can_be_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let create = |name: &str, size| {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(directory.path().join(name))
            .unwrap();
        file.set_len(size).unwrap();
        file
    };
    let source = create("source", 64 * MIB);
    source.write_all_at(b"start", 0).unwrap();
    source.write_all_at(b"middle", 32 * MIB).unwrap();
    source.sync_all().unwrap();

    let target = create("target", 65 * MIB);
    let mut last = (0, 0);
    copy::fill(&source, &target, &mut |done, total| {
        last = (done, total);
        true
    })
    .unwrap();
    assert_eq!(last, (64 * MIB, 64 * MIB));
    let metadata = target.metadata().unwrap();
    assert_eq!(metadata.len(), 65 * MIB);
    assert!(
        metadata.blocks() * 512 < MIB,
        "{} blocks",
        metadata.blocks()
    );
    let mut middle = [0; 6];
    target.read_exact_at(&mut middle, 32 * MIB).unwrap();
    assert_eq!(&middle, b"middle");

    let stopped = copy::fill(&source, &create("other", 64 * MIB), &mut |_, _| false);
    assert!(matches!(stopped, Err(StorageError::Cancelled)));
}

#[test]
fn only_raw_images_are_disks() {
    let volume = volume("local:import/x.raw");
    let file_of = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    };
    assert_eq!(copy::raw(&file_of(&[1; 513]), &volume).unwrap().size, 1024);
    let error = copy::raw(&file_of(b"QFI\xfb\0\0\0\x03"), &volume).unwrap_err();
    assert!(error.to_string().contains("qcow2"), "{error}");
    assert!(copy::raw(&file_of(b""), &volume).is_err());
}

#[tokio::test]
async fn a_container_root_is_formatted_mounted_and_let_go() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: loop devices need root");
        return;
    }
    let place = Place::new();
    let disk = volume("local:100/vm-100-disk-0.raw");
    place
        .storage
        .create(&disk, DiskSize::from_bytes(64 * MIB))
        .await
        .unwrap();
    let image = place.storage.open(&disk, Access::Write).await.unwrap();
    rootfs::format(&image).await.unwrap();

    let root = rootfs::mount(image).await.unwrap();
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::RDWR;
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    let mut file = File::from(rustix::fs::openat(&root, "hello", flags, mode).unwrap());
    file.write_all(b"hello").unwrap();
    // The image stays locked for as long as it is mounted.
    assert!(matches!(
        place.storage.remove(&disk).await,
        Err(StorageError::InUse(_))
    ));
    drop((file, root));

    let image = wait_until_free(&place.storage, &disk).await;
    let root = rootfs::mount(image).await.unwrap();
    let flags = rustix::fs::OFlags::RDONLY;
    let mut file = File::from(rustix::fs::openat(&root, "hello", flags, mode).unwrap());
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

/// The kernel unmounts and detaches after the last descriptor is closed, a moment later.
async fn wait_until_free(storage: &DirStorage, disk: &VolumeId) -> File {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        match storage.open(disk, Access::Write).await {
            Ok(image) => return image,
            Err(StorageError::InUse(_)) if std::time::Instant::now() < deadline => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn qcow2_disks_are_named_made_measured_and_grown() {
    let place = Place::new();
    let storage = &place.storage;
    let owner = Vmid::MIN;
    let raw = storage.free_name(owner, &[]).await.unwrap();
    let format = basalt_model::disk::ImageFormat::Qcow2;
    let packed = storage.free_name_as(owner, format, &[raw]).await.unwrap();
    assert_eq!(packed.to_string(), "local:100/vm-100-disk-1.qcow2");
    let gib = DiskSize::from_bytes(1 << 30);
    storage.create(&packed, gib).await.unwrap();
    let made = storage.volume(&packed).await.unwrap();
    assert_eq!((made.format, made.size), ("qcow2", 1 << 30));
    assert!(made.used < 1 << 20);

    let more = DiskSize::from_bytes(3 << 30);
    let held = storage.open(&packed, Access::Write).await.unwrap();
    let error = storage.resize(&packed, more).await.unwrap_err();
    assert!(matches!(error, StorageError::InUse(_)), "{error}");
    drop(held);
    storage.resize(&packed, more).await.unwrap();
    assert_eq!(storage.volume(&packed).await.unwrap().size, 3 << 30);
    let error = storage.resize(&packed, gib).await.unwrap_err();
    assert!(error.to_string().contains("only grows"), "{error}");
}

#[tokio::test]
async fn a_raw_disk_grows_while_it_is_used() {
    let place = Place::new();
    let storage = &place.storage;
    let disk = storage.free_name(Vmid::MIN, &[]).await.unwrap();
    storage
        .create(&disk, DiskSize::from_bytes(1 << 20))
        .await
        .unwrap();
    let held = storage.open(&disk, Access::Write).await.unwrap();
    storage
        .resize(&disk, DiskSize::from_bytes(5 << 20))
        .await
        .unwrap();
    assert_eq!(held.metadata().unwrap().len(), 5 << 20);
}

#[tokio::test]
async fn uploaded_images_that_name_other_files_are_not_kept() {
    let place = Place::new();
    let storage = &place.storage;
    let image = tempfile::tempfile().unwrap();
    basalt_storage::qcow2::create(&image, 1 << 20).unwrap();
    let mut good = vec![0; image.metadata().unwrap().len() as usize];
    std::os::unix::fs::FileExt::read_exact_at(&image, &mut good, 0).unwrap();
    let mut bad = good.clone();
    bad[8..16].copy_from_slice(&300u64.to_be_bytes());
    let cases: [(&str, &[u8], bool); 4] = [
        ("good.qcow2", &good, true),
        ("bad.qcow2", &bad, false),
        // Whatever the name says, the bytes decide.
        ("bad.img", &bad, false),
        ("raw.qcow2", &[7; 4096], false),
    ];
    for (name, bytes, kept) in cases {
        let mut upload = storage.upload(ContentKind::Import, name).await.unwrap();
        upload.write(bytes).unwrap();
        assert_eq!(upload.finish().is_ok(), kept, "{name}");
    }
    assert_eq!(
        storage.list(Some(ContentKind::Import)).await.unwrap().len(),
        1
    );
}
