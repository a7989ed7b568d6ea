//! Mappings of PCI devices.

use crate::call::Call;
use crate::guests::hostpci::mapping_key;
use crate::hardware::Tree;
use crate::hardware::vfio::VfioError;
use crate::router::Router;
use basalt_api::methods::mapping_pci::{
    CheckSeverity, PciMappingChange, PciMappingCheck, PciMappingCreate, PciMappingDelete,
    PciMappingEntry, PciMappingGet, PciMappingInfo, PciMappingList, PciMappingNew, PciMappingPath,
    PciMappingQuery, PciMappingUpdate,
};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege::{self, MappingAudit, MappingModify, MappingUse};
use basalt_model::field::FieldErrors;
use basalt_model::qemu::hostpci::{PciMapEntry, PciMapping, PciMappingId};
use basalt_store::{Expect, Stored, Transaction};
use std::collections::BTreeSet;

/// Any of these shows a mapping.
const LOOK: &[Privilege] = &[MappingAudit, MappingUse, MappingModify];
/// Longest description.
const DESCRIPTION: usize = 4096;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<PciMappingList, _, _, _>(list);
    router.on::<PciMappingCreate, _, _, _>(create);
    router.on::<PciMappingGet, _, _, _>(get);
    router.on::<PciMappingUpdate, _, _, _>(update);
    router.on::<PciMappingDelete, _, _, _>(delete);
}

fn acl_path(id: &str) -> String {
    format!("/mapping/pci/{id}")
}

fn texts(map: &[PciMapEntry]) -> Vec<String> {
    map.iter().map(PciMapEntry::to_string).collect()
}

async fn list(call: Call, query: PciMappingQuery) -> Result<Vec<PciMappingEntry>> {
    if let Some(node) = &query.check_node {
        call.node.check_name(node)?;
    }
    let all = call.node.pci_mappings()?.into_iter();
    let seen: Vec<_> = all
        .filter(|(id, _)| call.allows(&acl_path(id), LOOK))
        .collect();
    let checked = query.check_node;
    let looking = tokio::task::spawn_blocking(move || {
        let tree = Tree::default();
        let entry = |(id, mapping): (String, PciMapping)| PciMappingEntry {
            id,
            map: texts(&mapping.map),
            checks: checked.as_ref().map(|node| checks(&tree, node, &mapping)),
            description: mapping.description,
        };
        seen.into_iter().map(entry).collect()
    });
    looking.await.map_err(Error::failed)
}

/// What is wrong with a mapping on this node.
fn checks(tree: &Tree, node: &str, mapping: &PciMapping) -> Vec<PciMappingCheck> {
    let mut found = Vec::new();
    let mut note = |severity, message: String| found.push(PciMappingCheck { severity, message });
    let places = mapping
        .map
        .iter()
        .filter_map(|entry| Some((entry, entry.place().ok()?)));
    let here: Vec<_> = places.filter(|(_, (name, _))| *name == node).collect();
    if here.is_empty() {
        note(
            CheckSeverity::Warning,
            format!("it has no device on node '{node}'"),
        );
    }
    for (entry, (_, path)) in here {
        let checked = tree.functions(path).and_then(|functions| {
            let first = functions.first();
            let first = first.ok_or_else(|| VfioError::NoDevice(path.to_string()))?;
            tree.check_mapping(entry, first)
        });
        if let Err(error) = checked {
            note(CheckSeverity::Error, error.to_string());
        }
    }
    found
}

async fn get(call: Call, params: PciMappingPath) -> Result<PciMappingInfo> {
    let stored = stored(&call, &params.id)?;
    Ok(PciMappingInfo {
        id: params.id.to_string(),
        description: stored.value.description,
        map: texts(&stored.value.map),
        digest: stored.digest,
    })
}

fn stored(call: &Call, id: &PciMappingId) -> Result<Stored<PciMapping>> {
    let stored = call.node.store.read::<PciMapping>(&mapping_key(id));
    let stored = stored.map_err(Error::failed)?;
    stored.ok_or_else(|| Error::not_found(format_args!("mapping '{id}'")))
}

async fn commit(call: &Call, change: Transaction) -> Result<()> {
    let done = call.node.store.commit(change).await;
    done.map(|_| ()).map_err(Error::failed)
}

async fn create(call: Call, params: PciMappingNew) -> Result<()> {
    let mut errors = FieldErrors::default();
    refuse_impossible(&mut errors, params.mdev, params.live_migration_capable);
    let map = entries(&mut errors, &params.map);
    describe(&mut errors, params.description.as_deref());
    errors.or(()).map_err(Error::from)?;
    let key = mapping_key(&params.id);
    if call.node.store.get(&key).is_some() {
        let text = format!("mapping '{}' already exists", params.id);
        return Err(Error::param("id", text));
    }
    let mapping = PciMapping {
        description: params.description,
        map,
    };
    let change = Transaction::new().expect(&key, Expect::Absent);
    commit(&call, change.put(&key, &mapping).map_err(Error::failed)?).await
}

