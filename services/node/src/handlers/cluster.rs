//! What concerns all nodes together.

use super::{nodes, storage};
use crate::audit::Entry;
use crate::call::Call;
use crate::error::IntoApi;
use crate::router::Router;
use crate::state::Node;
use basalt_api::methods::NoParams;
use basalt_api::methods::cluster::{
    ClusterConfigNodes, ClusterConfigQdevice, ClusterConfigTotem, ClusterEntry, ClusterLog,
    ClusterOptions, ClusterOptionsChange, ClusterOptionsGet, ClusterOptionsSet, ClusterSettings,
    ClusterStatus, LogEntry, LogQuery, NextId, NextIdQuery, Resource, ResourceFilter, ResourceKind,
    ResourceList, ResourceQuery,
};
use basalt_api::methods::guest::{GuestState, GuestStatus};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege;
use basalt_model::guest::GuestKind;
use basalt_model::network::Mac;
use basalt_network::{interfaces, random_mac_under};
use basalt_store::Stored;
use std::net::IpAddr;
use std::sync::Arc;

/// Entries of the log that are shown when nobody says how many.
const USUAL_LOG: usize = 50;
/// Severities, as in syslog.
const DONE: u8 = 6;
const NOT_DONE: u8 = 4;
/// The key of the options of the whole cluster.
const CLUSTER_OPTIONS: &str = "cluster/options";

/// Says how the methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<ClusterLog, _, _, _>(log);
    router.on::<ResourceList, _, _, _>(resources);
    router.on::<NextId, _, _, _>(next_id);
    router.on::<ClusterStatus, _, _, _>(status);
    router.on::<ClusterOptionsGet, _, _, _>(options);
    router.on::<ClusterOptionsSet, _, _, _>(set_options);
    // Every node stands alone.
    router.on::<ClusterConfigNodes, _, _, _>(async |_, _| Ok(Vec::new()));
    router.on::<ClusterConfigTotem, _, _, _>(async |_, _| Ok(ClusterSettings::default()));
    router.on::<ClusterConfigQdevice, _, _, _>(async |_, _| Ok(ClusterSettings::default()));
}

async fn log(call: Call, params: LogQuery) -> Result<Vec<LogEntry>> {
    let all = call.allows("/", &[Privilege::SysSyslog]);
    let (core, own) = (Arc::clone(&call.core), call.auth().to_string());
    let most = params.max.map_or(USUAL_LOG, |max| max as usize);
    let read = move || core.audit.last(most, |entry| all || entry.user == own);
    let found = tokio::task::spawn_blocking(read).await;
    let found = found.map_err(Error::failed)?.map_err(Error::failed)?;
    let entry = |(uid, entry): (u32, Entry)| {
        let from = entry.from.map(|from| format!(" from {from}"));
        let why = entry.failed.as_ref().map(|why| format!(": {why}"));
        LogEntry {
            uid,
            time: entry.time,
            node: call.node.name.clone(),
            user: entry.user,
            pri: if entry.failed.is_none() {
                DONE
            } else {
                NOT_DONE
            },
            tag: "basalt-node".to_owned(),
            msg: entry.what + &from.unwrap_or_default() + &why.unwrap_or_default(),
        }
    };
    Ok((1..).zip(found).map(entry).collect())
}

async fn resources(call: Call, params: ResourceQuery) -> Result<Vec<Resource>> {
    let mut list = visible(&call, params.kind).await?;
    if params.kind.is_none() {
        list.extend(pools(&call));
    }
    Ok(list)
}

/// Guests, nodes and storages that the caller may see.
pub async fn visible(call: &Call, kind: Option<ResourceFilter>) -> Result<Vec<Resource>> {
    let wants = |one| kind.is_none_or(|wanted| wanted == one);
    let mut list = Vec::new();
    if wants(ResourceFilter::Vm) {
        for (guest_kind, as_kind) in [
            (GuestKind::Qemu, ResourceKind::Qemu),
            (GuestKind::Lxc, ResourceKind::Lxc),
        ] {
            let guests = call.node.guest_list(guest_kind).await?;
            let seen = guests.into_iter().filter(|guest| {
                call.allows(&format!("/vms/{}", guest.vmid), &[Privilege::VmAudit])
            });
            list.extend(seen.map(|status| guest(call, as_kind, status)));
        }
    }
    if wants(ResourceFilter::Node) {
        list.push(node(call).await?);
    }
    if wants(ResourceFilter::Storage) {
        list.extend(storages(call).await);
    }
    Ok(list)
}

