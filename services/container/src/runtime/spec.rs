//! What the starter hands over, checked before anything is made from it.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};

use basalt_model::container::{ContainerNic, ContainerSpec, IdMap, Ipv4, PROTOCOL, Resolver};
use basalt_model::machine::Slot;
use basalt_unit::handover;

use crate::step::{Step, StepError};

/// Longest name of a network interface.
const MAX_INTERFACE_NAME: usize = 15;
/// Lowest host id a container may use; everything below belongs to the host.
const FIRST_GUEST_ID: u32 = 65536;

/// A specification with its descriptors.
#[derive(Debug)]
pub struct Order {
    /// What to run.
    pub spec: ContainerSpec,
    /// The root file system.
    pub root: OwnedFd,
    /// Where requests come in.
    pub control: UnixListener,
    /// Where console clients come in.
    pub console: UnixListener,
}

impl Order {
    /// Receives and checks the starter's order.
    pub fn receive(starter: &UnixStream) -> Result<Self, StepError> {
        let (spec, fds): (ContainerSpec, _) =
            handover::receive(starter).step("read the specification")?;
        check(&spec).map_err(|reason| StepError::new("use the specification", reason))?;
        let mut fds = Descriptors::new(fds);
        Ok(Self {
            root: fds.take(spec.root, "root")?,
            control: fds.take(spec.control, "control")?.into(),
            console: fds.take(spec.console, "console")?.into(),
            spec,
        })
    }
}

/// The descriptors that came along, each to be taken once.
#[derive(Debug)]
pub struct Descriptors(Vec<Option<OwnedFd>>);

impl Descriptors {
    /// Wraps them in the order received.
    pub fn new(fds: Vec<OwnedFd>) -> Self {
        Self(fds.into_iter().map(Some).collect())
    }

    /// Takes the one that `field` names.
    pub fn take(&mut self, slot: Slot, field: &str) -> Result<OwnedFd, StepError> {
        self.0
            .get_mut(slot.0)
            .and_then(Option::take)
            .ok_or_else(|| {
                StepError::new(
                    "use the specification",
                    format!(
                        "{field}: no descriptor {} came along, or it is used twice",
                        slot.0
                    ),
                )
            })
    }
}

/// Checks everything about a specification that does not need its descriptors.
fn check(spec: &ContainerSpec) -> Result<(), String> {
    if spec.protocol != PROTOCOL {
        return Err(format!("protocol: {} is not {PROTOCOL}", spec.protocol));
    }
    if !is_hostname(&spec.hostname) {
        return Err(format!("hostname: \"{}\" is no host name", spec.hostname));
    }
    check_ids(spec.id_map)?;
    if spec.cpu_limit_percent == Some(0) {
        return Err("cpu_limit_percent: 0 is no limit one can run with".into());
    }
    if !(1..=10000).contains(&spec.cpu_weight) {
        return Err(format!("cpu_weight: {} is not in 1–10000", spec.cpu_weight));
    }
    if !(16..=1 << 32).contains(&spec.memory_mib) {
        return Err(format!(
            "memory_mib: {} is not in 16–4294967296",
            spec.memory_mib
        ));
    }
    if spec.swap_mib > 1 << 32 {
        return Err(format!("swap_mib: {} is above 4294967296", spec.swap_mib));
    }
    let mut names = HashSet::new();
    for (index, nic) in spec.nics.iter().enumerate() {
        check_nic(nic).map_err(|reason| format!("nics[{index}].{reason}"))?;
        if !names.insert(&nic.name) || !names.insert(&nic.host_name) {
            return Err(format!("nics[{index}]: a name is used twice"));
        }
    }
    check_resolver(&spec.resolver)
}

/// Checks that a map gives a container no id of the host itself.
pub fn check_ids(map: IdMap) -> Result<(), String> {
    if map.host < FIRST_GUEST_ID {
        return Err(format!(
            "id_map: host ids below {FIRST_GUEST_ID} are the host's"
        ));
    }
    // The highest number stands for "no id".
    if map.count == 0 || map.host.checked_add(map.count).is_none() {
        return Err(format!(
            "id_map: {} ids from {} on are no range",
            map.count, map.host
        ));
    }
    Ok(())
}

