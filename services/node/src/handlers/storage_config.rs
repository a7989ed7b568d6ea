//! The configuration of storages: which there are, and what may lie on them.

use super::storage::LOOK;
use crate::call::Call;
use crate::guests::{Guest, names_volume};
use crate::router::Router;
use crate::state::{Node, storage_key};
use basalt_api::methods::storage::{
    StorageChange, StorageCreate, StorageDelete, StorageGet, StorageInfo, StorageList, StorageMade,
    StorageNew, StoragePath, StorageQuery, StorageUpdate,
};
use basalt_api::{Error, Result};
use basalt_layout::disk::ZFS_WANTED;
use basalt_model::field::FieldErrors;
use basalt_model::storage::{
    ContentKinds, StorageConfig, StorageDriver, StorageId, StorageKind, VolumeId,
};
use basalt_storage::{StorageError, open_driver};
use basalt_store::{Expect, Transaction};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Where a directory for volumes cannot be: the image, what the kernel shows, and what belongs to
/// the host itself.
pub const NOT_FOR_VOLUMES: [&str; 13] = [
    "/bin",
    "/boot",
    "/dev",
    "/efi",
    "/etc",
    "/lib",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/basalt",
    "/var/log",
];

/// Says how the methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<StorageList, _, _, _>(list);
    router.on::<StorageGet, _, _, _>(get);
    router.on::<StorageCreate, _, _, _>(create);
    router.on::<StorageUpdate, _, _, _>(update);
    router.on::<StorageDelete, _, _, _>(delete);
}

fn info(node: &Node, id: StorageId, config: &StorageConfig) -> StorageInfo {
    let digest = node
        .store
        .get(&storage_key(&id))
        .map(|entry| entry.digest());
    let mut info = StorageInfo {
        storage: id,
        kind: config.driver.kind(),
        content: config.content.to_string(),
        path: None,
        vgname: None,
        thinpool: None,
        pool: None,
        blocksize: None,
        sparse: None,
        shared: Some(false),
        nodes: (!config.nodes.is_empty()).then(|| join(&config.nodes)),
        disable: config.disable.then_some(true),
        digest: digest.unwrap_or_default(),
    };
    match config.driver.clone() {
        StorageDriver::Dir { path } => info.path = Some(path),
        StorageDriver::LvmThin { vgname, thinpool } => {
            info.vgname = Some(vgname);
            info.thinpool = Some(thinpool);
        }
        StorageDriver::ZfsPool {
            pool,
            blocksize,
            sparse,
        } => {
            info.pool = Some(pool);
            info.blocksize = Some(blocksize);
            info.sparse = Some(sparse);
        }
    }
    info
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().cloned().collect::<Vec<_>>().join(",")
}

async fn list(call: Call, params: StorageQuery) -> Result<Vec<StorageInfo>> {
    let all = call.node.storages.all().into_iter();
    let wanted = all.filter(|(_, config, _)| params.kind.is_none_or(|k| k == config.driver.kind()));
    let seen = wanted.filter(|(id, _, _)| call.allows(&format!("/storage/{id}"), LOOK));
    Ok(seen
        .map(|(id, config, _)| info(&call.node, id, &config))
        .collect())
}

async fn get(call: Call, params: StoragePath) -> Result<StorageInfo> {
    let (config, _) = call
        .node
        .storages
        .get(&params.storage)
        .map_err(Error::failed)?;
    Ok(info(&call.node, params.storage, &config))
}

async fn create(call: Call, params: StorageNew) -> Result<StorageMade> {
    let node = &call.node;
    let key = storage_key(&params.storage);
    if node.store.get(&key).is_some() {
        // Clients look for these words.
        let text = format!("storage ID '{}' already defined", params.storage);
        return Err(Error::failed(text));
    }
    let config = settled(&params, &node.name).map_err(Error::from)?;
    if params.kind == StorageKind::ZfsPool {
        want_zfs(&node.settings.state).map_err(Error::failed)?;
    }
    check_reachable(&params.storage, &config).await?;
    let change = Transaction::new()
        .expect(&key, Expect::Absent)
        .put(&key, &config);
    node.store
        .commit(change.map_err(Error::failed)?)
        .await
        .map_err(Error::failed)?;
    node.storages
        .set(params.storage.clone(), config)
        .map_err(Error::failed)?;
    Ok(StorageMade {
        storage: params.storage,
        kind: params.kind,
    })
}

