//! Copies of guests: in full, or sharing a template's disks.
//!
//! A clone is a guest that is being made: when that is interrupted, nothing of it is left.

use super::features::{data_volumes, is_state};
use super::volumes::{self, NewVolume, Planner};
use super::{Guest, Report, rights};
use crate::call::Call;
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_model::access::Privilege;
use basalt_model::disk::ImageFormat;
use basalt_model::guest::{Description, GuestConfig, GuestKind, GuestName, GuestRecord, Lock};
use basalt_model::network::Mac;
use basalt_model::pool::PoolId;
use basalt_model::qemu::{DiskFormat, cloudinit};
use basalt_model::storage::{ContentKind, DiskSize, SnapshotName, StorageId, VolumeId};
use basalt_model::upid::Upid;
use basalt_model::vmid::Vmid;
use basalt_tasks::NewTask;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a clone is to be.
#[derive(Debug)]
pub struct Wish {
    /// The guest that is cloned.
    pub vmid: Vmid,
    /// Number of the clone.
    pub newid: Vmid,
    /// What it is called.
    pub naming: Naming,
    /// Pool to put it into.
    pub pool: Option<PoolId>,
    /// What is cloned, if not what the guest is now.
    pub snapshot: Option<SnapshotName>,
    /// Whether the disks are copied, if the caller says.
    pub full: Option<bool>,
    /// Storage of copies.
    pub storage: Option<StorageId>,
    /// Format of copies.
    pub format: Option<DiskFormat>,
    /// Most bytes a second that are copied.
    pub limit: Option<u64>,
}

/// What a clone is called.
#[derive(Debug)]
pub struct Naming {
    /// Name.
    pub name: Option<GuestName>,
    /// Description.
    pub description: Option<Description>,
}

/// A disk to be made.
#[derive(Debug)]
struct Copied {
    key: String,
    source: VolumeId,
    linked: bool,
    target: VolumeId,
}

/// A clone to be made.
#[derive(Debug)]
struct Plan {
    copies: Vec<Copied>,
    new: Vec<NewVolume>,
    snapshot: Option<SnapshotName>,
    limit: Option<u64>,
}

/// Clones a guest: everything is checked before this returns, disks are made by the task.
pub async fn clone(call: &Call, kind: GuestKind, wish: Wish) -> Result<Upid> {
    let node = &call.node;
    let (vmid, newid) = (wish.vmid, wish.newid);
    let new_lock = node.lock_guest(kind, newid, "clone")?;
    if node.find_guest(newid)?.is_some() {
        return Err(node.taken(kind, newid));
    }
    // Many may be cloned from a template at once: it does not change.
    let is_template = node.guest(kind, vmid)?.record.config.is_template();
    let lock = match is_template {
        true => None,
        false => Some(node.lock_guest(kind, vmid, "clone")?),
    };
    let guest = node.guest(kind, vmid)?;
    guest.check_unlocked()?;
    let linked = check_kind(&guest, &wish)?;
    if wish.snapshot.is_none() && node.is_running(kind, vmid).await? {
        return Err(Error::failed(format_args!(
            "{} is running: stop it, or take a snapshot and clone that (snapname)",
            guest.title()
        )));
    }
    let config = guest.config_at(wish.snapshot.as_ref())?;
    rights::may_copy(call, config)?;
    let (names, plan) = plan(call, config, &wish, linked).await?;
    let config = cloned(config, &names, &wish, || node.new_mac())?;
    let record = GuestRecord {
        lock: Some(Lock::Clone),
        making: plan.new.iter().map(|volume| volume.id.clone()).collect(),
        ..GuestRecord::new(config)
    };
    let pool = wish.pool.as_ref();
    node.insert_guest(newid, &record, pool).await?;
    let task = NewTask {
        kind: match kind {
            GuestKind::Qemu => "qmclone",
            GuestKind::Lxc => "vzclone",
        },
        id: vmid.to_string(),
        user: call.auth(),
        lock: Some(new_lock),
    };
    let work = node.clone();
    let spawned = node.tasks.spawn(task, |context| async move {
        // Nothing of the guest may change until its disks are copied.
        let _held = lock;
        work.finish_clone(newid, record, &plan, &Report::Task(context))
            .await
    });
    match spawned {
        Ok(upid) => Ok(upid),
        Err(error) => {
            node.forget_guest(newid).await?;
            Err(Error::failed(error))
        }
    }
}

