//! What guests were at earlier times.

use crate::call::Call;
use crate::guests::rollback;
use crate::guests::snapshots::{self, NewSnapshot};
use crate::router::Router;
use basalt_api::methods::guest::GuestPath;
use basalt_api::methods::snapshots::{
    CtSnapshotConfigGet, CtSnapshotConfigPut, CtSnapshotCreate, CtSnapshotDelete, CtSnapshotList,
    CtSnapshotNew, CtSnapshotRollback, SnapshotChange, SnapshotConfig, SnapshotDelete,
    SnapshotEntry, SnapshotPath, SnapshotRollback, VmSnapshotConfigGet, VmSnapshotConfigPut,
    VmSnapshotCreate, VmSnapshotDelete, VmSnapshotList, VmSnapshotNew, VmSnapshotRollback,
};
use basalt_api::{Error, Result};
use basalt_model::guest::{GuestConfig, GuestKind};
use basalt_model::history::Snapshot;
use basalt_model::lxc::LxcConfig;
use basalt_model::qemu::QemuConfig;
use basalt_model::upid::Upid;

const VM: GuestKind = GuestKind::Qemu;
const CT: GuestKind = GuestKind::Lxc;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<VmSnapshotList, _, _, _>(of_machine);
    router.on::<VmSnapshotCreate, _, _, _>(take_of_machine);
    router.on::<VmSnapshotDelete, _, _, _>(|call, params| remove(call, VM, params));
    router.on::<VmSnapshotRollback, _, _, _>(|call, params| roll_back(call, VM, params));
    router.on::<VmSnapshotConfigGet, _, _, _>(machine_was);
    router.on::<VmSnapshotConfigPut, _, _, _>(|call, params| describe(call, VM, params));
    router.on::<CtSnapshotList, _, _, _>(of_container);
    router.on::<CtSnapshotCreate, _, _, _>(take_of_container);
    router.on::<CtSnapshotDelete, _, _, _>(|call, params| remove(call, CT, params));
    router.on::<CtSnapshotRollback, _, _, _>(|call, params| roll_back(call, CT, params));
    router.on::<CtSnapshotConfigGet, _, _, _>(container_was);
    router.on::<CtSnapshotConfigPut, _, _, _>(|call, params| describe(call, CT, params));
}

async fn of_machine(call: Call, params: GuestPath) -> Result<Vec<SnapshotEntry>> {
    list(&call, VM, params).await
}

async fn of_container(call: Call, params: GuestPath) -> Result<Vec<SnapshotEntry>> {
    list(&call, CT, params).await
}

async fn list(call: &Call, kind: GuestKind, params: GuestPath) -> Result<Vec<SnapshotEntry>> {
    call.node.check_name(&params.node)?;
    let guest = call.node.guest(kind, params.vmid)?;
    let history = &guest.record.history;
    let entry = |(name, snapshot): (&basalt_model::storage::SnapshotName, &Snapshot)| {
        let text = snapshot.description.as_ref();
        SnapshotEntry {
            name: name.to_string(),
            description: text.map(ToString::to_string).unwrap_or_default(),
            parent: snapshot.parent.clone(),
            snaptime: Some(snapshot.time),
            vmstate: (kind == VM).then_some(snapshot.vmstate.is_some()),
            snapstate: snapshot.work.map(|work| work.to_string()),
            ..SnapshotEntry::default()
        }
    };
    let mut entries: Vec<SnapshotEntry> = history.snapshots.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.snaptime);
    entries.push(SnapshotEntry {
        name: snapshots::PRESENT.to_owned(),
        description: "the guest as it is now".to_owned(),
        parent: history.parent.clone(),
        running: Some(call.node.is_running(kind, params.vmid).await?),
        digest: Some(guest.digest),
        ..SnapshotEntry::default()
    });
    Ok(entries)
}

async fn take_of_machine(call: Call, params: VmSnapshotNew) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    let new = NewSnapshot {
        name: params.snapname,
        description: params.description,
        with_memory: params.vmstate == Some(true),
    };
    snapshots::take(&call.node, call.auth(), VM, params.vmid, new).await
}

async fn take_of_container(call: Call, params: CtSnapshotNew) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    let new = NewSnapshot {
        name: params.snapname,
        description: params.description,
        with_memory: false,
    };
    snapshots::take(&call.node, call.auth(), CT, params.vmid, new).await
}

async fn remove(call: Call, kind: GuestKind, params: SnapshotDelete) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    let force = params.force == Some(true);
    let (node, vmid, name) = (&call.node, params.vmid, params.snapname);
    snapshots::remove(node, call.auth(), kind, vmid, name, force).await
}

async fn roll_back(call: Call, kind: GuestKind, params: SnapshotRollback) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    let start = params.start == Some(true);
    let (node, vmid, name) = (&call.node, params.vmid, params.snapname);
    rollback::spawn(node, call.auth(), kind, vmid, name, start).await
}

/// A snapshot that is whole, with its configuration.
fn was(call: &Call, kind: GuestKind, params: &SnapshotPath) -> Result<Snapshot> {
    call.node.check_name(&params.node)?;
    let guest = call.node.guest(kind, params.vmid)?;
    snapshots::find(&guest, &params.snapname).cloned()
}

async fn machine_was(call: Call, params: SnapshotPath) -> Result<SnapshotConfig<QemuConfig>> {
    let snapshot = was(&call, VM, &params)?;
    let GuestConfig::Qemu(config) = snapshot.config else {
        return Err(Error::not_found(format_args!("VM {}", params.vmid)));
    };
    let mut config = config.without_secrets();
    config.description = snapshot.description;
    Ok(SnapshotConfig {
        snaptime: snapshot.time,
        parent: snapshot.parent,
        config,
    })
}

async fn container_was(call: Call, params: SnapshotPath) -> Result<SnapshotConfig<LxcConfig>> {
    let snapshot = was(&call, CT, &params)?;
    let GuestConfig::Lxc(mut config) = snapshot.config else {
        return Err(Error::not_found(format_args!("CT {}", params.vmid)));
    };
    config.description = snapshot.description;
    Ok(SnapshotConfig {
        snaptime: snapshot.time,
        parent: snapshot.parent,
        config: *config,
    })
}

async fn describe(call: Call, kind: GuestKind, params: SnapshotChange) -> Result<()> {
    call.node.check_name(&params.node)?;
    let _lock = call.node.lock_guest(kind, params.vmid, "snapshot")?;
    let guest = call.node.guest(kind, params.vmid)?;
    guest.check_unlocked()?;
    snapshots::find(&guest, &params.snapname)?;
    let mut record = guest.record.clone();
    if let Some(snapshot) = record.history.snapshots.get_mut(&params.snapname) {
        snapshot.description = params.description;
    }
    call.node.replace_guest(&guest, &record).await
}