/// A resource of which only what every one has is set.
fn bare(id: String, kind: ResourceKind) -> Resource {
    Resource {
        id,
        kind,
        node: None,
        status: None,
        pool: None,
        name: None,
        vmid: None,
        template: None,
        lock: None,
        tags: None,
        cpu: None,
        maxcpu: None,
        mem: None,
        maxmem: None,
        disk: None,
        maxdisk: None,
        diskread: None,
        diskwrite: None,
        netin: None,
        netout: None,
        uptime: None,
        storage: None,
        plugintype: None,
        content: None,
        shared: None,
        level: None,
    }
}

fn pools(call: &Call) -> impl Iterator<Item = Resource> + '_ {
    let look = [Privilege::PoolAudit, Privilege::PoolAllocate];
    let pools = call.access.pools.iter().map(|(id, _)| id);
    let seen = pools.filter(move |id| call.allows(&id.acl_path(), &look));
    seen.map(|id| Resource {
        pool: Some(id.clone()),
        ..bare(id.acl_path(), ResourceKind::Pool)
    })
}

fn guest(call: &Call, kind: ResourceKind, status: GuestStatus) -> Resource {
    let word = match kind {
        ResourceKind::Lxc => GuestKind::Lxc.as_str(),
        _ => GuestKind::Qemu.as_str(),
    };
    let state = match status.status {
        GuestState::Running => "running",
        GuestState::Stopped => "stopped",
    };
    Resource {
        node: Some(call.node.name.clone()),
        status: Some(state.to_owned()),
        pool: call.access.pools.of_guest(status.vmid).cloned(),
        name: Some(status.name),
        vmid: Some(status.vmid),
        template: Some(status.template == Some(true)),
        lock: status.lock,
        tags: status.tags,
        cpu: Some(status.cpu),
        maxcpu: Some(status.cpus),
        mem: Some(status.mem),
        maxmem: Some(status.maxmem),
        disk: Some(status.disk),
        maxdisk: Some(status.maxdisk),
        diskread: Some(status.diskread),
        diskwrite: Some(status.diskwrite),
        netin: Some(status.netin),
        netout: Some(status.netout),
        uptime: Some(status.uptime),
        ..bare(format!("{word}/{}", status.vmid), kind)
    }
}

async fn node(call: &Call) -> Result<Resource> {
    let entry = nodes::entry(call).await?;
    Ok(Resource {
        cpu: Some(entry.cpu),
        maxcpu: Some(entry.maxcpu as f64),
        mem: Some(entry.mem),
        maxmem: Some(entry.maxmem),
        disk: Some(entry.disk),
        maxdisk: Some(entry.maxdisk),
        uptime: Some(entry.uptime),
        level: Some(entry.level),
        node: Some(entry.node),
        status: Some("online".to_owned()),
        ..bare(entry.id, ResourceKind::Node)
    })
}

async fn storages(call: &Call) -> Vec<Resource> {
    let node = &call.node.name;
    let mut list = Vec::new();
    for (id, config, driver) in call.node.storages.all() {
        let path = format!("/storage/{id}");
        let look = [Privilege::DatastoreAudit, Privilege::DatastoreAllocateSpace];
        if !call.allows(&path, &look) {
            continue;
        }
        let status = storage::status(id.clone(), &config, &driver).await;
        let word = if status.active {
            "available"
        } else {
            "unknown"
        };
        list.push(Resource {
            node: Some(node.clone()),
            status: Some(word.to_owned()),
            disk: Some(status.used),
            maxdisk: Some(status.total),
            storage: Some(id.to_string()),
            plugintype: Some(status.kind.to_string()),
            content: Some(status.content),
            shared: Some(status.shared),
            ..bare(format!("storage/{node}/{id}"), ResourceKind::Storage)
        });
    }
    list
}

