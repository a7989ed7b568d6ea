//! The `lvmthin` driver: volumes are thin logical volumes in one pool of LVM.
//!
//! Names are those that Proxmox VE gives: `vm-100-disk-0` for a disk, `base-100-disk-0` for a
//! template's, `snap_vm-100-disk-0_before` for what a disk was at a snapshot. A volume is a block
//! device, so what an image file's lock does is done by two means here: `flock` on the device by
//! whoever opened it through us, and the kernel's own claim (`O_EXCL`) by who mounted it.
//!
//! A volume takes room when it is written and gives it back when it is discarded; LVM's defaults
//! hand discards down to the disk, and new volumes read as zeros.

pub mod groups;
mod report;
mod tool;

use crate::error::{Context, Result, StorageError};
use crate::open::locked_device;
use crate::upload::Upload;
use crate::{Access, Image, Snapshots, Space, Storage, Volume};
use async_trait::async_trait;
use basalt_model::disk::ImageFormat;
use basalt_model::storage::{ContentKind, DiskSize, LvmName, SnapshotName, StorageId, VolumeId};
use basalt_model::vmid::Vmid;
use report::LogicalVolume;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A disk is a whole number of these, or LVM refuses the size.
const SECTOR: u64 = 512;

/// What a volume is called, for messages.
const NAMING: &str = "a disk is called like vm-100-disk-0";

/// A thin pool with volumes in it.
#[derive(Debug, Clone)]
pub struct LvmThinStorage {
    id: StorageId,
    vgname: LvmName,
    thinpool: LvmName,
    devices: PathBuf,
}

impl LvmThinStorage {
    /// The storage in the pool `thinpool` of the group `vgname`; nothing is touched before it is used.
    pub fn new(id: StorageId, vgname: LvmName, thinpool: LvmName) -> Self {
        Self {
            id,
            vgname,
            thinpool,
            devices: PathBuf::from("/dev"),
        }
    }

    /// The name of a guest's volume in the group; none for what cannot be one.
    fn lv(&self, volume: &VolumeId) -> Option<LvmName> {
        let ours = *volume.storage() == self.id && volume.owner().is_some();
        volume.path().parse().ok().filter(|_| ours)
    }

    fn known(&self, volume: &VolumeId) -> Result<LvmName> {
        self.lv(volume)
            .ok_or_else(|| StorageError::NoVolume(volume.clone()))
    }

    fn nameable(&self, volume: &VolumeId) -> Result<LvmName> {
        self.lv(volume).ok_or_else(|| StorageError::Unfit {
            volume: volume.clone(),
            reason: NAMING.to_owned(),
        })
    }

    /// What tools call a logical volume.
    fn full(&self, lv: &str) -> String {
        format!("{}/{lv}", self.vgname)
    }

    fn device(&self, lv: &LvmName) -> PathBuf {
        self.devices.join(self.vgname.as_str()).join(lv.as_str())
    }

    async fn all(&self) -> Result<Vec<LogicalVolume>> {
        report::parse(&tool::volumes(self.vgname.as_str()).await?)
    }

    /// A guest's volume as a list shows it; none for what is something else.
    fn describe(&self, found: &LogicalVolume) -> Option<Volume> {
        if found.pool != self.thinpool.as_str() {
            return None;
        }
        let id = VolumeId::new(self.id.clone(), found.name.as_str())?;
        self.lv(&id)?;
        Some(Volume {
            id,
            content: ContentKind::Images,
            format: "raw",
            size: found.size,
            used: found.used(),
            changed: found.made,
        })
    }

    fn volumes(&self, all: &[LogicalVolume]) -> Vec<Volume> {
        all.iter().filter_map(|lv| self.describe(lv)).collect()
    }

    fn is_pool(&self, lv: &LogicalVolume) -> bool {
        lv.name == self.thinpool.as_str() && lv.pool.is_empty()
    }