/// Has ZFS loaded from the next start of the host on, whatever disks show by then: a kernel that is locked
/// down does not take it later. A note too many costs memory and no more.
fn want_zfs(state: &Path) -> std::io::Result<()> {
    std::fs::write(state.join(ZFS_WANTED), "")
}

/// The configuration that parameters describe; every wrong one is named. `host` is the only node.
fn settled(params: &StorageNew, host: &str) -> std::result::Result<StorageConfig, FieldErrors> {
    let mut errors = FieldErrors::default();
    let asked = [
        ("path", params.path.is_some(), StorageKind::Dir),
        ("vgname", params.vgname.is_some(), StorageKind::LvmThin),
        ("thinpool", params.thinpool.is_some(), StorageKind::LvmThin),
        ("pool", params.pool.is_some(), StorageKind::ZfsPool),
    ];
    for (name, is_set, kind) in asked {
        match (is_set, kind == params.kind) {
            (true, false) => errors.add(name, format!("only for storages of type '{kind}'")),
            (false, true) => errors.add(name, format!("a storage of type '{kind}' needs it")),
            _ => {}
        }
    }
    let optional = [
        ("blocksize", params.blocksize.is_some()),
        ("sparse", params.sparse.is_some()),
    ];
    for (name, _) in optional
        .into_iter()
        .filter(|(_, is_set)| *is_set && params.kind != StorageKind::ZfsPool)
    {
        let kind = StorageKind::ZfsPool;
        errors.add(name, format!("only for storages of type '{kind}'"));
    }
    if let Some(path) = &params.path
        && let Err(text) = check_path(path)
    {
        errors.add("path", text);
    }
    let nodes = members(params.nodes.as_deref(), host);
    let nodes = nodes.map_err(|text| errors.add("nodes", text));
    let driver = driver(params);
    let content = driver.as_ref().and_then(|driver| {
        let content = match &params.content {
            Some(text) => contents(text, driver),
            None => Ok(driver.can_hold()),
        };
        content.map_err(|text| errors.add("content", text)).ok()
    });
    let nothing = errors.clone();
    errors.or(())?;
    // Errors are none, so all of these are there.
    let (Some(driver), Some(content), Ok(nodes)) = (driver, content, nodes) else {
        return Err(nothing);
    };
    Ok(StorageConfig {
        driver,
        content,
        disable: params.disable == Some(true),
        nodes,
    })
}

/// The nodes that a list names; each must be there.
fn members(list: Option<&str>, host: &str) -> std::result::Result<BTreeSet<String>, String> {
    let names = list.unwrap_or_default().split([',', ';', ' ']);
    let names: BTreeSet<String> = names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    match names.iter().find(|name| *name != host) {
        Some(name) => Err(format!(
            "there is no node '{}', only '{host}'",
            name.escape_debug()
        )),
        None => Ok(names),
    }
}

/// The driver that parameters describe; none where one that it needs is missing.
fn driver(params: &StorageNew) -> Option<StorageDriver> {
    Some(match params.kind {
        StorageKind::Dir => StorageDriver::Dir {
            path: params.path.clone()?,
        },
        StorageKind::LvmThin => StorageDriver::LvmThin {
            vgname: params.vgname.clone()?,
            thinpool: params.thinpool.clone()?,
        },
        StorageKind::ZfsPool => StorageDriver::ZfsPool {
            pool: params.pool.clone()?,
            blocksize: params.blocksize.unwrap_or_default(),
            sparse: params.sparse.unwrap_or_default(),
        },
    })
}

fn contents(text: &str, driver: &StorageDriver) -> std::result::Result<ContentKinds, String> {
    let content = text.parse::<ContentKinds>()?;
    let can = driver.can_hold();
    match content.0.difference(&can.0).next() {
        Some(kind) => Err(format!(
            "a storage of type '{}' cannot hold '{kind}', only: {can}",
            driver.kind()
        )),
        None => Ok(content),
    }
}

fn check_path(path: &str) -> std::result::Result<(), String> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let whole = path
        .strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(plain));
    if !whole || path.len() > 1000 || path.chars().any(char::is_control) {
        return Err(format!(
            "'{}' is no directory of its own: write it whole, like /mnt/disks",
            path.escape_debug()
        ));
    }
    let within = |dir: &&&str| path == **dir || path.starts_with(&format!("{dir}/"));
    match NOT_FOR_VOLUMES.iter().find(within) {
        Some(dir) => Err(format!(
            "{dir} is the host's own: use a directory below /mnt, /srv or /var"
        )),
        None => Ok(()),
    }
}