/// Whether the clone shares disks; refuses what does not go together.
fn check_kind(guest: &Guest, wish: &Wish) -> Result<bool> {
    if !guest.record.config.is_template() {
        return match wish.full {
            Some(false) => Err(Error::param(
                "full",
                "only clones of templates share disks: make it a template, or set full=1",
            )),
            _ => Ok(false),
        };
    }
    let linked = wish.full != Some(true);
    for (name, is_set) in [
        ("storage", wish.storage.is_some()),
        ("format", wish.format.is_some()),
    ] {
        if linked && is_set {
            let text = format!("parameter '{name}' not allowed for linked clones: set full=1");
            return Err(Error::param(name, text));
        }
    }
    Ok(linked)
}

/// Plans the volumes of a clone: their names by setting, and how they are made.
async fn plan(
    call: &Call,
    config: &GuestConfig,
    wish: &Wish,
    linked: bool,
) -> Result<(BTreeMap<String, VolumeId>, Plan)> {
    let storages = &call.node.storages;
    let mut planner = Planner::new(storages, wish.newid);
    let mut names = BTreeMap::new();
    let mut copies = Vec::new();
    let place = |volume: &VolumeId| {
        let storage = wish.storage.as_ref().unwrap_or(volume.storage()).clone();
        let path = format!("/storage/{storage}");
        call.require(&path, &[Privilege::DatastoreAllocateSpace])?;
        Ok::<_, Error>(storage)
    };
    for (key, source) in data_volumes(config, wish.vmid) {
        let storage = place(&source)?;
        let driver = storages.of(&source).map_err(Error::failed)?;
        let found = driver.volume(&source).await.map_err(Error::failed)?;
        let plain = is_state(&key) || config.kind() == GuestKind::Lxc;
        let shares = linked && !(plain && driver.copy_format() == ImageFormat::Qcow2);
        if linked && !shares && config.kind() == GuestKind::Lxc {
            return Err(Error::failed(format_args!(
                "Linked clone feature is not supported for '{source}' ({key}): set full=1"
            )));
        }
        let format = match (shares, wish.format) {
            (true, _) => driver.copy_format(),
            (false, _) if plain => ImageFormat::Raw,
            (false, Some(format)) => format.into(),
            (false, None) => {
                let to = storages.get(&storage).map_err(Error::failed)?.1;
                // Where there are files, a disk keeps its format.
                match (found.format, to.copy_format()) {
                    ("qcow2", ImageFormat::Qcow2) => ImageFormat::Qcow2,
                    _ => ImageFormat::Raw,
                }
            }
        };
        let content = match config.kind() {
            GuestKind::Qemu => ContentKind::Images,
            GuestKind::Lxc => ContentKind::Rootdir,
        };
        let size = DiskSize::from_bytes(found.size);
        let planned = planner.plan(&storage, content, size, format, None).await;
        let planned = planned.map_err(|text| Error::failed(format_args!("{key}: {text}")))?;
        names.insert(key.clone(), planned.id.clone());
        copies.push(Copied {
            key,
            source,
            linked: shares,
            target: planned.id,
        });
    }
    for (key, volume) in config.own_volumes(wish.vmid) {
        if cloudinit::is_drive(&volume) {
            let drive = planner.plan_cloudinit(&place(&volume)?).await;
            names.insert(key, drive.map_err(Error::failed)?);
        }
    }
    let plan = Plan {
        copies,
        new: planner.finish(),
        snapshot: wish.snapshot.clone(),
        limit: wish.limit,
    };
    Ok((names, plan))
}

