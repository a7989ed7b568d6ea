//! Devices of the host that a machine has for itself, `hostpci0` and on; and mappings, which give such
//! devices names that more users may use than those who may name any device.
//!
//! What of Proxmox VE's settings this version cannot do is refused, never ignored: `mdev`, `romfile`,
//! `x-vga=1` and `legacy-igd=1`.

use super::checked_text;
use crate::field::{Field, Int};
use crate::propstring::{refuse_rest, split, take};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;
use std::str::FromStr;

/// The address of a PCI device, or of one of its functions: `[0000:]01:00[.0]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// Domain, as far as it was written: 0 otherwise.
    pub domain: Option<u32>,
    /// Bus.
    pub bus: u8,
    /// Device number, at most 31.
    pub slot: u8,
    /// Function, at most 7; all of them if none.
    pub function: Option<u8>,
}

impl PciAddress {
    /// The device as the kernel names it, without function: `0000:01:00`.
    pub fn device(&self) -> String {
        let domain = self.domain.unwrap_or(0);
        format!("{domain:04x}:{:02x}:{:02x}", self.bus, self.slot)
    }

    /// Whether it names the function that the kernel calls `name`.
    pub fn names(&self, name: &str) -> bool {
        match (name.strip_prefix(&self.device()), self.function) {
            (Some(rest), Some(function)) => rest == format!(".{function:x}"),
            (Some(rest), None) => rest.starts_with('.'),
            (None, _) => false,
        }
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(domain) = self.domain {
            write!(f, "{domain:04x}:")?;
        }
        write!(f, "{:02x}:{:02x}", self.bus, self.slot)?;
        match self.function {
            Some(function) => write!(f, ".{function:x}"),
            None => Ok(()),
        }
    }
}

/// A number of so many hexadecimal digits, and nothing else.
fn hex(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = digits.contains(&text.len()) && plain;
    fits.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

impl FromStr for PciAddress {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (device, function) = match text.split_once('.') {
                Some((device, function)) => (device, Some(hex(function, 1..=1)?)),
                None => (text, None),
            };
            let parts: Vec<&str> = device.split(':').collect();
            let (domain, bus, slot) = match parts[..] {
                [bus, slot] => (None, bus, slot),
                [domain, bus, slot] => (Some(hex(domain, 4..=8)?), bus, slot),
                _ => return None,
            };
            let small =
                |number: u32, most: u8| u8::try_from(number).ok().filter(|number| *number <= most);
            Some(Self {
                domain,
                bus: small(hex(bus, 2..=2)?, u8::MAX)?,
                slot: small(hex(slot, 2..=2)?, 31)?,
                function: match function {
                    Some(function) => Some(small(function, 7)?),
                    None => None,
                },
            })
        };
        let wrong = || format!("'{text}' is no PCI address, like 0000:01:00.0 or 01:00");
        parse().ok_or_else(wrong)
    }
}

/// Addresses, separated by ';'; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PciAddresses(pub Vec<PciAddress>);

impl fmt::Display for PciAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(PciAddress::to_string).collect();
        f.write_str(&all.join(";"))
    }
}

impl FromStr for PciAddresses {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = text.split(';').map(str::parse);
        all.collect::<Result<_, _>>().map(Self)
    }
}

crate::text_field!(PciAddresses, "PciAddresses", json!({"type": "string"}));

/// A number of 16 bits as PCI writes it, `0x8086`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PciNumber(pub u16);

impl fmt::Display for PciNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

impl FromStr for PciNumber {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let number = hex(digits, 4..=4).and_then(|number| u16::try_from(number).ok());
        let wrong = || format!("'{text}' is no number of four hexadecimal digits, like 0x8086");
        number.map(Self).ok_or_else(wrong)
    }
}

crate::text_field!(PciNumber, "PciNumber", json!({"type": "string"}));

fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (2..=100).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphabetic()
        && text.bytes().all(plain)
}

checked_text!(
    /// Name of a mapping of PCI devices.
    PciMappingId,
    is_id,
    "use a letter, then letters, digits, '-' and '_'"
);

/// Which devices a machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPciSource {
    /// All of these.
    Host(PciAddresses),
    /// The first of a mapping that is free.
    Mapping(PciMappingId),
}

