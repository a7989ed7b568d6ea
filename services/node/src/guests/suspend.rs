//! Virtual machines whose state lies on a storage: suspending, going on, and what an
//! interruption of either leaves.
//!
//! ```text
//! runs ── Suspending: the state is being written ── Suspended: it is whole ──▶ stopped
//!  ▲                                                                             │
//!  └── goes on ◀── unlocked, the state in `making` ◀── built from it, paused ◀───┘ start
//! ```
//!
//! A state is used at most once, because the disks go on from there: the record lets go of it
//! before the machine runs its first instruction.

use super::{Guest, Report, hostpci, shares, volumes};
use crate::state::Node;
use basalt_api::methods::nodes::NodeConfig;
use basalt_api::{Error, Result};
use basalt_model::guest::{GuestConfig, GuestKind, GuestRecord, HostShutdown, Lock, Suspended};
use basalt_model::machine::{Request, STATE_ROOM};
use basalt_model::qemu::QemuConfig;
use basalt_model::storage::{ContentKind, DiskSize, StorageId, VolumeId};
use basalt_model::upid::Upid;
use basalt_model::userid::Authid;
use basalt_model::vmid::Vmid;
use basalt_storage::{Access, StorageError};
use basalt_tasks::NewTask;
use rustix::fs::FlockOperation;
use std::fs::File;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the settings of this node are kept.
pub const NODE_CONFIG: &str = "node/config";
/// What the names of states have that those of disks have not.
const STATE: &str = "-state-suspend-";
/// How often a monitor that is still writing is asked whether it is done.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Longest time to wait for it.
const UNDO_PATIENCE: Duration = Duration::from_secs(3600);

const KIND: GuestKind = GuestKind::Qemu;

/// Whether a volume is a suspended machine's state.
pub fn is_state(volume: &VolumeId) -> bool {
    volume.name().contains(STATE)
}

/// The storage that a state goes to when the caller names none: the one of the first disk that
/// can be written.
pub fn usual_storage(config: &QemuConfig) -> StorageId {
    let disks = config.disks().into_iter();
    let storage = disks
        .filter(|(_, disk)| disk.media.is_none() && disk.ro != Some(true))
        .find_map(|(_, disk)| Some(disk.file.volume()?.storage().clone()));
    storage.unwrap_or_else(StorageId::local)
}

/// Refuses to keep the memory of a machine that has what no state can hold: directories that it shares,
/// devices of the host.
pub fn may_be_kept(config: &QemuConfig) -> Result<()> {
    shares::must_not_share(config)?;
    hostpci::must_not_have(config)
}

/// Suspends a running machine to disk as a task.
pub async fn suspend(node: &Node, user: &Authid, vmid: Vmid, storage: StorageId) -> Result<Upid> {
    let guest = node.guest(KIND, vmid)?;
    guest.check_unlocked()?;
    let running = node.running_config(KIND, vmid);
    if let GuestConfig::Qemu(config) = running.unwrap_or(guest.record.config) {
        may_be_kept(&config)?;
    }
    let lock = node.lock_guest(KIND, vmid, "suspend")?;
    let task = NewTask {
        kind: "qmsuspend",
        id: vmid.to_string(),
        user,
        lock: Some(lock),
    };
    let work = node.clone();
    node.tasks
        .spawn(task, |context| async move {
            let report = Report::Task(context);
            work.suspend_to_disk(vmid, Some(storage), false, &report)
                .await
        })
        .map_err(Error::failed)
}

impl Node {
    /// What happens to a guest when the host goes down.
    pub fn on_host_shutdown(&self, config: &GuestConfig) -> HostShutdown {
        let GuestConfig::Qemu(config) = config else {
            return HostShutdown::Shutdown;
        };
        let of_node = || match self.store.read::<NodeConfig>(NODE_CONFIG) {
            Ok(stored) => stored.and_then(|stored| stored.value.on_host_shutdown),
            Err(error) => {
                tracing::error!(%error, "the settings of the node cannot be read");
                None
            }
        };
        let policy = config.on_host_shutdown.or_else(of_node);
        policy.unwrap_or(HostShutdown::Shutdown)
    }

