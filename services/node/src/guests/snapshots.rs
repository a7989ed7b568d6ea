//! Snapshots of guests: taking them, removing them.
//!
//! A snapshot is stored before anything of it is there, and marked until all of it is. What an
//! interruption leaves marked is removed, by the next start of the node or by hand.

use super::features::{data_volumes, without_snapshots};
use super::suspend::may_be_kept;
use super::{Guest, Report, volumes};
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_model::guest::{Description, GuestConfig, GuestKind, GuestRecord, Lock};
use basalt_model::history::{Snapshot, SnapshotWork};
use basalt_model::machine::{Request, RunState, STATE_ROOM};
use basalt_model::storage::{DiskSize, SnapshotName, VolumeId};
use basalt_model::upid::Upid;
use basalt_model::userid::Authid;
use basalt_model::vmid::Vmid;
use basalt_storage::StorageError;
use basalt_tasks::NewTask;
use basalt_vm::agent::Question;
use std::time::{SystemTime, UNIX_EPOCH};

/// What lists call the guest as it is now; no snapshot can be called so.
pub const PRESENT: &str = "current";

/// A snapshot to be taken.
#[derive(Debug)]
pub struct NewSnapshot {
    /// Its name.
    pub name: SnapshotName,
    /// Free text about it.
    pub description: Option<Description>,
    /// With the memory of a machine that runs.
    pub with_memory: bool,
}

/// A snapshot that is whole.
pub fn find<'a>(guest: &'a Guest, name: &SnapshotName) -> Result<&'a Snapshot> {
    let found = guest.record.history.snapshots.get(name);
    let whole = found.filter(|snapshot| snapshot.work.is_none());
    whole.ok_or_else(|| missing(name))
}

fn missing(name: &SnapshotName) -> Error {
    Error::failed(format_args!("snapshot '{name}' does not exist"))
}

/// The volumes of which a snapshot has a part: those of what the guest was configured to be, and of
/// what ran.
pub fn volumes_of(snapshot: &Snapshot, vmid: Vmid) -> Vec<VolumeId> {
    let configs = [Some(&snapshot.config), snapshot.running.as_ref()];
    let all = configs.into_iter().flatten();
    let all = all.flat_map(|config| data_volumes(config, vmid));
    let mut volumes: Vec<VolumeId> = all.map(|(_, volume)| volume).collect();
    volumes.sort();
    volumes.dedup();
    volumes
}

/// Takes a snapshot as a task; everything is checked before this returns.
pub async fn take(
    node: &Node,
    user: &Authid,
    kind: GuestKind,
    vmid: Vmid,
    new: NewSnapshot,
) -> Result<Upid> {
    let lock = node.lock_guest(kind, vmid, "snapshot")?;
    let guest = node.guest(kind, vmid)?;
    guest.check_unlocked()?;
    let name = &new.name;
    if name.to_string() == PRESENT {
        let text = format!("unable to use snapshot name '{PRESENT}' (reserved name)");
        return Err(Error::param("snapname", text));
    }
    if guest.record.history.snapshots.contains_key(name) {
        return Err(Error::failed(format_args!(
            "snapshot name '{name}' already used"
        )));
    }
    if guest.record.config.is_template() {
        return Err(Error::failed(
            "you can't take a snapshot if it's a template",
        ));
    }
    let running = node.is_running(kind, vmid).await?;
    let mut snapshot = Snapshot {
        config: guest.record.config.clone(),
        time: now(),
        description: new.description,
        parent: guest.record.history.parent.clone(),
        running: None,
        vmstate: None,
        work: Some(SnapshotWork::Prepare),
    };
    let running_config = match running {
        true => node.running_config(kind, vmid),
        false => None,
    };
    for config in [Some(&snapshot.config), running_config.as_ref()] {
        let Some(config) = config else { continue };
        if let Some(text) = without_snapshots(&node.storages, config, vmid, running)? {
            return Err(Error::failed(text));
        }
    }
    if running && new.with_memory {
        if let GuestConfig::Qemu(config) = running_config.as_ref().unwrap_or(&snapshot.config) {
            may_be_kept(config)?;
        }
        snapshot.vmstate = Some(node.state_volume(&guest, name).await?);
    }
    // What is plugged in belongs to it even when the next start would be without.
    snapshot.running = running_config;
    let task = NewTask {
        kind: match kind {
            GuestKind::Qemu => "qmsnapshot",
            GuestKind::Lxc => "vzsnapshot",
        },
        id: vmid.to_string(),
        user,
        lock: Some(lock),
    };
    let (work, name) = (node.clone(), new.name);
    let spawned = node.tasks.spawn(task, |context| async move {
        let report = Report::Task(context);
        work.take_snapshot(&guest, name, snapshot, &report).await
    });
    spawned.map_err(Error::failed)
}

