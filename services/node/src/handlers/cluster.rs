//! What concerns all nodes together.

use super::{nodes, storage};
use crate::call::Call;
use crate::router::Router;
use basalt_api::methods::NoParams;
use basalt_api::methods::cluster::{
    ClusterEntry, ClusterOptions, ClusterOptionsGet, ClusterStatus, NextId, NextIdQuery, Resource,
    ResourceFilter, ResourceKind, ResourceList, ResourceQuery,
};
use basalt_api::methods::guest::{GuestState, GuestStatus};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege;
use basalt_model::guest::GuestKind;
use basalt_model::vmid::Vmid;
use basalt_network::interfaces;
use std::net::IpAddr;

/// Says how the methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<ResourceList, _, _, _>(resources);
    router.on::<NextId, _, _, _>(next_id);
    router.on::<ClusterStatus, _, _, _>(status);
    router.on::<ClusterOptionsGet, _, _, _>(options);
}

async fn resources(call: Call, params: ResourceQuery) -> Result<Vec<Resource>> {
    let wants = |kind| params.kind.is_none_or(|wanted| wanted == kind);
    let mut list = Vec::new();
    if wants(ResourceFilter::Vm) {
        for (kind, as_kind) in [
            (GuestKind::Qemu, ResourceKind::Qemu),
            (GuestKind::Lxc, ResourceKind::Lxc),
        ] {
            let guests = call.node.guest_list(kind).await?;
            let seen = guests.into_iter().filter(|guest| {
                call.allows(&format!("/vms/{}", guest.vmid), &[Privilege::VmAudit])
            });
            list.extend(seen.map(|status| guest(&call.node.name, as_kind, status)));
        }
    }
    if wants(ResourceFilter::Node) {
        list.push(node(&call).await?);
    }
    if wants(ResourceFilter::Storage) {
        list.extend(storages(&call).await);
    }
    Ok(list)
}

/// A resource of which only what every one has is set.
fn bare(id: String, kind: ResourceKind, node: &str, status: &str) -> Resource {
    Resource {
        id,
        kind,
        node: node.to_owned(),
        status: status.to_owned(),
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

fn guest(node: &str, kind: ResourceKind, status: GuestStatus) -> Resource {
    let word = match kind {
        ResourceKind::Lxc => GuestKind::Lxc.as_str(),
        _ => GuestKind::Qemu.as_str(),
    };
    let state = match status.status {
        GuestState::Running => "running",
        GuestState::Stopped => "stopped",
    };
    Resource {
        name: Some(status.name),
        vmid: Some(status.vmid),
        template: Some(false),
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
        ..bare(format!("{word}/{}", status.vmid), kind, node, state)
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
        ..bare(entry.id, ResourceKind::Node, &entry.node, "online")
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
            disk: Some(status.used),
            maxdisk: Some(status.total),
            storage: Some(id.to_string()),
            plugintype: Some(status.kind.to_string()),
            content: Some(status.content),
            shared: Some(status.shared),
            ..bare(
                format!("storage/{node}/{id}"),
                ResourceKind::Storage,
                node,
                word,
            )
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
    for number in Vmid::MIN.get()..=Vmid::MAX.get() {
        let Some(vmid) = Vmid::new(number) else { break };
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

async fn options(_: Call, _: NoParams) -> Result<ClusterOptions> {
    Ok(ClusterOptions {
        mac_prefix: Some("BC:24:11".to_owned()),
        ..ClusterOptions::default()
    })
}