    /// Saves the state of a running machine whose lock is held, and stops it. When it fails, the
    /// machine runs on.
    pub async fn suspend_to_disk(
        &self,
        vmid: Vmid,
        storage: Option<StorageId>,
        with_host: bool,
        report: &Report,
    ) -> Result<()> {
        let guest = self.guest(KIND, vmid)?;
        guest.check_unlocked()?;
        if !self.is_running(KIND, vmid).await? {
            return Err(Error::failed(format_args!("VM {vmid} not running")));
        }
        let running = self
            .running_config(KIND, vmid)
            .unwrap_or_else(|| guest.record.config.clone());
        let GuestConfig::Qemu(config) = &running else {
            return Err(Error::not_found(guest.title()));
        };
        may_be_kept(config)?;
        let storage = storage.unwrap_or_else(|| usual_storage(config));
        let size = DiskSize::from_bytes(self.memory_to_save(vmid, config).await + STATE_ROOM);
        let vmstate = self.name_state(vmid, &storage).await?;
        let suspending = GuestRecord {
            lock: Some(Lock::Suspending),
            making: vec![vmstate.clone()],
            ..guest.record.clone()
        };
        self.replace_guest(&guest, &suspending).await?;
        let suspended = GuestRecord {
            lock: Some(Lock::Suspended),
            suspended: Some(Suspended {
                vmstate: vmstate.clone(),
                running: running.clone(),
                with_host,
            }),
            ..guest.record.clone()
        };
        let saved = self.save_state(vmid, &vmstate, size, report).await;
        let noted = match saved {
            Ok(()) => self.put_guest(vmid, &suspended).await,
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            // Refused by a machine that goes on already.
            let _ = self.order(vmid, &Request::Resume).await;
            volumes::discard(&self.storages, &[vmstate], report).await;
            self.put_guest(vmid, &guest.record).await?;
            return Err(error);
        }
        self.stop_guest(KIND, vmid).await?;
        report.log(format_args!("VM {vmid} is suspended to '{vmstate}'"));
        Ok(())
    }

    pub(super) async fn save_state(
        &self,
        vmid: Vmid,
        vmstate: &VolumeId,
        size: DiskSize,
        report: &Report,
    ) -> Result<()> {
        report.log(format_args!("saving state to '{vmstate}'"));
        let storage = self.storages.of(vmstate).map_err(Error::failed)?;
        storage.create(vmstate, size).await.map_err(Error::failed)?;
        let file = storage.open(vmstate, Access::Write).await;
        let file = file.map_err(Error::failed)?;
        let progress = |now: basalt_model::machine::Progress| report.progress(now.done, now.total);
        self.machines
            .save(vmid, &file, progress)
            .await
            .map_err(Error::failed)
    }

    /// A name that no volume has, with today's date, and otherwise as the storage names disks.
    async fn name_state(&self, vmid: Vmid, storage: &StorageId) -> Result<VolumeId> {
        let driver = self.storages.holding(storage, ContentKind::Images);
        let driver = driver.map_err(Error::failed)?;
        let disk = driver.free_name(vmid, &[]).await.map_err(Error::failed)?;
        let date = today();
        for number in 0..100 {
            let Some(volume) = state_name(&disk, &date, number) else {
                break;
            };
            match driver.volume(&volume).await {
                Err(StorageError::NoVolume(_)) => return Ok(volume),
                Err(error) => return Err(Error::failed(error)),
                Ok(_) => {}
            }
        }
        Err(Error::failed(format_args!(
            "storage '{storage}' has no name for a state of VM {vmid}: remove old ones"
        )))
    }

