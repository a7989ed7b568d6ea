//! Storage: where the volumes of guests and the files that guests are made from lie.
//!
//! [`Storages`] is the entry: it finds the [`Storage`] behind a volume's name. A driver implements
//! the trait: [`dir`] is a directory of the host, [`lvmthin`] a thin pool of LVM, [`zfs`] a
//! dataset of a ZFS pool. What is the same
//! for every driver stands beside them: [`copy`] fills a volume from another one, [`rootfs`] makes
//! and mounts the file system of a container's root, [`qcow2::chain`] lays images on one another.
//!
//! A volume that is in use is locked (`flock`) by whoever opened it; the lock travels with the
//! descriptor to the guest's process and ends with it, whatever happens to us.

pub mod copy;
pub mod dir;
mod error;
mod loopdev;
pub mod lvmthin;
mod open;
pub mod qcow2;
pub mod rootfs;
mod upload;
pub mod zfs;

use async_trait::async_trait;
use basalt_model::disk::ImageFormat;
use basalt_model::storage::{
    ContentKind, DiskSize, SnapshotName, StorageConfig, StorageDriver, StorageId, VolumeId,
};
use basalt_model::vmid::Vmid;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

pub use error::{Result, StorageError};
pub use upload::{Checksum, Upload};

/// What a volume is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading; others may read as well.
    Read,
    /// Writing; nobody else may have it open.
    Write,
}

/// Room on a storage, in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Space {
    /// In all.
    pub total: u64,
    /// In use.
    pub used: u64,
    /// Free.
    pub available: u64,
    /// How much of the room for the storage's own records is in use, from 0 to 1, where that is
    /// limited by itself: when it is used up, nothing can be written although there is room for data.
    pub metadata: Option<f64>,
}

/// A volume as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub id: VolumeId,
    /// What it is for. A container's root is [`ContentKind::Images`] here: a driver sees no
    /// difference.
    pub content: ContentKind,
    /// Its format: `raw`, `iso`, `tzst`, ….
    pub format: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// What it takes on the storage, in bytes.
    pub used: u64,
    /// When it was last changed, in seconds since 1970.
    pub changed: u64,
}

/// When a disk can have snapshots made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshots {
    /// It cannot.
    Never,
    /// While nobody has it open.
    WhenUnused,
    /// Whenever one wants.
    Always,
}

/// One image of a chain, opened and locked.
#[derive(Debug)]
pub struct Layer {
    /// The file or device.
    pub file: File,
    /// What its bytes mean.
    pub format: ImageFormat,
}

/// A disk that is opened for reading.
#[derive(Debug)]
pub struct Image {
    /// Its own image.
    pub top: Layer,
    /// The images below that, nearest first.
    pub below: Vec<Layer>,
}

impl Image {
    /// An image that stands alone.
    pub fn single(file: File, format: ImageFormat) -> Self {
        Self {
            top: Layer { file, format },
            below: Vec::new(),
        }
    }
}

/// One storage. The methods wait for disks and so are asynchronous; none holds a lock between
/// calls.
#[async_trait]
pub trait Storage: Send + Sync + std::fmt::Debug {
    /// Room on it.
    async fn space(&self) -> Result<Space>;
    /// Its volumes of one kind, or of all that it may hold.
    async fn list(&self, content: Option<ContentKind>) -> Result<Vec<Volume>>;
    /// One volume.
    async fn volume(&self, volume: &VolumeId) -> Result<Volume>;
    /// Where a volume lies on the host, for people to read.
    fn path(&self, volume: &VolumeId) -> Result<PathBuf>;
    /// The volume that a caller calls `name` and wants for `owner`; none if it cannot be called so.
    fn named(&self, owner: Vmid, name: &str) -> Option<VolumeId>;
    /// A name for a new disk of `owner` that no volume has; `taken` are names promised already.
    async fn free_name(&self, owner: Vmid, taken: &[VolumeId]) -> Result<VolumeId>;
    /// As [`Self::free_name`], for a disk of a format.
    async fn free_name_as(
        &self,
        owner: Vmid,
        format: ImageFormat,
        taken: &[VolumeId],
    ) -> Result<VolumeId> {
        match format {
            ImageFormat::Raw => self.free_name(owner, taken).await,
            ImageFormat::Qcow2 => Err(StorageError::RawOnly),
        }
    }
    /// Makes an empty disk of this name, which takes no room until it is written.
    async fn create(&self, volume: &VolumeId, size: DiskSize) -> Result<()>;
    /// Removes a volume; refuses one that somebody has open.
    async fn remove(&self, volume: &VolumeId) -> Result<()>;
    /// Opens a volume and locks it.
    async fn open(&self, volume: &VolumeId, access: Access) -> Result<File>;
    /// Begins to receive a file.
    async fn upload(&self, content: ContentKind, name: &str) -> Result<Upload>;
    /// Makes a disk larger, whoever has it open; refuses to make it smaller. A qcow2 image that is
    /// open is grown by who has it.
    async fn resize(&self, volume: &VolumeId, size: DiskSize) -> Result<()>;

