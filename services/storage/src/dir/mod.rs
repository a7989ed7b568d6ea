//! The `dir` driver: volumes are files below a directory of the host.
//!
//! The directory is opened once; every file is then reached from that descriptor, without
//! symbolic links, so nothing outside can be reached whatever a volume is called.

mod chain;
pub mod layout;

use crate::error::{Context, Result, StorageError};
use crate::open::{beneath, locked};
use crate::upload::Upload;
use crate::{Access, Image, Layer, Snapshots, Space, Storage, Volume, qcow2};
use async_trait::async_trait;
use basalt_model::disk::ImageFormat;
use basalt_model::storage::{
    ContentKind, DiskSize, SnapshotName, StorageId, VolumeId, is_plain_name,
};
use basalt_model::vmid::Vmid;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// A directory of the host with volumes in it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DirStorage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: StorageId,
    path: PathBuf,
    root: OwnedFd,
}

impl DirStorage {
    /// Opens the directory and makes what is missing below it.
    pub fn open(id: StorageId, path: PathBuf) -> Result<Self> {
        let what = || format!("opening storage '{id}' at {}", path.display());
        std::fs::create_dir_all(&path).context(what())?;
        for content in ContentKind::ALL {
            std::fs::create_dir_all(path.join(layout::directory(*content))).context(what())?;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, Mode::empty()).context(what())?;
        Ok(Self(Arc::new(Inner { id, path, root })))
    }

    /// Runs work that waits for the disk where it holds nobody up.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(result) => result,
            Err(error) => Err(std::io::Error::other(error)).context("storage work"),
        }
    }
}

impl Inner {
    fn space(&self) -> Result<Space> {
        let stat = rustix::fs::statvfs(&self.path).context(format!("room on '{}'", self.id))?;
        let bytes = |blocks: u64| blocks * stat.f_frsize;
        Ok(Space {
            total: bytes(stat.f_blocks),
            used: bytes(stat.f_blocks - stat.f_bfree),
            available: bytes(stat.f_bavail),
            metadata: None,
        })
    }