/// Removes a snapshot as a task.
pub async fn remove(
    node: &Node,
    user: &Authid,
    kind: GuestKind,
    vmid: Vmid,
    name: SnapshotName,
    force: bool,
) -> Result<Upid> {
    let lock = node.lock_guest(kind, vmid, "delsnapshot")?;
    let guest = node.guest(kind, vmid)?;
    guest.check_unlocked()?;
    let snapshot = guest.record.history.snapshots.get(&name);
    let snapshot = snapshot.ok_or_else(|| missing(&name))?;
    let running = node.is_running(kind, vmid).await?;
    if let Some(text) = without_snapshots(&node.storages, &snapshot.config, vmid, running)?
        && !force
    {
        return Err(Error::failed(text));
    }
    let task = NewTask {
        kind: match kind {
            GuestKind::Qemu => "qmdelsnapshot",
            GuestKind::Lxc => "vzdelsnapshot",
        },
        id: vmid.to_string(),
        user,
        lock: Some(lock),
    };
    let work = node.clone();
    let spawned = node.tasks.spawn(task, |context| async move {
        let mut record = guest.record;
        record.lock = Some(Lock::SnapshotDelete);
        if let Some(snapshot) = record.history.snapshots.get_mut(&name) {
            snapshot.work = Some(SnapshotWork::Delete);
        }
        work.put_guest(vmid, &record).await?;
        let report = Report::Task(context);
        work.remove_marked(vmid, record, force, &report).await
    });
    spawned.map_err(Error::failed)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl Node {
    /// The volume for the memory of a snapshot, beside the first disk.
    async fn state_volume(&self, guest: &Guest, name: &SnapshotName) -> Result<VolumeId> {
        let GuestConfig::Qemu(config) = &guest.record.config else {
            return Err(Error::not_found(guest.title()));
        };
        let storage = super::suspend::usual_storage(config);
        let driver = self.storages.get(&storage).map_err(Error::failed)?.1;
        let disk = driver.free_name(guest.vmid, &[]).await;
        let disk = disk.map_err(Error::failed)?;
        super::suspend::beside(&disk, &format!("-state-{name}"))
            .ok_or_else(|| Error::failed(format_args!("'{storage}' has no name for the memory")))
    }

    async fn take_snapshot(
        &self,
        guest: &Guest,
        name: SnapshotName,
        snapshot: Snapshot,
        report: &Report,
    ) -> Result<()> {
        let vmid = guest.vmid;
        let mut record = guest.record.clone();
        record.lock = Some(Lock::Snapshot);
        let snapshots = &mut record.history.snapshots;
        snapshots.insert(name.clone(), snapshot.clone());
        self.replace_guest(guest, &record).await?;
        let stood = self.stand_still(guest, &snapshot, report).await;
        let taken = match &stood {
            Ok(_) => self.take_parts(vmid, &name, &snapshot, report).await,
            Err(error) => Err(error.clone()),
        };
        if let Ok(still) = stood {
            self.go_on(vmid, still, report).await;
        }
        if let Err(error) = taken {
            report.warn("the snapshot is not whole: removing what there is of it");
            self.remove_marked(vmid, record, true, report).await?;
            return Err(error);
        }
        record.lock = None;
        if let Some(snapshot) = record.history.snapshots.get_mut(&name) {
            snapshot.work = None;
        }
        record.history.parent = Some(name);
        self.put_guest(vmid, &record).await
    }

    async fn take_parts(
        &self,
        vmid: Vmid,
        name: &SnapshotName,
        snapshot: &Snapshot,
        report: &Report,
    ) -> Result<()> {
        for volume in volumes_of(snapshot, vmid) {
            report.log(format_args!("snapshotting '{volume}'"));
            let storage = self.storages.of(&volume).map_err(Error::failed)?;
            let kept = storage.snapshot(&volume, name).await;
            kept.map_err(Error::failed)?;
        }
        Ok(())
    }

    /// Brings a running machine to a stand for a snapshot, with its file systems in order where its agent
    /// answers, and saves its memory if that is wanted.
    async fn stand_still(
        &self,
        guest: &Guest,
        snapshot: &Snapshot,
        report: &Report,
    ) -> Result<Still> {
        let vmid = guest.vmid;
        let mut still = Still::default();
        if guest.kind() != GuestKind::Qemu || !self.is_running(GuestKind::Qemu, vmid).await? {
            return Ok(still);
        }
        let status = self.machines.status(vmid).await.map_err(Error::failed)?;
        if status.state == RunState::Running {
            // With its memory, what the guest has not written yet is not lost.
            if snapshot.vmstate.is_none() && status.agent == Some(true) {
                // Asked, it may be frozen whatever it answers.
                still.frozen = true;
                if let Err(error) = self.ask_agent(vmid, Question::FREEZE).await {
                    report.warn(format_args!("its file systems are not frozen: {error}"));
                }
            }
            still.paused = true;
        }
        let stopped = match (&snapshot.vmstate, still.paused) {
            (Some(vmstate), _) => {
                let memory = snapshot.running.as_ref().unwrap_or(&snapshot.config);
                let bytes = match memory {
                    GuestConfig::Qemu(config) => self.memory_to_save(vmid, config).await,
                    GuestConfig::Lxc(_) => 0,
                };
                let size = DiskSize::from_bytes(bytes + STATE_ROOM);
                self.save_state(vmid, vmstate, size, report).await
            }
            (None, true) => self.order(vmid, &Request::Pause).await,
            (None, false) => Ok(()),
        };
        match stopped {
            Ok(()) => Ok(still),
            Err(error) => {
                // A machine whose memory could not be saved goes on by itself.
                still.paused &= snapshot.vmstate.is_none();
                self.go_on(vmid, still, report).await;
                Err(error)
            }
        }
    }

    /// Has the guest's agent freeze its file systems, or let them be written again.
    async fn ask_agent(&self, vmid: Vmid, question: Question) -> std::result::Result<(), String> {
        let agent = self.machines.agent(vmid).await;
        let mut agent = agent.map_err(|error| error.to_string())?;
        let answer = agent.ask(question).await;
        answer.map(drop).map_err(|error| error.to_string())
    }

    /// Lets a machine go on that stood still.
    async fn go_on(&self, vmid: Vmid, still: Still, report: &Report) {
        if still.paused
            && let Err(error) = self.order(vmid, &Request::Resume).await
        {
            report.warn(format_args!("VM {vmid} does not go on: {error}"));
        }
        if still.frozen
            && let Err(error) = self.ask_agent(vmid, Question::THAW).await
        {
            report.warn(format_args!(
                "the guest's file systems stay frozen: {error}"
            ));
        }
    }

    /// Removes the snapshots of a guest that are marked, and lets go of the guest. One whose parts
    /// cannot be removed stays marked, unless `force` says to forget it.
    pub async fn remove_marked(
        &self,
        vmid: Vmid,
        mut record: GuestRecord,
        force: bool,
        report: &Report,
    ) -> Result<()> {
        let marked = record.history.snapshots.iter();
        let marked = marked.filter(|(_, snapshot)| snapshot.work.is_some());
        let marked: Vec<_> = marked
            .map(|(name, snapshot)| (name.clone(), snapshot.clone()))
            .collect();
        let mut done = Ok(());
        for (name, snapshot) in marked {
            match self
                .remove_parts(vmid, &name, &snapshot, force, report)
                .await
            {
                Ok(()) => record.history.forget(&name),
                Err(error) => done = Err(error),
            }
        }
        record.lock = None;
        self.put_guest(vmid, &record).await?;
        done
    }

    async fn remove_parts(
        &self,
        vmid: Vmid,
        name: &SnapshotName,
        snapshot: &Snapshot,
        force: bool,
        report: &Report,
    ) -> Result<()> {
        for volume in volumes_of(snapshot, vmid) {
            let removed = match self.storages.of(&volume) {
                Ok(storage) => storage.remove_snapshot(&volume, name).await,
                Err(error) => Err(error),
            };
            match removed {
                Ok(()) => report.log(format_args!("removed snapshot '{name}' of '{volume}'")),
                Err(StorageError::NoSnapshot { .. } | StorageError::NoVolume(_)) => {}
                Err(error) if force => report.warn(format_args!("'{volume}': {error}")),
                Err(error) => return Err(Error::failed(error)),
            }
        }
        let Some(state) = &snapshot.vmstate else {
            return Ok(());
        };
        match volumes::remove(&self.storages, state).await {
            Ok(()) => report.log(format_args!("removed volume '{state}'")),
            Err(StorageError::NoVolume(_)) => {}
            Err(error) if force => report.warn(format_args!("volume '{state}' is left: {error}")),
            Err(error) => return Err(Error::failed(error)),
        }
        Ok(())
    }

    /// Undoes a snapshot that an earlier life of the node began: what it had stopped goes on.
    pub async fn undo_snapshots(&self, guest: Guest, report: &Report) -> Result<()> {
        let (kind, vmid) = (guest.kind(), guest.vmid);
        if kind == GuestKind::Qemu && self.is_running(kind, vmid).await? {
            let frozen = self.machines.status(vmid).await;
            let frozen = frozen.is_ok_and(|status| status.agent == Some(true));
            let still = Still {
                paused: true,
                frozen,
            };
            self.go_on(vmid, still, report).await;
        }
        self.remove_marked(vmid, guest.record, true, report).await
    }
}

/// What was done to a machine for a snapshot of it.
#[derive(Debug, Clone, Copy, Default)]
struct Still {
    paused: bool,
    frozen: bool,
}
