//! The `zfspool` driver: volumes are ZFS volumes below one dataset of a pool.
//!
//! Names are those that Proxmox VE gives: `vm-100-disk-0` for a disk, `base-100-disk-0` for a
//! template's; a snapshot is ZFS's own, `vm-100-disk-0@before`. A volume is a block device, locked
//! like any other by whoever opens it.
//!
//! What a guest has written must mean nothing to the host: volumes show no partitions (`volmode=dev`),
//! and a rule of udev gives them no names by content.
//!
//! A copy shares blocks with a snapshot of what it was made from, and ZFS keeps that snapshot as long
//! as there are copies. Where nobody named one, a hidden one is made and goes with the copy.

pub mod pools;
mod report;
mod tool;

use crate::error::{Context, Result, StorageError};
use crate::open::locked_device;
use crate::upload::Upload;
use crate::{Access, Image, Snapshots, Space, Storage, Volume};
use async_trait::async_trait;
use basalt_model::disk::ImageFormat;
use basalt_model::storage::{
    ContentKind, DiskSize, SnapshotName, StorageId, VolumeId, ZfsBlockSize, ZfsName,
};
use basalt_model::vmid::Vmid;
use report::Dataset;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a volume is called, for messages.
const NAMING: &str = "a disk is called like vm-100-disk-0";
/// Begins the name of a snapshot that only a copy needs. No user's snapshot begins so.
const HIDDEN: &str = "__copy-";
/// How long udev may take to name a new volume's device.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks for it.
const PAUSE: Duration = Duration::from_millis(20);
/// Levels below the storage's dataset that are ours: the volumes and their snapshots.
const DEPTH: u8 = 2;

/// A dataset with volumes in it.
#[derive(Debug, Clone)]
pub struct ZfsStorage {
    id: StorageId,
    pool: ZfsName,
    block_size: ZfsBlockSize,
    sparse: bool,
    devices: PathBuf,
}

impl ZfsStorage {
    /// The storage below the dataset `pool`, which may be a whole pool; nothing is touched before it is
    /// used. New volumes have blocks of `block_size`, and take no room before they are written if they
    /// are `sparse`.
    pub fn new(id: StorageId, pool: ZfsName, block_size: ZfsBlockSize, sparse: bool) -> Self {
        Self {
            id,
            pool,
            block_size,
            sparse,
            devices: PathBuf::from("/dev/zvol"),
        }
    }

    /// The dataset of a guest's volume; none for what cannot be one.
    fn dataset(&self, volume: &VolumeId) -> Option<String> {
        let ours = *volume.storage() == self.id && volume.owner().is_some();
        let flat = !volume.path().contains(['/', '@']);
        (ours && flat).then(|| format!("{}/{}", self.pool, volume.path()))
    }

    fn known(&self, volume: &VolumeId) -> Result<String> {
        self.dataset(volume)
            .ok_or_else(|| StorageError::NoVolume(volume.clone()))
    }

    fn nameable(&self, volume: &VolumeId) -> Result<String> {
        self.dataset(volume)
            .ok_or_else(|| unfit(volume, NAMING.to_owned()))
    }

    fn device(&self, dataset: &str) -> PathBuf {
        self.devices.join(dataset)
    }

    async fn all(&self) -> Result<Vec<Dataset>> {
        tool::list(self.pool.as_str(), DEPTH).await
    }

    /// A guest's volume as a list shows it; none for what is something else.
    fn describe(&self, found: &Dataset) -> Option<Volume> {
        let name = found.name.strip_prefix(self.pool.as_str())?;
        let id = VolumeId::new(self.id.clone(), name.strip_prefix('/')?)?;
        self.dataset(&id)?;
        Some(Volume {
            id,
            content: ContentKind::Images,
            format: "raw",
            size: found.volsize?,
            used: found.used,
            changed: found.made,
        })
    }

    fn volumes(&self, all: &[Dataset]) -> Vec<Volume> {
        all.iter()
            .filter_map(|found| self.describe(found))
            .collect()
    }

    fn first_free(&self, owner: Vmid, all: &[Dataset], taken: &[VolumeId]) -> Option<VolumeId> {
        let is_taken = |id: &VolumeId| {
            let base = id.as_base().and_then(|base| self.dataset(&base));
            let names = [self.dataset(id), base];
            let is_its = |found: &Dataset| names.iter().flatten().any(|name| *name == found.name);
            all.iter().any(is_its) || taken.contains(id)
        };
        (0u32..)
            .filter_map(|number| {
                VolumeId::new(self.id.clone(), format!("vm-{owner}-disk-{number}"))
            })
            .find(|id| !is_taken(id))
    }