    /// Opens a directory below the storage.
    fn directory(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        beneath(&self.root, path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// The plain names in a directory; none if it is not there.
    fn names(&self, path: &str) -> Result<Vec<String>> {
        let directory = match self.directory(path) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(error).context(format!("listing {path} of '{}'", self.id)),
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(directory).context(format!("listing {path}"))? {
            let entry = entry.context(format!("listing {path}"))?;
            if let Ok(name) = entry.file_name().to_str()
                && is_plain_name(name)
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// A regular file as a volume; none if it is something else or went away.
    fn describe(&self, id: VolumeId) -> Result<Option<Volume>> {
        let (content, path) = layout::locate(&id)?;
        let Some(format) = layout::format(content, id.name()) else {
            return Ok(None);
        };
        let stat = match beneath(&self.root, &path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(fd) => rustix::fs::fstat(&fd).context(format!("looking at {id}"))?,
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error).context(format!("looking at {id}")),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let mut size = u64::try_from(stat.st_size).unwrap_or(0);
        if format == "qcow2" && content != ContentKind::Import {
            size = self.disk_size(&id, &path)?;
        }
        Ok(Some(Volume {
            id,
            content,
            format,
            size,
            used: u64::try_from(stat.st_blocks).unwrap_or(0) * 512,
            changed: u64::try_from(stat.st_mtime).unwrap_or(0),
        }))
    }

    /// Size of the disk in a qcow2 image.
    fn disk_size(&self, id: &VolumeId, path: &str) -> Result<u64> {
        let what = || format!("looking at {id}");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = File::from(beneath(&self.root, path, flags).context(what())?);
        // A damaged image is listed, so that it can be removed.
        Ok(qcow2::header(&file)
            .context(what())?
            .map_or(0, |header| header.size))
    }

    fn resize(&self, volume: &VolumeId, size: DiskSize) -> Result<()> {
        let what = || format!("resizing {volume}");
        let found = self.describe(volume.clone())?;
        let found = found.ok_or_else(|| StorageError::NoVolume(volume.clone()))?;
        let (content, path) = layout::locate(volume)?;
        if content != ContentKind::Images || size.bytes() < found.size {
            let reason = format!("it has {} and only grows", DiskSize::from_bytes(found.size));
            return Err(StorageError::Unfit {
                volume: volume.clone(),
                reason,
            });
        }
        if found.format == "qcow2" {
            let file = locked(&self.root, &path, volume, Access::Write)?;
            let below = self.layers(volume, &file)?;
            return qcow2::grow(&file, &below, size.bytes()).context(what());
        }
        let file = beneath(&self.root, &path, OFlags::RDWR | OFlags::NONBLOCK);
        let file = file.context(what())?;
        rustix::fs::ftruncate(&file, size.bytes())
            .and_then(|()| rustix::fs::fsync(&file))
            .context(what())
    }

    fn list_one(&self, content: ContentKind) -> Result<Vec<Volume>> {
        let mut ids = Vec::new();
        match layout::prefix(content) {
            Some(prefix) => {
                for name in self.names(layout::directory(content))? {
                    ids.extend(VolumeId::new(self.id.clone(), format!("{prefix}/{name}")));
                }
            }
            None => {
                for owner in self
                    .names("images")?
                    .iter()
                    .filter(|n| n.parse::<Vmid>().is_ok())
                {
                    for name in self.names(&format!("images/{owner}"))? {
                        ids.extend(VolumeId::new(self.id.clone(), format!("{owner}/{name}")));
                    }
                }
            }
        }
        ids.into_iter()
            .filter_map(|id| self.describe(id).transpose())
            .collect()
    }

    fn list(&self, content: Option<ContentKind>) -> Result<Vec<Volume>> {
        if let Some(content) = content {
            return self.list_one(content);
        }
        let mut volumes = Vec::new();
        // Roots of containers lie among the disks.
        for content in ContentKind::ALL
            .iter()
            .filter(|kind| **kind != ContentKind::Rootdir)
        {
            volumes.extend(self.list_one(*content)?);
        }
        Ok(volumes)
    }

    fn free_name(&self, owner: Vmid, format: ImageFormat, taken: &[VolumeId]) -> Result<VolumeId> {
        let names = self.names(&format!("images/{owner}"))?;
        let ending = match format {
            ImageFormat::Raw => "raw",
            ImageFormat::Qcow2 => "qcow2",
        };
        // Disks of different formats have different numbers too.
        let stem = |number| format!("vm-{owner}-disk-{number}.");
        let is_taken = |stem: &str| {
            // A template's disk has the number that it had before.
            let base = stem.replacen("vm-", "base-", 1);
            let is_its = |known: &String| known.starts_with(stem) || known.starts_with(&base);
            names.iter().any(is_its)
                || taken
                    .iter()
                    .any(|id| *id.storage() == self.id && id.name().starts_with(stem))
        };
        let free = (0u32..).map(stem).find(|stem| !is_taken(stem));
        free.and_then(|stem| VolumeId::new(self.id.clone(), format!("{owner}/{stem}{ending}")))
            .ok_or_else(|| std::io::Error::other("no name is free"))
            .context(format!("naming a disk of {owner}"))
    }

    fn create(&self, volume: &VolumeId, size: DiskSize) -> Result<()> {
        let what = || format!("making {volume}");
        let (content, path) = layout::locate(volume)?;
        let owner = volume.owner().filter(|_| content == ContentKind::Images);
        let good = layout::format(content, volume.name()).is_some();
        let Some(owner) = owner.filter(|_| good) else {
            let reason = "a disk is called like 100/vm-100-disk-0.raw, or .qcow2".to_owned();
            return Err(StorageError::Unfit {
                volume: volume.clone(),
                reason,
            });
        };
        self.make_directory(volume)?;
        let directory = format!("images/{owner}");
        let directory = self.directory(&directory).context(what())?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o640);
        let file = match rustix::fs::openat(&directory, volume.name(), flags, mode) {
            Ok(file) => file,
            Err(Errno::EXIST) => return Err(StorageError::Exists(volume.clone())),
            Err(error) => return Err(error).context(what()),
        };
        let file = File::from(file);
        let filled = match layout::format(content, volume.name()) {
            Some("qcow2") => qcow2::create(&file, size.bytes()),
            _ => file.set_len(size.bytes()).and_then(|()| file.sync_all()),
        };
        let made = filled.and_then(|()| Ok(rustix::fs::fsync(&directory)?));
        if let Err(error) = made {
            // A size the file system cannot hold: nothing half-made stays.
            let _ = self.unlink(&path);
            return Err(error).context(what());
        }
        Ok(())
    }

    /// Makes the directory of a guest's disks.
    fn make_directory(&self, volume: &VolumeId) -> Result<()> {
        let Some(owner) = volume.owner() else {
            return Ok(());
        };
        let mode = Mode::from_raw_mode(0o750);
        match rustix::fs::mkdirat(&self.root, format!("images/{owner}"), mode) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error).context(format!("making {volume}")),
        }
    }

    fn unlink(&self, path: &str) -> rustix::io::Result<()> {
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        let directory = self.directory(parent)?;
        rustix::fs::unlinkat(&directory, name, AtFlags::empty())?;
        rustix::fs::fsync(&directory)
    }

    fn remove(&self, volume: &VolumeId) -> Result<()> {
        let (content, path) = layout::locate(volume)?;
        if layout::format(content, volume.name()).is_none() {
            return Err(StorageError::NoVolume(volume.clone()));
        }
        // Clones have a template's image by a name of their own, and may go on reading it.
        let access = match volume.is_base() {
            true => Access::Read,
            false => Access::Write,
        };
        // Held until the file is gone, so that nobody begins to use it meanwhile.
        let held = locked(&self.root, &path, volume, access);
        if matches!(held, Ok(_) | Err(StorageError::NoVolume(_))) {
            self.remove_layers(volume)?;
        }
        let _held = held?;
        self.unlink(&path).context(format!("removing {volume}"))?;
        if let Some(owner) = volume.owner() {
            // The last disk takes its directory along; others still there keep it.
            let directory = format!("images/{owner}");
            let _ = rustix::fs::unlinkat(&self.root, directory, AtFlags::REMOVEDIR);
        }
        Ok(())
    }
}

#[async_trait]
impl Storage for DirStorage {
    async fn space(&self) -> Result<Space> {
        self.blocking(Inner::space).await
    }