    /// Lets a suspended machine whose lock is held go on. When it fails, the state is kept.
    pub async fn resume_from_disk(
        &self,
        guest: &Guest,
        suspended: &Suspended,
        report: &Report,
    ) -> Result<()> {
        let vmid = guest.vmid;
        let vmstate = &suspended.vmstate;
        if self.is_running(KIND, vmid).await? {
            return Err(Error::failed(format_args!("VM {vmid} already running")));
        }
        let GuestConfig::Qemu(config) = &suspended.running else {
            return Err(Error::not_found(guest.title()));
        };
        let kept = |error: &dyn std::fmt::Display| {
            Error::failed(format_args!(
                "{error}; its state is kept in '{vmstate}', and stopping VM {vmid} discards it"
            ))
        };
        report.log(format_args!("going on from the state in '{vmstate}'"));
        let held = self.start_from_state(vmid, config, vmstate).await;
        let held = held.map_err(|error| kept(&error))?;
        let record = GuestRecord {
            making: vec![vmstate.clone()],
            ..guest.record.free(guest.record.config.clone())
        };
        if let Err(error) = self.put_guest(vmid, &record).await {
            self.stop_guest(KIND, vmid).await?;
            return Err(kept(&error));
        }
        let mut ran = guest.clone();
        ran.record.config = suspended.running.clone();
        self.note_running(&ran);
        // The machine reads its memory from the file as it goes, by a descriptor that stays open
        // when the name is gone; only the lock on it is in the way.
        if let Err(error) = rustix::fs::flock(&held, FlockOperation::Unlock) {
            report.warn(format_args!("the lock of '{vmstate}' stays: {error}"));
        }
        drop(held);
        self.finish_resume(vmid, &record, report).await
    }

    /// Bytes of memory of a machine that runs: its guest may have more than it is to have, for a while.
    pub(super) async fn memory_to_save(&self, vmid: Vmid, config: &QemuConfig) -> u64 {
        let configured = config.memory_mib() << 20;
        let status = self.machines.status(vmid).await.ok();
        let memory = status.and_then(|status| status.memory);
        memory.map_or(configured, |memory| memory.wanted.max(memory.present))
    }

    /// Starts a machine from the state in a volume: it stands until it is resumed. Gives the descriptor
    /// by which the volume is locked.
    pub(super) async fn start_from_state(
        &self,
        vmid: Vmid,
        config: &QemuConfig,
        vmstate: &VolumeId,
    ) -> Result<File> {
        let storage = self.storages.of(vmstate).map_err(Error::failed)?;
        let file = storage.open(vmstate, Access::Read).await;
        let file = file.map_err(Error::failed)?;
        let held = file.try_clone().map_err(Error::failed)?;
        let (storages, network) = (&self.storages, &self.network);
        let machine = basalt_vm::resolve(vmid, config, storages, network, &self.run_machines).await;
        let mut machine = machine.map_err(Error::failed)?;
        machine.restore_from(file);
        let started = self.machines.start(vmid, machine).await;
        started.map_err(Error::failed)?;
        Ok(held)
    }

    /// Lets a machine run that was built from the state in `record.making`, which is used up.
    pub async fn finish_resume(
        &self,
        vmid: Vmid,
        record: &GuestRecord,
        report: &Report,
    ) -> Result<()> {
        if self.is_running(KIND, vmid).await? {
            self.order(vmid, &Request::Resume).await?;
        }
        volumes::discard(&self.storages, &record.making, report).await;
        self.put_guest(vmid, &record.free(record.config.clone()))
            .await
    }

    /// Gives up the state of a suspended guest, as pulling its plug does.
    pub async fn discard_suspended(
        &self,
        kind: GuestKind,
        vmid: Vmid,
        report: &Report,
    ) -> Result<()> {
        let guest = self.guest(kind, vmid)?;
        let Some(suspended) = guest.suspended() else {
            return Ok(());
        };
        let record = GuestRecord {
            making: vec![suspended.vmstate.clone()],
            ..guest.record.free(guest.record.config.clone())
        };
        self.put_guest(vmid, &record).await?;
        self.finish_resume(vmid, &record, report).await
    }