    fn size(&self, size: DiskSize) -> String {
        size.bytes()
            .next_multiple_of(self.block_size.bytes())
            .to_string()
    }

    /// Makes the volume `dataset`, whose device is there when this returns.
    async fn make(&self, volume: &VolumeId, dataset: &str, arguments: &[&str]) -> Result<()> {
        if let Err(error) = tool::run(arguments).await {
            let known = tool::list(dataset, 0).await.is_ok();
            return Err(if known {
                StorageError::Exists(volume.clone())
            } else {
                error
            });
        }
        self.wait_for_device(volume, dataset).await.map(drop)
    }

    async fn wait_for_device(&self, volume: &VolumeId, dataset: &str) -> Result<PathBuf> {
        let device = self.device(dataset);
        let appears = async {
            while !device.exists() {
                tokio::time::sleep(PAUSE).await;
            }
        };
        match tokio::time::timeout(PATIENCE, appears).await {
            Ok(()) => Ok(device),
            Err(_) => Err(unfit(
                volume,
                format!("its device {} does not appear", device.display()),
            )),
        }
    }

    async fn lock(&self, device: &Path, volume: &VolumeId, access: Access) -> Result<File> {
        let (device, volume) = (device.to_owned(), volume.clone());
        let locking = tokio::task::spawn_blocking(move || locked_device(&device, &volume, access));
        match locking.await {
            Ok(result) => result,
            Err(error) => Err(std::io::Error::other(error)).context("storage work"),
        }
    }

    /// Refuses a volume that somebody has open. ZFS refuses to remove an open one by itself, so there is
    /// no gap for somebody to come in.
    async fn check_unused(&self, dataset: &str, volume: &VolumeId) -> Result<()> {
        let device = self.device(dataset);
        if device.exists() {
            self.lock(&device, volume, Access::Write).await?;
        }
        Ok(())
    }

    /// The volume and its snapshots, the volume first.
    async fn with_snapshots(&self, volume: &VolumeId) -> Result<(Dataset, Vec<Dataset>)> {
        let dataset = self.known(volume)?;
        let all = self.all().await?;
        let missing = || StorageError::NoVolume(volume.clone());
        let found = all.iter().find(|found| found.name == dataset);
        let snapshots = snapshots_of(&all, &dataset);
        Ok((found.cloned().ok_or_else(missing)?, snapshots))
    }
}

/// The snapshots of `dataset`, the oldest first.
fn snapshots_of(all: &[Dataset], dataset: &str) -> Vec<Dataset> {
    let is_its = |found: &&Dataset| {
        let (of, _) = found.name.split_once('@').unwrap_or_default();
        of == dataset
    };
    let mut snapshots: Vec<Dataset> = all.iter().filter(is_its).cloned().collect();
    snapshots.sort_by_key(|snapshot| snapshot.made);
    snapshots
}

/// Refuses what ZFS would refuse with words about its own: something was copied from a snapshot.
fn check_no_copies(volume: &VolumeId, snapshots: &[Dataset]) -> Result<()> {
    let copies: Vec<&str> = snapshots
        .iter()
        .flat_map(|snapshot| &snapshot.clones)
        .map(|name| name.rsplit('/').next().unwrap_or(name))
        .collect();
    if copies.is_empty() {
        return Ok(());
    }
    let copies = copies.join(", ");
    Err(unfit(
        volume,
        format!("{copies} shares its blocks: remove that first"),
    ))
}

/// The snapshots that were made after `snapshot`; none if there is no such snapshot.
fn later<'a>(snapshots: &'a [Dataset], snapshot: &str) -> Option<&'a [Dataset]> {
    let at = snapshots.iter().position(|found| found.name == snapshot)?;
    snapshots.get(at + 1..)
}

fn unfit(volume: &VolumeId, reason: String) -> StorageError {
    StorageError::Unfit {
        volume: volume.clone(),
        reason,
    }
}

fn no_snapshot(volume: &VolumeId, snapshot: &SnapshotName) -> StorageError {
    StorageError::NoSnapshot {
        volume: volume.clone(),
        snapshot: snapshot.clone(),
    }
}

#[async_trait]
impl Storage for ZfsStorage {
    async fn space(&self) -> Result<Space> {
        let found = tool::list(self.pool.as_str(), 0).await?;
        let pool = found.first().ok_or_else(|| StorageError::Tool {
            tool: "zfs",
            text: format!("it says nothing of {}", self.pool),
        })?;
        let available = pool.available.unwrap_or(0);
        Ok(Space {
            total: pool.used.saturating_add(available),
            used: pool.used,
            available,
            metadata: None,
        })
    }

