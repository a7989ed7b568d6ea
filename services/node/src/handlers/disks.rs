//! What lies on the node's disks: groups of LVM and pools of ZFS.

use crate::call::Call;
use crate::router::Router;
use basalt_api::methods::NodePath;
use basalt_api::methods::disks::{
    PhysicalVolume, ThinPool, ThinPoolList, VolumeGroup, VolumeGroupList, VolumeGroups, ZfsDevice,
    ZfsPool, ZfsPoolDetail, ZfsPoolList, ZfsPoolPath, ZfsPoolShow,
};
use basalt_api::{Error, Result};
use basalt_storage::lvmthin::groups;
use basalt_storage::zfs::pools;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<VolumeGroupList, _, _, _>(volume_groups);
    router.on::<ThinPoolList, _, _, _>(thin_pools);
    router.on::<ZfsPoolList, _, _, _>(zfs_pools);
    router.on::<ZfsPoolShow, _, _, _>(zfs_pool);
}

async fn volume_groups(call: Call, params: NodePath) -> Result<VolumeGroups> {
    call.node.check_name(&params.node)?;
    let groups = groups::groups().await.map_err(Error::failed)?;
    let children = groups.into_iter().map(|group| VolumeGroup {
        name: group.name,
        leaf: false,
        size: group.size,
        free: group.free,
        children: group.volumes.into_iter().map(physical).collect(),
    });
    Ok(VolumeGroups {
        leaf: false,
        children: children.collect(),
    })
}

fn physical(volume: groups::PhysicalVolume) -> PhysicalVolume {
    PhysicalVolume {
        name: volume.device,
        leaf: true,
        size: volume.size,
        free: volume.free,
    }
}

async fn thin_pools(call: Call, params: NodePath) -> Result<Vec<ThinPool>> {
    call.node.check_name(&params.node)?;
    let pools = groups::thin_pools().await.map_err(Error::failed)?;
    let list = pools.into_iter().map(|pool| ThinPool {
        lv_size: pool.size,
        used: pool.used(),
        metadata_size: pool.metadata_size,
        metadata_used: pool.metadata_used(),
        lv: pool.name,
        vg: pool.group,
    });
    Ok(list.collect())
}

async fn zfs_pools(call: Call, params: NodePath) -> Result<Vec<ZfsPool>> {
    call.node.check_name(&params.node)?;
    let pools = pools::pools().await.map_err(Error::failed)?;
    let list = pools.into_iter().map(|pool| ZfsPool {
        name: pool.name,
        size: pool.size,
        alloc: pool.used,
        free: pool.free,
        frag: pool.fragmentation,
        dedup: pool.deduplication,
        health: pool.health,
    });
    Ok(list.collect())
}

async fn zfs_pool(call: Call, params: ZfsPoolPath) -> Result<ZfsPoolDetail> {
    call.node.check_name(&params.node)?;
    let status = pools::status(&params.name).await.map_err(Error::failed)?;
    let status = status.ok_or_else(|| {
        let text = format!("there is no pool '{}' on this node", params.name);
        Error::param("name", text)
    })?;
    Ok(ZfsPoolDetail {
        name: status.name,
        state: status.state,
        status: status.status,
        action: status.action,
        scan: status.scan,
        errors: status.errors,
        children: status.devices.into_iter().map(device).collect(),
    })
}

fn device(device: pools::Device) -> ZfsDevice {
    let parts: Vec<ZfsDevice> = device.parts.into_iter().map(self::device).collect();
    ZfsDevice {
        name: device.name,
        state: device.state,
        read: device.faults.map(|faults| faults.read),
        write: device.faults.map(|faults| faults.write),
        cksum: device.faults.map(|faults| faults.checksum),
        msg: device.remark,
        leaf: parts.is_empty(),
        children: (!parts.is_empty()).then_some(parts),
    }
}
