//! The host's network as files for systemd-networkd.

use std::fmt::Write;

use super::{Addressing, HostDns, HostNetwork, MacAddress};

/// One file of systemd-networkd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkdFile {
    /// Its name, without a folder.
    pub name: String,
    /// Its whole content.
    pub contents: String,
}

/// The card a bridge takes as its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortCard {
    /// The card's address, which the bridge inherits.
    pub mac: MacAddress,
    /// Whether the card itself says that the address is its own for ever. Only then it can be
    /// told from other devices that carry the same address.
    pub permanent: bool,
}

/// The files that make `network` out of `card`; without a card the bridge stands alone.
///
/// The bridge is given the card's address: left to itself a bridge takes the least address among
/// its ports, and would change it whenever a guest comes or goes.
pub fn files(
    network: &HostNetwork,
    dns: Option<&HostDns>,
    card: Option<PortCard>,
) -> Vec<NetworkdFile> {
    let bridge = &network.bridge;
    let mut netdev = format!("[NetDev]\nName={bridge}\nKind=bridge\n");
    if let Some(card) = card {
        line(&mut netdev, format_args!("MACAddress={}", card.mac));
    }
    // Without forward delay a guest is reachable as soon as its port is up.
    netdev.push_str("\n[Bridge]\nSTP=no\nForwardDelaySec=0\n");
    let mut files = vec![
        NetworkdFile {
            name: format!("10-basalt-{bridge}.netdev"),
            contents: netdev,
        },
        bridge_file(network, dns),
    ];
    if let Some(card) = card {
        files.push(NetworkdFile {
            name: format!("10-basalt-{bridge}-port.network"),
            contents: port_network(bridge, card),
        });
    }
    files
}

/// The file that gives the bridge its address and the host its name servers.
pub fn bridge_file(network: &HostNetwork, dns: Option<&HostDns>) -> NetworkdFile {
    NetworkdFile {
        name: format!("10-basalt-{}.network", network.bridge),
        contents: bridge_network(network, dns),
    }
}

fn bridge_network(network: &HostNetwork, own: Option<&HostDns>) -> String {
    let own_servers = own.map(|dns| dns.servers.as_slice()).unwrap_or_default();
    let mut text = format!(
        "[Match]\nName={}\nKind=bridge\n\n[Network]\n",
        network.bridge
    );
    match &network.addressing {
        Addressing::Dhcp => text.push_str("DHCP=ipv4\n"),
        Addressing::Static {
            address,
            gateway,
            dns,
        } => {
            line(&mut text, format_args!("Address={address}"));
            if own_servers.is_empty() {
                for server in dns {
                    line(&mut text, format_args!("DNS={server}"));
                }
            }
            if let Some(gateway) = gateway {
                line(&mut text, format_args!("Gateway={gateway}"));
            }
        }
    }
    for server in own_servers {
        line(&mut text, format_args!("DNS={server}"));
    }
    if let Some(domain) = own.and_then(|dns| dns.search.as_ref()) {
        line(&mut text, format_args!("Domains={domain}"));
    }
    // The bridge and its fixed address exist also with the cable out, so that guests can talk.
    text.push_str(
        "IPv6AcceptRA=yes\nLinkLocalAddressing=ipv6\nLLMNR=no\nMulticastDNS=no\n\
         ConfigureWithoutCarrier=yes\n",
    );
    if network.addressing == Addressing::Dhcp {
        text.push_str("\n[DHCPv4]\nClientIdentifier=mac\nUseHostname=no\nUseMTU=yes\n");
        if !own_servers.is_empty() {
            text.push_str("UseDNS=no\n");
        }
    }
    if !own_servers.is_empty() {
        text.push_str("\n[IPv6AcceptRA]\nUseDNS=no\n");
    }
    text
}

/// The match must take the card only, never a tap or a veth: guests' devices have a kind, cards
/// have none.
fn port_network(bridge: &str, card: PortCard) -> String {
    let key = if card.permanent {
        "PermanentMACAddress"
    } else {
        "MACAddress"
    };
    let mac = card.mac;
    format!(
        "[Match]\n{key}={mac}\nType=ether\nKind=!*\n\n\
         [Network]\nBridge={bridge}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nLLMNR=no\n\
         MulticastDNS=no\n"
    )
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{arguments}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(permanent: bool) -> PortCard {
        PortCard {
            mac: "52:54:00:12:34:56".parse().unwrap(),
            permanent,
        }
    }

    #[test]
    fn dhcp_on_a_card() {
        let files = files(&HostNetwork::default(), None, Some(card(true)));
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "10-basalt-vmbr0.netdev",
                "10-basalt-vmbr0.network",
                "10-basalt-vmbr0-port.network"
            ]
        );
        assert!(files[0].contents.contains("MACAddress=52:54:00:12:34:56\n"));
        assert!(files[0].contents.contains("STP=no\nForwardDelaySec=0\n"));
        assert!(files[1].contents.contains("DHCP=ipv4\n"));
        assert!(
            files[2]
                .contents
                .contains("PermanentMACAddress=52:54:00:12:34:56\nType=ether\nKind=!*\n")
        );
        assert!(files[2].contents.contains("Bridge=vmbr0\n"));
    }

    #[test]
    fn fixed_address() {
        let network = HostNetwork {
            addressing: Addressing::Static {
                address: "192.0.2.10/24".parse().unwrap(),
                gateway: Some("192.0.2.1".parse().unwrap()),
                dns: vec!["192.0.2.2".parse().unwrap()],
            },
            ..HostNetwork::default()
        };
        let files = files(&network, None, Some(card(false)));
        let text = &files[1].contents;
        assert!(text.contains("Address=192.0.2.10/24\nDNS=192.0.2.2\nGateway=192.0.2.1\n"));
        assert!(!text.contains("DHCP"));
        assert!(files[2].contents.starts_with("[Match]\nMACAddress="));
    }

    #[test]
    fn own_name_servers_replace_those_of_the_network() {
        let dns = HostDns {
            search: Some("Lab.Example.org".parse().unwrap()),
            servers: vec![
                "192.0.2.53".parse().unwrap(),
                "2001:db8::53".parse().unwrap(),
            ],
        };
        let text = bridge_file(&HostNetwork::default(), Some(&dns)).contents;
        let lines = "DNS=192.0.2.53\nDNS=2001:db8::53\nDomains=lab.example.org\n";
        assert!(text.contains(lines), "{text}");
        assert_eq!(text.matches("UseDNS=no\n").count(), 2, "{text}");
        let fixed = HostNetwork {
            addressing: Addressing::Static {
                address: "192.0.2.10/24".parse().unwrap(),
                gateway: None,
                dns: vec!["192.0.2.2".parse().unwrap()],
            },
            ..HostNetwork::default()
        };
        let text = bridge_file(&fixed, Some(&dns)).contents;
        assert!(
            text.contains(lines) && !text.contains("192.0.2.2\n"),
            "{text}"
        );
        // A domain alone leaves the servers as they are.
        let search = HostDns {
            servers: Vec::new(),
            ..dns
        };
        let text = bridge_file(&fixed, Some(&search)).contents;
        assert!(text.contains("DNS=192.0.2.2\nDomains="), "{text}");
        assert!(!text.contains("UseDNS"), "{text}");
    }

    #[test]
    fn without_a_card_the_bridge_stands_alone() {
        let files = files(&HostNetwork::default(), None, None);
        assert_eq!(files.len(), 2);
        assert!(!files[0].contents.contains("MACAddress"));
    }
}
