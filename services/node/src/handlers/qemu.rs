//! Virtual machines.

use crate::call::Call;
use crate::console;
use crate::console::keys::{self, Chord};
use crate::guests::change::{Change, pending};
use crate::guests::power::{Power, power};
use crate::guests::{self, Report, disks, remove, rights, vm};
use crate::router::Router;
use basalt_api::methods::guest::{
    ConfigChange, ConfigQuery, ConsoleTicket, GuestCurrent, GuestDelete, GuestPath, GuestResize,
    GuestShutdown, GuestStart, GuestStatus, GuestStop, HaState, PendingEntry, ScreenTicket,
    WithDigest,
};
use basalt_api::methods::qemu::{
    CloudinitDocument, VmCloudinitDump, VmCloudinitDumpParams, VmCloudinitGet, VmCloudinitPut,
    VmConfigGet, VmConfigPost, VmConfigPut, VmCreate, VmCurrent, VmDelete, VmList, VmNew,
    VmPending, VmQuery, VmReboot, VmReset, VmResize, VmResume, VmSendkey, VmSendkeyParams,
    VmShutdown, VmStart, VmStop, VmSuspend, VmSuspendParams, VmTermproxy, VmTermproxyParams,
    VmUnlink, VmUnlinkParams, VmVncproxy, VmVncproxyParams,
};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege;
use basalt_model::guest::{GuestConfig, GuestKind};
use basalt_model::qemu::QemuConfig;
use basalt_model::qemu::cloudinit::is_setting;
use basalt_model::qemu::serial::SerialName;
use basalt_model::storage::{VolumeId, VolumeSource};
use basalt_model::upid::Upid;
use basalt_model::vmid::Vmid;
use basalt_tasks::NewTask;
use serde_json::Map;
use std::path::PathBuf;
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
    router.on::<VmSuspend, _, _, _>(suspend);
    router.on::<VmResume, _, _, _>(|call, path| simple(call, path, Power::Resume));
    router.on::<VmResize, _, _, _>(resize);
    router.on::<VmUnlink, _, _, _>(unlink);
    router.on::<VmCloudinitGet, _, _, _>(cloudinit_pending);
    router.on::<VmCloudinitPut, _, _, _>(cloudinit_update);
    router.on::<VmCloudinitDump, _, _, _>(cloudinit_dump);
    router.on::<VmSendkey, _, _, _>(sendkey);
    router.on::<VmTermproxy, _, _, _>(termproxy);
    router.on::<VmVncproxy, _, _, _>(vncproxy);
}

async fn list(call: Call, params: VmQuery) -> Result<Vec<GuestStatus>> {
    call.node.check_name(&params.node)?;
    let mut list = call.node.guest_list(KIND).await?;
    list.retain(|vm| call.allows(&format!("/vms/{}", vm.vmid), &[Privilege::VmAudit]));
    Ok(list)
}

async fn create(call: Call, mut params: VmNew) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    let (vmid, pool) = (params.vmid, params.pool.as_ref());
    rights::may_create(&call, vmid, pool, KIND, &params.config.to_map())?;
    may_allocate(&call, &params.config)?;
    give_addresses(&call, &mut params.config)?;
    vm::create(&call.node, call.auth(), params).await
}

async fn delete(call: Call, params: GuestDelete) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    remove::remove(&call.node, call.auth(), KIND, params).await
}

async fn config(call: Call, params: ConfigQuery) -> Result<WithDigest<QemuConfig>> {
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
        GuestConfig::Qemu(config) => Ok(WithDigest {
            digest: guest.digest,
            config: config.without_secrets(),
        }),
        GuestConfig::Lxc(_) => Err(Error::not_found(format_args!("VM {}", params.vmid))),
    }
}

