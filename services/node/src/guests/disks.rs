//! Changes of disks that a running guest sees at once: one that grows, a disc that is changed.

use super::{Guest, Report, volumes};
use crate::state::Node;
use basalt_api::methods::guest::GuestResize;
use basalt_api::{Error, Result};
use basalt_model::disk::{ImageFormat, ResizeDisk};
use basalt_model::guest::{GuestConfig, GuestKind, GuestRecord};
use basalt_model::machine::Request;
use basalt_model::qemu::{QemuConfig, QemuDisk};
use basalt_model::storage::{DiskSize, VolumeId};
use basalt_model::upid::Upid;
use basalt_model::userid::Authid;
use basalt_model::vmid::Vmid;
use basalt_storage::{Access, rootfs};
use basalt_tasks::NewTask;
use std::os::fd::AsFd;

const KIND: GuestKind = GuestKind::Qemu;
/// The one disk that a container has.
const ROOT: &str = "rootfs";
/// Largest disk: 128 TiB, as for new ones.
const MAX_SIZE: u64 = 128 << 40;
const SECTOR: u64 = 512;

/// Makes a disk larger, of a guest that runs or not.
pub async fn resize(
    node: &Node,
    user: &Authid,
    kind: GuestKind,
    params: GuestResize,
) -> Result<Upid> {
    let vmid = params.vmid;
    let lock = node.lock_guest(kind, vmid, "resize")?;
    let guest = node.guest(kind, vmid)?;
    guest.check_unlocked()?;
    if params.digest.is_some_and(|digest| digest != guest.digest) {
        let text = "the configuration was changed meanwhile: read it again";
        return Err(Error::param("digest", text));
    }
    if guest.record.config.is_template() {
        return Err(Error::failed(format_args!(
            "{} is a template: clones share its disks",
            guest.title()
        )));
    }
    let volume = disk_volume(&guest, &params.disk)?;
    let storage = node.storages.of(&volume).map_err(Error::failed)?;
    let now = storage.volume(&volume).await.map_err(Error::failed)?.size;
    let size = new_size(&params.size, now).map_err(|text| Error::param("size", text))?;
    let task = NewTask {
        kind: "resize",
        id: vmid.to_string(),
        user,
        lock: Some(lock),
    };
    let work = node.clone();
    let spawned = node.tasks.spawn(task, |context| async move {
        let report = Report::Task(context);
        match kind {
            GuestKind::Qemu => {
                work.grow_disk(&guest, &params.disk, &volume, size, &report)
                    .await
            }
            GuestKind::Lxc => work.grow_root(&guest, &volume, size, &report).await,
        }
    });
    spawned.map_err(Error::failed)
}

/// The volume of a disk that can grow.
fn disk_volume(guest: &Guest, key: &str) -> Result<VolumeId> {
    let none = || Error::param("disk", format_args!("there is no disk '{key}'"));
    let volume = match &guest.record.config {
        GuestConfig::Qemu(config) => {
            let disk = find(config, key).ok_or_else(none)?;
            if QemuConfig::is_optical(disk) {
                return Err(Error::param("disk", "a disc does not grow"));
            }
            disk.file.volume().cloned()
        }
        GuestConfig::Lxc(config) => {
            let root = config.rootfs.as_ref().filter(|_| key == ROOT);
            root.ok_or_else(none)?.volume.volume().cloned()
        }
    };
    volume.ok_or_else(|| Error::param("disk", "it has no volume"))
}

fn find<'a>(config: &'a QemuConfig, key: &str) -> Option<&'a QemuDisk> {
    let mut disks = config.disks().into_iter();
    disks.find(|(name, _)| name == key).map(|(_, disk)| disk)
}

/// `+4G` on top of what there is, or `32G` in all; whole sectors.
fn new_size(text: &str, now: u64) -> std::result::Result<DiskSize, String> {
    let (digits, base) = match text.strip_prefix('+') {
        Some(rest) => (rest, now),
        None => (text, 0),
    };
    let size: DiskSize = digits.parse()?;
    let size = base
        .checked_add(size.bytes())
        .filter(|size| *size <= MAX_SIZE)
        .ok_or_else(|| format!("'{text}' is more than a disk may have: at most 128T"))?
        .next_multiple_of(SECTOR);
    if size < now {
        let now = DiskSize::from_bytes(now);
        return Err(format!(
            "'{text}' is less than the disk has ({now}): disks only grow"
        ));
    }
    Ok(DiskSize::from_bytes(size))
}

impl Node {
    async fn grow_disk(
        &self,
        guest: &Guest,
        key: &str,
        volume: &VolumeId,
        size: DiskSize,
        report: &Report,
    ) -> Result<()> {
        let vmid = guest.vmid;
        let running = self.running_disk(vmid, key, volume).await?;
        let storage = self.storages.of(volume).map_err(Error::failed)?;
        let format = volumes::format_of(&self.storages, volume)
            .await
            .map_err(Error::failed)?;
        report.log(format_args!("growing '{volume}' to {size}"));
        // A qcow2 image that is in use is grown by its user: the machine's monitor.
        if running.is_none() || format == ImageFormat::Raw {
            storage.resize(volume, size).await.map_err(Error::failed)?;
        }
        if let Some(mut config) = running {
            let request = Request::ResizeDisk(ResizeDisk {
                disk: key.to_owned(),
                size: size.bytes(),
            });
            let order = self.machines.order(vmid, &request).await;
            order.map_err(Error::failed)?;
            set_size(&mut config, key, size);
            self.note_running_config(vmid, &config);
        }
        let mut record = guest.record.clone();
        set_size(&mut record.config, key, size);
        self.replace_guest(guest, &record).await
    }

