//! What virtual machines and containers have in common: kind, name, tags, locks, start order.
//!
//! A guest is stored as a [`GuestRecord`] of its configuration; see [`crate::qemu`] and
//! [`crate::lxc`] for the two kinds of configuration.

use crate::field::FieldErrors;
use crate::history::History;
use crate::lxc::LxcConfig;
use crate::qemu::QemuConfig;
use crate::storage::VolumeId;
use crate::vmid::Vmid;
use crate::words;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt;
use std::str::FromStr;

words! {
    /// The kind of a guest, as it is written in paths and ids.
    pub enum GuestKind {
        /// A virtual machine.
        Qemu = "qemu",
        /// A system container.
        Lxc = "lxc",
    }
}

impl GuestKind {
    /// How messages name a guest of this kind.
    pub fn short(self) -> &'static str {
        match self {
            Self::Qemu => "VM",
            Self::Lxc => "CT",
        }
    }
}

words! {
    /// What long work holds a guest; nothing else may change it meanwhile.
    pub enum Lock {
        /// The guest is being made; if that is interrupted, it is removed.
        Create = "create",
        /// The guest is being removed; if that is interrupted, removal goes on.
        Destroy = "destroy",
        /// Its state is being saved; if that is interrupted, the guest runs on.
        Suspending = "suspending",
        /// Its state is saved, and its next start goes on from there.
        Suspended = "suspended",
        /// The guest is being made from another one; if that is interrupted, it is removed.
        Clone = "clone",
        /// A snapshot is being taken; if that is interrupted, it is removed.
        Snapshot = "snapshot",
        /// A snapshot is being removed; if that is interrupted, it goes on.
        SnapshotDelete = "snapshot-delete",
        /// The guest goes back to what it was; if that is interrupted, it goes on.
        Rollback = "rollback",
        /// The guest becomes a template; if that is interrupted, it goes on.
        Template = "template",
    }
}

/// What the user configured, by the kind of guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "config", rename_all = "lowercase")]
pub enum GuestConfig {
    /// A virtual machine.
    Qemu(Box<QemuConfig>),
    /// A system container.
    Lxc(Box<LxcConfig>),
}

impl GuestConfig {
    /// The kind of guest.
    pub fn kind(&self) -> GuestKind {
        match self {
            Self::Qemu(_) => GuestKind::Qemu,
            Self::Lxc(_) => GuestKind::Lxc,
        }
    }

    /// The name that the guest is shown with.
    pub fn name(&self, vmid: Vmid) -> String {
        let (set, short) = match self {
            Self::Qemu(config) => (&config.name, "VM"),
            Self::Lxc(config) => (&config.hostname, "CT"),
        };
        set.as_ref()
            .map_or_else(|| format!("{short}{vmid}"), ToString::to_string)
    }

    /// The volumes that it names and that belong to `vmid`, by setting.
    pub fn own_volumes(&self, vmid: Vmid) -> Vec<(String, VolumeId)> {
        let named: Vec<(String, Option<&VolumeId>)> = match self {
            Self::Qemu(config) => {
                let disks = config.disks().into_iter();
                let unused = config.unused.iter();
                let variables = config.efidisk0.iter();
                let tpm = config.tpmstate0.iter();
                disks
                    .map(|(key, disk)| (key, disk.file.volume()))
                    .chain(variables.map(|disk| ("efidisk0".to_owned(), disk.file.volume())))
                    .chain(tpm.map(|disk| ("tpmstate0".to_owned(), disk.file.volume())))
                    .chain(unused.map(|(index, volume)| (format!("unused{index}"), Some(volume))))
                    .collect()
            }
            Self::Lxc(config) => {
                let rootfs = config.rootfs.iter();
                let unused = config.unused.iter();
                rootfs
                    .map(|rootfs| ("rootfs".to_owned(), rootfs.volume.volume()))
                    .chain(unused.map(|(index, volume)| (format!("unused{index}"), Some(volume))))
                    .collect()
            }
        };
        let own = named
            .into_iter()
            .filter_map(|(key, volume)| Some((key, volume?.clone())));
        own.filter(|(_, volume)| volume.owner() == Some(vmid))
            .collect()
    }