fn check_nic(nic: &ContainerNic) -> Result<(), String> {
    for (field, name) in [
        ("name", &nic.name),
        ("host_name", &nic.host_name),
        ("bridge", &nic.bridge),
    ] {
        if !is_interface_name(name) {
            return Err(format!("{field}: \"{name}\" is no interface name"));
        }
    }
    if nic.name == "lo" {
        return Err("name: lo is the loopback interface's".into());
    }
    if nic.mac[0] & 1 == 1 || nic.mac == [0; 6] {
        return Err("mac: not the address of one card".into());
    }
    if let Ipv4::Static { address, gateway } = &nic.ipv4 {
        let valid = address.split_once('/').is_some_and(|(ip, prefix)| {
            ip.parse::<Ipv4Addr>().is_ok() && prefix.parse().is_ok_and(|bits: u8| bits <= 32)
        });
        if !valid {
            return Err(format!(
                "ipv4.address: \"{address}\" is not like 192.0.2.10/24"
            ));
        }
        if let Some(gateway) = gateway
            && gateway.parse::<Ipv4Addr>().is_err()
        {
            return Err(format!("ipv4.gateway: \"{gateway}\" is no IPv4 address"));
        }
    }
    Ok(())
}

fn check_resolver(resolver: &Resolver) -> Result<(), String> {
    for server in &resolver.nameservers {
        if server.parse::<IpAddr>().is_err() {
            return Err(format!("resolver.nameservers: \"{server}\" is no address"));
        }
    }
    for domain in &resolver.search {
        if !is_hostname(domain) {
            return Err(format!("resolver.search: \"{domain}\" is no domain"));
        }
    }
    Ok(())
}

fn is_hostname(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
}

fn is_interface_name(name: &str) -> bool {
    (1..=MAX_INTERFACE_NAME).contains(&name.len())
        && name != "."
        && name != ".."
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ContainerSpec {
        ContainerSpec {
            protocol: PROTOCOL,
            vmid: 101,
            hostname: "web.example".into(),
            root: Slot(0),
            control: Slot(1),
            console: Slot(2),
            id_map: IdMap {
                host: 100_000,
                count: 65536,
            },
            cpu_limit_percent: Some(150),
            cpu_weight: 100,
            memory_mib: 512,
            swap_mib: 0,
            nics: vec![ContainerNic {
                name: "eth0".into(),
                host_name: "veth101i0".into(),
                bridge: "vmbr0".into(),
                mac: [0xbc, 0x24, 0x11, 1, 2, 3],
                ipv4: Ipv4::Static {
                    address: "192.0.2.10/24".into(),
                    gateway: Some("192.0.2.1".into()),
                },
            }],
            resolver: Resolver::default(),
        }
    }

    #[test]
    fn a_sound_specification_passes() {
        assert_eq!(check(&spec()), Ok(()));
    }

    #[test]
    fn each_unsound_field_is_named() {
        type Damage = fn(&mut ContainerSpec);
        let cases: [(&str, Damage); 12] = [
            ("protocol", |s| s.protocol = 0),
            ("hostname", |s| s.hostname = "a/../b".into()),
            ("id_map", |s| s.id_map.host = 0),
            ("id_map", |s| s.id_map.count = u32::MAX),
            ("resolver.nameservers", |s| {
                s.resolver.nameservers = vec!["a\nb".into()]
            }),
            ("resolver.search", |s| {
                s.resolver.search = vec!["a b".into()]
            }),
            ("cpu_weight", |s| s.cpu_weight = 0),
            ("memory_mib", |s| s.memory_mib = 0),
            ("nics[0].name", |s| s.nics[0].name = "../eth0".into()),
            ("nics[0].mac", |s| s.nics[0].mac[0] = 1),
            ("nics[0].ipv4.address", |s| {
                s.nics[0].ipv4 = Ipv4::Static {
                    address: "192.0.2.10".into(),
                    gateway: None,
                };
            }),
            ("nics[1]", |s| {
                let twin = s.nics[0].clone();
                s.nics.push(twin);
            }),
        ];
        for (field, damage) in cases {
            let mut spec = spec();
            damage(&mut spec);
            let error = check(&spec).unwrap_err();
            assert!(error.starts_with(field), "{error} names {field}");
        }
    }

    #[test]
    fn a_descriptor_is_taken_once() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let mut fds = Descriptors::new(vec![null.into()]);
        assert!(fds.take(Slot(0), "root").is_ok());
        assert!(fds.take(Slot(0), "console").is_err());
        assert!(fds.take(Slot(7), "console").is_err());
    }
}
