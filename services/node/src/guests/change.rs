//! Changing the configuration of a guest.

use super::live::Refused;
use super::volumes::{self, NewVolume};
use super::{Guest, Report, ct, vm};
use crate::state::Node;
use basalt_api::methods::guest::PendingEntry;
use basalt_api::{Error, Result};
use basalt_model::guest::{GuestConfig, GuestKind, GuestRecord};
use basalt_model::lxc::LxcConfig;
use basalt_model::qemu::QemuConfig;
use basalt_model::qemu::cloudinit::{self, CloudPassword};
use basalt_model::storage::VolumeId;
use basalt_model::vmid::Vmid;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// Settings to set, settings to remove, and the digest of what the caller saw.
#[derive(Debug, Clone)]
pub struct Change {
    /// Settings to set.
    pub set: Map<String, Value>,
    /// Names of settings to remove.
    pub delete: Vec<String>,
    /// Refuse if the configuration has another digest.
    pub digest: Option<String>,
}

impl Change {
    /// From what a caller sent; `delete` is a list separated by commas.
    pub fn new(set: Map<String, Value>, delete: Option<&str>, digest: Option<String>) -> Self {
        let names = delete.unwrap_or_default().split([',', ';', ' ']);
        let delete = names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        Self {
            set,
            delete,
            digest,
        }
    }

    /// The settings that `before` becomes. A disk that is taken away stays as `unused[n]`; an
    /// `unused[n]` that is taken away is removed, and named in the second value.
    fn apply(
        &self,
        before: &GuestConfig,
        vmid: Vmid,
    ) -> Result<(Map<String, Value>, Vec<VolumeId>)> {
        let own = before.own_volumes(vmid);
        let mut map = before.to_map();
        let mut dropped = Vec::new();
        for name in &self.delete {
            if !knows(before.kind(), name) {
                return Err(Error::param(
                    "delete",
                    format_args!("there is no setting '{name}'"),
                ));
            }
            if name == "rootfs" {
                return Err(Error::param(
                    "delete",
                    "a container cannot be without its rootfs",
                ));
            }
            map.remove(name);
            let volume = own
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, volume)| volume.clone());
            dropped.extend(volume.filter(|_| name.starts_with("unused")));
        }
        for (name, value) in &self.set {
            map.insert(name.clone(), value.clone());
        }
        let still_named = |map: &Map<String, Value>, volume: &VolumeId| {
            let text = volume.to_string();
            let names = |value: &Value| {
                value
                    .as_str()
                    .is_some_and(|value| value.split(',').any(|part| part == text))
            };
            map.values().any(names)
        };
        for (_, volume) in &own {
            if dropped.contains(volume) || still_named(&map, volume) {
                continue;
            }
            // There is nothing on it that the settings do not say.
            if cloudinit::is_drive(volume) {
                dropped.push(volume.clone());
            } else {
                let free = (0..=255)
                    .map(|n| format!("unused{n}"))
                    .find(|n| !map.contains_key(n));
                let free = free.ok_or_else(|| Error::failed("too many unused volumes"))?;
                map.insert(free, Value::String(volume.to_string()));
            }
        }
        // A volume that is used again is no longer unused.
        let used: Vec<String> = map
            .iter()
            .filter(|(name, _)| !name.starts_with("unused"))
            .filter_map(|(_, value)| value.as_str()?.split(',').next().map(str::to_owned))
            .collect();
        map.retain(|name, value| {
            let volume = value.as_str().unwrap_or_default();
            !(name.starts_with("unused") && used.iter().any(|used| used == volume))
        });
        Ok((map, dropped))
    }
}

/// A configuration without the unused volumes that are gone.
fn without(config: &GuestConfig, gone: &[VolumeId]) -> Result<GuestConfig> {
    let mut map = config.to_map();
    map.retain(|name, value| {
        let is = |volume: &VolumeId| value.as_str() == Some(volume.to_string().as_str());
        !(name.starts_with("unused") && gone.iter().any(is))
    });
    Ok(config.with_map(&map)?)
}

fn knows(kind: GuestKind, name: &str) -> bool {
    match kind {
        GuestKind::Qemu => QemuConfig::knows(name),
        GuestKind::Lxc => LxcConfig::knows(name),
    }
}

