//! Network cards of a virtual machine, as a property string.

use super::NetModel;
use crate::field::Int;
use crate::network::{InterfaceName, Mac};
use crate::propstring::{self, split};
use serde_json::json;
use std::fmt;
use std::str::FromStr;

/// A network card: `virtio=BC:24:11:00:00:01,bridge=vmbr0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuNet {
    /// Model.
    pub model: NetModel,
    /// Hardware address; one is made up when the card is added without.
    pub mac: Option<Mac>,
    /// Bridge of the host that it joins; none leaves it unconnected.
    pub bridge: Option<InterfaceName>,
    /// Filter its traffic; no effect.
    pub firewall: Option<bool>,
    /// Unplug the cable.
    pub link_down: Option<bool>,
    /// Largest packet; no effect.
    pub mtu: Option<Int<1, 65520>>,
    /// Number of queues; only 1.
    pub queues: Option<Int<0, 1>>,
}

impl QemuNet {
    /// Whether its cable is pulled.
    pub fn is_pulled(&self) -> bool {
        self.link_down == Some(true)
    }

    /// Whether it is the same card as another: with anything else changed, what hangs on it does.
    pub fn is_same_card(&self, other: &Self) -> bool {
        (self.model, self.mac) == (other.model, other.mac)
    }
}

impl fmt::Display for QemuNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.model.as_str())?;
        if let Some(mac) = &self.mac {
            write!(f, "={mac}")?;
        }
        let on = |value: bool| if value { 1 } else { 0 };
        if let Some(bridge) = &self.bridge {
            write!(f, ",bridge={bridge}")?;
        }
        if let Some(firewall) = self.firewall {
            write!(f, ",firewall={}", on(firewall))?;
        }
        if let Some(link_down) = self.link_down {
            write!(f, ",link_down={}", on(link_down))?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, ",mtu={}", mtu.get())?;
        }
        if let Some(queues) = self.queues {
            write!(f, ",queues={}", queues.get())?;
        }
        Ok(())
    }
}

impl FromStr for QemuNet {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut pairs = split(text, Some("model"))?;
        let mut mac = propstring::take(&mut pairs, "macaddr")?;
        let mut model = propstring::take(&mut pairs, "model")?;
        // `virtio=MAC` is short for `model=virtio,macaddr=MAC`.
        if let Some(short) = propstring::take::<Mac>(&mut pairs, NetModel::Virtio.as_str())? {
            model = Some(NetModel::Virtio);
            mac = Some(short);
        }
        let net = Self {
            mac,
            bridge: propstring::take(&mut pairs, "bridge")?,
            firewall: propstring::take(&mut pairs, "firewall")?,
            link_down: propstring::take(&mut pairs, "link_down")?,
            mtu: propstring::take(&mut pairs, "mtu")?,
            queues: propstring::take(&mut pairs, "queues")?,
            model: model.unwrap_or(NetModel::Virtio),
        };
        let known = [
            "virtio",
            "model",
            "macaddr",
            "bridge",
            "firewall",
            "link_down",
            "mtu",
            "queues",
        ];
        propstring::refuse_rest(&pairs, &known)?;
        Ok(net)
    }
}

crate::text_field!(
    QemuNet,
    "QemuNet",
    json!({
        "type": "string",
        "x-typetext": "virtio[=<mac>][,bridge=<bridge>][,link_down=<0|1>]",
    })
);