/// Puts other volumes behind settings, and leaves the rest of each setting.
pub fn renamed(map: &mut Map<String, Value>, names: &BTreeMap<String, VolumeId>) {
    for (key, volume) in names {
        if let Some(Value::String(text)) = map.get_mut(key) {
            *text = match text.split_once(',') {
                Some((_, rest)) => format!("{volume},{rest}"),
                None => volume.to_string(),
            };
        }
    }
}

/// The configuration of a clone: what makes a guest another one is new, the rest is the same.
fn cloned(
    config: &GuestConfig,
    names: &BTreeMap<String, VolumeId>,
    wish: &Wish,
    new_mac: impl Fn() -> Result<Mac>,
) -> Result<GuestConfig> {
    let mut map = config.to_map();
    map.retain(|key, _| !key.starts_with("unused") && key != "template");
    renamed(&mut map, names);
    let mut new = config.with_map(&map)?;
    let name = || {
        let short = config.kind().short();
        let name = format!("Copy-of-{short}-{}", config.name(wish.vmid));
        // Too long for a name: the clone is called by its number.
        name.parse().ok()
    };
    let name = wish.naming.name.clone().or_else(name);
    let description = wish.naming.description.clone();
    match &mut new {
        GuestConfig::Qemu(new) => {
            new.name = name;
            new.description = description.or_else(|| new.description.take());
            for net in new.net.values_mut() {
                net.mac = Some(new_mac()?);
            }
            let fresh = super::vm::random_identity()?;
            match &mut new.smbios1 {
                Some(smbios) => smbios.uuid = fresh.uuid,
                None => new.smbios1 = Some(fresh),
            }
            if new.vmgenid.is_some() {
                let uuid = super::vm::random_identity()?.uuid.to_string();
                new.vmgenid = Some(uuid.parse().map_err(Error::failed)?);
            }
        }
        GuestConfig::Lxc(new) => {
            new.hostname = name;
            new.description = description.or_else(|| new.description.take());
            for net in new.net.values_mut() {
                net.hwaddr = Some(new_mac()?);
            }
        }
    }
    Ok(new)
}

impl Node {
    /// Makes the disks of a clone and lets go of it, or leaves nothing of it.
    async fn finish_clone(
        &self,
        newid: Vmid,
        record: GuestRecord,
        plan: &Plan,
        report: &Report,
    ) -> Result<()> {
        match self.copy_volumes(plan, report).await {
            Ok(()) => {
                self.put_guest(newid, &GuestRecord::new(record.config))
                    .await
            }
            Err(error) => {
                volumes::discard(&self.storages, &record.making, report).await;
                self.forget_guest(newid).await?;
                Err(error)
            }
        }
    }

    async fn copy_volumes(&self, plan: &Plan, report: &Report) -> Result<()> {
        for volume in &plan.new {
            match plan.copies.iter().find(|copy| copy.target == volume.id) {
                Some(copy) => self.copy_volume(plan, copy, volume, report).await?,
                None => {
                    volumes::make(&self.storages, std::slice::from_ref(volume), report).await?;
                }
            }
        }
        Ok(())
    }

