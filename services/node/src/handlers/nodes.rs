//! Nodes: the machines themselves.

use crate::call::Call;
use crate::certificate;
use crate::error::IntoApi;
use crate::guests::suspend::NODE_CONFIG;
use crate::host;
use crate::host_config;
use crate::router::Router;
use basalt_api::methods::nodes::{
    Child, NetworkFilter, NetworkGet, NetworkInterface, NetworkList, NetworkPath, NetworkQuery,
    NodeCommand, NodeConfig, NodeConfigGet, NodeConfigPut, NodeConfigQuery, NodeConfigSet,
    NodeConfigShown, NodeDns, NodeDnsGet, NodeDnsPut, NodeDnsSet, NodeEntry, NodeIndex, NodeList,
    NodePower, NodeState, NodeStatus, NodeStatusGet, NodeSubscription, NodeTime, NodeTimeGet,
    NodeTimePut, NodeTimeSet, PowerCommand, Subscription,
};
use basalt_api::methods::{NoParams, NodePath};
use basalt_api::{Error, Result, registry};
use basalt_model::acme::{AcmeDomain, NodeAcme};
use basalt_model::field::index_of;
use basalt_model::host::{Addressing, HostConfig, HostDns, SearchDomain, TimeZone};
use basalt_network::interfaces::{self, Interface, Kind};
use basalt_store::Stored;
use basalt_unit::HostStop;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// How the settings of names of the certificate begin.
const DOMAIN: &str = "acmedomain";

/// Says how the methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<NodeList, _, _, _>(list);
    router.on::<NodeIndex, _, _, _>(index);
    router.on::<NodeStatusGet, _, _, _>(status);
    router.on::<NodeConfigGet, _, _, _>(config);
    router.on::<NodeConfigPut, _, _, _>(configure);
    router.on::<NodePower, _, _, _>(power);
    router.on::<NodeTimeGet, _, _, _>(time);
    router.on::<NodeTimePut, _, _, _>(set_time);
    router.on::<NodeDnsGet, _, _, _>(dns);
    router.on::<NodeDnsPut, _, _, _>(set_dns);
    router.on::<NodeSubscription, _, _, _>(subscription);
    router.on::<NetworkList, _, _, _>(network);
    router.on::<NetworkGet, _, _, _>(network_one);
}

/// This node as a list shows it.
pub async fn entry(call: &Call) -> Result<NodeEntry> {
    let samples = std::sync::Arc::clone(&call.node.samples);
    let load = tokio::task::spawn_blocking(move || host::load(&samples));
    let load = load.await.map_err(Error::failed)?;
    Ok(NodeEntry {
        node: call.node.name.clone(),
        kind: "node".to_owned(),
        id: format!("node/{}", call.node.name),
        status: NodeState::Online,
        cpu: load.cpu,
        maxcpu: load.cpus,
        mem: load.memory.used,
        maxmem: load.memory.total,
        disk: load.rootfs.used,
        maxdisk: load.rootfs.total,
        uptime: load.uptime,
        level: String::new(),
        ssl_fingerprint: certificate::fingerprint_in(&call.node.settings.state),
    })
}

async fn read_status(call: &Call) -> Result<NodeStatus> {
    let samples = std::sync::Arc::clone(&call.node.samples);
    tokio::task::spawn_blocking(move || host::status(&samples))
        .await
        .map_err(Error::failed)
}

async fn list(call: Call, _: NoParams) -> Result<Vec<NodeEntry>> {
    Ok(vec![entry(&call).await?])
}

async fn index(call: Call, params: NodePath) -> Result<Vec<Child>> {
    call.node.check_name(&params.node)?;
    let below = |path: &'static str| path.strip_prefix("/nodes/{node}/")?.split('/').next();
    let names = registry().filter_map(|declared| below(declared.method.path));
    let names: BTreeSet<&str> = names.collect();
    let child = |name: &str| Child {
        subdir: name.to_owned(),
    };
    Ok(names.into_iter().map(child).collect())
}

async fn status(call: Call, params: NodePath) -> Result<NodeStatus> {
    call.node.check_name(&params.node)?;
    read_status(&call).await
}

async fn config(call: Call, params: NodeConfigQuery) -> Result<NodeConfigShown> {
    call.node.check_name(&params.node)?;
    let stored = call.node.store.read::<NodeConfig>(NODE_CONFIG);
    let stored = stored.map_err(Error::failed)?;
    let digest = stored.as_ref().map(|stored| stored.digest.clone());
    let config = stored.map(|stored| stored.value).unwrap_or_default();
    let wants = |name: &str| params.property.as_deref().is_none_or(|only| only == name);
    Ok(NodeConfigShown {
        config: NodeConfig {
            on_host_shutdown: config
                .on_host_shutdown
                .filter(|_| wants("on-host-shutdown")),
            description: config.description.filter(|_| wants("description")),
            acme: NodeAcme {
                acme: config.acme.acme.filter(|_| wants("acme")),
                domains: numbered_that(config.acme.domains, wants),
            },
        },
        digest,
    })
}

