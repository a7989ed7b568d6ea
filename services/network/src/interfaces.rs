//! What network interfaces the host has, read from sysfs.

use crate::error::{NetworkError, Result};
use basalt_model::network::InterfaceName;
use std::path::{Path, PathBuf};

/// What an interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bridge.
    Bridge,
    /// A network card, real or paravirtual.
    Card,
    /// A bond of cards.
    Bond,
    /// A virtual LAN on another interface.
    Vlan,
    /// The host's end of a guest's card.
    GuestPort,
    /// The loopback and whatever else.
    Other,
}

/// An interface of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The kernel's number of it.
    pub index: u32,
    /// What it is.
    pub kind: Kind,
    /// Whether it is up.
    pub up: bool,
    /// Hardware address.
    pub mac: String,
    /// Members of a bridge.
    pub ports: Vec<String>,
}

/// Bytes through an interface since it was made, as the host sees them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Received by the host.
    pub received: u64,
    /// Sent by the host.
    pub sent: u64,
}

const SYS: &str = "/sys/class/net";
const IFF_UP: u32 = 1;

/// Every interface of the host by name.
pub fn list() -> Result<Vec<Interface>> {
    let io = |source| NetworkError::Io {
        what: "listing network interfaces".to_owned(),
        source,
    };
    let mut interfaces = Vec::new();
    for entry in std::fs::read_dir(SYS).map_err(io)? {
        let path = entry.map_err(io)?.path();
        // An interface may go away while we look.
        interfaces.extend(read(&path));
    }
    interfaces.sort_by(|a: &Interface, b| a.name.cmp(&b.name));
    Ok(interfaces)
}

fn read(path: &Path) -> Option<Interface> {
    let name = path.file_name()?.to_str()?.to_owned();
    let text = |file: &str| std::fs::read_to_string(path.join(file)).ok();
    let flags = text("flags")?;
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).ok()?;
    let mut ports: Vec<String> = std::fs::read_dir(path.join("brif"))
        .map(|entries| {
            entries
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect()
        })
        .unwrap_or_default();
    ports.sort();
    Some(Interface {
        index: text("ifindex")?.trim().parse().ok()?,
        kind: kind(path, &name, &text("uevent").unwrap_or_default()),
        up: flags & IFF_UP != 0,
        mac: text("address").unwrap_or_default().trim().to_owned(),
        ports,
        name,
    })
}

fn kind(path: &Path, name: &str, uevent: &str) -> Kind {
    let device_type = uevent
        .lines()
        .find_map(|line| line.strip_prefix("DEVTYPE="));
    let digits = |rest: &str| rest.split('i').all(|part| part.parse::<u32>().is_ok());
    match device_type {
        Some("bridge") => Kind::Bridge,
        Some("bond") => Kind::Bond,
        Some("vlan") => Kind::Vlan,
        _ if ["tap", "veth"]
            .iter()
            .any(|kind| name.strip_prefix(kind).is_some_and(digits)) =>
        {
            Kind::GuestPort
        }
        _ if path.join("device").exists() => Kind::Card,
        _ => Kind::Other,
    }
}

/// Whether the host has a bridge of this name.
pub fn is_bridge(name: &InterfaceName) -> bool {
    Path::new(SYS).join(name.as_str()).join("bridge").exists()
}

/// Bytes through an interface; zero when it is not there.
pub fn counters(name: &str) -> Counters {
    let number = |file: &str| {
        let path = PathBuf::from(SYS).join(name).join("statistics").join(file);
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    Counters {
        received: number("rx_bytes"),
        sent: number("tx_bytes"),
    }
}

/// The IPv4 router of an interface, if it has one.
pub fn gateway(name: &str) -> Option<std::net::Ipv4Addr> {
    let routes = std::fs::read_to_string("/proc/net/route").ok()?;
    gateway_in(&routes, name)
}

fn gateway_in(routes: &str, name: &str) -> Option<std::net::Ipv4Addr> {
    routes.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let (interface, destination, router) = (fields.next()?, fields.next()?, fields.next()?);
        let default = interface == name && destination == "00000000" && router != "00000000";
        let number = u32::from_str_radix(router, 16).ok().filter(|_| default)?;
        // The kernel prints the number as it lies in memory.
        Some(std::net::Ipv4Addr::from(number.to_ne_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_listed() {
        let all = list().unwrap();
        let lo = all.iter().find(|interface| interface.name == "lo").unwrap();
        assert_eq!(
            (lo.kind, lo.mac.as_str()),
            (Kind::Other, "00:00:00:00:00:00")
        );
    }

    #[test]
    fn guests_ports_are_known_by_their_names() {
        let kind = |name| kind(Path::new("/nowhere"), name, "");
        assert_eq!(kind("tap100i0"), Kind::GuestPort);
        assert_eq!(kind("veth101i1"), Kind::GuestPort);
        assert_eq!(kind("tapestry"), Kind::Other);
    }

    #[test]
    fn the_default_route_names_the_router() {
        let routes = "Iface\tDestination\tGateway\n\
                      vmbr0\t0000A8C0\t00000000\n\
                      vmbr0\t00000000\t0100A8C0\n";
        assert_eq!(
            gateway_in(routes, "vmbr0"),
            Some("192.168.0.1".parse().unwrap())
        );
        assert_eq!(gateway_in(routes, "eth0"), None);
    }

    #[test]
    fn an_interface_that_is_gone_counts_nothing() {
        assert_eq!(counters("tap1i1"), Counters::default());
    }
}