    async fn list(&self, content: Option<ContentKind>) -> Result<Vec<Volume>> {
        self.blocking(move |inner| inner.list(content)).await
    }

    async fn volume(&self, volume: &VolumeId) -> Result<Volume> {
        let volume = volume.clone();
        self.blocking(move |inner| {
            inner
                .describe(volume.clone())?
                .ok_or(StorageError::NoVolume(volume))
        })
        .await
    }

    fn path(&self, volume: &VolumeId) -> Result<PathBuf> {
        Ok(self.0.path.join(layout::locate(volume)?.1))
    }

    fn named(&self, owner: Vmid, name: &str) -> Option<VolumeId> {
        VolumeId::new(self.0.id.clone(), format!("{owner}/{name}"))
    }

    async fn free_name(&self, owner: Vmid, taken: &[VolumeId]) -> Result<VolumeId> {
        let taken = taken.to_vec();
        self.blocking(move |inner| inner.free_name(owner, ImageFormat::Raw, &taken))
            .await
    }

    async fn free_name_as(
        &self,
        owner: Vmid,
        format: ImageFormat,
        taken: &[VolumeId],
    ) -> Result<VolumeId> {
        let taken = taken.to_vec();
        self.blocking(move |inner| inner.free_name(owner, format, &taken))
            .await
    }

    async fn resize(&self, volume: &VolumeId, size: DiskSize) -> Result<()> {
        let volume = volume.clone();
        self.blocking(move |inner| inner.resize(&volume, size))
            .await
    }