impl Node {
    /// Changes a guest whose lock is held: makes new volumes, stores, removes dropped ones.
    pub async fn change_guest(
        &self,
        kind: GuestKind,
        vmid: Vmid,
        change: &Change,
        report: &Report,
    ) -> Result<()> {
        let guest = self.guest(kind, vmid)?;
        guest.check_unlocked()?;
        if change
            .digest
            .as_ref()
            .is_some_and(|digest| *digest != guest.digest)
        {
            let text = "the configuration was changed meanwhile: read it again";
            return Err(Error::param("digest", text));
        }
        let before = &guest.record.config;
        let (map, mut dropped) = change.apply(before, vmid)?;
        if before.is_protected() && !dropped.is_empty() {
            let title = guest.title();
            return Err(Error::failed(format_args!(
                "{title} is protected: its disks stay"
            )));
        }
        let (config, new) = self.settle(before, map, vmid).await?;
        let kept = config.own_volumes(vmid);
        dropped.retain(|volume| kept.iter().all(|(_, named)| named != volume));
        let kept_for =
            |volume: &VolumeId| guest.record.history.names_volume(&|named| named == volume);
        if let Some(volume) = dropped.iter().find(|volume| kept_for(volume)) {
            return Err(Error::failed(format_args!(
                "'{volume}' belongs to a snapshot: remove that first"
            )));
        }
        for volume in &dropped {
            let storage = self.storages.of(volume).map_err(Error::failed)?;
            match storage.remove(volume).await {
                Ok(()) => report.log(format_args!("removed volume '{volume}'")),
                Err(basalt_storage::StorageError::NoVolume(_)) => {}
                Err(error) => return Err(Error::failed(error)),
            }
        }
        let record = guest.record.free(config);
        self.store_change(&guest, record.clone(), &new, report)
            .await?;
        match self.change_running(vmid, &record, report).await {
            Ok(()) => {
                self.change_cloudinit(&guest, &record).await?;
                self.change_discs(vmid, &record).await
            }
            Err(Refused::Undone(error)) => {
                let new: Vec<VolumeId> = new.into_iter().map(|volume| volume.id).collect();
                volumes::discard(&self.storages, &new, report).await;
                let old = GuestRecord {
                    config: without(before, &dropped)?,
                    ..guest.record.clone()
                };
                self.put_guest(vmid, &old).await?;
                Err(error)
            }
            Err(Refused::Half(error)) => Err(error),
        }
    }

    async fn settle(
        &self,
        before: &GuestConfig,
        map: Map<String, Value>,
        vmid: Vmid,
    ) -> Result<(GuestConfig, Vec<NewVolume>)> {
        match before {
            GuestConfig::Qemu(old) => {
                let mut config = QemuConfig::from_map(&map)?;
                let new = vm::settle(&self.storages, vmid, &mut config, Some(old)).await?;
                Ok((GuestConfig::Qemu(Box::new(config)), new))
            }
            GuestConfig::Lxc(old) => {
                let mut config = LxcConfig::from_map(&map)?;
                ct::settle(&mut config, Some(old))?;
                Ok((GuestConfig::Lxc(Box::new(config)), Vec::new()))
            }
        }
    }

    async fn store_change(
        &self,
        guest: &Guest,
        record: GuestRecord,
        new: &[NewVolume],
        report: &Report,
    ) -> Result<()> {
        if new.is_empty() {
            return self.replace_guest(guest, &record).await;
        }
        let making = new.iter().map(|volume| volume.id.clone()).collect();
        let unfinished = GuestRecord {
            making,
            ..guest.record.clone()
        };
        self.replace_guest(guest, &unfinished).await?;
        match volumes::make(&self.storages, new, report).await {
            Ok(()) => self.put_guest(guest.vmid, &record).await,
            Err(error) => {
                volumes::discard(&self.storages, &unfinished.making, report).await;
                self.put_guest(guest.vmid, &guest.record).await?;
                Err(error)
            }
        }
    }

    /// Remembers what a guest was started with, for as long as the host runs.
    pub fn note_running(&self, guest: &Guest) {
        self.note_running_config(guest.vmid, &guest.record.config);
    }

    /// Remembers what a running guest has become.
    pub fn note_running_config(&self, vmid: Vmid, config: &GuestConfig) {
        let path = self.running_path(config.kind(), vmid);
        let written = serde_json::to_vec(config)
            .map_err(std::io::Error::other)
            .and_then(|json| std::fs::write(&path, json));
        if let Err(error) = written {
            tracing::warn!(%error, path = %path.display(), "running configuration is not noted");
        }
    }

    /// What a running guest was started with.
    pub fn running_config(&self, kind: GuestKind, vmid: Vmid) -> Option<GuestConfig> {
        let json = std::fs::read(self.running_path(kind, vmid)).ok()?;
        serde_json::from_slice(&json).ok()
    }