    async fn list(&self, content: Option<ContentKind>) -> Result<Vec<Volume>> {
        match content {
            None | Some(ContentKind::Images) => Ok(self.volumes(&self.all().await?)),
            Some(_) => Ok(Vec::new()),
        }
    }

    async fn volume(&self, volume: &VolumeId) -> Result<Volume> {
        self.known(volume)?;
        self.volumes(&self.all().await?)
            .into_iter()
            .find(|found| found.id == *volume)
            .ok_or_else(|| StorageError::NoVolume(volume.clone()))
    }

    fn path(&self, volume: &VolumeId) -> Result<PathBuf> {
        Ok(self.device(&self.known(volume)?))
    }

    fn named(&self, owner: Vmid, name: &str) -> Option<VolumeId> {
        let id = VolumeId::new(self.id.clone(), name)?;
        (id.owner() == Some(owner)).then_some(id)
    }

    async fn free_name(&self, owner: Vmid, taken: &[VolumeId]) -> Result<VolumeId> {
        self.first_free(owner, &self.all().await?, taken)
            .ok_or_else(|| std::io::Error::other("no name is free"))
            .context(format!("naming a disk of {owner}"))
    }

    async fn create(&self, volume: &VolumeId, size: DiskSize) -> Result<()> {
        let dataset = self.nameable(volume)?;
        let (size, block) = (self.size(size), self.block_size.to_string());
        let mut arguments = vec!["create", "-o", "volmode=dev", "-b", &block];
        arguments.extend(self.sparse.then_some("-s"));
        arguments.extend(["-V", &size, &dataset]);
        self.make(volume, &dataset, &arguments).await
    }

    async fn remove(&self, volume: &VolumeId) -> Result<()> {
        let (found, snapshots) = self.with_snapshots(volume).await?;
        self.check_unused(&found.name, volume).await?;
        check_no_copies(volume, &snapshots)?;
        tool::run_when_free(&["destroy", "-r", &found.name]).await?;
        let hidden = found
            .origin
            .filter(|origin| origin.contains(&format!("@{HIDDEN}")));
        if let Some(origin) = hidden
            && let Err(error) = tool::run(&["destroy", "-d", &origin]).await
        {
            // The volume is gone, which is what was asked for; this costs room until its source goes.
            tracing::warn!(%origin, %error, "a snapshot that only a copy needed stays");
        }
        Ok(())
    }

    async fn open(&self, volume: &VolumeId, access: Access) -> Result<File> {
        let dataset = self.known(volume)?;
        let device = self.device(&dataset);
        if !device.exists() {
            // It may not be there at all, or only have been brought in a moment ago.
            self.volume(volume).await?;
            self.wait_for_device(volume, &dataset).await?;
        }
        self.lock(&device, volume, access).await
    }

    async fn image(&self, volume: &VolumeId, snapshot: Option<&SnapshotName>) -> Result<Image> {
        let Some(snapshot) = snapshot else {
            let file = self.open(volume, Access::Read).await?;
            return Ok(Image::single(file, ImageFormat::Raw));
        };
        let (found, snapshots) = self.with_snapshots(volume).await?;
        let name = format!("{}@{snapshot}", found.name);
        if !snapshots.iter().any(|known| known.name == name) {
            return Err(no_snapshot(volume, snapshot));
        }
        // Its snapshots have no devices before somebody wants one.
        tool::run(&["set", "snapdev=visible", &found.name]).await?;
        let device = self.wait_for_device(volume, &name).await?;
        let file = self.lock(&device, volume, Access::Read).await?;
        Ok(Image::single(file, ImageFormat::Raw))
    }

    async fn make_base(&self, volume: &VolumeId) -> Result<VolumeId> {
        let dataset = self.known(volume)?;
        let base = volume.as_base();
        let base = base.ok_or_else(|| unfit(volume, NAMING.to_owned()))?;
        let to = self.nameable(&base)?;
        let all = self.all().await?;
        let is_there = |name: &str| all.iter().any(|found| found.name == name);
        if !is_there(&dataset) && is_there(&to) {
            return Ok(base);
        }
        if let Some(snapshot) = self.snapshots(volume).await?.first() {
            let reason = format!("it has the snapshot '{snapshot}': remove that first");
            return Err(unfit(volume, reason));
        }
        self.check_unused(&dataset, volume).await?;
        tool::run_when_free(&["rename", &dataset, &to]).await?;
        self.wait_for_device(&base, &to).await?;
        Ok(base)
    }

