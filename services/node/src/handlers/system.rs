//! What runs on the node besides guests, and what is written in its journal.

use crate::call::Call;
use crate::host_config::{self, HOSTS};
use crate::router::Router;
use crate::{journal, report};
use basalt_api::methods::NodePath;
use basalt_api::methods::system::{
    HostsChange, HostsFile, HostsGet, HostsSet, JournalQuery, JournalRead, NodeNetstat, NodeReport,
    PortTraffic, ServiceInfo, ServiceList, ServiceName, ServicePath, ServiceReload, ServiceRestart,
    ServiceStart, ServiceState, ServiceStop, SyslogLine, SyslogQuery, SyslogRead,
};
use basalt_api::{Error, Reply, Result};
use basalt_model::upid::Upid;
use basalt_network::interfaces::{self, Kind};
use basalt_tasks::NewTask;
use basalt_unit::ServiceOrder;

/// Every service, in the order of names.
const SERVICES: [ServiceName; 9] = [
    ServiceName::BasaltGateway,
    ServiceName::BasaltNode,
    ServiceName::Dbus,
    ServiceName::Sshd,
    ServiceName::SystemdJournald,
    ServiceName::SystemdNetworkd,
    ServiceName::SystemdResolved,
    ServiceName::SystemdTimesyncd,
    ServiceName::SystemdUdevd,
];

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<ServiceList, _, _, _>(services);
    router.on::<ServiceState, _, _, _>(service);
    router.on::<ServiceStart, _, _, _>(|call, path| order(call, path, ServiceOrder::Start));
    router.on::<ServiceStop, _, _, _>(|call, path| order(call, path, ServiceOrder::Stop));
    router.on::<ServiceRestart, _, _, _>(|call, path| order(call, path, ServiceOrder::Restart));
    router.on::<ServiceReload, _, _, _>(|call, path| order(call, path, ServiceOrder::Reload));
    router.on::<SyslogRead, _, _, _>(syslog);
    router.on::<JournalRead, _, _, _>(read_journal);
    router.on::<HostsGet, _, _, _>(hosts);
    router.on::<HostsSet, _, _, _>(set_hosts);
    router.on::<NodeReport, _, _, _>(describe);
    router.on::<NodeNetstat, _, _, _>(netstat);
}

fn unit(service: ServiceName) -> &'static str {
    match service {
        ServiceName::BasaltGateway => "basalt-gateway.service",
        ServiceName::BasaltNode => "basalt-node.service",
        ServiceName::Dbus => "dbus.service",
        ServiceName::Sshd => "ssh.service",
        ServiceName::SystemdJournald => "systemd-journald.service",
        ServiceName::SystemdNetworkd => "systemd-networkd.service",
        ServiceName::SystemdResolved => "systemd-resolved.service",
        ServiceName::SystemdTimesyncd => "systemd-timesyncd.service",
        ServiceName::SystemdUdevd => "systemd-udevd.service",
    }
}

async fn info(call: &Call, name: ServiceName) -> Result<Option<ServiceInfo>> {
    let state = call.node.units.service(unit(name)).await;
    let state = state.map_err(Error::failed)?;
    Ok(state.map(|state| ServiceInfo {
        name,
        service: name,
        desc: state.description,
        state: state.sub,
        active_state: state.active,
        unit_state: state.file,
    }))
}

async fn services(call: Call, params: NodePath) -> Result<Vec<ServiceInfo>> {
    call.node.check_name(&params.node)?;
    let mut found = Vec::new();
    for name in SERVICES {
        found.extend(info(&call, name).await?);
    }
    Ok(found)
}

async fn service(call: Call, params: ServicePath) -> Result<ServiceInfo> {
    call.node.check_name(&params.node)?;
    let found = info(&call, params.service).await?;
    found.ok_or_else(|| Error::not_found(format_args!("unit {}", unit(params.service))))
}