    async fn create(&self, volume: &VolumeId, size: DiskSize) -> Result<()> {
        let volume = volume.clone();
        self.blocking(move |inner| inner.create(&volume, size))
            .await
    }

    async fn remove(&self, volume: &VolumeId) -> Result<()> {
        let volume = volume.clone();
        self.blocking(move |inner| inner.remove(&volume)).await
    }

    async fn open(&self, volume: &VolumeId, access: Access) -> Result<File> {
        let volume = volume.clone();
        self.blocking(move |inner| {
            let (content, path) = layout::locate(&volume)?;
            if layout::format(content, volume.name()).is_none() {
                return Err(StorageError::NoVolume(volume));
            }
            locked(&inner.root, &path, &volume, access)
        })
        .await
    }

    async fn image(&self, volume: &VolumeId, snapshot: Option<&SnapshotName>) -> Result<Image> {
        let (volume, snapshot) = (volume.clone(), snapshot.cloned());
        self.blocking(move |inner| inner.image(&volume, snapshot.as_ref()))
            .await
    }

    async fn layers(&self, volume: &VolumeId) -> Result<Vec<Layer>> {
        let volume = volume.clone();
        self.blocking(move |inner| inner.layers_of(&volume)).await
    }

    async fn make_base(&self, volume: &VolumeId) -> Result<VolumeId> {
        let volume = volume.clone();
        self.blocking(move |inner| inner.make_base(&volume)).await
    }

    fn copy_format(&self) -> ImageFormat {
        ImageFormat::Qcow2
    }

    fn snapshots_of(&self, volume: &VolumeId) -> Snapshots {
        self.0.snapshots_of(volume)
    }

    async fn snapshots(&self, volume: &VolumeId) -> Result<Vec<SnapshotName>> {
        let volume = volume.clone();
        self.blocking(move |inner| inner.snapshots(&volume)).await
    }

    async fn snapshot(&self, volume: &VolumeId, snapshot: &SnapshotName) -> Result<()> {
        let (volume, snapshot) = (volume.clone(), snapshot.clone());
        self.blocking(move |inner| inner.snapshot(&volume, &snapshot))
            .await
    }

    async fn remove_snapshot(&self, volume: &VolumeId, snapshot: &SnapshotName) -> Result<()> {
        let (volume, snapshot) = (volume.clone(), snapshot.clone());
        self.blocking(move |inner| inner.remove_snapshot(&volume, &snapshot))
            .await
    }

    async fn roll_back(&self, volume: &VolumeId, snapshot: &SnapshotName) -> Result<()> {
        let (volume, snapshot) = (volume.clone(), snapshot.clone());
        self.blocking(move |inner| inner.roll_back(&volume, &snapshot))
            .await
    }

    async fn copy(
        &self,
        source: &VolumeId,
        snapshot: Option<&SnapshotName>,
        target: &VolumeId,
    ) -> Result<()> {
        if let Some(snapshot) = snapshot {
            return Err(StorageError::Unfit {
                volume: source.clone(),
                reason: format!(
                    "in a directory nothing can share what it was at '{snapshot}': copy it in full"
                ),
            });
        }
        let (source, target) = (source.clone(), target.clone());
        self.blocking(move |inner| inner.copy(&source, &target))
            .await
    }

    async fn upload(&self, content: ContentKind, name: &str) -> Result<Upload> {
        layout::check_upload(content, name)?;
        let name = name.to_owned();
        self.blocking(move |inner| {
            let prefix = layout::prefix(content).unwrap_or_default();
            let volume = VolumeId::new(inner.id.clone(), format!("{prefix}/{name}"))
                .ok_or_else(|| std::io::Error::other("not a plain name"))
                .context(format!("naming {name}"))?;
            let directory = inner
                .directory(layout::directory(content))
                .context(format!("storing {volume}"))?;
            Upload::begin(directory, volume)
        })
        .await
    }
}
