//! Volumes that a change of a guest needs: planned first, stored as being made, then made.

use super::Report;
use basalt_api::{Error, Result};
use basalt_model::disk::ImageFormat;
use basalt_model::field::FieldErrors;
use basalt_model::machine::TPM_STATE_SIZE;
use basalt_model::qemu::cloudinit;
use basalt_model::storage::{ContentKind, DiskSize, StorageId, VolumeId};
use basalt_model::vmid::Vmid;
use basalt_storage::{Access, Image, StorageError, Storages, copy};
use basalt_vm::firmware;
use std::fs::File;
use std::time::Duration;

/// How long a volume may stay busy after its guest ended: the kernel lets go of a mounted image
/// a moment after its last user.
const RELEASE: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A volume to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVolume {
    /// Its name.
    pub id: VolumeId,
    /// Its size.
    pub size: DiskSize,
    /// What it starts with.
    pub import: Option<VolumeId>,
    /// File of the appliance that it starts with, if no volume.
    pub template: Option<&'static str>,
}

/// A part of a machine that keeps its state in a small volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// UEFI firmware.
    Firmware {
        /// With the keys of Secure Boot.
        secure: bool,
    },
    /// The trusted platform module.
    Tpm,
}

impl Part {
    /// Bytes of the volume, and the file of the appliance that a new one starts with, if not zeros.
    fn fresh(self) -> (u64, Option<&'static str>) {
        match self {
            Self::Firmware { secure: false } => (firmware::VARS_SIZE, Some(firmware::VARS)),
            Self::Firmware { secure: true } => (firmware::VARS_SIZE, Some(firmware::SECURE_VARS)),
            Self::Tpm => (TPM_STATE_SIZE, None),
        }
    }
}

/// Plans the volumes of one change, so that no name is given twice.
#[derive(Debug)]
pub struct Planner<'a> {
    storages: &'a Storages,
    owner: Vmid,
    planned: Vec<NewVolume>,
}

impl<'a> Planner<'a> {
    /// Plans volumes of `owner`.
    pub fn new(storages: &'a Storages, owner: Vmid) -> Self {
        Self {
            storages,
            owner,
            planned: Vec::new(),
        }
    }

    /// Plans a volume for `content` in a format; with `import`, as large as that volume at least.
    pub async fn plan(
        &mut self,
        storage: &StorageId,
        content: ContentKind,
        size: DiskSize,
        format: ImageFormat,
        import: Option<&VolumeId>,
    ) -> std::result::Result<NewVolume, String> {
        let text = |error: StorageError| error.to_string();
        let storage = self.storages.holding(storage, content).map_err(text)?;
        let size = match import {
            Some(source) => {
                let found = import_source(self.storages, source).await?;
                size.max(DiskSize::from_bytes(found.size))
            }
            None => size,
        };
        if size.bytes() == 0 {
            return Err("a new disk needs a size in GiB, e.g. local:4, or import-from".to_owned());
        }
        let taken: Vec<VolumeId> = self.planned.iter().map(|new| new.id.clone()).collect();
        let id = storage.free_name_as(self.owner, format, &taken).await;
        let id = id.map_err(text)?;
        let new = NewVolume {
            id,
            size,
            import: import.cloned(),
            template: None,
        };
        self.planned.push(new.clone());
        Ok(new)
    }

    /// Plans a volume for the state of a machine's part: that of `import`, or a fresh one.
    pub async fn plan_state(
        &mut self,
        storage: &StorageId,
        part: Part,
        import: Option<&VolumeId>,
    ) -> std::result::Result<NewVolume, String> {
        let (bytes, template) = part.fresh();
        let size = DiskSize::from_bytes(bytes);
        let mut new = self
            .plan(storage, ContentKind::Images, size, ImageFormat::Raw, import)
            .await?;
        if import.is_none() {
            new.template = template;
            if let Some(planned) = self.planned.last_mut() {
                *planned = new.clone();
            }
        }
        Ok(new)
    }

    /// Plans the volume behind a drive of cloud-init. It has one name, so one that was left is used again.
    pub async fn plan_cloudinit(
        &mut self,
        storage: &StorageId,
    ) -> std::result::Result<VolumeId, String> {
        let text = |error: StorageError| error.to_string();
        let driver = self.storages.holding(storage, ContentKind::Images);
        let driver = driver.map_err(text)?;
        let disk = driver.free_name(self.owner, &[]).await.map_err(text)?;
        // Files have an ending that says what they are, block devices have none.
        let ending = disk
            .name()
            .rsplit_once('.')
            .map_or("", |(_, ending)| ending);
        let stem = cloudinit::drive_name(self.owner);
        let name = match ending {
            "" => stem,
            ending => format!("{stem}.{ending}"),
        };
        let id = driver
            .named(self.owner, &name)
            .ok_or_else(|| format!("storage '{storage}' has no name for a drive of cloud-init"))?;
        match driver.volume(&id).await {
            Ok(_) => {}
            Err(StorageError::NoVolume(_)) => self.planned.push(NewVolume {
                id: id.clone(),
                size: cloudinit::DRIVE_SIZE,
                import: None,
                template: None,
            }),
            Err(error) => return Err(text(error)),
        }
        Ok(id)
    }