async fn next_id(call: Call, params: NextIdQuery) -> Result<String> {
    let taken = |vmid| call.node.find_guest(vmid).map(|guest| guest.is_some());
    if let Some(vmid) = params.vmid {
        return match taken(vmid)? {
            true => Err(Error::param(
                "vmid",
                format_args!("VM {vmid} already exists"),
            )),
            false => Ok(vmid.to_string()),
        };
    }
    let range = call.node.cluster_options()?.next_id.unwrap_or_default();
    for vmid in range.numbers() {
        if !taken(vmid)? {
            return Ok(vmid.to_string());
        }
    }
    Err(Error::failed("no number is free"))
}

async fn status(call: Call, _: NoParams) -> Result<Vec<ClusterEntry>> {
    let name = call.node.name.clone();
    Ok(vec![ClusterEntry {
        id: format!("node/{name}"),
        name,
        kind: "node".to_owned(),
        nodeid: Some(0),
        ip: address(&call).await,
        online: Some(true),
        local: Some(true),
        level: Some(String::new()),
        nodes: None,
        quorate: None,
        version: None,
    }])
}

/// The address of the interface that leads to the outside, or else of any bridge or card.
async fn address(call: &Call) -> Option<String> {
    let addresses = call.node.network.addresses().await.ok()?;
    let all = interfaces::list().ok()?;
    let usable = |kind| matches!(kind, interfaces::Kind::Bridge | interfaces::Kind::Card);
    let mut candidates: Vec<_> = all.iter().filter(|i| usable(i.kind)).collect();
    candidates.sort_by_key(|i| (interfaces::gateway(&i.name).is_none(), i.name.clone()));
    let own = candidates
        .iter()
        .filter_map(|i| addresses.get(&i.index))
        .flatten();
    let four = own
        .map(|(address, _)| address)
        .find(|address| matches!(address, IpAddr::V4(_)));
    four.map(ToString::to_string)
}

async fn options(call: Call, _: NoParams) -> Result<ClusterOptions> {
    let all = call.node.cluster_options()?;
    if call.allows("/", &[Privilege::SysAudit]) {
        let mac_prefix = Some(all.mac_prefix.clone().unwrap_or_default());
        return Ok(ClusterOptions { mac_prefix, ..all });
    }
    // What interfaces need to know; the rest is for who may look at the cluster.
    Ok(ClusterOptions {
        console: all.console,
        keyboard: all.keyboard,
        language: all.language,
        ..ClusterOptions::default()
    })
}

async fn set_options(call: Call, params: ClusterOptionsChange) -> Result<()> {
    let change = |stored: Option<Stored<ClusterOptions>>| {
        let options = stored.map(|stored| stored.value).unwrap_or_default();
        with_options(options, &params)
    };
    call.node
        .store
        .update(CLUSTER_OPTIONS, change)
        .await
        .api()?
}

fn with_options(
    mut options: ClusterOptions,
    params: &ClusterOptionsChange,
) -> Result<ClusterOptions> {
    let names = params.delete.as_deref().unwrap_or_default();
    for name in names.split([',', ';', ' ']).filter(|name| !name.is_empty()) {
        match name {
            "console" => options.console = None,
            "keyboard" => options.keyboard = None,
            "language" => options.language = None,
            "mac_prefix" => options.mac_prefix = None,
            "next-id" => options.next_id = None,
            "description" => options.description = None,
            _ => {
                let text = format!("there is no option '{name}'");
                return Err(Error::param("delete", text));
            }
        }
    }
    let new = params.options.clone();
    options.console = new.console.or(options.console);
    options.keyboard = new.keyboard.or(options.keyboard);
    options.language = new.language.or(options.language);
    options.mac_prefix = new.mac_prefix.or(options.mac_prefix);
    options.next_id = new.next_id.or(options.next_id);
    options.description = new.description.or(options.description);
    Ok(options)
}

impl Node {
    /// The options of the whole cluster.
    pub fn cluster_options(&self) -> Result<ClusterOptions> {
        let stored = self.store.read::<ClusterOptions>(CLUSTER_OPTIONS);
        let stored = stored.map_err(Error::failed)?;
        Ok(stored.map(|stored| stored.value).unwrap_or_default())
    }

    /// A hardware address for a card that was given none.
    pub fn new_mac(&self) -> Result<Mac> {
        let prefix = self.cluster_options()?.mac_prefix.unwrap_or_default();
        Ok(random_mac_under(&prefix))
    }
}