/// Devices of the host that a machine has for itself.
#[derive(Debug, Clone, PartialEq)]
pub struct HostPci {
    /// Which.
    pub source: HostPciSource,
    /// Device number that the guest reads.
    pub device_id: Option<PciNumber>,
    /// Whether the guest sees them as part of PCI Express (default no).
    pub pcie: Option<bool>,
    /// Whether the guest sees their expansion ROM (default yes).
    pub rombar: Option<bool>,
    /// Number of the card that the guest reads.
    pub sub_device_id: Option<PciNumber>,
    /// Vendor of the card that the guest reads.
    pub sub_vendor_id: Option<PciNumber>,
    /// Vendor that the guest reads.
    pub vendor_id: Option<PciNumber>,
}

/// Every key, as Proxmox VE has them.
const KEYS: [&str; 13] = [
    "host",
    "device-id",
    "legacy-igd",
    "mapping",
    "mdev",
    "pcie",
    "rombar",
    "romfile",
    "sub-device-id",
    "sub-vendor-id",
    "vendor-id",
    "x-vga",
    "driver",
];

/// Refuses what cannot be done.
fn refuse_impossible(pairs: &mut Vec<(String, String)>) -> Result<(), String> {
    for (key, why) in [
        (
            "mdev",
            "devices that are divided among guests are not supported",
        ),
        (
            "romfile",
            "a device's own ROM is the only one that it can have: leave it out",
        ),
    ] {
        if pairs.iter().any(|(known, _)| known == key) {
            return Err(format!("{key}: {why}"));
        }
    }
    for (key, why) in [
        (
            "x-vga",
            "a device cannot be the guest's VGA: use vga=none and the device's own driver",
        ),
        (
            "legacy-igd",
            "a built-in graphics device has no legacy mode here",
        ),
    ] {
        if take::<bool>(pairs, key)? == Some(true) {
            return Err(format!("{key}: {why}"));
        }
    }
    match take::<String>(pairs, "driver")?.as_deref() {
        None | Some("vfio") => Ok(()),
        Some(_) => Err("driver: it is always vfio".to_owned()),
    }
}

impl FromStr for HostPci {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut pairs = split(text, Some("host"))?;
        refuse_impossible(&mut pairs)?;
        let host = take::<PciAddresses>(&mut pairs, "host")?;
        let mapping = take::<PciMappingId>(&mut pairs, "mapping")?;
        let source = match (host, mapping) {
            (Some(host), None) => HostPciSource::Host(host),
            (None, Some(mapping)) => HostPciSource::Mapping(mapping),
            (None, None) => return Err("'host' or 'mapping' is missing".to_owned()),
            (Some(_), Some(_)) => return Err("only one of 'host' and 'mapping' can be".to_owned()),
        };
        let wanted = Self {
            source,
            device_id: take(&mut pairs, "device-id")?,
            pcie: take(&mut pairs, "pcie")?,
            rombar: take(&mut pairs, "rombar")?,
            sub_device_id: take(&mut pairs, "sub-device-id")?,
            sub_vendor_id: take(&mut pairs, "sub-vendor-id")?,
            vendor_id: take(&mut pairs, "vendor-id")?,
        };
        refuse_rest(&pairs, &KEYS)?;
        Ok(wanted)
    }
}

impl fmt::Display for HostPci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            HostPciSource::Host(host) => write!(f, "{host}")?,
            HostPciSource::Mapping(mapping) => write!(f, "mapping={mapping}")?,
        }
        let number = |number: &Option<PciNumber>| number.as_ref().map(Field::print);
        let switch = |on: &Option<bool>| on.as_ref().map(Field::print);
        for (key, value) in [
            ("device-id", number(&self.device_id)),
            ("pcie", switch(&self.pcie)),
            ("rombar", switch(&self.rombar)),
            ("sub-device-id", number(&self.sub_device_id)),
            ("sub-vendor-id", number(&self.sub_vendor_id)),
            ("vendor-id", number(&self.vendor_id)),
        ] {
            if let Some(value) = value {
                write!(f, ",{key}={value}")?;
            }
        }
        Ok(())
    }
}

crate::text_field!(
    HostPci,
    "HostPci",
    json!({
        "type": "string",
        "x-typetext": "[host=]<HOSTPCIID[;…]>|mapping=<id>[,device-id=…][,pcie=0|1][,rombar=0|1]\
            [,sub-device-id=…][,sub-vendor-id=…][,vendor-id=…]",
    })
);

