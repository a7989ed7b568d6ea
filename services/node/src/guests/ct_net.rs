//! The network interfaces of a running container, asked of the kernel in the container's own
//! network but with the host's tool: nothing of the guest's runs.

use crate::state::Node;
use basalt_api::methods::lxc::{CtAddress, CtInterface};
use basalt_api::{Error, Result};
use basalt_container::Control;
use basalt_model::vmid::Vmid;
use serde::Deserialize;
use std::process::Stdio;
use tokio::process::Command;

/// An interface as `ip -json address` shows it.
#[derive(Deserialize)]
struct Shown {
    ifname: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    addr_info: Vec<ShownAddress>,
}

#[derive(Deserialize)]
struct ShownAddress {
    family: String,
    local: String,
    prefixlen: u8,
}

impl Node {
    /// The interfaces of a running container with their addresses.
    pub async fn container_interfaces(&self, vmid: Vmid) -> Result<Vec<CtInterface>> {
        let control = self.container_control(vmid);
        let not_running = |_| Error::failed(format_args!("CT {vmid} not running"));
        let mut control = Control::connect(&control).await.map_err(not_running)?;
        let status = control.status().await.map_err(Error::failed)?;
        let output = Command::new("nsenter")
            .arg(format!("--net=/proc/{}/ns/net", status.init_pid))
            .args(["ip", "-json", "address", "show"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(Error::failed)?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(Error::failed(format_args!(
                "the network of CT {vmid} cannot be seen: {}",
                text.trim()
            )));
        }
        read(&output.stdout)
    }
}

fn read(json: &[u8]) -> Result<Vec<CtInterface>> {
    let shown: Vec<Shown> = serde_json::from_slice(json).map_err(Error::failed)?;
    Ok(shown.into_iter().map(interface).collect())
}

fn interface(shown: Shown) -> CtInterface {
    let of = |family: &str| {
        let mut found = shown.addr_info.iter().filter(|one| one.family == family);
        let first = found.next()?;
        Some(format!("{}/{}", first.local, first.prefixlen))
    };
    CtInterface {
        inet: of("inet"),
        inet6: of("inet6"),
        hwaddr: shown.address.clone(),
        hardware_address: shown.address,
        ip_addresses: shown
            .addr_info
            .iter()
            .map(|one| CtAddress {
                ip_address: one.local.clone(),
                ip_address_type: one.family.clone(),
                prefix: one.prefixlen,
            })
            .collect(),
        name: shown.ifname,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tool_shows_becomes_what_clients_read() {
        let json = br#"[{"ifname":"lo","addr_info":[]},
            {"ifname":"eth0","flags":["UP"],"address":"bc:24:11:00:00:01","addr_info":[
                {"family":"inet","local":"192.0.2.9","prefixlen":24,"scope":"global"},
                {"family":"inet6","local":"fe80::1","prefixlen":64}]}]"#;
        let found = read(json).unwrap();
        assert_eq!((found[0].name.as_str(), &found[0].inet), ("lo", &None));
        let card = &found[1];
        assert_eq!(card.inet.as_deref(), Some("192.0.2.9/24"));
        assert_eq!(card.inet6.as_deref(), Some("fe80::1/64"));
        assert_eq!(card.ip_addresses[1].ip_address_type, "inet6");
    }
}
