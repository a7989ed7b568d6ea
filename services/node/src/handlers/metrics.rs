//! Servers elsewhere that are told of figures, and figures for those that ask.

use crate::call::Call;
use crate::metric_servers::{MetricServers, target};
use crate::router::Router;
use basalt_api::methods::NoParams;
use basalt_api::methods::metrics::{
    Metric, MetricExport, MetricExportGet, MetricExportQuery, MetricServerChange,
    MetricServerCreate, MetricServerDelete, MetricServerEntry, MetricServerGet, MetricServerList,
    MetricServerNew, MetricServerPath, MetricServerShown, MetricServerUpdate, MetricType,
};
use basalt_api::{Error, Result};
use basalt_metrics::Sample;
use basalt_metrics::sample::Kind;
use basalt_model::metrics::{MetricFields, MetricSecrets, MetricServer};
use basalt_model::userid::is_identifier;
use serde_json::{Map, Value};

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<MetricServerList, _, _, _>(list);
    router.on::<MetricServerGet, _, _, _>(show);
    router.on::<MetricServerCreate, _, _, _>(create);
    router.on::<MetricServerUpdate, _, _, _>(update);
    router.on::<MetricServerDelete, _, _, _>(delete);
    router.on::<MetricExportGet, _, _, _>(export);
}

fn no_server(id: &str) -> Error {
    Error::not_found(format_args!("metric server '{id}'"))
}

async fn list(call: Call, _: NoParams) -> Result<Vec<MetricServerEntry>> {
    let servers = MetricServers::read(&call.node.store)?;
    let entry = |(id, server): (String, MetricServer)| MetricServerEntry {
        id,
        kind: server.kind,
        server: server.server,
        port: server.port,
        disable: server.fields.disable.unwrap_or(false),
    };
    Ok(servers.all.into_iter().map(entry).collect())
}

async fn show(call: Call, path: MetricServerPath) -> Result<MetricServerShown> {
    let mut servers = MetricServers::read(&call.node.store)?;
    let server = servers.all.remove(&path.id);
    Ok(MetricServerShown {
        server: server.ok_or_else(|| no_server(&path.id))?,
        digest: servers.digest(),
        id: path.id,
    })
}

async fn create(call: Call, new: MetricServerNew) -> Result<()> {
    if !is_identifier(&new.id, 64) || new.id.contains('.') {
        let text = "starts with a letter and has letters, digits, '-' and '_'";
        return Err(Error::param("id", text));
    }
    let mut servers = MetricServers::read(&call.node.store)?;
    if servers.all.contains_key(&new.id) {
        return Err(Error::exists(format_args!("metric server '{}'", new.id)));
    }
    let secrets = MetricSecrets {
        token: new.token,
        headers: new.otel_headers,
    };
    target(&new.server, &secrets)?;
    // Nothing may be left of an earlier server of this name.
    servers.vault.remove(&new.id);
    if secrets != MetricSecrets::default() {
        servers.vault.insert(new.id.clone(), secrets);
    }
    servers.all.insert(new.id, new.server);
    servers.store(&call.node.store).await
}

async fn update(call: Call, change: MetricServerChange) -> Result<()> {
    let mut servers = MetricServers::read(&call.node.store)?;
    let before = servers.all.get(&change.id);
    let before = before.cloned().ok_or_else(|| no_server(&change.id))?;
    if change.digest.is_some() && change.digest != Some(servers.digest()) {
        let text = "the settings were changed meanwhile: read them again";
        return Err(Error::param("digest", text));
    }
    let id = change.id.clone();
    let kept = servers.vault.remove(&id).unwrap_or_default();
    let (after, secrets) = changed(&before, kept, change)?;
    target(&after, &secrets)?;
    if secrets != MetricSecrets::default() {
        servers.vault.insert(id.clone(), secrets);
    }
    servers.all.insert(id, after);
    servers.store(&call.node.store).await
}

/// What a change makes of a server and its secrets.
fn changed(
    before: &MetricServer,
    mut secrets: MetricSecrets,
    change: MetricServerChange,
) -> Result<(MetricServer, MetricSecrets)> {
    let mut fields = members(&before.fields)?;
    let names = change.delete.as_deref().unwrap_or_default();
    for name in names.split([',', ';', ' ']).filter(|name| !name.is_empty()) {
        match name {
            "token" => secrets.token = None,
            "otel-headers" => secrets.headers = None,
            name if MetricFields::NAMES.contains(&name) => {
                fields.remove(name);
            }
            _ => {
                let text = format!("there is no setting '{name}' that could be put back");
                return Err(Error::param("delete", text));
            }
        }
    }
    fields.extend(members(&change.fields)?);
    let fields = serde_json::from_value(Value::Object(fields)).map_err(Error::failed)?;
    let after = MetricServer {
        kind: before.kind,
        server: change.server.unwrap_or_else(|| before.server.clone()),
        port: change.port.unwrap_or(before.port),
        fields,
    };
    let tells_others = after.tells_others(before);
    for (name, kept, given) in [
        ("token", &mut secrets.token, change.token),
        ("otel-headers", &mut secrets.headers, change.otel_headers),
    ] {
        if given.is_none() && kept.is_some() && tells_others {
            let text = "is needed again: the server, or how it is reached or believed, changes";
            return Err(Error::param(name, text));
        }
        *kept = given.or(kept.take());
    }
    Ok((after, secrets))
}

fn members(fields: &MetricFields) -> Result<Map<String, Value>> {
    match serde_json::to_value(fields).map_err(Error::failed)? {
        Value::Object(members) => Ok(members),
        _ => Err(Error::failed("settings are an object")),
    }
}

async fn delete(call: Call, path: MetricServerPath) -> Result<()> {
    let mut servers = MetricServers::read(&call.node.store)?;
    let found = servers.all.remove(&path.id);
    found.ok_or_else(|| no_server(&path.id))?;
    servers.vault.remove(&path.id);
    servers.store(&call.node.store).await
}

async fn export(call: Call, query: MetricExportQuery) -> Result<MetricExport> {
    let nodes = query.node_list.as_deref().unwrap_or_default();
    let mut nodes = nodes.split([',', ';', ' ']).filter(|name| !name.is_empty());
    let is_wanted = query.node_list.is_none() || nodes.any(|name| name == call.node.name);
    if !is_wanted {
        return Ok(MetricExport { data: Vec::new() });
    }
    let mut samples = call.node.recent.all();
    if !query.history.unwrap_or(false) {
        let last = samples.pop();
        samples = last.into_iter().collect();
    }
    let since = query.start_time.unwrap_or(0);
    let newer = samples.iter().filter(|sample| sample.time > since);
    Ok(MetricExport {
        data: newer.flat_map(|sample| metrics(sample)).collect(),
    })
}

fn metrics(sample: &Sample) -> Vec<Metric> {
    let mut list = Vec::new();
    for measured in &sample.measured {
        let id = sample.id(&measured.subject);
        let known = measured.figures.iter().filter(|one| one.value.is_finite());
        list.extend(known.map(|figure| Metric {
            id: id.clone(),
            metric: figure.metric.to_owned(),
            timestamp: sample.time,
            kind: match figure.kind {
                Kind::Gauge => MetricType::Gauge,
                Kind::Counter => MetricType::Derive,
            },
            value: figure.value,
        }));
    }
    list
}
