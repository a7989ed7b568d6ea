//! A device for a machine that runs, opened; and the cables of those that it has.

use crate::disks;
use crate::error::{Result, VmError};
use crate::resolve::{Slots, cable, nic, tap_name};
use basalt_model::field::FieldErrors;
use basalt_model::hotplug::NewDevice;
use basalt_model::qemu::QemuConfig;
use basalt_model::storage::VolumeSource;
use basalt_model::vmid::Vmid;
use basalt_network::Network;
use basalt_storage::Storages;
use std::os::fd::OwnedFd;

/// A device ready to be handed over.
#[derive(Debug)]
pub struct ResolvedDevice {
    /// What it is.
    pub device: NewDevice,
    /// What its slots number.
    pub fds: Vec<OwnedFd>,
}

/// Opens the disk or network card that `config` has as `key`: its volume (and locks it), or its
/// tap. Dropping the result gives it back.
pub async fn resolve_device(
    vmid: Vmid,
    config: &QemuConfig,
    key: &str,
    storages: &Storages,
    network: &Network,
) -> Result<ResolvedDevice> {
    let mut slots = Slots::default();
    let device = match card(config, key) {
        Some(index) => {
            let net = &config.net[&index];
            NewDevice::Nic(nic(vmid, index, net, network, &mut slots).await?)
        }
        None => {
            let mut disks = config.disks().into_iter();
            let disk = disks.find(|(name, _)| name == key);
            let disk = disk.map(|(_, disk)| (disk, &disk.file));
            let Some((disk, VolumeSource::Volume(volume))) = disk else {
                let text = "there is no such disk or network card";
                return Err(VmError::Config(FieldErrors::one(key, text)));
            };
            let key = key.to_owned();
            let disk = disks::open(config, key, disk, volume, storages, &mut slots).await?;
            NewDevice::Disk(Box::new(disk))
        }
    };
    Ok(ResolvedDevice {
        device,
        fds: slots.0,
    })
}

/// Has the host's end of the cable of the card that `config` has as `key` be where that says: on its bridge,
/// or nowhere when it is pulled.
pub async fn plug_cable(
    vmid: Vmid,
    config: &QemuConfig,
    key: &str,
    network: &Network,
) -> Result<()> {
    let found = card(config, key).and_then(|index| Some((index, tap_name(vmid, index)?)));
    let Some((index, tap)) = found else {
        let text = "there is no such network card";
        return Err(VmError::Config(FieldErrors::one(key, text)));
    };
    let net = &config.net[&index];
    let plugged = network.plug(&tap, net.bridge.as_ref(), cable(net));
    plugged.await.map_err(|source| VmError::Network {
        field: key.to_owned(),
        source,
    })
}

/// The number of the network card that a key names, if the machine has it.
fn card(config: &QemuConfig, key: &str) -> Option<u8> {
    let index = key.strip_prefix("net")?.parse().ok()?;
    config.net.contains_key(&index).then_some(index)
}