    fn snapshots_of(&self, _volume: &VolumeId) -> Snapshots {
        Snapshots::Always
    }

    async fn snapshots(&self, volume: &VolumeId) -> Result<Vec<SnapshotName>> {
        let (_, snapshots) = self.with_snapshots(volume).await?;
        let names = snapshots
            .iter()
            .filter_map(|found| found.name.split('@').nth(1));
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }

    async fn upload(&self, content: ContentKind, _name: &str) -> Result<Upload> {
        Err(StorageError::WrongContent {
            storage: self.id.clone(),
            content,
        })
    }

    async fn resize(&self, volume: &VolumeId, size: DiskSize) -> Result<()> {
        let dataset = self.known(volume)?;
        let now = self.volume(volume).await?.size;
        if size.bytes() < now {
            let reason = format!("it has {now} bytes: a disk can only grow");
            return Err(unfit(volume, reason));
        }
        let size = format!("volsize={}", self.size(size));
        tool::run(&["set", &size, &dataset]).await.map(drop)
    }

    async fn snapshot(&self, volume: &VolumeId, snapshot: &SnapshotName) -> Result<()> {
        let (found, snapshots) = self.with_snapshots(volume).await?;
        let name = format!("{}@{snapshot}", found.name);
        if snapshots.iter().any(|known| known.name == name) {
            return Err(StorageError::Exists(volume.clone()));
        }
        let device = self.device(&found.name);
        if device.exists() {
            // What programs wrote into the device is to be in it.
            let syncing = tokio::task::spawn_blocking(move || File::open(device)?.sync_all());
            let synced = syncing
                .await
                .unwrap_or_else(|e| Err(std::io::Error::other(e)));
            synced.context(format!("writing {volume}"))?;
        }
        tool::run(&["snapshot", &name]).await.map(drop)
    }

    async fn remove_snapshot(&self, volume: &VolumeId, snapshot: &SnapshotName) -> Result<()> {
        let (found, mut snapshots) = self.with_snapshots(volume).await?;
        let name = format!("{}@{snapshot}", found.name);
        snapshots.retain(|known| known.name == name);
        if snapshots.is_empty() {
            return Err(no_snapshot(volume, snapshot));
        }
        check_no_copies(volume, &snapshots)?;
        tool::run(&["destroy", &name]).await.map(drop)
    }

    async fn roll_back(&self, volume: &VolumeId, snapshot: &SnapshotName) -> Result<()> {
        let (found, snapshots) = self.with_snapshots(volume).await?;
        let name = format!("{}@{snapshot}", found.name);
        let later = later(&snapshots, &name).ok_or_else(|| no_snapshot(volume, snapshot))?;
        check_no_copies(volume, later)?;
        if !later.is_empty() {
            // ZFS would have to forget them.
            let name = |found: &Dataset| found.name.split('@').next_back().map(str::to_owned);
            let later: Vec<String> = later.iter().filter_map(name).collect();
            let later = later.join(", ");
            let reason = format!("'{snapshot}' is not its last snapshot: remove {later} first");
            return Err(unfit(volume, reason));
        }
        self.check_unused(&found.name, volume).await?;
        tool::run_when_free(&["rollback", &name]).await.map(drop)
    }

    async fn copy(
        &self,
        source: &VolumeId,
        snapshot: Option<&SnapshotName>,
        target: &VolumeId,
    ) -> Result<()> {
        let to = self.nameable(target)?;
        let (found, snapshots) = self.with_snapshots(source).await?;
        let from = match snapshot {
            Some(snapshot) => {
                let name = format!("{}@{snapshot}", found.name);
                if !snapshots.iter().any(|known| known.name == name) {
                    return Err(no_snapshot(source, snapshot));
                }
                name
            }
            None => {
                let name = format!("{}@{HIDDEN}{}", found.name, target.path());
                // One that an interrupted copy has left is as old as that.
                if snapshots.iter().any(|known| known.name == name) {
                    tool::run(&["destroy", &name]).await?;
                }
                tool::run(&["snapshot", &name]).await?;
                name
            }
        };
        let arguments = ["clone", "-o", "volmode=dev", &from, &to];
        let made = self.make(target, &to, &arguments).await;
        if made.is_err() && snapshot.is_none() {
            // `-d`: it goes now, or with the copy where the copy was made after all.
            let _ = tool::run(&["destroy", "-d", &from]).await;
        }
        made
    }
}

#[cfg(test)]
mod tests;
