//! Network types: hardware addresses, bridges, and how a guest's card gets its address.

use serde_json::json;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A hardware address of a single card, printed `BC:24:11:00:00:01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// An address from three random bytes under the prefix that Proxmox VE's guests have.
    pub fn guest(random: [u8; 3]) -> Self {
        Self([0xbc, 0x24, 0x11, random[0], random[1], random[2]])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

impl FromStr for Mac {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no hardware address: write it BC:24:11:00:00:01");
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts
                .next()
                .filter(|part| part.len() == 2)
                .ok_or_else(wrong)?;
            if !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(wrong());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        if bytes[0] & 1 == 1 {
            return Err(format!(
                "'{text}' is a group's address, not a single card's"
            ));
        }
        Ok(Self(bytes))
    }
}

crate::text_field!(Mac, "Mac", json!({"type": "string", "format": "mac-addr"}));

/// How hardware addresses that are made up begin: one to three bytes, `BC:24:11`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacPrefix(Vec<u8>);

impl MacPrefix {
    /// An address that begins so and goes on with `random`.
    pub fn complete(&self, random: [u8; 6]) -> Mac {
        let mut bytes = random;
        bytes[..self.0.len()].copy_from_slice(&self.0);
        Mac(bytes)
    }
}

impl Default for MacPrefix {
    fn default() -> Self {
        Self(vec![0xbc, 0x24, 0x11])
    }
}

impl fmt::Display for MacPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<String> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        f.write_str(&bytes.join(":"))
    }
}

impl FromStr for MacPrefix {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.trim_end_matches(':').split(':').collect();
        let rest = "00:".repeat(6_usize.saturating_sub(parts.len()));
        let whole = format!("{}:{rest}", parts.join(":"));
        let Mac(bytes) = whole
            .trim_end_matches(':')
            .parse()
            .map_err(|_| format!("'{text}' begins no hardware address: write it BC:24:11"))?;
        match parts.len() {
            count @ 1..=3 => Ok(Self(bytes[..count].to_vec())),
            _ => Err(format!("'{text}' has more than three bytes")),
        }
    }
}

crate::text_field!(
    MacPrefix,
    "MacPrefix",
    json!({"type": "string", "format": "mac-prefix", "maxLength": 9})
);

/// The name of a bridge or other interface of the host, e.g. `vmbr0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for InterfaceName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let first = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic());
        if first && (2..=15).contains(&text.len()) && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' is no interface name: use 2 to 15 letters and digits, e.g. vmbr0"
        ))
    }
}

crate::text_field!(
    InterfaceName,
    "InterfaceName",
    json!({"type": "string", "maxLength": 15})
);

/// How a container's card gets its IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ip4Config {
    /// From the network.
    Dhcp,
    /// The container sees to it.
    Manual,
    /// A fixed address and the length of its prefix.
    Static(Ipv4Addr, u8),
}

impl fmt::Display for Ip4Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dhcp => f.write_str("dhcp"),
            Self::Manual => f.write_str("manual"),
            Self::Static(address, prefix) => write!(f, "{address}/{prefix}"),
        }
    }
}

impl FromStr for Ip4Config {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dhcp" => return Ok(Self::Dhcp),
            "manual" => return Ok(Self::Manual),
            _ => {}
        }
        let fixed = || {
            let (address, prefix) = text.split_once('/')?;
            let prefix: u8 = prefix
                .parse()
                .ok()
                .filter(|prefix| (1..=32).contains(prefix))?;
            Some(Self::Static(address.parse().ok()?, prefix))
        };
        fixed().ok_or_else(|| format!("'{text}' is not dhcp, manual or like 192.0.2.10/24"))
    }
}

crate::text_field!(Ip4Config, "Ip4Config", json!({"type": "string"}));

/// How a container's card gets its IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ip6Config {
    /// From router advertisements.
    Auto,
    /// From the network's DHCP server.
    Dhcp,
    /// The container sees to it.
    Manual,
    /// A fixed address and the length of its prefix.
    Static(Ipv6Addr, u8),
}

impl fmt::Display for Ip6Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Dhcp => f.write_str("dhcp"),
            Self::Manual => f.write_str("manual"),
            Self::Static(address, prefix) => write!(f, "{address}/{prefix}"),
        }
    }
}

impl FromStr for Ip6Config {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "dhcp" => return Ok(Self::Dhcp),
            "manual" => return Ok(Self::Manual),
            _ => {}
        }
        let fixed = || {
            let (address, prefix) = text.split_once('/')?;
            let prefix: u8 = prefix
                .parse()
                .ok()
                .filter(|prefix| (1..=128).contains(prefix))?;
            Some(Self::Static(address.parse().ok()?, prefix))
        };
        fixed().ok_or_else(|| format!("'{text}' is not auto, dhcp, manual or like 2001:db8::1/64"))
    }
}

crate::text_field!(Ip6Config, "Ip6Config", json!({"type": "string"}));

/// An IPv4 address, such as a gateway's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ip4(pub Ipv4Addr);

impl fmt::Display for Ip4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Ip4 {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("'{text}' is no IPv4 address"))
    }
}

crate::text_field!(Ip4, "Ip4", json!({"type": "string", "format": "ipv4"}));

/// An IPv6 address, such as a gateway's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ip6(pub Ipv6Addr);

impl fmt::Display for Ip6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Ip6 {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("'{text}' is no IPv6 address"))
    }
}

crate::text_field!(Ip6, "Ip6", json!({"type": "string", "format": "ipv6"}));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_begins_an_address() {
        let prefix: MacPrefix = "02:ab".parse().unwrap();
        assert_eq!(prefix.to_string(), "02:AB");
        assert_eq!(prefix.complete([1; 6]).to_string(), "02:AB:01:01:01:01");
        assert_eq!("BC:24:11:".parse(), Ok(MacPrefix::default()));
        for bad in ["", "03", "2", "02:03:04:05", "xx"] {
            assert!(bad.parse::<MacPrefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_round_trip() {
        let mac: Mac = "bc:24:11:0a:0b:0c".parse().unwrap();
        assert_eq!(mac.to_string(), "BC:24:11:0A:0B:0C");
        for bad in [
            "",
            "BC:24:11",
            "BC:24:11:0:1:2",
            "01:00:00:00:00:00",
            "BC:24:11:+a:0b:0c",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
        for text in ["dhcp", "manual", "192.0.2.10/24"] {
            assert_eq!(text.parse::<Ip4Config>().unwrap().to_string(), text);
        }
        for bad in ["192.0.2.10", "192.0.2.10/33", "x/24", "auto"] {
            assert!(bad.parse::<Ip4Config>().is_err(), "{bad}");
        }
        for text in ["auto", "dhcp", "2001:db8::1/64"] {
            assert_eq!(text.parse::<Ip6Config>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn interface_names_fit_the_kernel() {
        assert!("vmbr0".parse::<InterfaceName>().is_ok());
        for bad in ["", "v", "0br", "vmbr/0", "averylongbridgename"] {
            assert!(bad.parse::<InterfaceName>().is_err(), "{bad}");
        }
    }
}