async fn change(call: Call, mut params: ConfigChange<QemuConfig>) -> Result<()> {
    call.node.check_name(&params.node)?;
    may_allocate(&call, &params.config)?;
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

async fn change_as_task(call: Call, mut params: ConfigChange<QemuConfig>) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    may_allocate(&call, &params.config)?;
    give_addresses(&call, &mut params.config)?;
    let vmid = params.vmid;
    let lock = call.node.lock_config(KIND, vmid, "config").await?;
    let change = Change::new(
        params.config.to_map(),
        params.delete.as_deref(),
        params.digest,
    );
    let before = call.node.guest(KIND, vmid)?;
    rights::may_change(&call, vmid, &change, &before.record.config)?;
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

/// Cards that were given no hardware address get one as the cluster wants it.
fn give_addresses(call: &Call, config: &mut QemuConfig) -> Result<()> {
    for net in config.net.values_mut().filter(|net| net.mac.is_none()) {
        net.mac = Some(call.node.new_mac()?);
    }
    Ok(())
}

/// New disks take room on storages, volumes that are named are read, and so are mapped directories:
/// rights of their own.
fn may_allocate(call: &Call, config: &QemuConfig) -> Result<()> {
    let disks = config.disks().into_iter();
    let disks = disks.map(|(_, disk)| (&disk.file, &disk.import_from));
    let variables = config.efidisk0.iter();
    let variables = variables.map(|disk| (&disk.file, &disk.import_from));
    let tpm = config.tpmstate0.iter();
    let tpm = tpm.map(|disk| (&disk.file, &disk.import_from));
    for (file, import) in disks.chain(variables).chain(tpm) {
        if let VolumeSource::New { storage, .. } | VolumeSource::CloudInit { storage } = file {
            let path = format!("/storage/{storage}");
            call.require(&path, &[Privilege::DatastoreAllocateSpace])?;
        }
        for volume in file.volume().into_iter().chain(import) {
            may_use(call, volume)?;
        }
    }
    for share in config.virtiofs.values() {
        call.require(&share.dirid.dir_acl_path(), &[Privilege::MappingUse])?;
    }
    let custom = config.cicustom.iter().flat_map(|custom| custom.volumes());
    let boots = config.kernel.iter().chain(&config.initrd);
    boots
        .chain(custom)
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

async fn cloudinit_pending(call: Call, params: GuestPath) -> Result<Vec<PendingEntry>> {
    let mut entries = pending_settings(call, params).await?;
    entries.retain(|entry| is_setting(&entry.key));
    Ok(entries)
}

async fn cloudinit_update(call: Call, params: GuestPath) -> Result<()> {
    call.node.check_name(&params.node)?;
    let _lock = call
        .node
        .lock_config(KIND, params.vmid, "cloudinit")
        .await?;
    call.node.regenerate_cloudinit(params.vmid).await
}

async fn cloudinit_dump(call: Call, params: VmCloudinitDumpParams) -> Result<String> {
    call.node.check_name(&params.node)?;
    let vmid = params.vmid;
    let GuestConfig::Qemu(config) = call.node.guest(KIND, vmid)?.record.config else {
        return Err(Error::not_found(format_args!("VM {vmid}")));
    };
    let told = match params.kind {
        // The digest in it is over what the guest is told.
        CloudinitDocument::Meta => *config,
        CloudinitDocument::User | CloudinitDocument::Network => config.without_secrets(),
    };
    let seed = call.node.cloudinit_seed(vmid, &told).await?;
    Ok(match params.kind {
        CloudinitDocument::User => seed.user,
        CloudinitDocument::Network => seed.network,
        CloudinitDocument::Meta => seed.meta,
    })
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

async fn resize(call: Call, params: GuestResize) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    disks::resize(&call.node, call.auth(), KIND, params).await
}

async fn unlink(call: Call, params: VmUnlinkParams) -> Result<()> {
    call.node.check_name(&params.node)?;
    let vmid = params.vmid;
    let _lock = call.node.lock_config(KIND, vmid, "config").await?;
    let guest = call.node.guest(KIND, vmid)?;
    let own = guest.record.config.own_volumes(vmid);
    let named = |id: &str| own.iter().find(|(key, _)| key == id);
    let ids = params.idlist.split([',', ';', ' ']);
    let ids: Vec<&str> = ids.filter(|id| !id.is_empty()).collect();
    if let Some(other) = ids.iter().find(|id| named(id).is_none()) {
        let text = format!("'{other}' is no disk of VM {vmid}");
        return Err(Error::param("idlist", text));
    }
    let doomed: Vec<VolumeId> = ids
        .iter()
        .filter_map(|id| named(id).map(|(_, volume)| volume.clone()))
        .collect();
    let detach = Change::new(Map::new(), Some(&ids.join(",")), None);
    let report = Report::Journal;
    call.node.change_guest(KIND, vmid, &detach, &report).await?;
    if params.force != Some(true) {
        return Ok(());
    }
    // What was in use is unused now, and goes with its volume.
    let left = call.node.guest(KIND, vmid)?.record.config.own_volumes(vmid);
    let unused = left
        .into_iter()
        .filter(|(key, volume)| key.starts_with("unused") && doomed.contains(volume));
    let unused: Vec<String> = unused.map(|(key, _)| key).collect();
    if unused.is_empty() {
        return Ok(());
    }
    let remove = Change::new(Map::new(), Some(&unused.join(",")), None);
    call.node.change_guest(KIND, vmid, &remove, &report).await
}

async fn suspend(call: Call, params: VmSuspendParams) -> Result<Upid> {
    let vmid = params.vmid;
    if params.todisk != Some(true) {
        if params.statestorage.is_some() {
            return Err(Error::param("statestorage", "needs todisk=1"));
        }
        let node = params.node;
        return simple(call, GuestPath { node, vmid }, Power::Suspend).await;
    }
    call.node.check_name(&params.node)?;
    let guest = call.node.guest(KIND, vmid)?;
    let storage = match (params.statestorage, &guest.record.config) {
        (Some(storage), _) => storage,
        (None, GuestConfig::Qemu(config)) => guests::suspend::usual_storage(config),
        (None, GuestConfig::Lxc(_)) => return Err(Error::not_found(guest.title())),
    };
    let path = format!("/storage/{storage}");
    call.require(&path, &[Privilege::DatastoreAllocateSpace])?;
    guests::suspend::suspend(&call.node, call.auth(), vmid, storage).await
}

/// Fails unless a machine is there and runs.
async fn must_run(call: &Call, node: &str, vmid: Vmid) -> Result<()> {
    call.node.check_name(node)?;
    call.node.guest(KIND, vmid)?;
    if !call.node.is_running(KIND, vmid).await? {
        return Err(Error::failed(format_args!("VM {vmid} not running")));
    }
    Ok(())
}

/// The socket of a running machine's screen.
fn screen(call: &Call, vmid: Vmid) -> Result<PathBuf> {
    let socket = basalt_vm::screen_socket(&call.node.run_machines, vmid);
    if socket.exists() {
        return Ok(socket);
    }
    Err(Error::failed(format_args!(
        "VM {vmid} has no screen: set 'vga' to std or virtio and start it anew"
    )))
}

async fn sendkey(call: Call, params: VmSendkeyParams) -> Result<()> {
    let chord: Chord = params.key.parse().map_err(|e| Error::param("key", e))?;
    must_run(&call, &params.node, params.vmid).await?;
    let socket = screen(&call, params.vmid)?;
    keys::press(&socket, &chord).await.map_err(Error::failed)
}

async fn vncproxy(call: Call, params: VmVncproxyParams) -> Result<ScreenTicket> {
    must_run(&call, &params.node, params.vmid).await?;
    let socket = screen(&call, params.vmid)?;
    let certificate = call.node.settings.state.join("tls/cert.pem");
    // Only clients that open a connection of their own look at it.
    let cert = tokio::fs::read_to_string(certificate)
        .await
        .unwrap_or_default();
    let password = params
        .generate_password
        .unwrap_or(false)
        .then(console::screen::password);
    let target = console::Target::Screen {
        socket,
        password: password.clone(),
    };
    let prepared = console::prepare(&call, params.vmid, target)?;
    Ok(ScreenTicket {
        user: prepared.user,
        ticket: prepared.ticket,
        password,
        cert,
        port: prepared.port,
        upid: prepared.upid,
    })
}

async fn termproxy(call: Call, params: VmTermproxyParams) -> Result<ConsoleTicket> {
    must_run(&call, &params.node, params.vmid).await?;
    let (node, vmid) = (&call.node, params.vmid);
    let port = serial_port(node.running_config(KIND, vmid).as_ref(), params.serial)
        .map_err(|text| Error::param("serial", text))?;
    let socket = basalt_vm::console_socket(&node.run_machines, vmid, port);
    console::prepare(&call, vmid, console::Target::Serial(socket))
}

/// The serial port that is wanted of a machine that runs as `running`, or why there is none.
fn serial_port(
    running: Option<&GuestConfig>,
    wanted: Option<SerialName>,
) -> std::result::Result<SerialName, String> {
    let config = match running {
        Some(GuestConfig::Qemu(config)) => Some(config),
        Some(GuestConfig::Lxc(_)) | None => None,
    };
    let has = |name: SerialName| match config {
        Some(config) => config.has_serial(name),
        None => name == SerialName::Serial0,
    };
    match wanted {
        Some(name) if has(name) => Ok(name),
        Some(name) => Err(format!(
            "the machine runs without {name}: set '{name}' to socket and start it anew"
        )),
        None => {
            let shown = config.and_then(|config| config.vga_serial());
            Ok(shown
                .filter(|name| has(*name))
                .unwrap_or(SerialName::Serial0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_console_is_of_a_port_that_the_machine_runs_with() {
        let running = |config| GuestConfig::Qemu(serde_json::from_value(config).unwrap());
        let one = running(json!({"vga": "serial2"}));
        let two = running(json!({"serial2": "socket", "vga": "serial2"}));
        let port = |config: &GuestConfig, wanted| serial_port(Some(config), wanted);
        assert_eq!(port(&one, None), Ok(SerialName::Serial0));
        assert_eq!(port(&two, None), Ok(SerialName::Serial2));
        assert_eq!(
            port(&two, Some(SerialName::Serial0)),
            Ok(SerialName::Serial0)
        );
        let refused = port(&two, Some(SerialName::Serial1)).unwrap_err();
        assert!(refused.contains("set 'serial1' to socket"), "{refused}");
        assert_eq!(serial_port(None, None), Ok(SerialName::Serial0));
        assert!(serial_port(None, Some(SerialName::Serial3)).is_err());
    }
}