/// The names of the certificate whose setting is wanted.
fn numbered_that(
    mut domains: BTreeMap<u8, AcmeDomain>,
    wants: impl Fn(&str) -> bool,
) -> BTreeMap<u8, AcmeDomain> {
    domains.retain(|number, _| wants(&format!("{DOMAIN}{number}")));
    domains
}

async fn configure(call: Call, params: NodeConfigSet) -> Result<()> {
    call.node.check_name(&params.node)?;
    let change = |stored| with_settings(stored, &params);
    call.node.store.update(NODE_CONFIG, change).await.api()?
}

fn with_settings(stored: Option<Stored<NodeConfig>>, params: &NodeConfigSet) -> Result<NodeConfig> {
    let digest = stored.as_ref().map(|stored| stored.digest.clone());
    if params.digest.is_some() && params.digest != digest {
        let text = "the settings were changed meanwhile: read them again";
        return Err(Error::param("digest", text));
    }
    let mut config = stored.map(|stored| stored.value).unwrap_or_default();
    let names = params.delete.as_deref().unwrap_or_default();
    for name in names.split([',', ';', ' ']).filter(|name| !name.is_empty()) {
        match name {
            "on-host-shutdown" => config.on_host_shutdown = None,
            "description" => config.description = None,
            "acme" => config.acme.acme = None,
            _ if NodeAcme::knows(name) => {
                let number = index_of(DOMAIN, name);
                config.acme.domains.retain(|n, _| Some(*n) != number);
            }
            _ => {
                let text = format!("there is no setting '{name}'");
                return Err(Error::param("delete", text));
            }
        }
    }
    let new = params.config.clone();
    config.on_host_shutdown = new.on_host_shutdown.or(config.on_host_shutdown);
    config.description = new.description.or(config.description);
    config.acme.acme = new.acme.acme.or(config.acme.acme);
    config.acme.domains.extend(new.acme.domains);
    config.acme.names()?;
    Ok(config)
}

async fn power(call: Call, params: NodeCommand) -> Result<()> {
    call.node.check_name(&params.node)?;
    let then = match params.command {
        PowerCommand::Reboot => HostStop::Reboot,
        PowerCommand::Shutdown => HostStop::PowerOff,
    };
    tracing::info!(user = %call.auth(), ?then, "the host is stopped on request");
    call.node.units.stop_host(then).await.map_err(Error::failed)
}

async fn time(call: Call, params: NodePath) -> Result<NodeTime> {
    call.node.check_name(&params.node)?;
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| passed.as_secs());
    let zone = std::fs::read_link("/etc/localtime").unwrap_or_default();
    let zone = zone.to_string_lossy();
    let name = zone.split_once("zoneinfo/").map_or("UTC", |(_, name)| name);
    let localtime = i64::try_from(time).unwrap_or(0) + host::utc_offset(time);
    Ok(NodeTime {
        timezone: name.to_owned(),
        time,
        localtime: u64::try_from(localtime).unwrap_or(0),
    })
}

async fn set_time(call: Call, params: NodeTimeSet) -> Result<()> {
    call.node.check_name(&params.node)?;
    let zone: TimeZone = params
        .timezone
        .parse()
        .map_err(|e| Error::param("timezone", e))?;
    let state = call.node.settings.state.clone();
    let setting = tokio::task::spawn_blocking(move || host_config::set_time_zone(&state, zone));
    setting.await.map_err(Error::failed)?
}

async fn dns(call: Call, params: NodePath) -> Result<NodeDns> {
    call.node.check_name(&params.node)?;
    let mut shown = host_dns();
    // What was set holds, though programs are told of it a moment later.
    let own = host_config::read(&call.node.settings.state).and_then(|host| host.dns);
    if let Some(own) = own {
        shown.search = own.search.map(String::from).or(shown.search);
        if !own.servers.is_empty() {
            let mut servers = own.servers.iter().map(ToString::to_string);
            [shown.dns1, shown.dns2, shown.dns3] = std::array::from_fn(|_| servers.next());
        }
    }
    Ok(shown)
}

