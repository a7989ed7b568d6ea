//! The texts that are written into a container; pure functions.

use basalt_model::container::{ContainerNic, Ipv4};

const BEGIN: &str = "# --- BEGIN BASALT ---";
const END: &str = "# --- END BASALT ---";

/// Replaces the text between our markers, or adds it at the end.
pub fn replace_block(old: &str, body: &str) -> String {
    let mut kept = String::new();
    let mut ours = false;
    for line in old.lines() {
        match line.trim_end() {
            BEGIN => ours = true,
            END => ours = false,
            _ if !ours => {
                kept.push_str(line);
                kept.push('\n');
            }
            _ => {}
        }
    }
    format!("{kept}{BEGIN}\n{body}{END}\n")
}

/// The text of a `resolv.conf`.
pub fn resolver(nameservers: &[String], search: &[String]) -> String {
    let mut text = String::new();
    if !search.is_empty() {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    for server in nameservers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    text
}

/// Addresses after `nameserver` in a `resolv.conf`.
pub fn nameservers(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .map(|rest| rest.trim().to_owned())
        .filter(|address| !address.is_empty())
        .collect()
}

/// A `.network` file of systemd-networkd.
pub fn networkd(nic: &ContainerNic) -> String {
    let mut text = format!("[Match]\nName={}\n\n[Network]\n", nic.name);
    match &nic.ipv4 {
        Ipv4::Manual => {}
        Ipv4::Dhcp => text.push_str("DHCP=ipv4\n"),
        Ipv4::Static { address, gateway } => {
            text.push_str(&format!("Address={address}\n"));
            if let Some(gateway) = gateway {
                text.push_str(&format!("Gateway={gateway}\n"));
            }
        }
    }
    text
}

/// A keyfile connection of NetworkManager.
pub fn nmconnection(nic: &ContainerNic) -> String {
    let name = &nic.name;
    let ipv4 = match &nic.ipv4 {
        Ipv4::Manual => "method=disabled\n".to_owned(),
        Ipv4::Dhcp => "method=auto\n".to_owned(),
        Ipv4::Static { address, gateway } => {
            let gateway = gateway
                .as_ref()
                .map_or_else(String::new, |gateway| format!(",{gateway}"));
            format!("method=manual\naddress1={address}{gateway}\n")
        }
    };
    format!(
        "[connection]\nid=basalt-{name}\ntype=ethernet\ninterface-name={name}\n\n[ipv4]\n{ipv4}"
    )
}

/// `/etc/network/interfaces` with the stanzas of our cards replaced.
pub fn interfaces(old: &str, nics: &[&ContainerNic]) -> String {
    let mut kept = without_stanzas(old, nics);
    if !kept
        .lines()
        .any(|line| line.trim() == "iface lo inet loopback")
    {
        kept = format!("auto lo\niface lo inet loopback\n\n{kept}");
    }
    let mut body = String::new();
    for nic in nics {
        let name = &nic.name;
        body.push_str(&format!("auto {name}\n"));
        match &nic.ipv4 {
            Ipv4::Manual => body.push_str(&format!("iface {name} inet manual\n")),
            Ipv4::Dhcp => body.push_str(&format!("iface {name} inet dhcp\n")),
            Ipv4::Static { address, gateway } => {
                body.push_str(&format!("iface {name} inet static\n\taddress {address}\n"));
                if let Some(gateway) = gateway {
                    body.push_str(&format!("\tgateway {gateway}\n"));
                }
            }
        }
    }
    replace_block(&kept, &body)
}

/// Drops what an image's maker wrote about our cards; ifupdown would apply both.
fn without_stanzas(old: &str, nics: &[&ContainerNic]) -> String {
    let is_ours = |name: &str| nics.iter().any(|nic| nic.name == name);
    let mut kept = String::new();
    let mut dropping = false;
    for line in old.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("iface"), Some(name)) => {
                let inet = words.next() == Some("inet");
                dropping = inet && is_ours(name);
            }
            (Some("auto" | "allow-hotplug" | "allow-auto"), Some(name)) => {
                dropping = false;
                if is_ours(name) && line.split_whitespace().count() == 2 {
                    continue;
                }
            }
            (Some("source" | "source-directory" | "mapping"), _) => dropping = false,
            (Some(word), _) if word.starts_with('#') => dropping = false,
            _ => {}
        }
        if !dropping {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(ipv4: Ipv4) -> ContainerNic {
        ContainerNic {
            name: "eth0".into(),
            host_name: "veth101i0".into(),
            bridge: "vmbr0".into(),
            mac: [2; 6],
            ipv4,
        }
    }

    fn fixed() -> Ipv4 {
        Ipv4::Static {
            address: "192.0.2.10/24".into(),
            gateway: Some("192.0.2.1".into()),
        }
    }

    #[test]
    fn a_block_is_replaced_and_the_rest_kept() {
        let first = replace_block("127.0.0.1 localhost\n", "10.0.0.1 a\n");
        let edited = format!("{first}10.9.9.9 mine\n");
        let second = replace_block(&edited, "10.0.0.2 b\n");
        assert_eq!(
            second,
            "127.0.0.1 localhost\n10.9.9.9 mine\n\
             # --- BEGIN BASALT ---\n10.0.0.2 b\n# --- END BASALT ---\n"
        );
    }

    #[test]
    fn interfaces_replace_the_images_own_and_are_stable() {
        let image = "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n\
                     \thostname x\n\nauto eth1\niface eth1 inet dhcp\n";
        let nic = nic(fixed());
        let once = interfaces(image, &[&nic]);
        assert!(!once.contains("eth0 inet dhcp") && !once.contains("hostname x"));
        assert!(once.contains("iface eth1 inet dhcp"));
        assert!(once.contains(
            "auto eth0\niface eth0 inet static\n\taddress 192.0.2.10/24\n\tgateway 192.0.2.1\n"
        ));
        assert_eq!(interfaces(&once, &[&nic]), once);
    }

    #[test]
    fn an_empty_interfaces_file_gets_loopback() {
        let nic = nic(Ipv4::Dhcp);
        let text = interfaces("", &[&nic]);
        assert!(text.starts_with("auto lo\niface lo inet loopback\n"));
        assert!(text.contains("iface eth0 inet dhcp\n"));
    }

    #[test]
    fn networkd_and_network_manager() {
        assert_eq!(
            networkd(&nic(fixed())),
            "[Match]\nName=eth0\n\n[Network]\nAddress=192.0.2.10/24\nGateway=192.0.2.1\n"
        );
        assert!(networkd(&nic(Ipv4::Dhcp)).ends_with("DHCP=ipv4\n"));
        assert!(
            nmconnection(&nic(fixed()))
                .ends_with("method=manual\naddress1=192.0.2.10/24,192.0.2.1\n")
        );
    }

    #[test]
    fn reads_name_servers() {
        let text = "# nameserver 1.1.1.1\nsearch x\nnameserver 192.0.2.53\nnameserver\t::1\n";
        assert_eq!(nameservers(text), ["192.0.2.53", "::1"]);
        assert_eq!(nameservers("nameservers 1.2.3.4\n"), [] as [&str; 0]);
    }

    #[test]
    fn a_resolver_has_servers_and_domains() {
        let text = |servers: &[&str], search: &[&str]| {
            let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
            resolver(&list(servers), &list(search))
        };
        assert_eq!(
            text(&["192.0.2.53", "::1"], &["a.example", "b.example"]),
            "search a.example b.example\nnameserver 192.0.2.53\nnameserver ::1\n"
        );
        assert_eq!(text(&["192.0.2.53"], &[]), "nameserver 192.0.2.53\n");
    }
}