    /// Opens what a disk is, or was at a snapshot, for reading.
    async fn image(&self, volume: &VolumeId, snapshot: Option<&SnapshotName>) -> Result<Image>;
    /// Opens the images below a disk's own, nearest first.
    async fn layers(&self, _volume: &VolumeId) -> Result<Vec<Layer>> {
        Ok(Vec::new())
    }
    /// Makes a disk that nobody has open that of a template, and gives its new name. Where that was
    /// done before, it does nothing more.
    async fn make_base(&self, volume: &VolumeId) -> Result<VolumeId>;
    /// The format of the disks that [`Self::copy`] makes.
    fn copy_format(&self) -> ImageFormat {
        ImageFormat::Raw
    }
    /// Whether a disk can have snapshots, and take one while somebody has it open.
    fn snapshots_of(&self, _volume: &VolumeId) -> Snapshots {
        Snapshots::Never
    }
    /// The snapshots that a disk has.
    async fn snapshots(&self, _volume: &VolumeId) -> Result<Vec<SnapshotName>> {
        Ok(Vec::new())
    }
    /// Keeps what a disk is now under a name. What was written is in it, whoever has the disk open.
    async fn snapshot(&self, volume: &VolumeId, _snapshot: &SnapshotName) -> Result<()> {
        Err(StorageError::NoSnapshots(volume.storage().clone()))
    }
    /// Forgets what a disk was.
    async fn remove_snapshot(&self, volume: &VolumeId, _snapshot: &SnapshotName) -> Result<()> {
        Err(StorageError::NoSnapshots(volume.storage().clone()))
    }
    /// Makes a disk what it was, and keeps the snapshot; refuses one that somebody has open. When it
    /// is interrupted, the disk may be missing until it is repeated.
    async fn roll_back(&self, volume: &VolumeId, _snapshot: &SnapshotName) -> Result<()> {
        Err(StorageError::NoSnapshots(volume.storage().clone()))
    }
    /// Makes the new disk `target` from what `source` is, or was at a snapshot; at once, because
    /// they share what does not differ. In a directory `source` must be a template's disk.
    async fn copy(
        &self,
        source: &VolumeId,
        _snapshot: Option<&SnapshotName>,
        _target: &VolumeId,
    ) -> Result<()> {
        Err(StorageError::NoSnapshots(source.storage().clone()))
    }
}

/// The storages of this host by name.
#[derive(Debug, Default)]
pub struct Storages {
    by_name: RwLock<BTreeMap<StorageId, Opened>>,
}

/// A storage with what it was opened from.
pub type Opened = (StorageConfig, Arc<dyn Storage>);

impl Storages {
    /// The configuration of the storage that every host has.
    pub fn local_config() -> StorageConfig {
        StorageConfig {
            driver: StorageDriver::Dir {
                path: "/var/lib/vz".to_owned(),
            },
            content: basalt_model::storage::ContentKinds::all(),
            disable: false,
            nodes: Default::default(),
        }
    }

    /// Adds a storage, or replaces the one of that name.
    pub fn set(&self, id: StorageId, config: StorageConfig) -> Result<()> {
        let storage = open_driver(&id, &config.driver)?;
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.insert(id, (config, storage));
        Ok(())
    }

    /// Forgets a storage; what lies on it stays there.
    pub fn remove(&self, id: &StorageId) {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.remove(id);
    }

    /// Every storage with its configuration.
    pub fn all(&self) -> Vec<(StorageId, StorageConfig, Arc<dyn Storage>)> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name
            .iter()
            .map(|(id, (config, storage))| (id.clone(), config.clone(), Arc::clone(storage)))
            .collect()
    }

    /// A storage and its configuration.
    pub fn get(&self, id: &StorageId) -> Result<Opened> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name
            .get(id)
            .map(|(config, storage)| (config.clone(), Arc::clone(storage)))
            .ok_or_else(|| StorageError::NoStorage(id.clone()))
    }

    /// The storage for `content` when nobody names one: `local` if that may hold it, otherwise the
    /// first that may; `local` again when there is none, so that the message names it.
    pub fn usual(&self, content: ContentKind) -> StorageId {
        let local = StorageId::local();
        let fits = |config: &StorageConfig| !config.disable && config.content.0.contains(&content);
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        if by_name.get(&local).is_some_and(|(config, _)| fits(config)) {
            return local;
        }
        let other = by_name.iter().find(|(_, (config, _))| fits(config));
        other.map_or(local, |(id, _)| id.clone())
    }

    /// A storage that is switched on and may hold `content`.
    pub fn holding(&self, id: &StorageId, content: ContentKind) -> Result<Arc<dyn Storage>> {
        let (config, storage) = self.get(id)?;
        if config.disable {
            return Err(StorageError::Disabled(id.clone()));
        }
        if !config.content.0.contains(&content) {
            return Err(StorageError::WrongContent {
                storage: id.clone(),
                content,
            });
        }
        Ok(storage)
    }

    /// The storage of a volume.
    pub fn of(&self, volume: &VolumeId) -> Result<Arc<dyn Storage>> {
        let (config, storage) = self.get(volume.storage())?;
        if config.disable {
            return Err(StorageError::Disabled(volume.storage().clone()));
        }
        Ok(storage)
    }
}

/// The storage behind a driver's settings.
pub fn open_driver(id: &StorageId, driver: &StorageDriver) -> Result<Arc<dyn Storage>> {
    Ok(match driver {
        StorageDriver::Dir { path } => {
            Arc::new(dir::DirStorage::open(id.clone(), PathBuf::from(path))?)
        }
        StorageDriver::ZfsPool {
            pool,
            blocksize,
            sparse,
        } => Arc::new(zfs::ZfsStorage::new(
            id.clone(),
            pool.clone(),
            *blocksize,
            *sparse,
        )),
        StorageDriver::LvmThin { vgname, thinpool } => Arc::new(lvmthin::LvmThinStorage::new(
            id.clone(),
            vgname.clone(),
            thinpool.clone(),
        )),
    })
}
