//! What happens to guests when the node or the host starts and stops.

use super::{Guest, Report, key, suspend, volumes};
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_model::guest::{GuestKind, GuestRecord, HostShutdown, Lock};
use basalt_model::userid::Authid;
use basalt_model::vmid::Vmid;
use basalt_store::Transaction;
use basalt_tasks::NewTask;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Made when the guests that start with the host were started; lives as long as the host runs.
const AUTOSTARTED: &str = "autostarted";
/// How long a guest may take to shut down with the host, unless it says.
const DOWN_PATIENCE: Duration = Duration::from_secs(60);

impl Node {
    /// Finishes or undoes what an earlier life of the node left half done. Must come before any
    /// other work.
    pub async fn recover(&self) {
        self.machines.recover_pages().await;
        for guest in self.guests().iter() {
            let title = guest.title();
            if let Err(error) = self.recover_guest(Guest::clone(guest)).await {
                tracing::error!(%error, guest = title, "cannot be put in order");
            }
        }
        self.recover_pools().await;
    }

    /// Takes guests out of pools that are no more: the release before, which knows no pools, may
    /// have removed them, and the next guest of their number is another.
    async fn recover_pools(&self) {
        let done = self.access.change_with(Transaction::new(), |_, pools| {
            pools.retain_guests(|vmid| self.store.get(&key(vmid)).is_some());
            Ok(())
        });
        if let Err(error) = done.await {
            tracing::error!(%error, "pools cannot be put in order");
        }
    }

    async fn recover_guest(&self, guest: Guest) -> Result<()> {
        self.note_what_runs(&guest).await?;
        let report = Report::Journal;
        let named = guest.record.config.own_volumes(guest.vmid);
        match guest.record.lock {
            Some(Lock::Create | Lock::Clone) => {
                tracing::warn!(
                    guest = guest.title(),
                    "its creation was interrupted: removed"
                );
                if guest.kind() == GuestKind::Lxc {
                    self.end_unpacking(guest.vmid).await;
                }
                volumes::discard(&self.storages, &guest.record.making, &report).await;
                self.forget_guest(guest.vmid).await
            }
            Some(Lock::Destroy) => {
                tracing::warn!(
                    guest = guest.title(),
                    "its removal was interrupted: finished"
                );
                self.stop_guest(guest.kind(), guest.vmid).await?;
                self.remove_stopped(&guest, false, &report).await
            }
            Some(Lock::Snapshot | Lock::SnapshotDelete) => {
                tracing::warn!(guest = guest.title(), "work on a snapshot was interrupted");
                self.undo_snapshots(guest, &report).await
            }
            Some(Lock::Rollback) => {
                tracing::warn!(
                    guest = guest.title(),
                    "its rollback was interrupted: finished"
                );
                self.stop_guest(guest.kind(), guest.vmid).await?;
                self.finish_rollback(guest.vmid, &guest.record, &report)
                    .await
            }
            Some(Lock::Template) => {
                tracing::warn!(guest = guest.title(), "it becomes a template: finished");
                self.finish_template(guest.vmid, &guest.record, &report)
                    .await
            }
            Some(Lock::Suspending) => {
                tracing::warn!(
                    guest = guest.title(),
                    "its suspension was interrupted: undone"
                );
                // Waits for a monitor that is still writing; nobody else can have the guest.
                let node = self.clone();
                tokio::spawn(async move { node.undo_suspend(guest).await });
                Ok(())
            }
            // Its state is whole. A process that is still there stands, and has not run since.
            Some(Lock::Suspended) => self.stop_guest(guest.kind(), guest.vmid).await,
            None if guest.record.making.is_empty() => Ok(()),
            None => {
                if guest.record.making.iter().any(suspend::is_state) {
                    return self.finish_resume(guest.vmid, &guest.record, &report).await;
                }
                tracing::warn!(guest = guest.title(), "a change was interrupted: undone");
                let mut making = guest.record.making;
                making.retain(|volume| !named.iter().any(|(_, known)| known == volume));
                volumes::discard(&self.storages, &making, &report).await;
                let record = GuestRecord {
                    making: Vec::new(),
                    ..guest.record
                };
                self.put_guest(guest.vmid, &record).await
            }
        }
    }