async fn update(call: Call, params: PciMappingChange) -> Result<()> {
    let before = stored(&call, &params.id)?;
    if params
        .digest
        .as_ref()
        .is_some_and(|digest| *digest != before.digest)
    {
        let text = "it was changed meanwhile: read it again";
        return Err(Error::param("digest", text));
    }
    let mut errors = FieldErrors::default();
    refuse_impossible(&mut errors, params.mdev, params.live_migration_capable);
    describe(&mut errors, params.description.as_deref());
    let mut mapping = before.value.clone();
    if let Some(map) = &params.map {
        mapping.map = entries(&mut errors, map);
    }
    let deleted = params.delete.as_deref().unwrap_or_default();
    for name in deleted
        .split([',', ';', ' '])
        .filter(|name| !name.is_empty())
    {
        match name {
            "description" => mapping.description = None,
            // These have no other value.
            "mdev" | "live-migration-capable" => {}
            _ => errors.add(
                "delete",
                format!("'{}' cannot be removed", name.escape_debug()),
            ),
        }
    }
    errors.or(()).map_err(Error::from)?;
    if params.description.is_some() {
        mapping.description = params.description;
    }
    let key = mapping_key(&params.id);
    let change = Transaction::new().expect(&key, Expect::unchanged(&Some(before)));
    commit(&call, change.put(&key, &mapping).map_err(Error::failed)?).await
}

async fn delete(call: Call, params: PciMappingPath) -> Result<()> {
    let key = mapping_key(&params.id);
    stored(&call, &params.id)?;
    let change = Transaction::new()
        .expect(&key, Expect::Present)
        .delete(&key);
    let path = acl_path(&params.id.to_string());
    // Rights on the name are not those on what may have it later.
    let forgotten = call.node.access.change_with(change, |config, _| {
        config.forget_path(&path);
        Ok(())
    });
    forgotten.await?;
    Ok(())
}

fn refuse_impossible(errors: &mut FieldErrors, mdev: Option<bool>, moves: Option<bool>) {
    if mdev == Some(true) {
        errors.add(
            "mdev",
            "devices that are divided among guests are not supported",
        );
    }
    if moves == Some(true) {
        let text = "a machine that has a device of the host cannot be moved while it runs";
        errors.add("live-migration-capable", text);
    }
}

fn describe(errors: &mut FieldErrors, text: Option<&str>) {
    if text.is_some_and(|text| text.len() > DESCRIPTION) {
        errors.add(
            "description",
            format!("it is longer than {DESCRIPTION} bytes"),
        );
    }
}

/// Reads the devices of a mapping; every wrong one is noted.
fn entries(errors: &mut FieldErrors, texts: &[String]) -> Vec<PciMapEntry> {
    let mut map = Vec::new();
    let mut seen = BTreeSet::new();
    for text in texts {
        let parsed = text.parse::<PciMapEntry>().and_then(|entry| {
            let (node, path) = entry.place()?;
            match seen.insert((node.to_owned(), path.to_string())) {
                true => Ok(entry),
                false => Err(format!("'{path}' is there twice for node '{node}'")),
            }
        });
        match parsed {
            Ok(entry) => map.push(entry),
            Err(error) => errors.add("map", format!("'{}': {error}", text.escape_debug())),
        }
    }
    if texts.is_empty() {
        errors.add("map", "name at least one device");
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::vfio::testing::host;

    #[test]
    fn every_wrong_entry_is_named() {
        let texts = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let mut errors = FieldErrors::default();
        let good = "id=10de:2204,node=a,path=0000:01:00";
        let map = entries(
            &mut errors,
            &texts(&[good, "id=10de:2204,node=b,path=01:00.0"]),
        );
        assert!(errors.0.is_empty());
        assert_eq!(map[0].to_string(), good);
        for wrong in [
            &[good, good][..],
            &["id=10de:2204,node=a"],
            &["node=a,path=01:00"],
            &["id=10de:2204,node=a,path=1"],
            &[],
        ] {
            let mut errors = FieldErrors::default();
            entries(&mut errors, &texts(wrong));
            assert!(errors.0.contains_key("map"), "{wrong:?}");
        }
    }

    #[test]
    fn a_mapping_is_checked_against_the_node() {
        let host = host();
        let of = |text: &str| {
            let mapping = PciMapping {
                description: None,
                map: vec![text.parse().unwrap()],
            };
            let found = checks(&host.tree, "a", &mapping);
            found
                .into_iter()
                .map(|check| check.severity)
                .collect::<Vec<_>>()
        };
        assert!(of("id=10de:2204,node=a,path=01:00").is_empty());
        assert_eq!(of("id=10de:2205,node=a,path=01:00"), [CheckSeverity::Error]);
        assert_eq!(of("id=10de:2204,node=a,path=09:00"), [CheckSeverity::Error]);
        assert_eq!(
            of("id=10de:2204,node=b,path=01:00"),
            [CheckSeverity::Warning]
        );
    }
}