/// Whether the storage can be asked now; one that is switched off may come later.
async fn check_reachable(id: &StorageId, config: &StorageConfig) -> Result<()> {
    if config.disable {
        return Ok(());
    }
    let field = match &config.driver {
        StorageDriver::Dir { .. } => "path",
        StorageDriver::LvmThin { .. } => "thinpool",
        StorageDriver::ZfsPool { .. } => "pool",
    };
    let wrong = |error| Error::param(field, error);
    let storage = open_driver(id, &config.driver).map_err(wrong)?;
    storage.space().await.map(drop).map_err(wrong)
}

async fn update(call: Call, params: StorageChange) -> Result<()> {
    let node = &call.node;
    let (mut config, _) = node.storages.get(&params.storage).map_err(Error::failed)?;
    let key = storage_key(&params.storage);
    let stored = node
        .store
        .read::<StorageConfig>(&key)
        .map_err(Error::failed)?;
    let digest = stored.as_ref().map(|stored| stored.digest.clone());
    if params.digest.is_some() && params.digest != digest {
        let text = "the configuration was changed meanwhile: read it again";
        return Err(Error::param("digest", text));
    }
    change(&mut config, &params, &node.name).map_err(Error::from)?;
    let change = Transaction::new()
        .expect(&key, Expect::unchanged(&stored))
        .put(&key, &config);
    node.store
        .commit(change.map_err(Error::failed)?)
        .await
        .map_err(Error::failed)?;
    node.storages
        .set(params.storage, config)
        .map_err(Error::failed)
}

/// Puts a change into a configuration; every wrong parameter is named.
fn change(
    config: &mut StorageConfig,
    params: &StorageChange,
    host: &str,
) -> std::result::Result<(), FieldErrors> {
    let mut errors = FieldErrors::default();
    let deleted = params.delete.as_deref().unwrap_or_default();
    for name in deleted.split([',', ';', ' ']).filter(|n| !n.is_empty()) {
        let is_set = match name {
            "content" => {
                config.content = config.driver.can_hold();
                params.content.is_some()
            }
            "disable" => {
                config.disable = false;
                params.disable.is_some()
            }
            "nodes" => {
                config.nodes.clear();
                params.nodes.is_some()
            }
            other => {
                let text = format!("'{}' has no default here", other.escape_debug());
                errors.add("delete", text);
                false
            }
        };
        if is_set {
            errors.add(name, "is set and deleted at once: do one of both");
        }
    }
    if let Some(list) = &params.content {
        match contents(list, &config.driver) {
            Ok(content) => config.content = content,
            Err(text) => errors.add("content", text),
        }
    }
    if let Some(list) = &params.nodes {
        match members(Some(list), host) {
            Ok(nodes) => config.nodes = nodes,
            Err(text) => errors.add("nodes", text),
        }
    }
    config.disable = params.disable.unwrap_or(config.disable);
    errors.or(())
}

async fn delete(call: Call, params: StoragePath) -> Result<()> {
    let node = &call.node;
    let id = params.storage;
    if id == StorageId::local() {
        return Err(Error::param(
            "storage",
            "every host has 'local': switch it off with disable=1 instead",
        ));
    }
    let key = storage_key(&id);
    // Not as a configuration: one that this version cannot read can be forgotten, too.
    let stored = node
        .store
        .read::<serde_json::Value>(&key)
        .map_err(Error::failed)?;
    if stored.is_none() {
        return Err(Error::failed(StorageError::NoStorage(id)));
    }
    let used = |volume: &VolumeId| *volume.storage() == id;
    let uses = |guest: &&Arc<Guest>| {
        let own = guest.record.config.own_volumes(guest.vmid);
        names_volume(&guest.record, &used) || own.iter().any(|(_, volume)| used(volume))
    };
    if let Some(guest) = node.guests().iter().find(uses) {
        return Err(Error::failed(format_args!(
            "storage '{id}' is used by {}: move or remove its disks first",
            guest.title()
        )));
    }
    let change = Transaction::new()
        .expect(&key, Expect::unchanged(&stored))
        .delete(&key);
    let forgotten = node.access.change_with(change, |config, pools| {
        config.forget_path(&format!("/storage/{id}"));
        pools.forget_storage(&id);
        Ok(())
    });
    forgotten.await?;
    node.storages.remove(&id);
    Ok(())
}

#[cfg(test)]
mod tests;
