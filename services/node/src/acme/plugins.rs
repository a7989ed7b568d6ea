//! Plugins: how names are proved.

use crate::core::Core;
use crate::error::IntoApi;
use basalt_api::methods::acme::{AcmePlugin, AcmePluginFields, AcmePluginType};
use basalt_api::{Error, Result};
use basalt_model::acme::{ConfigId, STANDALONE};
use basalt_store::{Expect, Transaction};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zeroize::Zeroizing;

const PLUGINS: &str = "acme/plugin/";
/// Until everybody can see a record.
const DELAY: u32 = 30;

/// A plugin as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stored {
    kind: AcmePluginType,
    #[serde(flatten)]
    fields: AcmePluginFields,
}

/// Sets records by a hook.
#[derive(Debug, Clone)]
pub struct Dns {
    /// Name of the hook.
    pub api: String,
    /// What it is given.
    pub data: Zeroizing<Vec<u8>>,
    /// How long it takes until everybody can see a record.
    pub delay: Duration,
}

fn place(id: &ConfigId) -> String {
    format!("{PLUGINS}{id}")
}

fn missing(id: &ConfigId) -> Error {
    Error::not_found(format_args!("ACME plugin '{id}'"))
}

fn is_standalone(id: &ConfigId) -> bool {
    id.as_str() == STANDALONE
}

/// The plugin that is always there.
fn standalone() -> Stored {
    Stored {
        kind: AcmePluginType::Standalone,
        fields: AcmePluginFields::default(),
    }
}

fn shown(plugin: ConfigId, stored: Stored) -> Result<AcmePlugin> {
    let text = serde_json::to_string(&stored).map_err(Error::failed)?;
    Ok(AcmePlugin {
        plugin,
        kind: stored.kind,
        fields: stored.fields,
        digest: basalt_store::digest(&text),
    })
}

fn read(core: &Core, id: &ConfigId) -> Result<Stored> {
    let found = core.store.read::<Stored>(&place(id)).api()?;
    match found {
        Some(found) => Ok(found.value),
        None if is_standalone(id) => Ok(standalone()),
        None => Err(missing(id)),
    }
}

/// Every plugin, in the order of names.
pub fn list(core: &Core) -> Result<Vec<AcmePlugin>> {
    let mut ids: Vec<ConfigId> = Vec::new();
    for entry in core.store.list(PLUGINS) {
        let id = entry.key.trim_start_matches(PLUGINS).parse::<ConfigId>();
        ids.push(id.map_err(Error::failed)?);
    }
    ids.push(STANDALONE.parse().map_err(Error::failed)?);
    ids.sort();
    ids.dedup();
    ids.into_iter().map(|id| get(core, &id)).collect()
}

/// A plugin.
pub fn get(core: &Core, id: &ConfigId) -> Result<AcmePlugin> {
    shown(id.clone(), read(core, id)?)
}

/// Adds a plugin.
pub async fn create(
    core: &Core,
    id: &ConfigId,
    kind: AcmePluginType,
    fields: AcmePluginFields,
) -> Result<()> {
    if is_standalone(id) || core.store.get(&place(id)).is_some() {
        return Err(Error::exists(format_args!("ACME plugin '{id}'")));
    }
    let plugin = Stored { kind, fields };
    check(&plugin)?;
    let change = Transaction::new().expect(place(id), Expect::Absent);
    let change = change.put(place(id), &plugin).api()?;
    core.store.commit(change).await.api()?;
    Ok(())
}

/// Changes a plugin.
pub async fn update(
    core: &Core,
    id: &ConfigId,
    fields: AcmePluginFields,
    delete: &[&str],
    digest: Option<&str>,
) -> Result<()> {
    let change = |stored: Option<basalt_store::Stored<Stored>>| {
        let plugin = match stored {
            Some(stored) => stored.value,
            None if is_standalone(id) => standalone(),
            None => return Err(missing(id)),
        };
        changed(plugin, id, fields.clone(), delete, digest)
    };
    core.store.update(&place(id), change).await.api()?
}