async fn set_dns(call: Call, params: NodeDnsSet) -> Result<()> {
    call.node.check_name(&params.node)?;
    let dns = dns_from(&params)?;
    let (state, kept) = (call.node.settings.state.clone(), dns.clone());
    let setting = tokio::task::spawn_blocking(move || host_config::set_dns(&state, kept));
    let bridge = setting.await.map_err(Error::failed)??;
    let all = interfaces::list().map_err(Error::failed)?;
    let index = all.iter().find(|one| one.name == bridge);
    let index = index.and_then(|one| i32::try_from(one.index).ok());
    // Without its bridge the host has no network, and starts it with the new name servers.
    let Some(index) = index else {
        return Ok(());
    };
    let search = dns.search.as_ref().map(SearchDomain::as_str);
    let told = call
        .node
        .units
        .set_name_servers(index, &dns.servers, search);
    told.await.map_err(|error| {
        let text = "kept, and in force when the network starts again, but not now";
        Error::failed(format_args!("{text}: {error}"))
    })
}

/// The name servers that were asked for, without gaps.
fn dns_from(params: &NodeDnsSet) -> Result<HostDns> {
    let mut servers = Vec::new();
    let mut gap = false;
    for (name, server) in [
        ("dns1", params.dns1),
        ("dns2", params.dns2),
        ("dns3", params.dns3),
    ] {
        match server {
            None => gap = true,
            Some(_) if gap => {
                return Err(Error::param(name, "is set, but not the one before it"));
            }
            Some(server) if server.is_unspecified() || server.is_multicast() => {
                return Err(Error::param(name, "is no address of a server"));
            }
            Some(server) => servers.push(server),
        }
    }
    let search = params.search.trim();
    let search = (!search.is_empty()).then(|| search.parse::<SearchDomain>());
    Ok(HostDns {
        search: search.transpose().map_err(|e| Error::param("search", e))?,
        servers,
    })
}

/// How this host resolves names.
pub fn host_dns() -> NodeDns {
    // The resolver's own list, not the stub that programs are given.
    let text = std::fs::read_to_string("/run/systemd/resolve/resolv.conf")
        .or_else(|_| std::fs::read_to_string("/etc/resolv.conf"));
    dns_of(&text.unwrap_or_default())
}

fn dns_of(text: &str) -> NodeDns {
    let values = |key: &'static str| {
        text.lines().filter_map(move |line| {
            let mut words = line.split_whitespace();
            (words.next()? == key)
                .then(|| words.next().map(str::to_owned))
                .flatten()
        })
    };
    let mut servers = values("nameserver");
    NodeDns {
        search: values("search").next().filter(|domain| domain != "."),
        dns1: servers.next(),
        dns2: servers.next(),
        dns3: servers.next(),
    }
}

async fn subscription(call: Call, params: NodePath) -> Result<Subscription> {
    call.node.check_name(&params.node)?;
    Ok(Subscription {
        status: "notfound".to_owned(),
        message: "Basalt needs no subscription".to_owned(),
    })
}

async fn network_one(call: Call, params: NetworkPath) -> Result<NetworkInterface> {
    let query = NetworkQuery {
        node: params.node,
        kind: None,
    };
    let all = network(call, query).await?;
    let found = all.into_iter().find(|one| one.iface == params.iface);
    found.ok_or_else(|| Error::not_found(format_args!("interface '{}'", params.iface)))
}

async fn network(call: Call, params: NetworkQuery) -> Result<Vec<NetworkInterface>> {
    call.node.check_name(&params.node)?;
    let all = interfaces::list().map_err(Error::failed)?;
    let addresses = call.node.network.addresses().await.map_err(Error::failed)?;
    let host = host_config::read(&call.node.settings.state);
    let mut list = Vec::new();
    for interface in all
        .iter()
        .filter(|interface| is_wanted(interface.kind, params.kind))
    {
        let own = addresses
            .get(&interface.index)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let priority = u32::try_from(list.len() + 1).unwrap_or(u32::MAX);
        list.push(describe(interface, own, host.as_ref(), priority));
    }
    Ok(list)
}

/// Ports of guests and the loopback are no interfaces that a user configures.
fn is_wanted(kind: Kind, filter: Option<NetworkFilter>) -> bool {
    let wanted: &[Kind] = match filter {
        None => &[Kind::Bridge, Kind::Card, Kind::Bond, Kind::Vlan],
        Some(NetworkFilter::Bridge | NetworkFilter::AnyBridge | NetworkFilter::AnyLocalBridge) => {
            &[Kind::Bridge]
        }
        Some(NetworkFilter::Eth) => &[Kind::Card],
        Some(NetworkFilter::Bond) => &[Kind::Bond],
        Some(NetworkFilter::Vlan) => &[Kind::Vlan],
    };
    wanted.contains(&kind)
}

