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
            timezone: TimeZone::default(),
            keyboard: Keyboard::default(),
            email: None,
            root_password_hash: None,
            root_ssh_keys: Vec::new(),
            pool: None,
        }
    }
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
    check_hostname
);
checked_text!(
    /// The name of a time zone, as `Europe/Berlin`.
    TimeZone,
    check_time_zone
);
checked_text!(
    /// The name of a console's keyboard map, as `us` or `de`.
    Keyboard,
    check_keyboard
);
checked_text!(
    /// An e-mail address.
    Email,
    check_email
);
checked_text!(
    /// A password's hash as `/etc/shadow` holds it: yescrypt (`$y$`) or SHA-512 (`$6$`).
    PasswordHash,
    check_password_hash
);
checked_text!(
    /// One line of an `authorized_keys` file, without options.
    SshPublicKey,
    check_ssh_key
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

fn check_hostname(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let label_is_good = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 64 || !name.split('.').all(label_is_good) {
        return Err(format!(
            "`{text}` is no host name: letters, digits and `-`, labels separated by `.`, \
             64 characters at most"
        ));
    }
    if name
        .split('.')
        .next()
        .is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(format!("`{text}` is no host name: it must not be a number"));
    }
    if name == "localhost" {
        return Err("`localhost` is every host's name; choose another".to_owned());
    }
    Ok(name)
}

fn check_time_zone(text: &str) -> Result<String, String> {
    let part_is_good = |part: &str| {
        !part.is_empty()
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b))
    };
    if text.len() <= 64 && text.split('/').all(part_is_good) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is no time zone: expected a name such as `Europe/Berlin` or `UTC`"
        ))
    }
}

fn check_keyboard(text: &str) -> Result<String, String> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if (1..=32).contains(&text.len()) && text.bytes().all(letter) && !text.starts_with('-') {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is no keyboard: expected a name such as `us`, `de` or `fr`"
        ))
    }
}

fn check_email(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is no e-mail address, as `admin@example.org`");
    let (name, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>\"(),:;@[]\\".contains(c);
    let domain_is_good = domain
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
        && !domain.is_empty()
        && !domain.starts_with(['.', '-'])
        && !domain.ends_with(['.', '-']);
    if text.len() <= 254 && !name.is_empty() && name.chars().all(plain) && domain_is_good {
        Ok(text.to_owned())
    } else {
        Err(wrong())
    }
}

fn check_password_hash(text: &str) -> Result<String, String> {
    let known = ["$y$", "$6$"].iter().any(|prefix| text.starts_with(prefix));
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"./$=,".contains(&b));
    // The text itself is kept out of the message: it may be a password put in the wrong field.
    if known && plain && text.len() <= 256 && text.matches('$').count() >= 3 {
        Ok(text.to_owned())
    } else {
        Err(
            "not a password hash: expected `$y$…` (yescrypt) or `$6$…` (SHA-512), \
             as `mkpasswd` prints it"
                .to_owned(),
        )
    }
}

fn check_ssh_key(text: &str) -> Result<String, String> {
    let line = text.trim();
    let mut words = line.split_ascii_whitespace();
    let kind = words.next().unwrap_or_default();
    let known = ["ssh-ed25519", "ssh-rsa", "sk-ssh-ed25519@openssh.com"].contains(&kind)
        || kind.starts_with("ecdsa-sha2-nistp")
        || kind.starts_with("sk-ecdsa-sha2-nistp");
    let key_is_good = words.next().is_some_and(|key| {
        key.len() >= 40
            && key.starts_with("AAAA")
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
    });
    if known && key_is_good && !line.contains(|c: char| c.is_control()) {
        Ok(line.to_owned())
    } else {
        Err("not an SSH public key: expected one line such as `ssh-ed25519 AAAA… name`".to_owned())
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