fn is_pair(text: &str) -> bool {
    let mut parts = text.split(':').map(|part| hex(part, 4..=4));
    matches!(
        (parts.next(), parts.next(), parts.next()),
        (Some(Some(_)), Some(Some(_)), None)
    )
}

checked_text!(
    /// Vendor and device, `8086:1521`.
    PciPair,
    is_pair,
    "write vendor and device, like 8086:1521"
);
checked_text!(
    /// Free text in a property string.
    PciNote,
    |text| text.len() <= 4096 && !text.contains([',', '\n']),
    "use at most 4096 characters without ','"
);
checked_text!(
    /// Name of a node.
    PciNode,
    |text| (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
    "name a node"
);

crate::propstring! {
    /// Devices of one node in a mapping.
    pub struct PciMapEntry {
        /// Vendor and device that must be there.
        required id "id": PciPair,
        /// Description.
        description "description": PciNote,
        /// Group that must be the device's.
        iommugroup "iommugroup": Int<0, 65535>,
        /// The node.
        node "node": PciNode,
        /// Their addresses; several are given to a guest together.
        path "path": PciAddresses,
        /// Vendor and number of the card that must be there.
        subsystem_id "subsystem-id": PciPair,
    }
}

impl PciMapEntry {
    /// The node and the addresses, which must both be there.
    pub fn place(&self) -> Result<(&str, &PciAddresses), String> {
        let node = self.node.as_ref().ok_or("'node' is missing")?;
        let path = self.path.as_ref().ok_or("'path' is missing")?;
        Ok((node.as_str(), path))
    }
}

/// A name for devices, of which each node may have others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PciMapping {
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The devices; a machine gets those of the first entry of its node that are free.
    pub map: Vec<PciMapEntry>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_written_as_it_was() {
        for text in [
            "01:00.0",
            "0000:01:00;0000:02:1f.7",
            "mapping=gpu,pcie=1,rombar=0",
            "0000:c1:00,device-id=0x1234,sub-device-id=0x0001,vendor-id=0x10de",
        ] {
            assert_eq!(text.parse::<HostPci>().unwrap().to_string(), text);
        }
        let wordy: HostPci = "host=01:00,x-vga=0,legacy-igd=0,driver=vfio"
            .parse()
            .unwrap();
        assert_eq!(wordy.to_string(), "01:00");
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        for (text, named) in [
            ("01:00,mdev=nvidia-63", "mdev"),
            ("01:00,romfile=a.rom", "romfile"),
            ("01:00,x-vga=1", "x-vga"),
            ("01:00,legacy-igd=1", "legacy-igd"),
            ("01:00,driver=keep", "driver"),
            ("01:00,speed=1", "speed"),
            ("01:00,mapping=gpu", "mapping"),
            ("pcie=1", "host"),
            ("01:20", "01:20"),
            ("01:00.8", "01:00.8"),
            ("1:0.0", "1:0.0"),
            ("01:00,device-id=12345", "device-id"),
            ("mapping=a/b", "mapping"),
        ] {
            let error = text.parse::<HostPci>().unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn an_address_without_function_names_all() {
        let all: PciAddress = "01:00".parse().unwrap();
        assert!(all.names("0000:01:00.0") && all.names("0000:01:00.7"));
        assert!(!all.names("0000:01:01.0") && !all.names("0001:01:00.0"));
        let one: PciAddress = "0000:01:00.1".parse().unwrap();
        assert!(one.names("0000:01:00.1") && !one.names("0000:01:00.0"));
    }

    #[test]
    fn an_entry_of_a_mapping_has_node_and_path() {
        let text = "id=10de:2204,iommugroup=12,node=pve,path=0000:01:00;0000:02:00.0";
        let entry: PciMapEntry = text.parse().unwrap();
        assert_eq!(entry.to_string(), text);
        assert_eq!(entry.place().unwrap().0, "pve");
        let bare: PciMapEntry = "id=10de:2204,node=pve".parse().unwrap();
        assert!(bare.place().unwrap_err().contains("path"));
        assert!("node=pve,path=01:00".parse::<PciMapEntry>().is_err());
    }
}
