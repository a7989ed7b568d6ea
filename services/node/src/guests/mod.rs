//! Guests of this node: what is stored about them, and the work that changes them.
//!
//! A guest is a [`GuestRecord`] in the store; whether it runs is asked of the service manager.
//! Work takes the guest's lock, then goes through the store in steps of which each leaves
//! something that [`recover`] can finish or undo. [`vm`] and [`ct`] make and start the two kinds;
//! [`change`] and [`remove`] serve both.

pub mod bulk;
pub mod change;
pub mod clone;
pub mod cloudinit;
pub mod ct;
mod ct_live;
mod ct_net;
pub mod ct_root;
pub mod disks;
pub mod features;
pub mod hostpci;
pub mod live;
mod parsed;
pub mod power;
pub mod recover;
pub mod remove;
pub mod rights;
pub mod rollback;
pub mod shares;
pub mod snapshots;
pub mod suspend;
pub mod template;
pub mod vm;
pub mod volumes;

pub use parsed::{AllGuests, Parsed};

use crate::auth::ChangeError;
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_metrics::Object;
use basalt_model::field::FieldErrors;
use basalt_model::guest::{GuestConfig, GuestKind, GuestRecord, Lock, Suspended};
use basalt_model::pool::PoolId;
use basalt_model::storage::{SnapshotName, VolumeId};
use basalt_model::vmid::Vmid;
use basalt_store::{Expect, Stored, Transaction};
use basalt_tasks::{GuestLock, TaskContext};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// Guests are kept under their numbers behind this.
const GUESTS: &str = "guests/";
/// A change of a configuration waits so long for other work on its guest: less than the five seconds that
/// clients wait for an answer.
const CONFIG_PATIENCE: Duration = Duration::from_secs(3);

/// A guest as it was read.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Its number.
    pub vmid: Vmid,
    /// What is stored.
    pub record: GuestRecord,
    /// The digest of what is stored.
    pub digest: String,
}

impl Guest {
    /// The kind of guest.
    pub fn kind(&self) -> GuestKind {
        self.record.config.kind()
    }

    /// How messages name it, e.g. `VM 100`.
    pub fn title(&self) -> String {
        title(self.kind(), self.vmid)
    }

    /// The saved state that its next start goes on from.
    pub fn suspended(&self) -> Option<&Suspended> {
        let saved = self.record.suspended.as_ref();
        saved.filter(|_| self.record.lock == Some(Lock::Suspended))
    }

    /// What it is configured to be, or was at a snapshot.
    pub fn config_at(&self, snapshot: Option<&SnapshotName>) -> Result<&GuestConfig> {
        let Some(name) = snapshot else {
            return Ok(&self.record.config);
        };
        snapshots::find(self, name).map(|snapshot| &snapshot.config)
    }

    /// Refuses work while something interrupted or unfinished holds the guest.
    pub fn check_unlocked(&self) -> Result<()> {
        match self.record.lock {
            None => Ok(()),
            Some(lock) => Err(Error::failed(format_args!(
                "{} is locked ({lock})",
                self.title()
            ))),
        }
    }
}

/// Whether a guest uses a volume that is meant: as a disk, for booting, or one that is being made.
pub fn names_volume(record: &GuestRecord, is_meant: &dyn Fn(&VolumeId) -> bool) -> bool {
    let uses = match &record.config {
        GuestConfig::Qemu(config) => {
            let disks = config.disks();
            let custom = config.cicustom.iter().flat_map(|custom| custom.volumes());
            let boots = [&config.kernel, &config.initrd];
            let variables = config.efidisk0.as_ref();
            let variables = variables.and_then(|disk| disk.file.volume());
            let tpm = config.tpmstate0.as_ref();
            let tpm = tpm.and_then(|disk| disk.file.volume());
            disks
                .iter()
                .any(|(_, disk)| disk.file.volume().is_some_and(is_meant))
                || {
                    let boots = boots.into_iter().flatten();
                    let others = boots.chain(variables).chain(tpm);
                    others.chain(custom).any(is_meant)
                }
        }
        GuestConfig::Lxc(config) => config
            .rootfs
            .as_ref()
            .and_then(|rootfs| rootfs.volume.volume())
            .is_some_and(is_meant),
    };
    let state = record.suspended.iter().map(|suspended| &suspended.vmstate);
    uses || record.history.names_volume(is_meant) || record.making.iter().chain(state).any(is_meant)
}

/// How messages and locks name a guest, e.g. `VM 100`.
pub fn title(kind: GuestKind, vmid: Vmid) -> String {
    format!("{} {vmid}", kind.short())
}

/// The key of a guest's record.
pub fn key(vmid: Vmid) -> String {
    format!("{GUESTS}{vmid}")
}

impl Node {
    /// A guest by its number, whatever its kind.
    pub fn find_guest(&self, vmid: Vmid) -> Result<Option<Guest>> {
        let stored = self
            .store
            .read::<GuestRecord>(&key(vmid))
            .map_err(Error::failed)?;
        Ok(stored.map(|stored| guest(vmid, stored)))
    }

    /// A guest of one kind by its number.
    pub fn guest(&self, kind: GuestKind, vmid: Vmid) -> Result<Guest> {
        self.find_guest(vmid)?
            .filter(|guest| guest.kind() == kind)
            .ok_or_else(|| Error::not_found(title(kind, vmid)))
    }

    /// Every guest in the order of numbers.
    pub fn guests(&self) -> AllGuests {
        self.parsed.all(&*self.store)
    }