fn changed(
    mut plugin: Stored,
    id: &ConfigId,
    fields: AcmePluginFields,
    delete: &[&str],
    digest: Option<&str>,
) -> Result<Stored> {
    if digest.is_some_and(|seen| shown(id.clone(), plugin.clone()).is_ok_and(|p| p.digest != seen))
    {
        let text = "the plugin was changed meanwhile: read it again";
        return Err(Error::param("digest", text));
    }
    let now = &mut plugin.fields;
    for name in delete {
        match *name {
            "api" => now.api = None,
            "data" => now.data = None,
            "disable" => now.disable = None,
            "nodes" => now.nodes = None,
            "validation-delay" => now.validation_delay = None,
            _ => {
                let text = format!("there is no setting '{name}'");
                return Err(Error::param("delete", text));
            }
        }
    }
    now.api = fields.api.or(now.api.take());
    now.data = fields.data.or(now.data.take());
    now.disable = fields.disable.or(now.disable);
    now.nodes = fields.nodes.or(now.nodes.take());
    now.validation_delay = fields.validation_delay.or(now.validation_delay);
    check(&plugin)?;
    Ok(plugin)
}

/// Removes a plugin; `standalone` goes back to its defaults.
pub async fn remove(core: &Core, id: &ConfigId) -> Result<()> {
    if core.store.get(&place(id)).is_none() {
        return Err(match is_standalone(id) {
            true => Error::failed("the plugin standalone is always there"),
            false => missing(id),
        });
    }
    let change = Transaction::new().delete(place(id));
    core.store.commit(change).await.api()?;
    Ok(())
}

/// Refuses what could not work.
fn check(plugin: &Stored) -> Result<()> {
    let fields = &plugin.fields;
    if plugin.kind == AcmePluginType::Standalone {
        for (name, is_set) in [
            ("api", fields.api.is_some()),
            ("data", fields.data.is_some()),
            ("validation-delay", fields.validation_delay.is_some()),
        ] {
            if is_set {
                return Err(Error::param(name, "is for plugins of type dns"));
            }
        }
        return Ok(());
    }
    match &fields.api {
        Some(api) if super::hooks::is_name(api) => decoded(fields).map(|_| ()),
        Some(api) => Err(Error::param(
            "api",
            format_args!("'{api}' is no name of a hook"),
        )),
        None => Err(Error::param("api", "is missing: it names the hook")),
    }
}

fn decoded(fields: &AcmePluginFields) -> Result<Zeroizing<Vec<u8>>> {
    let text = fields.data.as_deref().unwrap_or_default();
    let bytes = STANDARD.decode(text.trim());
    let bytes = bytes.map_err(|_| Error::param("data", "is no base64 (RFC 4648, section 4)"))?;
    Ok(Zeroizing::new(bytes))
}

/// What proves a name on this node: a hook, or nothing for a page on port 80.
pub fn usable(core: &Core, id: &ConfigId) -> Result<Option<Dns>> {
    let plugin = read(core, id)?;
    let fields = &plugin.fields;
    let refused = |text: &str| Error::failed(format_args!("ACME plugin '{id}' {text}"));
    if fields.disable.unwrap_or(false) {
        return Err(refused("is disabled"));
    }
    let nodes = fields.nodes.as_deref().unwrap_or_default();
    let mut nodes = nodes.split([',', ';', ' ']).filter(|name| !name.is_empty());
    let is_for_all = nodes.clone().next().is_none();
    if !is_for_all && !nodes.any(|name| name == core.name) {
        return Err(refused("is not for this node"));
    }
    match (plugin.kind, &fields.api) {
        (AcmePluginType::Standalone, _) => Ok(None),
        (AcmePluginType::Dns, None) => Err(refused("names no hook")),
        (AcmePluginType::Dns, Some(api)) => Ok(Some(Dns {
            api: api.clone(),
            data: decoded(fields)?,
            delay: Duration::from_secs(fields.validation_delay.unwrap_or(DELAY).into()),
        })),
    }
}