    fn running_path(&self, kind: GuestKind, vmid: Vmid) -> PathBuf {
        let run = match kind {
            GuestKind::Qemu => &self.run_machines,
            GuestKind::Lxc => &self.run_containers,
        };
        run.join(vmid.to_string()).join("config.json")
    }
}

/// Settings that do nothing to a running guest, so a change of them never waits.
const AT_ONCE: [&str; 9] = [
    "description",
    "hotplug",
    "name",
    "on-host-shutdown",
    "onboot",
    "protection",
    "startup",
    "tags",
    "unused",
];

/// Every setting with the value that runs and, where it differs, the one of the next start.
pub fn pending(stored: &GuestConfig, running: Option<&GuestConfig>) -> Vec<PendingEntry> {
    let stored = stored.to_map();
    let runs = running.map_or_else(|| stored.clone(), GuestConfig::to_map);
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Bool(value) => u8::from(*value).to_string(),
        other => other.to_string(),
    };
    let mut names: Vec<&String> = stored.keys().chain(runs.keys()).collect();
    names.sort();
    names.dedup();
    let entry = |name: &String| {
        let at_once = AT_ONCE.iter().any(|prefix| name.starts_with(prefix));
        let (next, now) = (stored.get(name), runs.get(name));
        let now = if at_once { next } else { now };
        let shown = |value: &Value| match name.as_str() {
            "cipassword" => CloudPassword::hidden().to_string(),
            _ => text(value),
        };
        PendingEntry {
            key: name.clone(),
            value: now.map(shown),
            pending: next.filter(|_| next != now).map(shown),
            delete: (next.is_none() && now.is_some()).then_some(1),
        }
    };
    let known = |entry: &PendingEntry| entry.value.is_some() || entry.pending.is_some();
    names.into_iter().map(entry).filter(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: Value) -> GuestConfig {
        serde_json::from_value(json!({"kind": "qemu", "config": value})).unwrap()
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_disk_that_is_taken_away_is_kept_as_unused_until_that_is_too() {
        let before = config(json!({"virtio0": "local:100/a.raw,size=1G", "memory": 512}));
        let detach = Change::new(Map::new(), Some("virtio0"), None);
        let (after, dropped) = detach.apply(&before, Vmid::MIN).unwrap();
        assert_eq!(
            Value::Object(after),
            json!({"memory": 512, "unused0": "local:100/a.raw"})
        );
        assert!(dropped.is_empty());

        let detached = config(json!({"unused0": "local:100/a.raw"}));
        let attach = Change::new(map(json!({"scsi0": "local:100/a.raw"})), None, None);
        let (after, dropped) = attach.apply(&detached, Vmid::MIN).unwrap();
        assert_eq!(Value::Object(after), json!({"scsi0": "local:100/a.raw"}));
        assert!(dropped.is_empty());

        let remove = Change::new(Map::new(), Some("unused0"), None);
        let (after, dropped) = remove.apply(&detached, Vmid::MIN).unwrap();
        assert!(after.is_empty());
        assert_eq!(dropped, ["local:100/a.raw".parse().unwrap()]);
    }

    #[test]
    fn an_unknown_setting_cannot_be_removed() {
        let change = Change::new(Map::new(), Some("memory,colour"), None);
        let error = change.apply(&config(json!({})), Vmid::MIN).unwrap_err();
        assert!(error.errors["delete"].contains("colour"));
    }

    #[test]
    fn pending_shows_what_the_next_start_changes() {
        let running = config(json!({"memory": 512, "cores": 1, "name": "a", "sockets": 1}));
        let stored = config(json!({"memory": 1024, "cores": 1, "name": "b", "onboot": true}));
        let found = pending(&stored, Some(&running));
        let find = |key: &str| found.iter().find(|entry| entry.key == key).unwrap();
        assert_eq!(find("memory").value.as_deref(), Some("512"));
        assert_eq!(find("memory").pending.as_deref(), Some("1024"));
        assert_eq!(find("cores").pending, None);
        assert_eq!(find("name").value.as_deref(), Some("b"));
        assert_eq!(find("sockets").delete, Some(1));
        assert_eq!(find("onboot").value.as_deref(), Some("1"));

        let running = config(json!({"cipassword": "$6$a$b"}));
        let stored = config(json!({"cipassword": "$6$c$d"}));
        let found = pending(&stored, Some(&running));
        assert_eq!(found[0].value.as_deref(), Some("**********"));
        assert_eq!(found[0].pending, found[0].value);
    }
}
