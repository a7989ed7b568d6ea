//! This machine's addresses while it installs. The image's own network file asks DHCP on every wired
//! card when the installer runs; here is only looked at what came of it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::bail;
use nix::net::if_::InterfaceFlags;

/// How long a DHCP server may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Addresses that other machines reach this one at, IPv4 first.
pub fn addresses() -> Vec<IpAddr> {
    let Ok(all) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let mut found: Vec<IpAddr> = all
        .filter(|entry| !entry.flags.contains(InterfaceFlags::IFF_LOOPBACK))
        .filter_map(|entry| {
            let address = entry.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        })
        .filter(is_reachable)
        .collect();
    found.sort_by_key(|address| (address.is_ipv6(), *address));
    found.dedup();
    found
}

fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_link_local() && *address != Ipv4Addr::LOCALHOST,
        IpAddr::V6(address) => !address.is_unicast_link_local() && !address.is_loopback(),
    }
}

/// Waits until there is an address.
pub fn wait_for_address() -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    while addresses().is_empty() {
        if Instant::now() >= end {
            bail!(
                "no DHCP server has given this machine an address within {} seconds",
                PATIENCE.as_secs()
            );
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
