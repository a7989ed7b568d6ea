//! What a machine tells cloud-init in its guest: three documents on a disc called `cidata` (cloud-init's
//! data source "NoCloud").
//!
//! The documents are made of the configuration alone, so the same one gives the same disc. `instance-id`
//! is a digest of the others: a guest takes over what was changed as if it were its first boot.

mod iso;
mod yaml;

use basalt_model::network::{Ip4Config, Ip6Config};
use basalt_model::qemu::QemuConfig;
use basalt_model::qemu::cloudinit::IpConfig;
use basalt_model::vmid::Vmid;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// What the disc is called.
const LABEL: &str = "cidata";
/// Characters of the digest that tells one configuration from another.
const ID_LENGTH: usize = 40;

/// How the host resolves names, for guests that are told nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolver {
    /// Addresses of name servers.
    pub servers: Vec<String>,
    /// Search domains.
    pub domains: Vec<String>,
}

/// Documents of a person's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Documents {
    /// In the place of `user-data`.
    pub user: Option<String>,
    /// In the place of `network-config`.
    pub network: Option<String>,
    /// In the place of `meta-data`.
    pub meta: Option<String>,
    /// `vendor-data`.
    pub vendor: Option<String>,
}

/// The documents.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed {
    /// `user-data`: user, keys, host name.
    pub user: String,
    /// `network-config`, in version 1 of cloud-init's format.
    pub network: String,
    /// `meta-data`.
    pub meta: String,
    /// `vendor-data`, which only a person makes.
    pub vendor: Option<String>,
}

impl Seed {
    /// What `config` says; `host` is what the guest's resolver is told when `config` says nothing.
    pub fn new(vmid: Vmid, config: &QemuConfig, host: &Resolver) -> Self {
        let resolver = resolver(config, host);
        let user = format!(
            "#cloud-config\n{}",
            yaml::text(&user(vmid, config, &resolver))
        );
        let network = yaml::text(&network(config, &resolver));
        Self {
            meta: meta(&user, &network, ""),
            user,
            network,
            vendor: None,
        }
    }

    /// The same with a person's own documents, as far as there are any.
    pub fn with(self, own: Documents) -> Self {
        let user = own.user.unwrap_or(self.user);
        let network = own.network.unwrap_or(self.network);
        let made = || meta(&user, &network, own.vendor.as_deref().unwrap_or_default());
        Self {
            meta: own.meta.unwrap_or_else(made),
            user,
            network,
            vendor: own.vendor,
        }
    }

    /// The disc with the documents.
    pub fn disc(&self) -> Vec<u8> {
        let file = |name, short, text: &str| iso::File {
            name,
            short,
            content: text.as_bytes().to_vec(),
        };
        let mut files = vec![
            file("meta-data", "METADATA", &self.meta),
            file("network-config", "NETCONF", &self.network),
            file("user-data", "USERDATA", &self.user),
        ];
        let vendor = self.vendor.as_deref();
        files.extend(vendor.map(|text| file("vendor-data", "VENDDATA", text)));
        iso::image(LABEL, &files)
    }
}

/// `meta-data`: an instance whose id is a digest of the other documents.
fn meta(user: &str, network: &str, vendor: &str) -> String {
    let whole = [user, network, vendor].concat();
    let digest = hex::encode(Sha256::digest(whole.as_bytes()));
    yaml::text(&json!({"instance-id": &digest[..ID_LENGTH]}))
}

fn resolver(config: &QemuConfig, host: &Resolver) -> Resolver {
    let servers = config.nameserver.as_ref();
    let servers = servers.map(|list| list.0.iter().map(ToString::to_string).collect());
    let domains = config.searchdomain.as_ref().map(|list| list.0.clone());
    Resolver {
        servers: servers.unwrap_or_else(|| host.servers.clone()),
        domains: domains.unwrap_or_else(|| host.domains.clone()),
    }
}

fn user(vmid: Vmid, config: &QemuConfig, resolver: &Resolver) -> Value {
    let name = config.name.as_ref();
    let name = name.map_or_else(|| format!("VM{vmid}"), ToString::to_string);
    let host = name.split('.').next().unwrap_or_default().to_owned();
    let fqdn = match resolver.domains.first() {
        _ if name.contains('.') => Some(name),
        Some(domain) => Some(format!("{name}.{domain}")),
        None => None,
    };
    let mut data = Map::new();
    let mut set = |key: &str, value: Value| data.insert(key.to_owned(), value);
    set("hostname", host.into());
    set("manage_etc_hosts", true.into());
    if let Some(fqdn) = fqdn {
        set("fqdn", fqdn.into());
    }
    if let Some(user) = &config.ciuser {
        // cloud-init also takes the bare name, and warns of it.
        set("user", json!({"name": user.to_string()}));
    }
    if let Some(password) = &config.cipassword {
        set("password", password.as_str().into());
    }
    if let Some(keys) = &config.sshkeys {
        set("ssh_authorized_keys", keys.lines().into());
    }
    set("chpasswd", json!({"expire": false}));
    set("users", json!(["default"]));
    set("package_upgrade", (config.ciupgrade != Some(false)).into());
    Value::Object(data)
}