    fn space_of(&self, all: &[LogicalVolume]) -> Result<Space> {
        let pool = all
            .iter()
            .find(|lv| self.is_pool(lv))
            .filter(|pool| pool.metadata_percent.is_some())
            .ok_or_else(|| StorageError::NoPool {
                storage: self.id.clone(),
                pool: self.full(self.thinpool.as_str()),
            })?;
        let used = pool.used();
        Ok(Space {
            total: pool.size,
            used,
            available: pool.size - used,
            metadata: pool.metadata_percent.map(|percent| percent / 100.0),
        })
    }

    fn first_free(
        &self,
        owner: Vmid,
        all: &[LogicalVolume],
        taken: &[VolumeId],
    ) -> Option<VolumeId> {
        let name = |number| format!("vm-{owner}-disk-{number}");
        let is_taken = |name: &String| {
            let base = name.replacen("vm-", "base-", 1);
            // Whatever lies in the group, be it in another pool, has used its name up.
            all.iter().any(|lv| lv.name == *name || lv.name == base)
                || taken
                    .iter()
                    .any(|id| *id.storage() == self.id && id.path() == name)
        };
        let free = (0u32..).map(name).find(|name| !is_taken(name))?;
        VolumeId::new(self.id.clone(), free)
    }

    /// Gives a volume its device, and the pool that it lies in: nothing does that when the host starts.
    async fn activate(&self, lv: &LvmName, volume: &VolumeId) -> Result<PathBuf> {
        let device = self.device(lv);
        if device.exists() {
            return Ok(device);
        }
        self.volume(volume).await?;
        let full = self.full(lv.as_str());
        tool::change(
            "lvchange",
            &["--activate", "y", "--ignoreactivationskip", &full],
        )
        .await?;
        Ok(device)
    }

    async fn lock(&self, device: &Path, volume: &VolumeId, access: Access) -> Result<File> {
        let (device, volume) = (device.to_owned(), volume.clone());
        let locking = tokio::task::spawn_blocking(move || locked_device(&device, &volume, access));
        match locking.await {
            Ok(result) => result,
            Err(error) => Err(std::io::Error::other(error)).context("storage work"),
        }
    }

    /// Refuses a volume that somebody has open. LVM asks the same of the kernel before it takes a
    /// device away, so there is no gap for somebody to come in.
    async fn check_unused(&self, lv: &LvmName, volume: &VolumeId) -> Result<()> {
        let device = self.device(lv);
        if device.exists() {
            self.lock(&device, volume, Access::Write).await?;
        }
        Ok(())
    }

    fn snapshot_lv(&self, lv: &LvmName, snapshot: &SnapshotName) -> String {
        format!("snap_{lv}_{snapshot}")
    }

    async fn has(&self, lv: &str) -> Result<bool> {
        Ok(self.all().await?.iter().any(|found| found.name == lv))
    }

    /// The snapshots of a volume, by their logical volumes.
    async fn snapshot_lvs(&self, lv: &LvmName) -> Result<Vec<String>> {
        let start = format!("snap_{lv}_");
        let names = self.all().await?.into_iter().map(|found| found.name);
        Ok(names.filter(|name| name.starts_with(&start)).collect())
    }

    /// Brings to the disk what programs wrote into a device that is there: a snapshot is of the disk.
    async fn write_out(&self, lv: &LvmName, volume: &VolumeId) -> Result<()> {
        let device = self.device(lv);
        if !device.exists() {
            return Ok(());
        }
        let what = format!("writing {volume}");
        let syncing = tokio::task::spawn_blocking(move || File::open(device)?.sync_all());
        let synced = syncing
            .await
            .unwrap_or_else(|e| Err(std::io::Error::other(e)));
        synced.context(what)
    }

    /// Makes a volume that begins as what `from` is and shares its blocks until they differ.
    async fn take_copy(&self, from: &str, to: &str) -> Result<()> {
        let arguments = [
            "--yes",
            "--quiet",
            "--snapshot",
            "--permission",
            "rw",
            "--setactivationskip",
            "n",
            "--name",
            to,
            &self.full(from),
        ];
        tool::change("lvcreate", &arguments).await
    }