fn describe(
    interface: &Interface,
    addresses: &[(IpAddr, u8)],
    host: Option<&HostConfig>,
    priority: u32,
) -> NetworkInterface {
    let kind = match interface.kind {
        Kind::Bridge => "bridge",
        Kind::Bond => "bond",
        Kind::Vlan => "vlan",
        Kind::Card | Kind::GuestPort | Kind::Other => "eth",
    };
    let addressing = host
        .map(|host| &host.network)
        .filter(|network| network.bridge == interface.name)
        .map(|network| &network.addressing);
    let method = match addressing {
        Some(Addressing::Dhcp) => "dhcp",
        Some(Addressing::Static { .. }) => "static",
        None => "manual",
    };
    let four = addresses.iter().find(|(address, _)| address.is_ipv4());
    let six = addresses.iter().find(|(address, _)| match address {
        IpAddr::V6(address) => !address.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    });
    NetworkInterface {
        iface: interface.name.clone(),
        kind: kind.to_owned(),
        active: interface.up,
        autostart: addressing.is_some() || interface.up,
        exists: Some(true),
        method: method.to_owned(),
        method6: "manual".to_owned(),
        address: four.map(|(address, _)| address.to_string()),
        netmask: four.map(|(_, prefix)| prefix.to_string()),
        cidr: four.map(|(address, prefix)| format!("{address}/{prefix}")),
        gateway: interfaces::gateway(&interface.name).map(|gateway| gateway.to_string()),
        address6: six.map(|(address, _)| address.to_string()),
        netmask6: six.map(|(_, prefix)| *prefix),
        cidr6: six.map(|(address, prefix)| format!("{address}/{prefix}")),
        gateway6: None,
        bridge_ports: (interface.kind == Kind::Bridge).then(|| interface.ports.join(" ")),
        hwaddr: Some(interface.mac.clone()),
        families: vec!["inet".to_owned()],
        priority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_in_order() {
        let dns = dns_of("# made\nnameserver 192.0.2.1\nsearch example.org\nnameserver ::1\n");
        assert_eq!(dns.search.as_deref(), Some("example.org"));
        assert_eq!(dns.dns1.as_deref(), Some("192.0.2.1"));
        assert_eq!((dns.dns2.as_deref(), dns.dns3), (Some("::1"), None));
    }

    #[test]
    fn name_servers_have_no_gaps() {
        let wanted = |search: &str, servers: [Option<&str>; 3]| {
            let [dns1, dns2, dns3] = servers.map(|text| text.map(|text| text.parse().unwrap()));
            dns_from(&NodeDnsSet {
                node: "n1".into(),
                search: search.into(),
                dns1,
                dns2,
                dns3,
            })
        };
        let dns = wanted("Example.org", [Some("192.0.2.1"), Some("::1"), None]).unwrap();
        assert_eq!(dns.search.unwrap().as_str(), "example.org");
        assert_eq!(dns.servers.len(), 2);
        assert_eq!(wanted("", [None; 3]).unwrap(), HostDns::default());
        for (search, servers, name) in [
            ("a b", [None; 3], "search"),
            ("a", [None, Some("192.0.2.1"), None], "dns2"),
            ("a", [Some("0.0.0.0"), None, None], "dns1"),
        ] {
            let error = wanted(search, servers).unwrap_err();
            assert!(error.errors.contains_key(name), "{error}");
        }
    }

    #[test]
    fn a_bridge_shows_its_address_and_ports() {
        let interface = Interface {
            name: "vmbr0".to_owned(),
            index: 3,
            kind: Kind::Bridge,
            up: true,
            mac: "52:54:00:00:00:01".to_owned(),
            ports: vec!["eth0".to_owned(), "tap100i0".to_owned()],
        };
        let addresses = [
            ("fe80::1".parse().unwrap(), 64),
            ("192.0.2.9".parse().unwrap(), 24),
        ];
        let host = HostConfig::fallback();
        let shown = describe(&interface, &addresses, Some(&host), 1);
        assert_eq!(
            (shown.kind.as_str(), shown.method.as_str()),
            ("bridge", "dhcp")
        );
        assert_eq!(shown.cidr.as_deref(), Some("192.0.2.9/24"));
        assert_eq!(shown.address6, None);
        assert_eq!(shown.bridge_ports.as_deref(), Some("eth0 tap100i0"));
        assert!(is_wanted(Kind::Bridge, Some(NetworkFilter::AnyBridge)));
        assert!(!is_wanted(Kind::GuestPort, None));
    }
}