    /// What was planned.
    pub fn finish(self) -> Vec<NewVolume> {
        self.planned
    }
}

/// What a volume is that a new disk is copied from. An uploaded image is what its first bytes
/// say; a guest's disk is what its name says, since the guest writes its first bytes.
async fn import_source(
    storages: &Storages,
    source: &VolumeId,
) -> std::result::Result<copy::Source, String> {
    let text = |error: StorageError| format!("import-from: {error}");
    let storage = storages.of(source).map_err(text)?;
    let found = storage.volume(source).await.map_err(text)?;
    let file = storage.open(source, Access::Read).await.map_err(text)?;
    match (found.content, found.format) {
        (ContentKind::Import, _) => copy::probe(&file, source).map_err(text),
        (ContentKind::Images, "qcow2") => Ok(copy::Source {
            format: ImageFormat::Qcow2,
            size: found.size,
        }),
        (ContentKind::Images, _) => copy::raw(&file, source).map_err(text),
        (content, _) => Err(format!(
            "import-from: '{source}' is no disk image but {content}"
        )),
    }
}

/// The format of a guest's own disk.
pub async fn format_of(
    storages: &Storages,
    volume: &VolumeId,
) -> basalt_storage::Result<ImageFormat> {
    let found = storages.of(volume)?.volume(volume).await?;
    Ok(match found.format {
        "qcow2" => ImageFormat::Qcow2,
        _ => ImageFormat::Raw,
    })
}

/// Whether `volume` is there and holds `content`; what is wrong otherwise.
pub async fn check_content(
    storages: &Storages,
    volume: &VolumeId,
    content: ContentKind,
) -> std::result::Result<DiskSize, String> {
    let storage = storages.of(volume).map_err(|error| error.to_string())?;
    let found = storage
        .volume(volume)
        .await
        .map_err(|error| error.to_string())?;
    if found.content == content {
        return Ok(DiskSize::from_bytes(found.size));
    }
    Err(format!(
        "'{volume}' holds '{}', not '{content}'",
        found.content
    ))
}

/// Notes an error of `field`, or gives the value.
pub fn note<T>(
    errors: &mut FieldErrors,
    field: &str,
    result: std::result::Result<T, String>,
) -> Option<T> {
    result.map_err(|text| errors.add(field, text)).ok()
}

/// Makes volumes and fills those that are copies. When it fails, some may be there: see
/// [`discard`].
pub async fn make(storages: &Storages, new: &[NewVolume], report: &Report) -> Result<()> {
    for volume in new {
        let storage = storages.of(&volume.id).map_err(Error::failed)?;
        report.log(format_args!(
            "creating volume '{}' of {}",
            volume.id, volume.size
        ));
        storage
            .create(&volume.id, volume.size)
            .await
            .map_err(Error::failed)?;
        if let Some(source) = &volume.import {
            report.log(format_args!("copying '{source}' to '{}'", volume.id));
            let found = import_source(storages, source)
                .await
                .map_err(Error::failed)?;
            let from = storages.of(source).map_err(Error::failed)?;
            let from = match source.owner() {
                Some(_) => from.image(source, None).await,
                // What came from outside stands alone; that was looked at.
                None => from
                    .open(source, Access::Read)
                    .await
                    .map(|file| Image::single(file, found.format)),
            };
            let from = from.map_err(Error::failed)?;
            fill(storages, from, &volume.id, report, None).await?;
        }
        if let Some(template) = volume.template {
            let from = File::open(template)
                .map_err(|error| Error::failed(format_args!("{template}: {error}")))?;
            let from = Image::single(from, ImageFormat::Raw);
            fill(storages, from, &volume.id, report, None).await?;
        }
    }
    Ok(())
}

/// Copies an image into a new disk, at no more than `limit` bytes a second.
pub async fn fill(
    storages: &Storages,
    from: Image,
    target: &VolumeId,
    report: &Report,
    limit: Option<u64>,
) -> Result<()> {
    let format = format_of(storages, target).await.map_err(Error::failed)?;
    let to = storages.of(target).map_err(Error::failed)?;
    let to = to
        .open(target, Access::Write)
        .await
        .map_err(Error::failed)?;
    let report = report.clone();
    let copying = tokio::task::spawn_blocking(move || {
        let mut pace = copy::Pace::new(limit);
        copy::convert(&from, (&to, format), &mut |done, total| {
            report.progress(done, total);
            pace.keep(done);
            !report.is_cancelled()
        })
    });
    copying.await.map_err(Error::failed)?.map_err(Error::failed)
}

