//! Virtual machines.

use crate::call::Call;
use crate::console;
use crate::guests::change::{Change, pending};
use crate::guests::power::{Power, power};
use crate::guests::{Report, disks, remove, vm};
use crate::router::Router;
use basalt_api::methods::NodePath;
use basalt_api::methods::guest::{
    ConfigChange, ConfigQuery, ConsoleTicket, GuestCurrent, GuestDelete, GuestPath, GuestShutdown,
    GuestStart, GuestStatus, GuestStop, HaState, PendingEntry, WithDigest,
};
use basalt_api::methods::qemu::{
    VmConfigGet, VmConfigPost, VmConfigPut, VmCreate, VmCurrent, VmDelete, VmList, VmNew,
    VmPending, VmReboot, VmReset, VmResize, VmResizeParams, VmResume, VmShutdown, VmStart, VmStop,
    VmSuspend, VmTermproxy, VmTermproxyParams,
};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege;
use basalt_model::guest::{GuestConfig, GuestKind};
use basalt_model::qemu::QemuConfig;
use basalt_model::storage::{VolumeId, VolumeSource};
use basalt_model::upid::Upid;
use basalt_tasks::NewTask;
use std::time::Duration;

const KIND: GuestKind = GuestKind::Qemu;

/// Says how the methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<VmList, _, _, _>(list);
    router.on::<VmCreate, _, _, _>(create);
    router.on::<VmDelete, _, _, _>(delete);
    router.on::<VmConfigGet, _, _, _>(config);
    router.on::<VmConfigPut, _, _, _>(change);
    router.on::<VmConfigPost, _, _, _>(change_as_task);
    router.on::<VmPending, _, _, _>(pending_settings);
    router.on::<VmCurrent, _, _, _>(current);
    router.on::<VmStart, _, _, _>(start);
    router.on::<VmStop, _, _, _>(stop);
    router.on::<VmShutdown, _, _, _>(shutdown);
    router.on::<VmReboot, _, _, _>(reboot);
    router.on::<VmReset, _, _, _>(|call, path| simple(call, path, Power::Reset));
    router.on::<VmSuspend, _, _, _>(|call, path| simple(call, path, Power::Suspend));
    router.on::<VmResume, _, _, _>(|call, path| simple(call, path, Power::Resume));
    router.on::<VmResize, _, _, _>(resize);
    router.on::<VmTermproxy, _, _, _>(termproxy);
}

async fn list(call: Call, params: NodePath) -> Result<Vec<GuestStatus>> {
    call.node.check_name(&params.node)?;
    let mut list = call.node.guest_list(KIND).await?;
    list.retain(|vm| call.allows(&format!("/vms/{}", vm.vmid), &[Privilege::VmAudit]));
    Ok(list)
}

async fn create(call: Call, params: VmNew) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    may_allocate(&call, &params.config)?;
    vm::create(&call.node, call.auth(), params).await
}

async fn delete(call: Call, params: GuestDelete) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    remove::remove(&call.node, call.auth(), KIND, params).await
}

async fn config(call: Call, params: ConfigQuery) -> Result<WithDigest<QemuConfig>> {
    call.node.check_name(&params.node)?;
    let guest = call.node.guest(KIND, params.vmid)?;
    let running = match params.current {
        Some(true) => call.node.running_config(KIND, params.vmid),
        _ => None,
    };
    match running.unwrap_or(guest.record.config) {
        GuestConfig::Qemu(config) => Ok(WithDigest {
            digest: guest.digest,
            config: *config,
        }),
        GuestConfig::Lxc(_) => Err(Error::not_found(format_args!("VM {}", params.vmid))),
    }
}

async fn change(call: Call, params: ConfigChange<QemuConfig>) -> Result<()> {
    call.node.check_name(&params.node)?;
    may_allocate(&call, &params.config)?;
    let _lock = call.node.lock_guest(KIND, params.vmid, "config")?;
    let change = Change::new(
        params.config.to_map(),
        params.delete.as_deref(),
        params.digest,
    );
    call.node
        .change_guest(KIND, params.vmid, &change, &Report::Journal)
        .await
}

async fn change_as_task(call: Call, params: ConfigChange<QemuConfig>) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    may_allocate(&call, &params.config)?;
    let vmid = params.vmid;
    call.node.guest(KIND, vmid)?;
    let lock = call.node.lock_guest(KIND, vmid, "config")?;
    let change = Change::new(
        params.config.to_map(),
        params.delete.as_deref(),
        params.digest,
    );
    let user = call.auth();
    let task = NewTask {
        kind: "qmconfig",
        id: vmid.to_string(),
        user,
        lock: Some(lock),
    };
    let node = call.node.clone();
    let spawned = call.node.tasks.spawn(task, |context| async move {
        node.change_guest(KIND, vmid, &change, &Report::Task(context))
            .await
    });
    spawned.map_err(Error::failed)
}

/// New disks take room on storages, and volumes that are named are read: rights of their own.
fn may_allocate(call: &Call, config: &QemuConfig) -> Result<()> {
    for (_, disk) in config.disks() {
        if let VolumeSource::New { storage, .. } = &disk.file {
            let path = format!("/storage/{storage}");
            call.require(&path, &[Privilege::DatastoreAllocateSpace])?;
        }
        for volume in disk.file.volume().into_iter().chain(&disk.import_from) {
            may_use(call, volume)?;
        }
    }
    let boots = config.kernel.iter().chain(&config.initrd);
    boots
        .into_iter()
        .try_for_each(|volume| may_use(call, volume))
}

/// A guest's disk is used by who may change that guest's disks, any other volume by who may see
/// its storage.
pub fn may_use(call: &Call, volume: &VolumeId) -> Result<()> {
    match volume.owner() {
        Some(owner) => call.require(&format!("/vms/{owner}"), &[Privilege::VmConfigDisk]),
        None => {
            let look = [Privilege::DatastoreAudit, Privilege::DatastoreAllocateSpace];
            call.require(&format!("/storage/{}", volume.storage()), &look)
        }
    }
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

async fn simple(call: Call, params: GuestPath, what: Power) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    power(&call.node, call.auth(), KIND, params.vmid, what).await
}

async fn resize(call: Call, params: VmResizeParams) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    disks::resize(&call.node, call.auth(), params).await
}

async fn termproxy(call: Call, params: VmTermproxyParams) -> Result<ConsoleTicket> {
    call.node.check_name(&params.node)?;
    call.node.guest(KIND, params.vmid)?;
    if !call.node.is_running(KIND, params.vmid).await? {
        return Err(Error::failed(format_args!(
            "VM {} not running",
            params.vmid
        )));
    }
    let socket = basalt_vm::console_socket(&call.node.run_machines, params.vmid);
    console::prepare(&call, params.vmid, console::Target::Serial(socket))
}