fn network(config: &QemuConfig, resolver: &Resolver) -> Value {
    let mut parts = Vec::new();
    for (index, net) in &config.net {
        let mut card = json!({"type": "physical", "name": format!("eth{index}")});
        if let Some(mac) = net.mac {
            card["mac_address"] = mac.to_string().to_ascii_lowercase().into();
        }
        card["subnets"] = subnets(config.ipconfig.get(index)).into();
        parts.push(card);
    }
    if !resolver.servers.is_empty() || !resolver.domains.is_empty() {
        let Resolver { servers, domains } = resolver;
        parts.push(json!({"type": "nameserver", "address": servers, "search": domains}));
    }
    json!({"version": 1, "config": parts})
}

fn subnets(addresses: Option<&IpConfig>) -> Vec<Value> {
    let addresses = addresses.filter(|set| set.ip.is_some() || set.ip6.is_some());
    let Some(IpConfig { gw, gw6, ip, ip6 }) = addresses else {
        return vec![json!({"type": "dhcp4"})];
    };
    let fixed = |kind: &str, address: String, gateway: Option<String>| {
        let mut subnet = json!({"type": kind, "address": address});
        if let Some(gateway) = gateway {
            subnet["gateway"] = gateway.into();
        }
        subnet
    };
    let first = ip.and_then(|ip| match ip {
        Ip4Config::Dhcp => Some(json!({"type": "dhcp4"})),
        Ip4Config::Manual => None,
        Ip4Config::Static(address, prefix) => {
            let gateway = gw.map(|gw| gw.to_string());
            Some(fixed("static", format!("{address}/{prefix}"), gateway))
        }
    });
    let second = ip6.and_then(|ip6| match ip6 {
        Ip6Config::Auto => Some(json!({"type": "ipv6_slaac"})),
        Ip6Config::Dhcp => Some(json!({"type": "dhcp6"})),
        Ip6Config::Manual => None,
        Ip6Config::Static(address, prefix) => {
            let gateway = gw6.map(|gw| gw.to_string());
            Some(fixed("static6", format!("{address}/{prefix}"), gateway))
        }
    });
    first.into_iter().chain(second).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(value: Value) -> QemuConfig {
        serde_json::from_value(value).unwrap()
    }

    fn seed(value: Value, host: &Resolver) -> Seed {
        Seed::new(Vmid::MIN, &config(value), host)
    }

    #[test]
    fn a_machine_that_says_nothing_asks_the_network() {
        let seed = seed(
            json!({"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}),
            &Resolver::default(),
        );
        assert!(
            seed.user
                .starts_with("#cloud-config\nhostname: \"VM100\"\n")
        );
        assert!(!seed.user.contains("fqdn") && !seed.user.contains("\npassword"));
        assert!(seed.user.contains("package_upgrade: true\n"));
        assert!(seed.network.contains("mac_address: \"bc:24:11:00:00:01\""));
        assert!(seed.network.contains("type: \"dhcp4\""));
        assert!(!seed.network.contains("nameserver"));
    }

    #[test]
    fn what_is_set_is_told() {
        let host = Resolver {
            servers: vec!["192.0.2.53".into()],
            domains: vec!["example.org".into()],
        };
        let settings = json!({
            "name": "web", "ciuser": "me", "cipassword": "$6$a$b", "ciupgrade": false,
            "sshkeys": "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAA%20%22me%22",
            "net1": "virtio=BC:24:11:00:00:02,bridge=vmbr0",
            "ipconfig1": "ip=192.0.2.10/24,gw=192.0.2.1,ip6=auto", "searchdomain": "example.com",
        });
        let told = seed(settings.clone(), &host);
        for line in [
            "fqdn: \"web.example.com\"\n",
            "user:\n  name: \"me\"\n",
            "password: \"$6$a$b\"\n",
            "  - \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA \\\"me\\\"\"\n",
            "package_upgrade: false\n",
        ] {
            assert!(told.user.contains(line), "{line} in {}", told.user);
        }
        for part in [
            "name: \"eth1\"",
            "address: \"192.0.2.10/24\"",
            "gateway: \"192.0.2.1\"",
            "type: \"ipv6_slaac\"",
            "- \"192.0.2.53\"",
            "- \"example.com\"",
        ] {
            assert!(told.network.contains(part), "{part} in {}", told.network);
        }
        assert_eq!(seed(settings, &host).meta, told.meta);
        let other = seed(json!({"name": "web"}), &host);
        assert_ne!(other.meta, told.meta);
    }

    #[test]
    fn documents_of_ones_own_stand_in_for_those_that_are_made() {
        let made = seed(json!({"name": "web"}), &Resolver::default());
        assert_eq!(made.clone().with(Documents::default()).meta, made.meta);
        let own = Documents {
            user: Some("#cloud-config\npackages: [nginx]\n".into()),
            vendor: Some("#cloud-config\ntimezone: UTC\n".into()),
            ..Documents::default()
        };
        let told = made.clone().with(own.clone());
        assert_eq!(
            (Some(&told.user), &told.vendor),
            (own.user.as_ref(), &own.vendor)
        );
        assert_eq!(told.network, made.network);
        assert_ne!(told.meta, made.meta);
        let disc = told.disc();
        let has = |text: &str| disc.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(has("packages: [nginx]") && has("timezone: UTC"));
        let meta = Some("instance-id: mine\n".to_owned());
        let named = told.with(Documents {
            meta: meta.clone(),
            ..Documents::default()
        });
        assert_eq!(Some(named.meta), meta);
    }
}