    /// Grows a container's volume, then the file system on it. Interrupted in between, the volume is larger
    /// than the file system; repeated, the file system follows.
    async fn grow_root(
        &self,
        guest: &Guest,
        volume: &VolumeId,
        size: DiskSize,
        report: &Report,
    ) -> Result<()> {
        let vmid = guest.vmid;
        let is_running = self.is_running(GuestKind::Lxc, vmid).await?;
        let storage = self.storages.of(volume).map_err(Error::failed)?;
        report.log(format_args!("growing '{volume}' to {size}"));
        storage.resize(volume, size).await.map_err(Error::failed)?;
        report.log("growing its file system");
        let mount = if is_running {
            let path = storage.path(volume).map_err(Error::failed)?;
            rootfs::mount_again(path).await
        } else {
            let image = volumes::open(&self.storages, volume).await;
            rootfs::mount(image.map_err(Error::failed)?).await
        };
        let mount = mount.map_err(Error::failed)?;
        rootfs::grow(mount).await.map_err(Error::failed)?;
        if let Some(mut config) = self.running_config(GuestKind::Lxc, vmid)
            && is_running
        {
            set_size(&mut config, ROOT, size);
            self.note_running_config(vmid, &config);
        }
        let mut record = guest.record.clone();
        set_size(&mut record.config, ROOT, size);
        self.replace_guest(guest, &record).await
    }

    /// What a machine runs with, if it runs and has this volume as that disk.
    async fn running_disk(
        &self,
        vmid: Vmid,
        key: &str,
        volume: &VolumeId,
    ) -> Result<Option<GuestConfig>> {
        if !self.is_running(KIND, vmid).await? {
            return Ok(None);
        }
        let running = self.running_config(KIND, vmid);
        Ok(running.filter(|config| match config {
            GuestConfig::Qemu(config) => {
                find(config, key).is_some_and(|disk| disk.file.volume() == Some(volume))
            }
            GuestConfig::Lxc(_) => false,
        }))
    }

    /// Brings the discs of a running machine's drives in line with its configuration.
    pub async fn change_discs(&self, vmid: Vmid, record: &GuestRecord) -> Result<()> {
        let GuestConfig::Qemu(wanted) = &record.config else {
            return Ok(());
        };
        if !self.is_running(KIND, vmid).await? {
            return Ok(());
        }
        let Some(GuestConfig::Qemu(mut running)) = self.running_config(KIND, vmid) else {
            return Ok(());
        };
        let mut changed = false;
        for (key, drive) in running.disks_mut() {
            let disc = find(wanted, &key).filter(|disk| QemuConfig::is_optical(disk));
            let Some(disc) = disc.filter(|disc| disc.file != drive.file) else {
                continue;
            };
            if !QemuConfig::is_optical(drive) {
                continue;
            }
            self.change_disc(vmid, &key, disc.file.volume()).await?;
            *drive = disc.clone();
            changed = true;
        }
        if changed {
            self.note_running_config(vmid, &GuestConfig::Qemu(running));
        }
        Ok(())
    }

    /// Puts a disc into a running machine's drive, or takes out the one that is in it.
    pub async fn change_disc(
        &self,
        vmid: Vmid,
        drive: &str,
        disc: Option<&VolumeId>,
    ) -> Result<()> {
        let file = match disc {
            None => None,
            Some(volume) => {
                let storage = self.storages.of(volume).map_err(Error::failed)?;
                let file = storage.open(volume, Access::Read).await;
                Some(file.map_err(Error::failed)?)
            }
        };
        let file = file.as_ref().map(AsFd::as_fd);
        let changed = self.machines.change_media(vmid, drive, file).await;
        changed.map_err(Error::failed)
    }
}

fn set_size(config: &mut GuestConfig, key: &str, size: DiskSize) {
    match config {
        GuestConfig::Qemu(config) => {
            let disks = config.disks_mut();
            if let Some((_, disk)) = disks.into_iter().find(|(name, _)| name == key) {
                disk.size = Some(size);
            }
        }
        GuestConfig::Lxc(config) => {
            if let Some(root) = &mut config.rootfs {
                root.size = Some(size);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_added_or_absolute_and_never_less() {
        let gib = DiskSize::GIB;
        for (text, bytes) in [
            ("+4G", 5 * gib),
            ("3G", 3 * gib),
            ("+0", gib),
            ("+1", gib + 512),
        ] {
            assert_eq!(new_size(text, gib).unwrap().bytes(), bytes, "{text}");
        }
        for bad in [
            "512M",
            "+",
            "-1G",
            "1.5G",
            "129T",
            "+18446744073709551615",
            "",
        ] {
            assert!(new_size(bad, gib).is_err(), "{bad}");
        }
    }
}
