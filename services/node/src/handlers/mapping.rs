//! Mappings: what is on hosts, under names that guests' settings use.

use crate::call::Call;
use crate::guests::shares::{DIR_MAPPINGS, check_place, dir_mapping_key, find_directory};
use crate::router::Router;
use basalt_api::methods::NoParams;
use basalt_api::methods::mapping::{
    DirMappingChange, DirMappingCreate, DirMappingDelete, DirMappingGet, DirMappingInfo,
    DirMappingList, DirMappingNew, DirMappingPath, DirMappingQuery, DirMappingUpdate, MappingCheck,
    MappingIndex, Severity,
};
use basalt_api::methods::nodes::Child;
use basalt_api::{Error, Result, registry};
use basalt_model::access::Privilege;
use basalt_model::mapping::{DirEntry, DirMapping, MappingId};
use basalt_store::{Expect, Stored, Transaction};
use std::collections::BTreeSet;
use std::path::Path;

/// One of these shows a mapping.
const LOOK: &[Privilege] = &[
    Privilege::MappingUse,
    Privilege::MappingModify,
    Privilege::MappingAudit,
];

/// Says how the methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<MappingIndex, _, _, _>(index);
    router.on::<DirMappingList, _, _, _>(list);
    router.on::<DirMappingGet, _, _, _>(get);
    router.on::<DirMappingCreate, _, _, _>(create);
    router.on::<DirMappingUpdate, _, _, _>(update);
    router.on::<DirMappingDelete, _, _, _>(delete);
}

async fn index(_: Call, _: NoParams) -> Result<Vec<Child>> {
    let below = |path: &'static str| path.strip_prefix("/cluster/mapping/")?.split('/').next();
    let names = registry().filter_map(|declared| below(declared.method.path));
    let names: BTreeSet<&str> = names.collect();
    let child = |name: &str| Child {
        subdir: name.to_owned(),
    };
    Ok(names.into_iter().map(child).collect())
}

fn info(id: MappingId, stored: Stored<DirMapping>) -> DirMappingInfo {
    DirMappingInfo {
        id,
        description: stored.value.description,
        map: stored.value.map,
        checks: None,
        digest: stored.digest,
    }
}

/// What keeps a mapping from being used on this node.
fn checks(node: &str, mapping: &DirMapping) -> Vec<MappingCheck> {
    let check = |severity, message| vec![MappingCheck { severity, message }];
    let Some(entry) = mapping.on(node) else {
        let text = format!("no directory on node '{node}'");
        return check(Severity::Warning, text);
    };
    match find_directory(&entry.path) {
        Ok(_) => Vec::new(),
        Err(text) => check(Severity::Error, text),
    }
}

async fn list(call: Call, params: DirMappingQuery) -> Result<Vec<DirMappingInfo>> {
    let node = &call.node;
    if let Some(name) = &params.check_node {
        node.check_name(name)?;
    }
    let stored = node.store.read_all::<DirMapping>(DIR_MAPPINGS);
    let mut list = Vec::new();
    for stored in stored.map_err(Error::failed)? {
        let id = stored.key.trim_start_matches(DIR_MAPPINGS);
        let id: MappingId = id.parse().map_err(Error::failed)?;
        if !call.allows(&id.dir_acl_path(), LOOK) {
            continue;
        }
        let checks = params.check_node.is_some();
        let checks = checks.then(|| self::checks(&node.name, &stored.value));
        list.push(DirMappingInfo {
            checks,
            ..info(id, stored)
        });
    }
    Ok(list)
}

fn find(call: &Call, id: &MappingId) -> Result<Stored<DirMapping>> {
    let found = call.node.dir_mapping(id)?;
    found.ok_or_else(|| Error::not_found(format_args!("mapping '{id}' of a directory")))
}

async fn get(call: Call, params: DirMappingPath) -> Result<DirMappingInfo> {
    let stored = find(&call, &params.id)?;
    Ok(info(params.id, stored))
}

/// Refuses a mapping that no guest could use anywhere.
fn check(mapping: &DirMapping) -> Result<()> {
    mapping.check()?;
    let mut places = mapping.map.iter().map(|entry| Path::new(&entry.path));
    let checked = places.try_for_each(check_place);
    checked.map_err(|text| Error::param("map", text))
}

async fn create(call: Call, params: DirMappingNew) -> Result<()> {
    let wrong = |text| Error::param("map", text);
    let entries = params.map.iter();
    let entries = entries.map(|entry| entry.parse::<DirEntry>().map_err(wrong));
    let mapping = DirMapping {
        description: params.description,
        map: entries.collect::<Result<_>>()?,
    };
    check(&mapping)?;
    if call.node.dir_mapping(&params.id)?.is_some() {
        let what = format_args!("mapping '{}' of a directory", params.id).to_string();
        return Err(Error::exists(what));
    }
    store(&call, &params.id, Expect::Absent, &mapping).await?;
    tracing::info!(target: "audit", by = %call.auth(), id = %params.id, "directory mapped");
    Ok(())
}

async fn update(call: Call, params: DirMappingChange) -> Result<()> {
    let id = &params.id;
    let stored = find(&call, id)?;
    if params.digest.is_some_and(|digest| digest != stored.digest) {
        let text = "the mapping was changed meanwhile: read it again";
        return Err(Error::param("digest", text));
    }
    let expect = Expect::Digest(stored.digest);
    let mut mapping = stored.value;
    let names = params.delete.as_deref().unwrap_or_default();
    for name in names.split([',', ';', ' ']).filter(|name| !name.is_empty()) {
        if name != "description" {
            let text = format!("'{}' cannot be removed", name.escape_debug());
            return Err(Error::param("delete", text));
        }
        if params.description.is_some() {
            let text = "is set and deleted at once: do one of both";
            return Err(Error::param(name, text));
        }
        mapping.description = None;
    }
    mapping.description = params.description.or(mapping.description);
    mapping.map = params.map.unwrap_or(mapping.map);
    check(&mapping)?;
    store(&call, id, expect, &mapping).await?;
    tracing::info!(target: "audit", by = %call.auth(), %id, "mapping of a directory changed");
    Ok(())
}

async fn store(call: &Call, id: &MappingId, expect: Expect, mapping: &DirMapping) -> Result<()> {
    let key = dir_mapping_key(id);
    let change = Transaction::new().expect(&key, expect).put(&key, mapping);
    let change = change.map_err(Error::failed)?;
    let done = call.node.store.commit(change).await;
    done.map(drop).map_err(Error::failed)
}

async fn delete(call: Call, params: DirMappingPath) -> Result<()> {
    let id = &params.id;
    let key = dir_mapping_key(id);
    let node = &call.node;
    // Not as a mapping: one that this version cannot read can be forgotten, too.
    if node.store.get(&key).is_none() {
        return Err(Error::not_found(format_args!(
            "mapping '{id}' of a directory"
        )));
    }
    let change = Transaction::new()
        .expect(&key, Expect::Present)
        .delete(&key);
    // Rights on the name are not those on what may have it later.
    let forgotten = node.access.change_with(change, |config, _| {
        config.forget_path(&id.dir_acl_path());
        Ok(())
    });
    forgotten.await?;
    tracing::info!(target: "audit", by = %call.auth(), %id, "mapping of a directory deleted");
    Ok(())
}
