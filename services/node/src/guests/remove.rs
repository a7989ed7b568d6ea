//! Removing a guest with its volumes.

use super::{Guest, Report, volumes};
use crate::state::Node;
use basalt_api::methods::guest::GuestDelete;
use basalt_api::{Error, Result};
use basalt_model::guest::{GuestKind, GuestRecord, Lock};
use basalt_model::storage::VolumeId;
use basalt_model::upid::Upid;
use basalt_model::userid::Authid;
use basalt_model::vmid::Vmid;
use basalt_tasks::NewTask;

/// Removes a guest; it must be stopped, or `force` says to stop it.
pub async fn remove(
    node: &Node,
    user: &Authid,
    kind: GuestKind,
    params: GuestDelete,
) -> Result<Upid> {
    let vmid = params.vmid;
    let guest = node.guest(kind, vmid)?;
    let lock = node.lock_guest(kind, vmid, "destroy")?;
    if guest.record.config.is_protected() {
        let title = guest.title();
        return Err(Error::failed(format_args!(
            "can't remove {title} - protection mode enabled: set protection=0 first"
        )));
    }
    let force = params.force == Some(true);
    if !force && node.is_running(kind, vmid).await? {
        let title = guest.title();
        return Err(Error::failed(format_args!(
            "{title} is running - destroy failed: stop it first"
        )));
    }
    let name = match kind {
        GuestKind::Qemu => "qmdestroy",
        GuestKind::Lxc => "vzdestroy",
    };
    let unreferenced = params.destroy_unreferenced_disks == Some(true);
    let task = NewTask {
        kind: name,
        id: vmid.to_string(),
        user,
        lock: Some(lock),
    };
    let work = node.clone();
    node.tasks
        .spawn(task, |context| async move {
            let report = Report::Task(context);
            work.stop_guest(kind, vmid).await?;
            work.remove_stopped(&guest, unreferenced, &report).await
        })
        .map_err(Error::failed)
}

impl Node {
    /// Removes a guest that does not run and whose lock is held. Once begun it is only ever
    /// finished, after an interruption by the next start of the node.
    pub async fn remove_stopped(
        &self,
        guest: &Guest,
        unreferenced: bool,
        report: &Report,
    ) -> Result<()> {
        let record = GuestRecord {
            lock: Some(Lock::Destroy),
            ..guest.record.clone()
        };
        self.put_guest(guest.vmid, &record).await?;
        let own = record
            .config
            .own_volumes(guest.vmid)
            .into_iter()
            .map(|(_, volume)| volume);
        let state = record
            .suspended
            .into_iter()
            .map(|suspended| suspended.vmstate);
        let memories = record.history.snapshots.into_values();
        let memories = memories.filter_map(|snapshot| snapshot.vmstate);
        let others = record.making.into_iter().chain(state).chain(memories);
        let mut doomed: Vec<VolumeId> = own.chain(others).collect();
        if unreferenced {
            doomed.extend(self.volumes_of(guest.vmid).await?);
        }
        doomed.sort();
        doomed.dedup();
        volumes::discard(&self.storages, &doomed, report).await;
        self.forget_removed_guest(guest.vmid).await?;
        report.log(format_args!("{} is removed", guest.title()));
        Ok(())
    }

    /// Every disk that belongs to a guest by its name.
    async fn volumes_of(&self, vmid: Vmid) -> Result<Vec<VolumeId>> {
        let mut found = Vec::new();
        for (_, config, storage) in self.storages.all() {
            if !config.disable {
                let disks = storage
                    .list(Some(basalt_model::storage::ContentKind::Images))
                    .await;
                let disks = disks.map_err(Error::failed)?.into_iter();
                found.extend(
                    disks
                        .map(|disk| disk.id)
                        .filter(|id| id.owner() == Some(vmid)),
                );
            }
        }
        Ok(found)
    }
}