    /// Undoes a suspension that an earlier life of the node began: waits until the monitor is
    /// done with the state, removes that, and lets the machine go on.
    pub async fn undo_suspend(&self, guest: Guest) {
        let (vmid, report) = (guest.vmid, Report::Journal);
        let deadline = tokio::time::Instant::now() + UNDO_PATIENCE;
        while self.is_running(KIND, vmid).await.unwrap_or(false) {
            match self.order(vmid, &Request::Resume).await {
                Ok(()) => break,
                Err(error) if tokio::time::Instant::now() > deadline => {
                    tracing::error!(%error, guest = guest.title(), "stays paused");
                    break;
                }
                // The monitor says no while it writes.
                Err(_) => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
        volumes::discard(&self.storages, &guest.record.making, &report).await;
        let record = guest.record.free(guest.record.config.clone());
        if let Err(error) = self.put_guest(vmid, &record).await {
            tracing::error!(%error, guest = guest.title(), "stays locked");
        }
    }
}

/// The name of a state beside `disk`: `100/vm-100-disk-0.raw` gives
/// `100/vm-100-state-suspend-2026-11-28.raw`, and one more than the first of a day a number.
fn state_name(disk: &VolumeId, date: &str, number: u32) -> Option<VolumeId> {
    let more = match number {
        0 => String::new(),
        number => format!("-{number}"),
    };
    beside(disk, &format!("{STATE}{date}{more}"))
}

/// The name of a volume of the same guest, with `what` in the place of the disk's number.
pub fn beside(disk: &VolumeId, what: &str) -> Option<VolumeId> {
    let (before, after) = disk.path().split_once("-disk-")?;
    let ending = after.trim_start_matches(|c: char| c.is_ascii_digit());
    VolumeId::new(disk.storage().clone(), format!("{before}{what}{ending}"))
}

/// Today's date in universal time, e.g. `2026-11-28`.
fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let days = since.map_or(0, |since| since.as_secs() / 86_400);
    date(i64::try_from(days).unwrap_or(0))
}

/// The date so many days after 1 January 1970, in the Gregorian calendar.
fn date(days: i64) -> String {
    // Years begin on 1 March here, so that the day that is not always there comes last.
    const ERA: i64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dates_are_the_calendars() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(20_785), "2026-11-28");
        assert_eq!(date(47_540), "2100-02-28");
        assert_eq!(date(47_541), "2100-03-01");
    }

    #[test]
    fn states_lie_beside_the_first_disk_and_are_known_by_name() {
        let config =
            json!({"ide0": "local:iso/x.iso,media=cdrom", "virtio0": "fast:100/vm-100-disk-0.raw"});
        let config: QemuConfig = serde_json::from_value(config).unwrap();
        assert_eq!(usual_storage(&config).to_string(), "fast");
        assert_eq!(usual_storage(&QemuConfig::default()), StorageId::local());
        let state = "local:100/vm-100-state-suspend-2026-11-28.raw";
        let named = |disk: &str, number| {
            let name = state_name(&disk.parse().unwrap(), "2026-11-28", number);
            name.unwrap().to_string()
        };
        assert_eq!(named("local:100/vm-100-disk-12.raw", 0), state);
        let thin = named("thin:vm-100-disk-0", 2);
        assert_eq!(thin, "thin:vm-100-state-suspend-2026-11-28-2");
        assert!(is_state(&state.parse().unwrap()));
        assert!(!is_state(&"local:100/vm-100-disk-0.raw".parse().unwrap()));
    }

    #[test]
    fn what_no_state_can_hold_is_named() {
        let said = |config: serde_json::Value| {
            let config: QemuConfig = serde_json::from_value(config).unwrap();
            may_be_kept(&config).map_err(|error| error.to_string())
        };
        let share = said(json!({"virtiofs1": "data"})).unwrap_err();
        assert!(share.contains("virtiofs1"), "{share}");
        let device = said(json!({"hostpci2": "mapping=gpu"})).unwrap_err();
        assert!(device.contains("hostpci2"), "{device}");
        assert_eq!(said(json!({"memory": "512"})), Ok(()));
    }
}