    /// Whether the guest starts with the host, and when.
    pub fn autostart(&self) -> Option<Startup> {
        let (onboot, startup) = match self {
            Self::Qemu(config) => (config.onboot, config.startup),
            Self::Lxc(config) => (config.onboot, config.startup),
        };
        (onboot == Some(true) && !self.is_template()).then(|| startup.unwrap_or_default())
    }

    /// Order and delays of start and stop with the host, whether it starts with it or not.
    pub fn startup(&self) -> Startup {
        match self {
            Self::Qemu(config) => config.startup,
            Self::Lxc(config) => config.startup,
        }
        .unwrap_or_default()
    }

    /// Whether it is a template.
    pub fn is_template(&self) -> bool {
        let template = match self {
            Self::Qemu(config) => config.template,
            Self::Lxc(config) => config.template,
        };
        template == Some(true)
    }

    /// The settings.
    pub fn to_map(&self) -> Map<String, Value> {
        match self {
            Self::Qemu(config) => config.to_map(),
            Self::Lxc(config) => config.to_map(),
        }
    }

    /// A configuration of the same kind with these settings.
    pub fn with_map(&self, map: &Map<String, Value>) -> Result<Self, FieldErrors> {
        Ok(match self {
            Self::Qemu(_) => Self::Qemu(Box::new(QemuConfig::from_map(map)?)),
            Self::Lxc(_) => Self::Lxc(Box::new(LxcConfig::from_map(map)?)),
        })
    }

    /// Whether removal is refused.
    pub fn is_protected(&self) -> bool {
        let protection = match self {
            Self::Qemu(config) => config.protection,
            Self::Lxc(config) => config.protection,
        };
        protection == Some(true)
    }

    /// The tags.
    pub fn tags(&self) -> Option<&Tags> {
        match self {
            Self::Qemu(config) => config.tags.as_ref(),
            Self::Lxc(config) => config.tags.as_ref(),
        }
    }
}

/// A guest as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestRecord {
    /// What the user configured.
    #[serde(flatten)]
    pub config: GuestConfig,
    /// What holds the guest, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// Volumes that are being made for a change that is not done; if it is interrupted, they are
    /// removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub making: Vec<VolumeId>,
    /// The state that the guest goes on from, while it is [`Lock::Suspended`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Suspended>,
    /// What it was at earlier times.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub history: History,
}

/// A guest whose state lies on a storage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspended {
    /// The volume that holds the state.
    pub vmstate: VolumeId,
    /// What the guest ran with, which may differ from what it is configured to be.
    pub running: GuestConfig,
    /// Suspended because the host went down: it goes on when the host is back.
    #[serde(default)]
    pub with_host: bool,
}

words! {
    /// What happens to a running virtual machine when its host goes down.
    pub enum HostShutdown {
        /// It is shut down.
        Shutdown = "shutdown",
        /// Its state is saved, and it goes on from there when the host is back.
        Suspend = "suspend",
    }
}

impl GuestRecord {
    /// A guest that nothing holds.
    pub fn new(config: GuestConfig) -> Self {
        Self {
            config,
            lock: None,
            making: Vec::new(),
            suspended: None,
            history: History::default(),
        }
    }

    /// The same guest with another configuration, and nothing that holds it.
    pub fn free(&self, config: GuestConfig) -> Self {
        Self {
            history: self.history.clone(),
            ..Self::new(config)
        }
    }
}

/// A DNS name: a guest's name or a container's host name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestName(String);

impl GuestName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GuestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for GuestName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let label = |label: &str| {
            let ends = !label.starts_with('-') && !label.ends_with('-');
            let bytes = label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            !label.is_empty() && label.len() <= 63 && ends && bytes
        };
        if text.len() <= 253 && text.split('.').all(label) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' is no DNS name: use letters, digits, '-' and '.', e.g. web-1"
        ))
    }
}

crate::text_field!(
    GuestName,
    "GuestName",
    json!({"type": "string", "format": "dns-name", "maxLength": 253})
);

/// Tags, in the order given, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(pub Vec<String>);

impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(";"))
    }
}

impl FromStr for Tags {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut tags: Vec<String> = Vec::new();
        for tag in text.split([';', ',', ' ']).filter(|tag| !tag.is_empty()) {
            let tag = tag.to_ascii_lowercase();
            let first = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let rest = |byte: u8| first(byte) || b"-+.".contains(&byte);
            if !tag
                .bytes()
                .enumerate()
                .all(|(i, b)| if i == 0 { first(b) } else { rest(b) })
            {
                return Err(format!(
                    "'{tag}' is no tag: use letters, digits, '_', '-', '+', '.'"
                ));
            }
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        Ok(Self(tags))
    }
}

crate::text_field!(
    Tags,
    "Tags",
    json!({"type": "string", "format": "tag-list"})
);

/// Free text about a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description(String);

impl FromStr for Description {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > 8192 {
            return Err("at most 8192 bytes".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::text_field!(
    Description,
    "Description",
    json!({"type": "string", "maxLength": 8192})
);

/// When a guest starts with the host and how long to wait: `order=1,up=30,down=60`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Startup {
    /// Guests start in ascending order, those without one last, and stop the other way round.
    pub order: Option<u32>,
    /// Seconds to wait after the start before the next guest.
    pub up: Option<u32>,
    /// Seconds to wait for a shutdown before the guest is killed.
    pub down: Option<u32>,
}

impl fmt::Display for Startup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("order", self.order), ("up", self.up), ("down", self.down)];
        let set = parts
            .iter()
            .filter_map(|(key, value)| Some(format!("{key}={}", (*value)?)));
        f.write_str(&set.collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Startup {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut startup = Self::default();
        for (key, value) in crate::propstring::split(text, Some("order"))? {
            let number: u32 = value
                .parse()
                .map_err(|_| format!("{key}: '{value}' is not a whole number"))?;
            match key.as_str() {
                "order" => startup.order = Some(number),
                "up" => startup.up = Some(number),
                "down" => startup.down = Some(number),
                _ => return Err(format!("'{key}' is none of: order, up, down")),
            }
        }
        Ok(startup)
    }
}

crate::text_field!(
    Startup,
    "Startup",
    json!({"type": "string", "x-typetext": "[order=]<n>[,up=<s>][,down=<s>]"})
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dns() {
        for good in ["a", "web-1", "web-1.example.org", "1st"] {
            assert_eq!(good.parse::<GuestName>().unwrap().as_str(), good);
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            "-a",
            "a-",
            "a..b",
            "a_b",
            "a b",
            "ü",
            "../x",
            long.as_str(),
        ] {
            assert!(bad.parse::<GuestName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_record_round_trips_and_knows_its_volumes() {
        let json = serde_json::json!({
            "kind": "qemu",
            "config": {
                "scsi0": "local:100/vm-100-disk-1.raw,size=1G",
                "ide2": "local:iso/a.iso,media=cdrom",
                "unused0": "local:100/vm-100-disk-0.raw",
                "onboot": true,
            },
            "lock": "create",
            "making": ["local:100/vm-100-disk-1.raw"],
        });
        let record: GuestRecord = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&record).unwrap(), json);
        let keys: Vec<String> = record
            .config
            .own_volumes(Vmid::MIN)
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(keys, ["scsi0", "unused0"]);
        assert_eq!(record.config.name(Vmid::MIN), "VM100");
        assert!(record.config.autostart().is_some());
    }

    #[test]
    fn tags_are_separated_by_any_of_three_and_kept_once() {
        assert_eq!("a;b,c a".parse::<Tags>().unwrap().to_string(), "a;b;c");
        assert!("a;-b".parse::<Tags>().is_err());
    }

    #[test]
    fn start_order_round_trips_and_a_bare_number_is_the_order() {
        for text in ["order=1,up=30,down=60", "up=5", "order=2"] {
            assert_eq!(text.parse::<Startup>().unwrap().to_string(), text);
        }
        assert_eq!("3".parse::<Startup>().unwrap().order, Some(3));
        assert!("later=3".parse::<Startup>().is_err());
    }
}
