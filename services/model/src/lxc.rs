//! The configuration of a system container, with Proxmox VE's names.

use crate::config;
use crate::field::{Field, Int};
use crate::guest::{Description, GuestName, Startup, Tags};
use crate::network::{InterfaceName, Ip4, Ip4Config, Ip6Config, Mac};
use crate::processors::CpuLimit;
use crate::qemu::Word;
use crate::storage::{DiskSize, VolumeId, VolumeSource};
use crate::words;
use serde_json::{Value, json};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

config! {
    /// A container's settings; all may be absent.
    pub struct LxcConfig {
        /// Host name (default CT and its number).
        hostname "hostname": GuestName,
        /// Free text shown with the guest.
        description "description": Description,
        /// Tags, separated by ';'.
        tags "tags": Tags,
        /// Memory in MiB (default 512).
        memory "memory": Int<16, 4194304>,
        /// Swap in MiB (default 512).
        swap "swap": Int<0, 4194304>,
        /// Cores it may use (default all).
        cores "cores": Int<1, 8192>,
        /// Processor time it may use, in cores; 0 is no limit.
        cpulimit "cpulimit": CpuLimit<8192>,
        /// Its share of processor time against other guests (default 100).
        cpuunits "cpuunits": Int<1, 10000>,
        /// Root file system: `STORAGE:GIB` for a new one.
        rootfs "rootfs": Rootfs,
        /// Kind of distribution inside; no effect.
        ostype "ostype": Word,
        /// Architecture; only amd64.
        arch "arch": Arch,
        /// Always 1: container root is an ordinary user of the host.
        unprivileged "unprivileged": Unprivileged,
        /// Start with the host.
        onboot "onboot": bool,
        /// Order and delays of the start with the host.
        startup "startup": Startup,
        /// Refuse to remove the guest.
        protection "protection": bool,
        /// Whether it is a template: it never runs, and clones share its volume. A container becomes one
        /// by a method of its own.
        template "template": bool,
        /// Features, e.g. `nesting=1`.
        features "features": Features,
        /// Console; always on.
        console "console": crate::qemu::AlwaysOn,
        /// Name servers, separated by blanks; default those of the host.
        nameserver "nameserver": AddressList,
        /// DNS search domain; default that of the host.
        searchdomain "searchdomain": NameList,
    }
    numbered {
        /// Network card: `name=eth0,bridge=vmbr0,ip=dhcp`.
        net "net" ..= 31: LxcNet,
        /// Volume of the container that it does not use.
        unused "unused" ..= 255: VolumeId,
    }
}

impl LxcConfig {
    /// The memory of a container that names none, in MiB.
    pub const DEFAULT_MEMORY: u64 = 512;

    /// Memory in MiB.
    pub fn memory_mib(&self) -> u64 {
        self.memory.map_or(Self::DEFAULT_MEMORY, Int::get)
    }

    /// Swap in MiB.
    pub fn swap_mib(&self) -> u64 {
        self.swap.map_or(512, Int::get)
    }
}

crate::propstring! {
    /// The root file system of a container.
    pub struct Rootfs {
        /// The volume.
        default volume "volume": VolumeSource,
        /// Access control lists; no effect: the file system's default.
        acl "acl": bool,
        /// Whether replication includes it; no effect.
        replicate "replicate": bool,
        /// Refuse writes.
        ro "ro": bool,
        /// Size of the volume.
        size "size": DiskSize,
    }
}

crate::propstring! {
    /// A network card of a container.
    pub struct LxcNet {
        /// Name inside.
        required name "name": InterfaceName,
        /// Bridge of the host that it joins.
        bridge "bridge": InterfaceName,
        /// Filter its traffic; no effect.
        firewall "firewall": bool,
        /// IPv4 gateway.
        gw "gw": Ip4,
        /// Hardware address; one is made up when the card is added without.
        hwaddr "hwaddr": Mac,
        /// IPv4 address: `dhcp`, `manual` or like 192.0.2.10/24.
        ip "ip": Ip4Config,
        /// IPv6 address; only `auto`, `dhcp` and `manual` are left to the container.
        ip6 "ip6": Ip6Config,
        /// Kind; only veth.
        type_ "type": NicType,
    }
}

words! {
    /// Kind of a container's network card.
    pub enum NicType {
        /// One end of a pair of which the other is on the bridge.
        Veth = "veth",
    }
}

words! {
    /// Architecture of a container.
    pub enum Arch {
        /// 64-bit x86.
        Amd64 = "amd64",
    }
}

/// That a container is unprivileged; there is no other kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unprivileged;

impl Field for Unprivileged {
    fn parse(text: &str) -> Result<Self, String> {
        match bool::parse(text)? {
            true => Ok(Self),
            false => Err("privileged containers are not supported: use 1 or leave it out".into()),
        }
    }
    fn print(&self) -> String {
        "1".to_owned()
    }
    fn to_json(&self) -> Value {
        Value::Bool(true)
    }
    fn schema() -> Value {
        json!({"type": "boolean"})
    }
}

/// What a container is allowed beyond the usual.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// Containers inside the container; always possible, kept for clients.
    pub nesting: Option<bool>,
    /// The keyring system calls; no effect.
    pub keyctl: Option<bool>,
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("keyctl", self.keyctl), ("nesting", self.nesting)];
        let set = parts
            .iter()
            .filter_map(|(key, value)| Some(format!("{key}={}", (*value)?.print())));
        f.write_str(&set.collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Features {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut pairs = crate::propstring::split(text, None)?;
        let features = Self {
            nesting: crate::propstring::take(&mut pairs, "nesting")?,
            keyctl: crate::propstring::take(&mut pairs, "keyctl")?,
        };
        crate::propstring::refuse_rest(&pairs, &["nesting", "keyctl"])?;
        Ok(features)
    }
}

crate::text_field!(
    Features,
    "Features",
    json!({"type": "string", "x-typetext": "[nesting=<1|0>][,keyctl=<1|0>]"})
);

/// Addresses separated by blanks, commas or semicolons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressList(pub Vec<IpAddr>);

impl fmt::Display for AddressList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(" "))
    }
}

impl FromStr for AddressList {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let address = |text: &str| {
            text.parse()
                .map_err(|_| format!("'{text}' is no IP address, as 192.0.2.53"))
        };
        items(text).map(address).collect::<Result<_, _>>().map(Self)
    }
}

crate::text_field!(AddressList, "AddressList", json!({"type": "string"}));

/// What stands between blanks, commas and semicolons.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',', ';']).filter(|word| !word.is_empty())
}

/// DNS names separated by blanks, commas or semicolons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameList(pub Vec<String>);

impl fmt::Display for NameList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl FromStr for NameList {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let name = |text: &str| {
            if text.len() <= 64 && text.split('.').all(is_label) {
                Ok(text.to_owned())
            } else {
                Err(format!("'{text}' is no DNS name, as example.org"))
            }
        };
        items(text).map(name).collect::<Result<_, _>>().map(Self)
    }
}

crate::text_field!(NameList, "NameList", json!({"type": "string"}));