    /// Starts the guests that start with the host, in their order; once per boot of the host.
    pub async fn autostart(&self) {
        let mark = self.settings.run.join(AUTOSTARTED);
        if mark.exists() {
            return;
        }
        let mut guests: Vec<_> = self
            .guests()
            .iter()
            .filter_map(|guest| {
                // What was suspended for the host's sake goes on, whether it starts with it or not.
                let back = guest.suspended().is_some_and(|state| state.with_host);
                let startup = match back {
                    true => Some(guest.record.config.startup()),
                    false => guest.record.config.autostart(),
                };
                startup.map(|startup| (startup, Arc::clone(guest)))
            })
            .collect();
        guests.sort_by_key(|(startup, guest)| (startup.order.unwrap_or(u32::MAX), guest.vmid));
        for (startup, guest) in guests {
            if let Err(error) = self.autostart_guest(guest.kind(), guest.vmid).await {
                tracing::error!(%error, guest = guest.title(), "does not start with the host");
            }
            // Time itself is meant: `startup` asks for it.
            tokio::time::sleep(Duration::from_secs(startup.up.unwrap_or(0).into())).await;
        }
        // Only now: a node that was interrupted goes on where it was.
        if let Err(error) = std::fs::File::create(&mark) {
            tracing::warn!(%error, path = %mark.display(), "autostart leaves no mark");
        }
    }

    async fn autostart_guest(&self, kind: GuestKind, vmid: Vmid) -> Result<()> {
        if self.is_running(kind, vmid).await? {
            return Ok(());
        }
        let name = match kind {
            GuestKind::Qemu => "qmstart",
            GuestKind::Lxc => "vzstart",
        };
        let user: Authid = "root@pam".parse().map_err(Error::failed)?;
        let lock = self.lock_guest(kind, vmid, "start")?;
        let task = NewTask {
            kind: name,
            id: vmid.to_string(),
            user: &user,
            lock: Some(lock),
        };
        let work = self.clone();
        let upid = self
            .tasks
            .spawn(task, |context| async move {
                work.start_guest(kind, vmid, &Report::Task(context)).await
            })
            .map_err(Error::failed)?;
        match self.tasks.wait(&upid).await.map_err(Error::failed)? {
            basalt_tasks::Outcome::Failed(reason) => Err(Error::failed(reason)),
            _ => Ok(()),
        }
    }

    /// Shuts all guests down if the host itself is stopping: in the reverse of their order, those
    /// of one order together. Guests outlive the node when only the node stops.
    pub async fn shutdown_with_host(&self) {
        match self.units.is_host_stopping().await {
            Ok(true) => self.shutdown_guests().await,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "whether the host stops is not known"),
        }
    }

    async fn shutdown_guests(&self) {
        let mut by_order: BTreeMap<u32, Vec<Arc<Guest>>> = BTreeMap::new();
        for guest in self.guests().iter() {
            let order = guest.record.config.startup().order.unwrap_or(u32::MAX);
            by_order.entry(order).or_default().push(Arc::clone(guest));
        }
        for (_, guests) in by_order.into_iter().rev() {
            let downs = guests.iter().map(|guest| self.shutdown_one(guest));
            futures_util::future::join_all(downs).await;
        }
    }

    async fn shutdown_one(&self, guest: &Guest) {
        let (kind, vmid, title) = (guest.kind(), guest.vmid, guest.title());
        if !self.is_running(kind, vmid).await.unwrap_or(false) {
            return;
        }
        if self.on_host_shutdown(&guest.record.config) == HostShutdown::Suspend {
            tracing::info!(guest = title, "suspending with the host");
            let saved = self.suspend_to_disk(vmid, None, true, &Report::Journal);
            match saved.await {
                Ok(()) => return,
                Err(error) => {
                    tracing::error!(%error, guest = title, "cannot be suspended: shut down instead");
                }
            }
        }
        let down = guest.record.config.startup().down;
        let patience = down.map_or(DOWN_PATIENCE, |seconds| Duration::from_secs(seconds.into()));
        tracing::info!(guest = title, "shutting down with the host");
        if let Err(error) = self.shutdown_guest(kind, vmid, Some(patience), true).await {
            tracing::error!(%error, guest = title, "does not shut down with the host");
        }
    }
}
