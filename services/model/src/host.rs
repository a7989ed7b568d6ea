//! The host itself: its name, its network, what the installer settled; and the answer file.
//!
//! [`HostConfig`] is what stands in `host.json` on the data partition and what every boot is made
//! of. [`answer::AnswerFile`] is what an unattended installation reads; [`networkd`] turns the
//! network of a host into files for systemd-networkd.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::storage::{LvmName, ZfsName};

pub mod answer;
mod check;
pub mod networkd;

/// Bridge that guests and host share.
pub const DEFAULT_BRIDGE: &str = "vmbr0";

/// What makes one installed host differ from another.
///
/// A key that this version does not know is left alone: after a return to an older image, that
/// image must still find its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostConfig {
    /// The host's name.
    pub hostname: Hostname,
    /// How it is reached.
    #[serde(default)]
    pub network: HostNetwork,
    /// Its name servers, when they are others than its network says. Not a part of the network's
    /// own settings, in which an older image knows every key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<HostDns>,
    /// Its time zone.
    #[serde(default)]
    pub timezone: TimeZone,
    /// Its console's keyboard.
    #[serde(default, skip_serializing_if = "Keyboard::is_default")]
    pub keyboard: Keyboard,
    /// Where its administrator is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// Root's password; root cannot log in with a password when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_password_hash: Option<PasswordHash>,
    /// Keys that may log in as root over SSH.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub root_ssh_keys: Vec<SshPublicKey>,
    /// The pool for guests' disks that was made at the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
}

/// A pool for guests' disks on the system's own disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Pool {
    /// A thin pool of LVM.
    LvmThin {
        /// Its volume group.
        vgname: LvmName,
        /// The pool's own name.
        thinpool: LvmName,
    },
    /// A pool of ZFS.
    Zfs {
        /// The dataset in it that guests' disks lie in.
        pool: ZfsName,
    },
}

impl HostConfig {
    /// What a host falls back to when its own configuration cannot be read: reachable by DHCP on
    /// the first card, nobody can log in with a password.
    pub fn fallback() -> Self {
        Self {
            hostname: Hostname("basalt".to_owned()),
            network: HostNetwork::default(),
            dns: None,
            timezone: TimeZone::default(),
            keyboard: Keyboard::default(),
            email: None,
            root_password_hash: None,
            root_ssh_keys: Vec::new(),
            pool: None,
        }
    }
}

/// How a host resolves names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostDns {
    /// The domain that short names are searched in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchDomain>,
    /// The servers, instead of those that its network says; none to ask those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<IpAddr>,
}

/// The host's bridge, the card below it and the bridge's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostNetwork {
    /// Name of the bridge.
    pub bridge: String,
    /// The card that connects the bridge to the outside.
    pub port: Port,
    /// The bridge's address.
    pub addressing: Addressing,
}

impl Default for HostNetwork {
    fn default() -> Self {
        Self {
            bridge: DEFAULT_BRIDGE.to_owned(),
            port: Port::First,
            addressing: Addressing::Dhcp,
        }
    }
}

/// Which network card a bridge takes as its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Port {
    /// The first card found, remembered from then on.
    First,
    /// The card with this address.
    Mac(MacAddress),
}

/// How the bridge gets its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Addressing {
    /// From a DHCP server.
    Dhcp,
    /// Fixed.
    Static {
        /// The host's address and the length of its network's prefix.
        address: InterfaceAddress,
        /// The router.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gateway: Option<IpAddr>,
        /// Name servers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        dns: Vec<IpAddr>,
    },
}

/// A value that does not mean what its field asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

/// Makes a text type whose values are checked when they are read.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> Result<String, String> = $check;
                check(text).map(Self).map_err(ValueError)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ValueError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text!(
    /// A host name, with or without a domain, in lower case.
    Hostname,
    check::hostname
);
checked_text!(
    /// A domain that short names are searched in, in lower case.
    SearchDomain,
    check::search_domain
);
checked_text!(
    /// The name of a time zone, as `Europe/Berlin`.
    TimeZone,
    check::time_zone
);
checked_text!(
    /// The name of a console's keyboard map, as `us` or `de`.
    Keyboard,
    check::keyboard
);
checked_text!(
    /// An e-mail address.
    Email,
    check::email
);
checked_text!(
    /// A password's hash as `/etc/shadow` holds it: yescrypt (`$y$`) or SHA-512 (`$6$`).
    PasswordHash,
    check::password_hash
);
checked_text!(
    /// One line of an `authorized_keys` file, without options.
    SshPublicKey,
    check::ssh_key
);

impl Hostname {
    /// The name without its domain; also the node's name.
    pub fn short(&self) -> &str {
        self.0.split('.').next().unwrap_or(&self.0)
    }
}

impl Default for Keyboard {
    fn default() -> Self {
        Self("us".to_owned())
    }
}

impl Keyboard {
    /// Whether this is the map that the kernel has by itself.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self("UTC".to_owned())
    }
}

/// The hardware address of a network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct MacAddress([u8; 6]);

impl FromStr for MacAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            ValueError(format!(
                "`{text}` is no network card's address, as 52:54:00:12:34:56"
            ))
        };
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts
                .next()
                .filter(|part| part.len() == 2)
                .ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        let is_group = bytes[0] & 1 != 0;
        if parts.next().is_some() || is_group || bytes == [0; 6] {
            return Err(wrong());
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl TryFrom<String> for MacAddress {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(mac: MacAddress) -> Self {
        mac.to_string()
    }
}

/// An address of the host together with the length of its network's prefix: `192.0.2.10/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct InterfaceAddress {
    address: IpAddr,
    prefix: u8,
}

impl InterfaceAddress {
    /// The host's address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Length of the network's prefix in bits.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// True when `other` lies in the same network.
    pub fn contains(&self, other: &IpAddr) -> bool {
        fn same<const N: usize>(a: [u8; N], b: [u8; N], prefix: u8) -> bool {
            let bits = |bytes: [u8; N]| {
                bytes
                    .into_iter()
                    .flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1))
            };
            bits(a)
                .zip(bits(b))
                .take(prefix.into())
                .all(|(x, y)| x == y)
        }
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.octets(), b.octets(), self.prefix),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.octets(), b.octets(), self.prefix),
            _ => false,
        }
    }
}

impl FromStr for InterfaceAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason: &str| ValueError(format!("`{text}`: {reason}"));
        let (address, prefix) = text
            .split_once('/')
            .ok_or_else(|| wrong("the length of the prefix is missing, as in 192.0.2.10/24"))?;
        let address: IpAddr = address
            .parse()
            .map_err(|_| wrong("expected an IP address before the `/`"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = prefix
            .parse()
            .ok()
            .filter(|prefix| (1..=longest).contains(prefix))
            .ok_or_else(|| wrong("the length of the prefix is out of range"))?;
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
            return Err(wrong("no host can have this address"));
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl TryFrom<String> for InterfaceAddress {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<InterfaceAddress> for String {
    fn from(address: InterfaceAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests;
