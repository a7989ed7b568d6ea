//! Turning a guest into a template.
//!
//! The volumes get the names of templates' first, then the configuration names them. Interrupted between
//! the two, the next start of the node goes on: a volume that has its new name keeps it.

use super::clone::renamed;
use super::{Guest, Report, features};
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_model::guest::{GuestKind, GuestRecord, Lock};
use basalt_model::storage::VolumeId;
use basalt_model::upid::Upid;
use basalt_model::userid::Authid;
use basalt_model::vmid::Vmid;
use basalt_tasks::NewTask;
use serde_json::Value;
use std::collections::BTreeMap;

/// Turns a machine into a template as a task.
pub async fn spawn(node: &Node, user: &Authid, kind: GuestKind, vmid: Vmid) -> Result<Upid> {
    let lock = node.lock_guest(kind, vmid, "template")?;
    let guest = check(node, kind, vmid).await?;
    let task = NewTask {
        kind: "qmtemplate",
        id: vmid.to_string(),
        user,
        lock: Some(lock),
    };
    let work = node.clone();
    let spawned = node.tasks.spawn(task, |context| async move {
        work.make_template(&guest, &Report::Task(context)).await
    });
    spawned.map_err(Error::failed)
}

/// A guest that can become a template.
pub async fn check(node: &Node, kind: GuestKind, vmid: Vmid) -> Result<Guest> {
    let guest = node.guest(kind, vmid)?;
    guest.check_unlocked()?;
    let short = kind.short();
    if guest.record.config.is_template() {
        return Err(Error::failed("you can't convert a template to a template"));
    }
    if !guest.record.history.snapshots.is_empty() {
        return Err(Error::failed(format_args!(
            "unable to create template, because {short} contains snapshots: remove them first"
        )));
    }
    if node.is_running(kind, vmid).await? {
        return Err(Error::failed(format_args!(
            "you can't convert a {short} to template if {short} is running: stop it first"
        )));
    }
    Ok(guest)
}

impl Node {
    /// Turns a guest whose lock is held into a template.
    pub async fn make_template(&self, guest: &Guest, report: &Report) -> Result<()> {
        let record = GuestRecord {
            lock: Some(Lock::Template),
            ..guest.record.clone()
        };
        self.put_guest(guest.vmid, &record).await?;
        self.finish_template(guest.vmid, &record, report).await
    }

    /// Gives the volumes of a guest their new names, and lets go of it. When one cannot have its
    /// name the guest stays what it was, with the names that there are.
    pub async fn finish_template(
        &self,
        vmid: Vmid,
        record: &GuestRecord,
        report: &Report,
    ) -> Result<()> {
        let mut names = BTreeMap::new();
        let mut done = Ok(());
        for (key, volume) in features::data_volumes(&record.config, vmid) {
            if volume.is_base() {
                continue;
            }
            match self.make_base(&volume).await {
                Ok(base) => {
                    report.log(format_args!("'{volume}' is '{base}' now"));
                    names.insert(key, base);
                }
                Err(error) => {
                    done = Err(error);
                    break;
                }
            }
        }
        let mut map = record.config.to_map();
        renamed(&mut map, &names);
        if done.is_ok() {
            map.insert("template".to_owned(), Value::Bool(true));
        }
        let config = record.config.with_map(&map)?;
        self.put_guest(vmid, &record.free(config)).await?;
        done
    }

    async fn make_base(&self, volume: &VolumeId) -> Result<VolumeId> {
        let storage = self.storages.of(volume).map_err(Error::failed)?;
        storage.make_base(volume).await.map_err(Error::failed)
    }
}
