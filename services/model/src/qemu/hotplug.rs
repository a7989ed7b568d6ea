//! Which kinds of devices come to a running machine, and go, when its configuration changes.

use crate::words;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

words! {
    /// A kind of device.
    pub enum HotplugKind {
        /// Network cards.
        Network = "network",
        /// Disks.
        Disk = "disk",
        /// Processors.
        Cpu = "cpu",
        /// Memory.
        Memory = "memory",
        /// USB devices; no effect.
        Usb = "usb",
        /// What cloud-init is told.
        Cloudinit = "cloudinit",
    }
}

/// The kinds that change at once: `network,disk,usb` (also written `1`), or `0` for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hotplug(BTreeSet<HotplugKind>);

impl Hotplug {
    /// Whether devices of a kind come and go.
    pub fn has(&self, kind: HotplugKind) -> bool {
        self.0.contains(&kind)
    }
}

impl Default for Hotplug {
    fn default() -> Self {
        use HotplugKind::{Disk, Network, Usb};
        Self([Network, Disk, Usb].into())
    }
}

impl fmt::Display for Hotplug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("0");
        }
        let words: Vec<&str> = self.0.iter().map(|kind| kind.as_str()).collect();
        f.write_str(&words.join(","))
    }
}

impl FromStr for Hotplug {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "0" => Ok(Self(BTreeSet::new())),
            "1" => Ok(Self::default()),
            list => {
                let kinds = list.split([',', ';']).map(str::parse);
                Ok(Self(kinds.collect::<Result<_, _>>()?))
            }
        }
    }
}

crate::text_field!(Hotplug, "Hotplug", json!({"type": "string"}));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_listed_or_all_or_none() {
        let parse = |text: &str| text.parse::<Hotplug>().unwrap();
        assert_eq!(parse("1"), Hotplug::default());
        assert_eq!(parse("0").to_string(), "0");
        assert!(!parse("0").has(HotplugKind::Disk));
        let list = parse("disk,cpu");
        assert!(list.has(HotplugKind::Cpu) && !list.has(HotplugKind::Network));
        assert_eq!(list.to_string(), "disk,cpu");
        assert!("disk,colour".parse::<Hotplug>().is_err());
        assert!("".parse::<Hotplug>().is_err());
    }
}