    /// The error of making `volume`: that it was there already, if it was.
    async fn making_failed(
        &self,
        error: StorageError,
        volume: &VolumeId,
        lv: &str,
    ) -> StorageError {
        match self.has(lv).await {
            Ok(true) => StorageError::Exists(volume.clone()),
            _ => error,
        }
    }
}

#[async_trait]
impl Storage for LvmThinStorage {
    async fn space(&self) -> Result<Space> {
        let all = self.all().await?;
        let found = self.space_of(&all);
        if found.is_ok() || !all.iter().any(|lv| self.is_pool(lv)) {
            return found;
        }
        // Nobody has wanted a volume since the host started.
        let pool = self.full(self.thinpool.as_str());
        tool::change("lvchange", &["--activate", "y", &pool]).await?;
        self.space_of(&self.all().await?)
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
        (self.lv(&id).is_some() && id.owner() == Some(owner)).then_some(id)
    }

    async fn free_name(&self, owner: Vmid, taken: &[VolumeId]) -> Result<VolumeId> {
        self.first_free(owner, &self.all().await?, taken)
            .ok_or_else(|| std::io::Error::other("no name is free"))
            .context(format!("naming a disk of {owner}"))
    }

    async fn create(&self, volume: &VolumeId, size: DiskSize) -> Result<()> {
        let lv = self.nameable(volume)?;
        let size = bytes(size);
        let pool = self.full(self.thinpool.as_str());
        let arguments = [
            "--yes",
            "--quiet",
            "--virtualsize",
            &size,
            "--name",
            lv.as_str(),
            "--thinpool",
            &pool,
        ];
        match tool::change("lvcreate", &arguments).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.making_failed(error, volume, lv.as_str()).await),
        }
    }

    async fn remove(&self, volume: &VolumeId) -> Result<()> {
        let lv = self.known(volume)?;
        self.volume(volume).await?;
        self.check_unused(&lv, volume).await?;
        let mut doomed: Vec<String> = self.snapshot_lvs(&lv).await?;
        // The volume last: until then it can be found, and the removal repeated.
        doomed.push(lv.to_string());
        for name in doomed {
            let full = self.full(&name);
            tool::change("lvremove", &["--yes", "--quiet", &full]).await?;
        }
        Ok(())
    }

    async fn image(&self, volume: &VolumeId, snapshot: Option<&SnapshotName>) -> Result<Image> {
        let Some(snapshot) = snapshot else {
            let file = self.open(volume, Access::Read).await?;
            return Ok(Image::single(file, ImageFormat::Raw));
        };
        let name = self.snapshot_lv(&self.known(volume)?, snapshot);
        if !self.has(&name).await? {
            return Err(no_snapshot(volume, snapshot));
        }
        let full = self.full(&name);
        let activate = ["--activate", "y", "--ignoreactivationskip", full.as_str()];
        tool::change("lvchange", &activate).await?;
        let device = self.devices.join(self.vgname.as_str()).join(&name);
        let file = self.lock(&device, volume, Access::Read).await?;
        Ok(Image::single(file, ImageFormat::Raw))
    }

    async fn make_base(&self, volume: &VolumeId) -> Result<VolumeId> {
        let lv = self.known(volume)?;
        let unfit = |reason: String| StorageError::Unfit {
            volume: volume.clone(),
            reason,
        };
        let base = volume.as_base();
        let base = base.ok_or_else(|| unfit(NAMING.to_owned()))?;
        let to = self.nameable(&base)?;
        if !self.has(lv.as_str()).await? && self.has(to.as_str()).await? {
            return Ok(base);
        }
        self.volume(volume).await?;
        self.check_unused(&lv, volume).await?;
        if let Some(snapshot) = self.snapshots(volume).await?.first() {
            return Err(unfit(format!(
                "it has the snapshot '{snapshot}': remove that first"
            )));
        }
        let names = ["--quiet", self.vgname.as_str(), lv.as_str(), to.as_str()];
        tool::change("lvrename", &names).await?;
        Ok(base)
    }

    fn snapshots_of(&self, _volume: &VolumeId) -> Snapshots {
        Snapshots::Always
    }

    async fn snapshots(&self, volume: &VolumeId) -> Result<Vec<SnapshotName>> {
        let lv = self.known(volume)?;
        let names = self.snapshot_lvs(&lv).await?;
        let prefix = format!("snap_{lv}_");
        let names = names.iter().filter_map(|name| name.strip_prefix(&prefix));
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }

    async fn open(&self, volume: &VolumeId, access: Access) -> Result<File> {
        let lv = self.known(volume)?;
        let device = self.activate(&lv, volume).await?;
        self.lock(&device, volume, access).await
    }

    async fn upload(&self, content: ContentKind, _name: &str) -> Result<Upload> {
        Err(StorageError::WrongContent {
            storage: self.id.clone(),
            content,
        })
    }

    async fn resize(&self, volume: &VolumeId, size: DiskSize) -> Result<()> {
        let lv = self.known(volume)?;
        let now = self.volume(volume).await?.size;
        if size.bytes() < now {
            return Err(StorageError::Unfit {
                volume: volume.clone(),
                reason: format!("it has {now} bytes: a disk can only grow"),
            });
        }
        if size.bytes() == now {
            return Ok(());
        }
        let (size, full) = (bytes(size), self.full(lv.as_str()));
        tool::change("lvextend", &["--quiet", "--size", &size, &full]).await
    }

    async fn snapshot(&self, volume: &VolumeId, snapshot: &SnapshotName) -> Result<()> {
        let lv = self.known(volume)?;
        self.volume(volume).await?;
        self.write_out(&lv, volume).await?;
        let (name, full) = (self.snapshot_lv(&lv, snapshot), self.full(lv.as_str()));
        // It has no device until somebody wants one: a host with many snapshots starts no slower.
        let arguments = [
            "--yes",
            "--quiet",
            "--snapshot",
            "--permission",
            "r",
            "--name",
            &name,
            &full,
        ];
        match tool::change("lvcreate", &arguments).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.making_failed(error, volume, &name).await),
        }
    }

    async fn remove_snapshot(&self, volume: &VolumeId, snapshot: &SnapshotName) -> Result<()> {
        let name = self.snapshot_lv(&self.known(volume)?, snapshot);
        if !self.has(&name).await? {
            return Err(no_snapshot(volume, snapshot));
        }
        tool::change("lvremove", &["--yes", "--quiet", &self.full(&name)]).await
    }

    async fn roll_back(&self, volume: &VolumeId, snapshot: &SnapshotName) -> Result<()> {
        let lv = self.known(volume)?;
        let name = self.snapshot_lv(&lv, snapshot);
        if !self.has(&name).await? {
            return Err(no_snapshot(volume, snapshot));
        }
        self.check_unused(&lv, volume).await?;
        // Interrupted between the two, it can be repeated: the snapshot has everything.
        if self.has(lv.as_str()).await? {
            let full = self.full(lv.as_str());
            tool::change("lvremove", &["--yes", "--quiet", &full]).await?;
        }
        self.take_copy(&name, lv.as_str()).await
    }

    async fn copy(
        &self,
        source: &VolumeId,
        snapshot: Option<&SnapshotName>,
        target: &VolumeId,
    ) -> Result<()> {
        let (from, to) = (self.known(source)?, self.nameable(target)?);
        let from = match snapshot {
            None => from.to_string(),
            Some(snapshot) => self.snapshot_lv(&from, snapshot),
        };
        if !self.has(&from).await? {
            return Err(match snapshot {
                None => StorageError::NoVolume(source.clone()),
                Some(snapshot) => no_snapshot(source, snapshot),
            });
        }
        match self.take_copy(&from, to.as_str()).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.making_failed(error, target, to.as_str()).await),
        }
    }
}

fn no_snapshot(volume: &VolumeId, snapshot: &SnapshotName) -> StorageError {
    StorageError::NoSnapshot {
        volume: volume.clone(),
        snapshot: snapshot.clone(),
    }
}

/// A size as LVM's tools read it.
fn bytes(size: DiskSize) -> String {
    format!("{}b", size.bytes().next_multiple_of(SECTOR))
}

#[cfg(test)]
mod tests;