/// Removes volumes that are no longer wanted; those that are not there are fine. What cannot be
/// removed is said and left.
pub async fn discard(storages: &Storages, volumes: &[VolumeId], report: &Report) {
    for volume in volumes {
        match remove(storages, volume).await {
            Ok(()) => report.log(format_args!("removed volume '{volume}'")),
            Err(StorageError::NoVolume(_)) => {}
            Err(error) => report.warn(format_args!("volume '{volume}' is left: {error}")),
        }
    }
}

/// Removes a volume, waiting for a guest that just ended to let go of it.
pub async fn remove(storages: &Storages, volume: &VolumeId) -> basalt_storage::Result<()> {
    let storage = storages.of(volume)?;
    let deadline = tokio::time::Instant::now() + RELEASE;
    loop {
        match storage.remove(volume).await {
            Err(StorageError::InUse(_)) if tokio::time::Instant::now() < deadline => {
                // A pause between two looks: a lock does not tell when it is released.
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            result => return result,
        }
    }
}

/// Opens a volume for writing, waiting for a guest that just ended to let go of it.
pub async fn open(storages: &Storages, volume: &VolumeId) -> basalt_storage::Result<File> {
    let storage = storages.of(volume)?;
    let deadline = tokio::time::Instant::now() + RELEASE;
    loop {
        match storage.open(volume, Access::Write).await {
            Err(StorageError::InUse(_)) if tokio::time::Instant::now() < deadline => {
                // A pause between two looks: a lock does not tell when it is released.
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_model::storage::{StorageConfig, StorageDriver};

    fn storages() -> (tempfile::TempDir, Storages) {
        let directory = tempfile::tempdir().unwrap();
        let storages = Storages::default();
        let path = directory.path().to_string_lossy().into_owned();
        let config = StorageConfig {
            driver: StorageDriver::Dir { path },
            ..Storages::local_config()
        };
        storages.set(StorageId::local(), config).unwrap();
        (directory, storages)
    }

    #[tokio::test]
    async fn a_planned_import_is_made_and_discarded() {
        let (directory, storages) = storages();
        std::fs::write(directory.path().join("import/x.raw"), vec![7; 5000]).unwrap();
        let source: VolumeId = "local:import/x.raw".parse().unwrap();
        let local = StorageId::local();
        let size = DiskSize::from_bytes(1 << 20);

        let mut planner = Planner::new(&storages, Vmid::MIN);
        let empty = planner
            .plan(&local, ContentKind::Images, size, ImageFormat::Raw, None)
            .await
            .unwrap();
        let zero = DiskSize::from_bytes(0);
        let copied = planner
            .plan(
                &local,
                ContentKind::Images,
                zero,
                ImageFormat::Raw,
                Some(&source),
            )
            .await
            .unwrap();
        let nothing = planner
            .plan(&local, ContentKind::Images, zero, ImageFormat::Qcow2, None)
            .await;
        assert!(nothing.unwrap_err().contains("size"));
        let new = planner.finish();
        assert_eq!(new, [empty.clone(), copied.clone()]);
        assert_ne!(empty.id, copied.id);
        assert_eq!(copied.size.bytes(), 5120);

        make(&storages, &new, &Report::Journal).await.unwrap();
        let made = std::fs::read(directory.path().join("images/100/vm-100-disk-1.raw")).unwrap();
        assert_eq!(
            (&made[..5000], &made[5000..]),
            (&[7; 5000][..], &[0; 120][..])
        );

        let ids: Vec<VolumeId> = new.iter().map(|new| new.id.clone()).collect();
        discard(&storages, &ids, &Report::Journal).await;
        discard(&storages, &ids, &Report::Journal).await;
        assert!(!directory.path().join("images/100").exists());
    }

    #[tokio::test]
    async fn content_is_checked_by_kind() {
        let (directory, storages) = storages();
        std::fs::write(directory.path().join("template/iso/a.iso"), "x").unwrap();
        let iso: VolumeId = "local:iso/a.iso".parse().unwrap();
        assert!(
            check_content(&storages, &iso, ContentKind::Iso)
                .await
                .is_ok()
        );
        let wrong = check_content(&storages, &iso, ContentKind::Kernel)
            .await
            .unwrap_err();
        assert!(wrong.contains("'kernel'"), "{wrong}");
        let gone: VolumeId = "local:kernel/none".parse().unwrap();
        let missing = check_content(&storages, &gone, ContentKind::Kernel)
            .await
            .unwrap_err();
        assert!(missing.contains("does not exist"), "{missing}");
    }
}
