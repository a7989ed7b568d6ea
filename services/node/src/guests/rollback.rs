//! Making a guest what it was at a snapshot.
//!
//! The record says first where the guest goes back to. From then on it only ever goes there: after an
//! interruption the next start of the node goes on, for a volume may go back any number of times.

use super::snapshots::{find, volumes_of};
use super::{Guest, Report};
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_model::guest::{GuestConfig, GuestKind, GuestRecord, Lock};
use basalt_model::history::Snapshot;
use basalt_model::machine::Request;
use basalt_model::storage::{SnapshotName, VolumeId};
use basalt_model::upid::Upid;
use basalt_model::userid::Authid;
use basalt_model::vmid::Vmid;
use basalt_tasks::NewTask;
use serde_json::Value;

/// Makes a guest what it was, as a task.
pub async fn spawn(
    node: &Node,
    user: &Authid,
    kind: GuestKind,
    vmid: Vmid,
    name: SnapshotName,
    start: bool,
) -> Result<Upid> {
    let lock = node.lock_guest(kind, vmid, "rollback")?;
    let guest = node.guest(kind, vmid)?;
    guest.check_unlocked()?;
    find(&guest, &name)?;
    let task = NewTask {
        kind: match kind {
            GuestKind::Qemu => "qmrollback",
            GuestKind::Lxc => "vzrollback",
        },
        id: vmid.to_string(),
        user,
        lock: Some(lock),
    };
    let work = node.clone();
    let spawned = node.tasks.spawn(task, |context| async move {
        let report = Report::Task(context);
        work.roll_back(&guest, &name, &report).await?;
        let with_memory = find(&guest, &name)?.vmstate.is_some();
        if with_memory {
            work.run_from_snapshot(kind, vmid, &name, &report).await
        } else if start {
            work.start_guest(kind, vmid, &report).await
        } else {
            Ok(())
        }
    });
    spawned.map_err(Error::failed)
}

/// What a guest is configured to be when it has gone back: as it was then, and what it has besides is
/// not used.
fn gone_back(now: &GuestConfig, snapshot: &Snapshot, vmid: Vmid) -> Result<GuestConfig> {
    let mut map = snapshot.config.to_map();
    let then = snapshot.config.own_volumes(vmid).into_iter();
    let mut kept: Vec<VolumeId> = then.map(|(_, volume)| volume).collect();
    let had = now.own_volumes(vmid).into_iter();
    for (_, volume) in had.filter(|(_, volume)| !basalt_model::qemu::cloudinit::is_drive(volume)) {
        if kept.contains(&volume) {
            continue;
        }
        let free = (0..=255)
            .map(|number| format!("unused{number}"))
            .find(|key| !map.contains_key(key));
        let free = free.ok_or_else(|| Error::failed("too many unused volumes"))?;
        map.insert(free, Value::String(volume.to_string()));
        kept.push(volume);
    }
    Ok(snapshot.config.with_map(&map)?)
}

impl Node {
    async fn roll_back(&self, guest: &Guest, name: &SnapshotName, report: &Report) -> Result<()> {
        let (kind, vmid) = (guest.kind(), guest.vmid);
        let mut record = guest.record.clone();
        record.lock = Some(Lock::Rollback);
        record.history.parent = Some(name.clone());
        self.replace_guest(guest, &record).await?;
        if self.is_running(kind, vmid).await? {
            report.log(format_args!("stopping {}", guest.title()));
            self.stop_guest(kind, vmid).await?;
        }
        match self.finish_rollback(vmid, &record, report).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // It may be tried again: what went back already goes back once more.
                self.put_guest(vmid, &guest.record).await?;
                Err(error)
            }
        }
    }

    /// Brings the volumes of a guest back to the snapshot that its record names as its parent, and then
    /// its configuration.
    pub async fn finish_rollback(
        &self,
        vmid: Vmid,
        record: &GuestRecord,
        report: &Report,
    ) -> Result<()> {
        let history = &record.history;
        let target = history.parent.as_ref();
        let found = target.and_then(|name| Some((name, history.snapshots.get(name)?)));
        let (name, snapshot) =
            found.ok_or_else(|| Error::failed("the snapshot to go back to is not there"))?;
        for volume in volumes_of(snapshot, vmid) {
            report.log(format_args!("rolling back '{volume}' to '{name}'"));
            // A guest that just ended lets go of it in a moment.
            drop(super::volumes::open(&self.storages, &volume).await);
            let storage = self.storages.of(&volume).map_err(Error::failed)?;
            let done = storage.roll_back(&volume, name).await;
            done.map_err(Error::failed)?;
        }
        let config = gone_back(&record.config, snapshot, vmid)?;
        self.put_guest(vmid, &record.free(config)).await
    }

    /// Lets a machine that has gone back run from the memory that it had.
    async fn run_from_snapshot(
        &self,
        kind: GuestKind,
        vmid: Vmid,
        name: &SnapshotName,
        report: &Report,
    ) -> Result<()> {
        let guest = self.guest(kind, vmid)?;
        let snapshot = find(&guest, name)?;
        let running = snapshot.running.as_ref().unwrap_or(&snapshot.config);
        let (Some(vmstate), GuestConfig::Qemu(config)) = (&snapshot.vmstate, running) else {
            return Ok(());
        };
        report.log(format_args!("going on from the memory in '{vmstate}'"));
        drop(self.start_from_state(vmid, config, vmstate).await?);
        self.note_running_config(vmid, running);
        self.order(vmid, &Request::Resume).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_came_since_is_kept_unused() {
        let config = |value: Value| -> GuestConfig {
            serde_json::from_value(json!({"kind": "qemu", "config": value})).unwrap()
        };
        let was = config(
            json!({"memory": 512, "scsi0": "local:100/vm-100-disk-0.qcow2,size=1G",
            "unused0": "local:100/vm-100-disk-1.qcow2"}),
        );
        let now = config(
            json!({"memory": 1024, "scsi0": "local:100/vm-100-disk-2.qcow2,size=2G",
            "scsi1": "local:100/vm-100-disk-1.qcow2",
            "unused0": "local:100/vm-100-disk-0.qcow2",
            "ide2": "local:100/vm-100-cloudinit.raw,media=cdrom"}),
        );
        let snapshot = Snapshot {
            config: was,
            time: 0,
            description: None,
            parent: None,
            running: None,
            vmstate: None,
            work: None,
        };
        let back = gone_back(&now, &snapshot, Vmid::MIN).unwrap().to_map();
        let expected = json!({"memory": 512,
            "scsi0": "local:100/vm-100-disk-0.qcow2,size=1G",
            "unused0": "local:100/vm-100-disk-1.qcow2",
            "unused1": "local:100/vm-100-disk-2.qcow2"});
        assert_eq!(Value::Object(back), expected);
    }
}
