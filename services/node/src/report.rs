//! A node in one text, for whoever looks for a fault: no secrets, nothing that only a program reads.

use crate::host;
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_model::guest::GuestKind;
use basalt_network::interfaces;
use std::fmt::Write;
use std::sync::Arc;

/// The text about a node.
pub async fn text(node: &Node) -> Result<String> {
    let mut text = String::new();
    general(&mut text, node).await?;
    storages(&mut text, node).await;
    for kind in [GuestKind::Qemu, GuestKind::Lxc] {
        guests(&mut text, node, kind).await?;
    }
    network(&mut text, node).await?;
    Ok(text)
}

fn title(text: &mut String, name: &str) {
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "==== {name} ====");
}

async fn general(text: &mut String, node: &Node) -> Result<()> {
    let samples = Arc::clone(&node.samples);
    let status = tokio::task::spawn_blocking(move || host::status(&samples)).await;
    let status = status.map_err(Error::failed)?;
    let command_line = tokio::fs::read_to_string("/proc/cmdline").await;
    title(text, "node");
    let _ = write!(
        text,
        "name: {}\nversion: {}\nkernel: {}\nbooted by: {}\ncommand line: {}\nuptime: {} s\n\
         load: {}\nprocessors: {} x {}\nmemory: {} of {} MiB used\ndata: {} of {} MiB used\n\n",
        node.name,
        status.pveversion,
        status.kversion,
        status.boot_info.mode,
        command_line.unwrap_or_default().trim(),
        status.uptime,
        status.loadavg.join(" "),
        status.cpuinfo.cpus,
        status.cpuinfo.model,
        status.memory.used >> 20,
        status.memory.total >> 20,
        status.rootfs.used >> 20,
        status.rootfs.total >> 20,
    );
    Ok(())
}

async fn storages(text: &mut String, node: &Node) {
    title(text, "storages");
    for (id, config, driver) in node.storages.all() {
        let status = crate::handlers::storage::status(id, &config, &driver).await;
        let state = match (config.disable, status.active) {
            (true, _) => "disabled",
            (false, true) => "active",
            (false, false) => "not there",
        };
        let _ = writeln!(
            text,
            "{} ({}): {state}, {} of {} MiB used, for {}",
            status.storage,
            status.kind,
            status.used >> 20,
            status.total >> 20,
            status.content
        );
    }
    text.push('\n');
}

async fn guests(text: &mut String, node: &Node, kind: GuestKind) -> Result<()> {
    title(text, kind.as_str());
    for guest in node.guest_list(kind).await? {
        let _ = writeln!(
            text,
            "{} {}: {:?}, {} processors, {} MiB of memory{}",
            guest.vmid,
            guest.name,
            guest.status,
            guest.cpus,
            guest.maxmem >> 20,
            guest
                .lock
                .map(|lock| format!(", locked ({lock})"))
                .unwrap_or_default()
        );
    }
    text.push('\n');
    Ok(())
}

async fn network(text: &mut String, node: &Node) -> Result<()> {
    title(text, "network");
    let addresses = node.network.addresses().await.map_err(Error::failed)?;
    for interface in interfaces::list().map_err(Error::failed)? {
        let own = addresses.get(&interface.index).into_iter().flatten();
        let own: Vec<String> = own.map(|(ip, prefix)| format!("{ip}/{prefix}")).collect();
        let state = if interface.up { "up" } else { "down" };
        let _ = writeln!(
            text,
            "{}: {:?}, {state}, {}, [{}], ports [{}]",
            interface.name,
            interface.kind,
            interface.mac,
            own.join(" "),
            interface.ports.join(" ")
        );
    }
    Ok(())
}