    async fn copy_volume(
        &self,
        plan: &Plan,
        copy: &Copied,
        volume: &NewVolume,
        report: &Report,
    ) -> Result<()> {
        let (key, source, target) = (&copy.key, &copy.source, &copy.target);
        let word = match copy.linked {
            true => "linked",
            false => "full",
        };
        report.log(format_args!(
            "create {word} clone of drive {key} ({source})"
        ));
        let from = self.storages.of(source).map_err(Error::failed)?;
        let to = self.storages.of(target).map_err(Error::failed)?;
        if copy.linked {
            let copied = from.copy(source, None, target).await;
            return copied.map_err(Error::failed);
        }
        to.create(target, volume.size)
            .await
            .map_err(Error::failed)?;
        let image = from.image(source, plan.snapshot.as_ref()).await;
        let image = image.map_err(Error::failed)?;
        volumes::fill(&self.storages, image, target, report, plan.limit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wish(name: Option<&str>) -> Wish {
        Wish {
            vmid: Vmid::MIN,
            newid: Vmid::new(101).unwrap(),
            naming: Naming {
                name: name.map(|name| name.parse().unwrap()),
                description: None,
            },
            pool: None,
            snapshot: None,
            full: None,
            storage: None,
            format: None,
            limit: None,
        }
    }

    fn config(value: Value) -> GuestConfig {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_clone_differs_in_what_makes_it_another_guest() {
        let mac: Mac = "02:00:00:00:00:02".parse().unwrap();
        let uuid = "3b1f8e70-9c2a-4d5e-8f60-718293a4b5c6";
        let machine = config(json!({"kind": "qemu", "config": {
            "name": "web", "description": "front", "memory": 512, "template": true,
            "scsi0": "local:100/base-100-disk-0.qcow2,discard=on,size=1G",
            "ide2": "local:iso/a.iso,media=cdrom",
            "unused0": "local:100/vm-100-disk-7.raw",
            "net0": "virtio=02:00:00:00:00:01,bridge=vmbr0",
            "smbios1": format!("uuid={uuid},product=thing"),
            "vmgenid": uuid,
        }}));
        let volume = "local:101/vm-101-disk-0.qcow2".parse().unwrap();
        let names = BTreeMap::from([("scsi0".to_owned(), volume)]);
        let new = cloned(&machine, &names, &wish(None), || Ok(mac)).unwrap();
        let map = new.to_map();
        let text = |key: &str| map[key].as_str().unwrap();
        assert_eq!(
            text("scsi0"),
            "local:101/vm-101-disk-0.qcow2,discard=on,size=1G"
        );
        assert_eq!(text("ide2"), "local:iso/a.iso,media=cdrom");
        assert!(text("net0").contains("02:00:00:00:00:02"));
        assert_eq!(text("name"), "Copy-of-VM-web");
        assert_eq!(
            (text("description"), &map["memory"]),
            ("front", &json!(512))
        );
        assert!(text("smbios1").contains("product=thing"));
        assert!(!text("smbios1").contains(uuid) && text("vmgenid") != uuid);
        assert!(!map.contains_key("unused0") && !map.contains_key("template"));

        let container = config(json!({"kind": "lxc", "config": {
            "hostname": "a".repeat(63),
            "net0": "name=eth0,bridge=vmbr0,hwaddr=02:00:00:00:00:01",
        }}));
        let none = BTreeMap::new();
        let new = cloned(&container, &none, &wish(None), || Ok(mac)).unwrap();
        assert!(!new.to_map().contains_key("hostname"), "{new:?}");
        assert!(
            new.to_map()["net0"]
                .to_string()
                .contains("02:00:00:00:00:02")
        );
        let named = cloned(&container, &none, &wish(Some("db")), || Ok(mac)).unwrap();
        assert_eq!(named.to_map()["hostname"], "db");
    }

    #[test]
    fn only_templates_are_shared_and_shared_disks_stay_where_they_are() {
        let guest = |template: bool| Guest {
            vmid: Vmid::MIN,
            record: GuestRecord::new(config(
                json!({"kind": "qemu", "config": {"template": template}}),
            )),
            digest: String::new(),
        };
        let full = |full| Wish { full, ..wish(None) };
        assert!(!check_kind(&guest(false), &full(None)).unwrap());
        assert!(check_kind(&guest(false), &full(Some(false))).is_err());
        assert!(check_kind(&guest(true), &full(None)).unwrap());
        assert!(!check_kind(&guest(true), &full(Some(true))).unwrap());
        let mut elsewhere = full(None);
        elsewhere.storage = Some(StorageId::local());
        let error = check_kind(&guest(true), &elsewhere).unwrap_err();
        assert!(error.errors["storage"].contains("linked clones"));
        elsewhere.full = Some(true);
        assert!(!check_kind(&guest(true), &elsewhere).unwrap());
    }
}
