//! System containers.

use crate::call::Call;
use crate::console;
use crate::guests::change::{Change, pending};
use crate::guests::power::{Power, power};
use crate::guests::{Report, ct, disks, remove, rights};
use crate::router::Router;
use basalt_api::methods::NodePath;
use basalt_api::methods::guest::{
    ConfigChange, ConfigQuery, ConsoleTicket, GuestCurrent, GuestDelete, GuestPath, GuestResize,
    GuestShutdown, GuestStart, GuestStatus, GuestStop, HaState, PendingEntry, WithDigest,
};
use basalt_api::methods::lxc::{
    CtConfigGet, CtConfigPut, CtCreate, CtCurrent, CtDelete, CtInterface, CtInterfaces, CtList,
    CtNew, CtPending, CtReboot, CtResize, CtShutdown, CtStart, CtStop, CtTermproxy,
};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege;
use basalt_model::guest::{GuestConfig, GuestKind};
use basalt_model::lxc::LxcConfig;
use basalt_model::storage::{StorageId, VolumeSource};
use basalt_model::upid::Upid;
use std::time::Duration;

const KIND: GuestKind = GuestKind::Lxc;

/// Says how the methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<CtList, _, _, _>(list);
    router.on::<CtCreate, _, _, _>(create);
    router.on::<CtDelete, _, _, _>(delete);
    router.on::<CtConfigGet, _, _, _>(config);
    router.on::<CtConfigPut, _, _, _>(change);
    router.on::<CtPending, _, _, _>(pending_settings);
    router.on::<CtCurrent, _, _, _>(current);
    router.on::<CtInterfaces, _, _, _>(interfaces);
    router.on::<CtStart, _, _, _>(start);
    router.on::<CtStop, _, _, _>(stop);
    router.on::<CtShutdown, _, _, _>(shutdown);
    router.on::<CtReboot, _, _, _>(reboot);
    router.on::<CtResize, _, _, _>(resize);
    router.on::<CtTermproxy, _, _, _>(termproxy);
}

async fn list(call: Call, params: NodePath) -> Result<Vec<GuestStatus>> {
    call.node.check_name(&params.node)?;
    let mut list = call.node.guest_list(KIND).await?;
    list.retain(|ct| call.allows(&format!("/vms/{}", ct.vmid), &[Privilege::VmAudit]));
    Ok(list)
}

async fn create(call: Call, mut params: CtNew) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    let (vmid, pool) = (params.vmid, params.pool.as_ref());
    rights::may_create(&call, vmid, pool, KIND, &params.config.to_map())?;
    give_addresses(&call, &mut params.config)?;
    let asked = params.config.rootfs.as_ref().map(|rootfs| &rootfs.volume);
    let storage = match asked {
        Some(VolumeSource::New { storage, .. }) => storage.clone(),
        _ => params.storage.clone().unwrap_or_else(StorageId::local),
    };
    let path = format!("/storage/{storage}");
    call.require(&path, &[Privilege::DatastoreAllocateSpace])?;
    super::qemu::may_use(&call, &params.ostemplate)?;
    ct::create(&call.node, call.auth(), params).await
}

/// Cards that were given no hardware address get one as the cluster wants it.
fn give_addresses(call: &Call, config: &mut LxcConfig) -> Result<()> {
    for net in config.net.values_mut().filter(|net| net.hwaddr.is_none()) {
        net.hwaddr = Some(call.node.new_mac()?);
    }
    Ok(())
}

async fn delete(call: Call, params: GuestDelete) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    remove::remove(&call.node, call.auth(), KIND, params).await
}

async fn config(call: Call, params: ConfigQuery) -> Result<WithDigest<LxcConfig>> {
    call.node.check_name(&params.node)?;
    let guest = call.node.guest(KIND, params.vmid)?;
    let config = match (params.snapshot, params.current) {
        (Some(name), _) => guest.config_at(Some(&name))?.clone(),
        (None, Some(true)) => call
            .node
            .running_config(KIND, params.vmid)
            .unwrap_or(guest.record.config),
        (None, _) => guest.record.config,
    };
    match config {
        GuestConfig::Lxc(config) => Ok(WithDigest {
            digest: guest.digest,
            config: *config,
        }),
        GuestConfig::Qemu(_) => Err(Error::not_found(format_args!("CT {}", params.vmid))),
    }
}

async fn change(call: Call, mut params: ConfigChange<LxcConfig>) -> Result<()> {
    call.node.check_name(&params.node)?;
    give_addresses(&call, &mut params.config)?;
    let _lock = call.node.lock_config(KIND, params.vmid, "config").await?;
    let change = Change::new(
        params.config.to_map(),
        params.delete.as_deref(),
        params.digest,
    );
    let before = call.node.guest(KIND, params.vmid)?;
    rights::may_change(&call, params.vmid, &change, &before.record.config)?;
    call.node
        .change_guest(KIND, params.vmid, &change, &Report::Journal)
        .await
}

async fn pending_settings(call: Call, params: GuestPath) -> Result<Vec<PendingEntry>> {
    call.node.check_name(&params.node)?;
    let guest = call.node.guest(KIND, params.vmid)?;
    let running = match call.node.is_running(KIND, params.vmid).await? {
        true => call.node.running_config(KIND, params.vmid),
        false => None,
    };
    Ok(pending(&guest.record.config, running.as_ref()))
}

async fn current(call: Call, params: GuestPath) -> Result<GuestCurrent> {
    call.node.check_name(&params.node)?;
    let guest = call.node.guest(KIND, params.vmid)?;
    let status = call.node.guest_status(&guest).await?;
    Ok(GuestCurrent {
        status,
        ha: HaState::default(),
    })
}

async fn interfaces(call: Call, params: GuestPath) -> Result<Vec<CtInterface>> {
    call.node.check_name(&params.node)?;
    call.node.guest(KIND, params.vmid)?;
    call.node.container_interfaces(params.vmid).await
}

async fn start(call: Call, params: GuestStart) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    power(&call.node, call.auth(), KIND, params.vmid, Power::Start).await
}

async fn stop(call: Call, params: GuestStop) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    power(&call.node, call.auth(), KIND, params.vmid, Power::Stop).await
}

async fn shutdown(call: Call, params: GuestShutdown) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    let patience = params
        .timeout
        .map(|seconds| Duration::from_secs(seconds.into()));
    let force = params.force_stop == Some(true);
    let shutdown = Power::Shutdown { patience, force };
    power(&call.node, call.auth(), KIND, params.vmid, shutdown).await
}

async fn reboot(call: Call, params: GuestStart) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    let patience = params
        .timeout
        .map(|seconds| Duration::from_secs(seconds.into()));
    power(
        &call.node,
        call.auth(),
        KIND,
        params.vmid,
        Power::Reboot { patience },
    )
    .await
}

async fn resize(call: Call, params: GuestResize) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    disks::resize(&call.node, call.auth(), KIND, params).await
}

async fn termproxy(call: Call, params: GuestPath) -> Result<ConsoleTicket> {
    call.node.check_name(&params.node)?;
    call.node.guest(KIND, params.vmid)?;
    if !call.node.is_running(KIND, params.vmid).await? {
        return Err(Error::failed(format_args!(
            "CT {} not running",
            params.vmid
        )));
    }
    let target = console::Target::Terminal {
        socket: call.node.container_console(params.vmid),
        control: call.node.container_control(params.vmid),
    };
    console::prepare(&call, params.vmid, target)
}
