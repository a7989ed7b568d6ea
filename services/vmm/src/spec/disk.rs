//! A disk with its images open.

use std::sync::Arc;

use basalt_model::machine::Disk;

use super::Error;
use super::delivery::Delivery;
use crate::disk::Image;
use crate::disk::ring::Rings;
use crate::virtio::block;

/// A disk's part of [`super::Resources`].
pub struct DiskResource {
    /// PCI device number.
    pub slot: u8,
    /// What the disk is to its guest.
    pub settings: block::Settings,
    /// Its images.
    pub image: Image,
    /// Counters that outlive a reset.
    pub counters: Arc<block::Counters>,
}

impl DiskResource {
    /// Takes a disk's images, and one of the rings for it.
    pub(super) fn take(
        disk: Disk,
        slot: u8,
        delivery: &mut Delivery,
        rings: &mut Rings,
    ) -> Result<Self, Error> {
        let file = delivery.file(&disk.id, disk.image)?;
        let mut backing = Vec::new();
        for below in disk.backing {
            backing.push((below.format, delivery.file(&disk.id, below.image)?));
        }
        let (format, cache, readonly) = (disk.format, disk.cache, disk.readonly);
        let image = Image::prepare(&disk.id, format, file, backing, cache, readonly, rings);
        Ok(Self {
            slot,
            settings: block::Settings {
                name: disk.id,
                readonly,
                serial: disk.serial,
                queues: disk.queues,
                discard: disk.discard,
                limits: disk.limits,
            },
            image,
            counters: Arc::default(),
        })
    }
}
