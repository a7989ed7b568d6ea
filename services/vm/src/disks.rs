//! The disks of a configuration, opened, and what a running machine's may become.

use crate::error::{Result, VmError};
use crate::resolve::{Slots, volume};
use basalt_model::disk::{Backing, ImageFormat, Optical};
use basalt_model::field::FieldErrors;
use basalt_model::machine::{Disk, MAX_QUEUES};
use basalt_model::qemu::disk::DiskDiscard;
use basalt_model::qemu::{QemuConfig, QemuDisk};
use basalt_model::storage::{VolumeId, VolumeSource};
use basalt_storage::{Access, Storages};

/// Most disks of one machine.
const MAX_DISKS: usize = 15;
/// Most drives for optical discs.
const MAX_DRIVES: usize = 8;

/// Opens the disks and the discs of a machine.
pub(crate) async fn resolve(
    config: &QemuConfig,
    storages: &Storages,
    slots: &mut Slots,
) -> Result<(Vec<Disk>, Vec<Optical>)> {
    let (mut disks, mut opticals) = (Vec::new(), Vec::new());
    for (key, disk) in config.disks() {
        let source = disk.file.volume();
        if QemuConfig::is_optical(disk) {
            let medium = match source {
                None => None,
                Some(source) => {
                    Some(slots.add(volume(storages, &key, source, Access::Read).await?))
                }
            };
            check_count(&key, opticals.len(), MAX_DRIVES)?;
            opticals.push(Optical { id: key, medium });
        } else if let VolumeSource::Volume(source) = &disk.file {
            check_count(&key, disks.len(), MAX_DISKS)?;
            disks.push(open(config, key, disk, source, storages, slots).await?);
        }
    }
    // The guest sees its drives in the order of their keys, whatever boots first.
    opticals.sort_by(|a, b| a.id.cmp(&b.id));
    Ok((disks, opticals))
}

fn check_count(key: &str, have: usize, most: usize) -> Result<()> {
    if have < most {
        return Ok(());
    }
    let text = format!("a machine has at most {most} of its kind");
    Err(VmError::Config(FieldErrors::one(key, text)))
}

/// Opens one disk.
pub(crate) async fn open(
    config: &QemuConfig,
    key: String,
    disk: &QemuDisk,
    source: &VolumeId,
    storages: &Storages,
    slots: &mut Slots,
) -> Result<Disk> {
    let readonly = disk.ro == Some(true);
    let access = if readonly {
        Access::Read
    } else {
        Access::Write
    };
    let failed = |source| VmError::Volume {
        field: key.clone(),
        source,
    };
    let storage = storages.of(source).map_err(failed)?;
    let format = match storage.volume(source).await.map_err(failed)?.format {
        "qcow2" => ImageFormat::Qcow2,
        _ => ImageFormat::Raw,
    };
    let image = slots.add(volume(storages, &key, source, access).await?);
    let below = storage.layers(source).await.map_err(failed)?;
    let below = below.into_iter().map(|layer| Backing {
        image: slots.add(layer.file),
        format: layer.format,
    });
    let backing = below.collect();
    let serial = disk.serial.as_ref();
    // Queues beyond the processors would never be used.
    let queues = u16::try_from(config.max_vcpus()).unwrap_or(MAX_QUEUES);
    Ok(Disk {
        format,
        backing,
        readonly,
        serial: serial.map_or_else(String::new, ToString::to_string),
        cache: disk.cache_mode(),
        discard: disk.discard == Some(DiskDiscard::On),
        limits: disk.limits(),
        queues: queues.clamp(1, MAX_QUEUES),
        ..Disk::raw(key, image)
    })
}