/// Whether an order would cut off whoever gives it, or everything that runs.
fn is_refused(service: ServiceName, order: ServiceOrder) -> bool {
    match (service, order) {
        (_, ServiceOrder::Start) => false,
        (ServiceName::Dbus, _) => true,
        (ServiceName::Sshd | ServiceName::SystemdTimesyncd | ServiceName::SystemdResolved, _) => {
            false
        }
        (_, ServiceOrder::Stop) => true,
        (_, ServiceOrder::Restart | ServiceOrder::Reload) => false,
    }
}

async fn order(call: Call, params: ServicePath, order: ServiceOrder) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    let name = unit(params.service);
    if is_refused(params.service, order) {
        return Err(Error::failed(format_args!(
            "{name} is what this node stands on: restart the node instead"
        )));
    }
    let kind = match order {
        ServiceOrder::Start => "srvstart",
        ServiceOrder::Stop => "srvstop",
        ServiceOrder::Restart => "srvrestart",
        ServiceOrder::Reload => "srvreload",
    };
    let task = NewTask {
        kind,
        id: name.trim_end_matches(".service").to_owned(),
        user: call.auth(),
        lock: None,
    };
    let units = call.node.units.clone();
    let spawned = call.node.tasks.spawn(task, |context| async move {
        context.log(format_args!("{order:?}: {name}"));
        units.order(name, order).await.map_err(Error::failed)
    });
    spawned.map_err(Error::failed)
}

async fn syslog(call: Call, params: SyslogQuery) -> Result<Reply<Vec<SyslogLine>>> {
    call.node.check_name(&params.node)?;
    journal::syslog(&params).await
}

async fn read_journal(call: Call, params: JournalQuery) -> Result<Vec<String>> {
    call.node.check_name(&params.node)?;
    journal::journal(&params).await
}

async fn hosts(call: Call, params: NodePath) -> Result<HostsFile> {
    call.node.check_name(&params.node)?;
    let data = tokio::fs::read_to_string(HOSTS).await;
    let data = data.map_err(Error::failed)?;
    let digest = basalt_store::digest(&data);
    Ok(HostsFile { data, digest })
}

async fn set_hosts(call: Call, params: HostsChange) -> Result<()> {
    call.node.check_name(&params.node)?;
    let state = call.node.settings.state.clone();
    let setting = tokio::task::spawn_blocking(move || {
        host_config::set_hosts(&state, &params.data, params.digest.as_deref())
    });
    setting.await.map_err(Error::failed)??;
    Ok(())
}

async fn describe(call: Call, params: NodePath) -> Result<String> {
    call.node.check_name(&params.node)?;
    report::text(&call.node).await
}

async fn netstat(call: Call, params: NodePath) -> Result<Vec<PortTraffic>> {
    call.node.check_name(&params.node)?;
    let all = interfaces::list().map_err(Error::failed)?;
    let ports = all.iter().filter(|one| one.kind == Kind::GuestPort);
    Ok(ports.filter_map(|port| traffic(&port.name)).collect())
}

/// What went through `tap100i0` or `veth100i0`. The host sends what the guest receives.
fn traffic(name: &str) -> Option<PortTraffic> {
    let rest = name.strip_prefix("tap").or(name.strip_prefix("veth"))?;
    let (vmid, index) = rest.split_once('i')?;
    let counters = interfaces::counters(name);
    Some(PortTraffic {
        vmid: vmid.parse().ok()?,
        dev: format!("net{index}"),
        received: counters.sent,
        sent: counters.received,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_cuts_the_branch_it_sits_on() {
        for service in SERVICES {
            assert!(!is_refused(service, ServiceOrder::Start));
        }
        assert!(is_refused(ServiceName::BasaltGateway, ServiceOrder::Stop));
        assert!(!is_refused(
            ServiceName::BasaltGateway,
            ServiceOrder::Restart
        ));
        assert!(is_refused(ServiceName::Dbus, ServiceOrder::Restart));
        assert!(!is_refused(ServiceName::Sshd, ServiceOrder::Stop));
    }

    #[test]
    fn a_port_belongs_to_a_card_of_a_guest() {
        let port = traffic("tap100i2").unwrap();
        assert_eq!((port.vmid.get(), port.dev.as_str()), (100, "net2"));
        assert!(traffic("tap5i0").is_none() && traffic("eth0").is_none());
    }
}