    /// Takes the lock of a guest for `work`, e.g. `start`.
    pub fn lock_guest(&self, kind: GuestKind, vmid: Vmid, work: &str) -> Result<GuestLock> {
        self.tasks
            .lock(&title(kind, vmid), work)
            .map_err(Error::failed)
    }

    /// Takes the lock of a guest for a change of its configuration, which waits for short work on the guest:
    /// clients ask for one as soon as they have begun the other, without a look at how that ended.
    pub async fn lock_config(&self, kind: GuestKind, vmid: Vmid, work: &str) -> Result<GuestLock> {
        let guest = title(kind, vmid);
        let lock = self.tasks.lock_within(&guest, work, CONFIG_PATIENCE);
        lock.await.map_err(Error::failed)
    }

    /// Stores a new guest, and puts it into a pool, unless its number is taken.
    pub async fn insert_guest(
        &self,
        vmid: Vmid,
        record: &GuestRecord,
        pool: Option<&PoolId>,
    ) -> Result<()> {
        let key = key(vmid);
        let change = Transaction::new()
            .expect(&key, Expect::Absent)
            .put(&key, record)
            .map_err(Error::failed)?;
        let done = self.access.change_with(change, |_, pools| match pool {
            // Nothing but the guest itself can have been in a pool under its number.
            Some(pool) => pools.add_guest(pool, vmid, true).map_err(Error::failed),
            None => Ok(()),
        });
        match done.await {
            Err(ChangeError::Store(basalt_store::Error::Conflict { key: taken }))
                if taken == key =>
            {
                Err(self.taken(record.config.kind(), vmid))
            }
            done => Ok(done?),
        }
    }

    /// The error for a number that is taken.
    pub fn taken(&self, kind: GuestKind, vmid: Vmid) -> Error {
        let holder = self
            .find_guest(vmid)
            .ok()
            .flatten()
            .map_or(kind, |guest| guest.kind());
        let wanted = title(kind, vmid);
        let taken = format!(
            "{} already exists on node '{}'",
            title(holder, vmid),
            self.name
        );
        Error::failed(format_args!("unable to create {wanted} - {taken}"))
    }

    /// Replaces a guest's record, provided that nobody changed it since it was read.
    pub async fn replace_guest(&self, guest: &Guest, record: &GuestRecord) -> Result<()> {
        let key = key(guest.vmid);
        let change = Transaction::new()
            .expect(&key, Expect::Digest(guest.digest.clone()))
            .put(&key, record)
            .map_err(Error::failed)?;
        self.store.commit(change).await.map_err(Error::failed)?;
        Ok(())
    }

    /// Sets a guest's record as the last step of work that holds the guest.
    pub async fn put_guest(&self, vmid: Vmid, record: &GuestRecord) -> Result<()> {
        let change = Transaction::new()
            .put(key(vmid), record)
            .map_err(Error::failed)?;
        self.store.commit(change).await.map_err(Error::failed)?;
        Ok(())
    }

    /// Forgets a guest that was never made. Permissions on its number stay for another attempt.
    pub async fn forget_guest(&self, vmid: Vmid) -> Result<()> {
        let change = Transaction::new().delete(key(vmid));
        let done = self.access.change_with(change, |_, pools| {
            pools.forget_guest(vmid);
            Ok(())
        });
        Ok(done.await?)
    }

    /// Forgets a guest that was removed, with the permissions on it: the next guest of its number
    /// is another.
    pub async fn forget_removed_guest(&self, vmid: Vmid) -> Result<()> {
        let change = Transaction::new().delete(key(vmid));
        let done = self.access.change_with(change, |config, pools| {
            config.forget_path(&format!("/vms/{vmid}"));
            pools.forget_guest(vmid);
            Ok(())
        });
        done.await?;
        // Another guest of this number begins anew.
        let (histories, object) = (Arc::clone(&self.histories), Object::Guest(vmid.get()));
        let forgetting = tokio::task::spawn_blocking(move || histories.forget(&object));
        if let Ok(Err(error)) = forgetting.await {
            tracing::warn!(%error, %vmid, "its history stays until the next look");
        }
        Ok(())
    }
}

fn guest(vmid: Vmid, stored: Stored<GuestRecord>) -> Guest {
    Guest {
        vmid,
        record: stored.value,
        digest: stored.digest,
    }
}

/// Where work says how it goes: a task's log, or the journal when there is no task.
#[derive(Debug, Clone)]
pub enum Report {
    /// A task.
    Task(TaskContext),
    /// The journal.
    Journal,
}

impl Report {
    /// Says something.
    pub fn log(&self, text: impl Display) {
        match self {
            Self::Task(context) => context.log(text),
            Self::Journal => tracing::info!("{text}"),
        }
    }

    /// Says that something is not as it should be, and goes on.
    pub fn warn(&self, text: impl Display) {
        match self {
            Self::Task(context) => context.warn(text),
            Self::Journal => tracing::warn!("{text}"),
        }
    }

    /// Says how far the work is.
    pub fn progress(&self, done: u64, total: u64) {
        if let Self::Task(context) = self {
            let percent = (done * 100).checked_div(total).unwrap_or(100);
            context.progress(u8::try_from(percent).unwrap_or(100));
        }
    }

    /// Whether somebody asked the work to stop.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Task(context) => context.is_cancelled(),
            Self::Journal => false,
        }
    }
}

/// Passes if no field is wrong.
pub fn no_errors(errors: FieldErrors) -> Result<()> {
    errors.or(()).map_err(Error::from)
}
