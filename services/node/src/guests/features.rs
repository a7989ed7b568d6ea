//! What the volumes of a guest allow: snapshots, clones that share them, copies.

use super::Guest;
use crate::state::Node;
use basalt_api::methods::clone::Feature;
use basalt_api::{Error, Result};
use basalt_model::disk::ImageFormat;
use basalt_model::guest::{GuestConfig, GuestKind};
use basalt_model::qemu::cloudinit;
use basalt_model::storage::{SnapshotName, VolumeId};
use basalt_model::vmid::Vmid;
use basalt_storage::{Snapshots, Storages};

/// The volumes of a guest with something on them that only they have: not the drive of cloud-init,
/// which is written anew, and not what it does not use.
pub fn data_volumes(config: &GuestConfig, vmid: Vmid) -> Vec<(String, VolumeId)> {
    let mut own = config.own_volumes(vmid);
    own.retain(|(key, volume)| !key.starts_with("unused") && !cloudinit::is_drive(volume));
    own
}

/// Whether a setting names a part of a machine that reads plain bytes only.
pub fn is_state(key: &str) -> bool {
    matches!(key, "efidisk0" | "tpmstate0")
}

/// The first volume that can have no snapshot now, with what would help.
pub fn without_snapshots(
    storages: &Storages,
    config: &GuestConfig,
    vmid: Vmid,
    running: bool,
) -> Result<Option<String>> {
    for (key, volume) in data_volumes(config, vmid) {
        let storage = storages.of(&volume).map_err(Error::failed)?;
        let why = match storage.snapshots_of(&volume) {
            Snapshots::Always => continue,
            Snapshots::WhenUnused if !running => continue,
            Snapshots::WhenUnused => "it can only be taken while the guest is stopped",
            Snapshots::Never => {
                "its storage and format have none: use qcow2, or a pool of LVM or ZFS"
            }
        };
        return Ok(Some(format!(
            "snapshot feature is not available: {key} ('{volume}'): {why}"
        )));
    }
    Ok(None)
}

/// Whether a guest has a feature, as it is or was at a snapshot.
pub async fn has(
    node: &Node,
    guest: &Guest,
    feature: Feature,
    snapshot: Option<&SnapshotName>,
) -> Result<bool> {
    let config = guest.config_at(snapshot)?;
    let (kind, vmid) = (guest.kind(), guest.vmid);
    let running = node.is_running(kind, vmid).await?;
    match feature {
        Feature::Copy => Ok(snapshot.is_some() || !running),
        Feature::Snapshot => {
            let missing = without_snapshots(&node.storages, config, vmid, running)?;
            Ok(missing.is_none() && !guest.record.config.is_template())
        }
        Feature::Clone => {
            for (_, volume) in data_volumes(config, vmid) {
                let storage = node.storages.of(&volume).map_err(Error::failed)?;
                let usable = kind == GuestKind::Qemu || storage.copy_format() == ImageFormat::Raw;
                if !volume.is_base() || !usable {
                    return Ok(false);
                }
            }
            Ok(snapshot.is_none())
        }
    }
}
