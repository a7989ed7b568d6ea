//! The answer file of an unattended installation.
//!
//! ```toml
//! hostname = "node1"
//! root_password = "a good one"      # or root_password_hash = "$6$…"
//! root_ssh_keys = ["ssh-ed25519 AAAA… me"]
//! timezone = "Europe/Berlin"        # default: UTC
//! keyboard = "de"                   # default: us
//! email = "admin@example.org"
//! after = "reboot"                  # or "poweroff"
//! secure_boot = "auto"              # in a virtual machine whose firmware has no keys; or "enroll"
//!                                   # on any machine, or "leave" for never
//!
//! [network]                         # default: DHCP on the first card
//! port = "52:54:00:12:34:56"
//! address = "192.0.2.10/24"
//! gateway = "192.0.2.1"
//! dns = ["192.0.2.1"]
//!
//! [disk]                            # default: the only disk
//! device = "/dev/vda"               # or serial = "…", or a rule:
//! # model = "ACME"
//! # min_size = "100 GiB"
//! # take = "smallest"
//!
//! [mirror]                          # default: none; a second disk that holds everything once more
//! serial = "…"                      # chosen as in [disk]; an empty table: the only other one
//!
//! [data]                            # where guests' disks lie
//! storage = "directory"             # files beside everything else; or "lvm-thin", "zfs": a pool of their own
//! # system_size = "16 GiB"          # with a pool: what the system keeps. Default: a quarter
//! # level = "raidz"                 # with "zfs" on further disks: or "single", "mirror", "raidz2", "raidz3"
//! # disks = [{ serial = "…" }, { device = "/dev/sdd" }, { serial = "…" }]
//! encryption = "none"               # or "tpm": opened by the machine's TPM, or by the key below
//! # recovery_key = "…"              # with encryption: 32 characters at least
//!
//! [existing]
//! action = "refuse"                 # or "repair", "keep-data", "wipe"
//! ```
//!
//! [`written`] has the keys and the JSON Schema made of them, [`fault`] finds every mistake at once.

mod data;
mod encryption;
mod fault;
mod written;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Addressing, Email, HostNetwork, Hostname, Keyboard, PasswordHash, Port, SshPublicKey, TimeZone,
    ValueError,
};
use fault::Reading;
use written::{Written, WrittenDisk, WrittenNetwork};

pub use data::{ApartChoice, DataChoice, GuestStorage, MIN_SYSTEM_SIZE, PoolLevel};
pub use encryption::{Encryption, EncryptionChoice, RecoveryKey};
pub use fault::{AnswerError, AnswerErrors};
pub use written::schema;

/// Least length of a root password in characters.
pub const MIN_PASSWORD_LENGTH: usize = 8;

/// An answer file that has been checked as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerFile {
    /// The host's name.
    pub hostname: Hostname,
    /// Its time zone.
    pub timezone: TimeZone,
    /// Its console's keyboard.
    pub keyboard: Keyboard,
    /// Where its administrator is reached.
    pub email: Option<Email>,
    /// Root's password.
    pub root_password: RootPassword,
    /// Keys that may log in as root over SSH.
    pub root_ssh_keys: Vec<SshPublicKey>,
    /// How the host is reached.
    pub network: HostNetwork,
    /// The disk Basalt is installed on.
    pub disk: DiskChoice,
    /// The second disk that holds everything once more, if there is to be one.
    pub mirror: Option<DiskChoice>,
    /// Where guests' disks lie.
    pub data: DataChoice,
    /// What is done with a Basalt that is already there.
    pub existing: Existing,
    /// What follows a finished installation.
    pub after: After,
    /// Whether the firmware is told of our certificates.
    pub secure_boot: Enrol,
}

/// Root's password as an answer file may give it.
#[derive(Clone, PartialEq, Eq)]
pub enum RootPassword {
    /// As it is typed.
    Plain(String),
    /// Already hashed.
    Hash(PasswordHash),
    /// None: root logs in with a key only.
    Locked,
}

impl fmt::Debug for RootPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain(…)",
            Self::Hash(_) => "Hash(…)",
            Self::Locked => "Locked",
        })
    }
}

/// Which disk is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskChoice {
    /// The only disk that is not the medium booted from.
    Only,
    /// The disk at this path.
    Device(String),
    /// The disk with this serial number.
    Serial(String),
    /// A disk that is like this.
    Rule(DiskRule),
}

/// What a disk has to be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskRule {
    /// A part of its model's name, in lower case.
    pub model: Option<String>,
    /// Its least size.
    pub min_size: Option<Size>,
    /// Its greatest size.
    pub max_size: Option<Size>,
    /// Which one of several; without it there must be only one.
    pub take: Option<Take>,
}

impl DiskRule {
    /// Whether a disk of this model and size in bytes fits.
    pub fn fits(&self, model: &str, size: u64) -> bool {
        let named = |part: &String| model.to_lowercase().contains(part.as_str());
        self.model.as_ref().is_none_or(named)
            && self.min_size.is_none_or(|least| size >= least.bytes())
            && self.max_size.is_none_or(|most| size <= most.bytes())
    }
}

/// Which one of several disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// The one with the least room.
    Smallest,
    /// The one with the most room.
    Largest,
}

/// A size in bytes, written with its unit: `500 GB`, `1.5 TiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Size(u64);

impl Size {
    /// The size in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ValueError(format!("`{text}` is no size, as `500 GB` or `1.5 TiB`"));
        let text = text.trim();
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let number: f64 = text[..end].parse().map_err(|_| wrong())?;
        let unit: u64 = match text[end..].trim() {
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err(wrong()),
        };
        let bytes = number * unit as f64;
        // Beyond this a disk's size is a slip of the hand, and floating point loses bytes.
        if !(1.0..=1e15).contains(&bytes) {
            return Err(wrong());
        }
        Ok(Self(bytes as u64))
    }
}

impl TryFrom<String> for Size {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// What is done when the disk already holds a Basalt that has been in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// Nothing is installed: no answer file destroys guests by saying nothing.
    #[default]
    Refuse,
    /// Boot files and system are written anew; configuration and guests stay as they are.
    Repair,
    /// The host is configured anew; guests and everything else on the data partition stay.
    KeepData,
    /// Everything on the disk is lost.
    Wipe,
}

/// What follows a finished installation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum After {
    /// Boot the installed system.
    #[default]
    Reboot,
    /// Switch the machine off.
    Poweroff,
}

/// Whether a firmware in setup mode is told of our certificates, so that it starts nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Enrol {
    /// In a virtual machine.
    #[default]
    Auto,
    /// On any machine; it must be in setup mode.
    Enroll,
    /// Never.
    Leave,
}

impl AnswerFile {
    /// Reads and checks an answer file as a whole.
    pub fn parse(text: &str) -> Result<Self, AnswerErrors> {
        let (mut reading, written) = Reading::new(text);
        let root_password = root_password(&written, &mut reading);
        let network = network(written.network, &mut reading);
        let disk = choice("disk", written.disk, &mut reading);
        let mirror = written
            .mirror
            .map(|written| choice("mirror", written, &mut reading));
        if let Some(mirror) = &mirror {
            check_mirror(&disk, mirror, written.existing.action, &mut reading);
        }
        let taken: Vec<&DiskChoice> = [&disk].into_iter().chain(&mirror).collect();
        let data = data::choice(&written.data, &taken, &mut reading);
        if written.hostname.is_none() {
            reading.wrong("hostname", "missing: every host needs a name");
        }
        let Some(hostname) = written.hostname else {
            return Err(reading.end().err().unwrap_or(AnswerErrors(Vec::new())));
        };
        reading.end()?;
        Ok(Self {
            hostname,
            timezone: written.timezone.unwrap_or_default(),
            keyboard: written.keyboard.unwrap_or_default(),
            email: written.email,
            root_password,
            root_ssh_keys: written.root_ssh_keys,
            network,
            disk,
            mirror,
            data,
            existing: written.existing.action.unwrap_or_default(),
            after: written.after.unwrap_or_default(),
            secure_boot: written.secure_boot.unwrap_or_default(),
        })
    }
}

fn root_password(written: &Written, reading: &mut Reading<'_>) -> RootPassword {
    match (&written.root_password, &written.root_password_hash) {
        (Some(_), Some(_)) => {
            reading.wrong(
                "root_password",
                "give either this or `root_password_hash`, not both",
            );
        }
        (None, Some(hash)) => return RootPassword::Hash(hash.clone()),
        (Some(password), None) => match check_password(password) {
            Ok(()) => return RootPassword::Plain(password.clone()),
            Err(message) => reading.wrong("root_password", message),
        },
        (None, None) if written.root_ssh_keys.is_empty() => {
            let keys = ["root_password_hash", "root_ssh_keys"];
            if !keys.iter().any(|key| reading.is_wrong(key)) {
                reading.wrong(
                    "root_password",
                    "nobody could log in: give root a password or an SSH key",
                );
            }
        }
        (None, None) => {}
    }
    RootPassword::Locked
}

/// Checks a password somebody chose for root.
pub fn check_password(password: &str) -> Result<(), String> {
    if password.chars().count() < MIN_PASSWORD_LENGTH {
        Err(format!(
            "the password needs at least {MIN_PASSWORD_LENGTH} characters"
        ))
    } else if password.chars().any(char::is_control) {
        Err("the password contains a control character".to_owned())
    } else {
        Ok(())
    }
}

fn network(written: WrittenNetwork, reading: &mut Reading<'_>) -> HostNetwork {
    let addressing = match written.address {
        None => {
            let set: [(&str, bool); 2] = [
                ("network.gateway", written.gateway.is_some()),
                ("network.dns", !written.dns.is_empty()),
            ];
            for (key, _) in set.iter().filter(|(_, set)| *set) {
                if !reading.is_wrong("network.address") {
                    reading.wrong(key, "only used with `network.address`; give that too");
                }
            }
            Addressing::Dhcp
        }
        Some(address) => {
            let outside = |gateway: &IpAddr| !address.contains(gateway);
            if written.gateway.as_ref().is_some_and(outside) {
                reading.wrong(
                    "network.gateway",
                    format!("lies outside the network of `network.address` ({address})"),
                );
            }
            Addressing::Static {
                address,
                gateway: written.gateway,
                dns: written.dns,
            }
        }
    };
    HostNetwork {
        port: written.port.map_or(Port::First, Port::Mac),
        addressing,
        ..HostNetwork::default()
    }
}

/// The disk that the table `table` chooses.
fn choice(table: &str, written: WrittenDisk, reading: &mut Reading<'_>) -> DiskChoice {
    let key = |name: &str| format!("{table}.{name}");
    let rule = DiskRule {
        model: written.model.map(|part| part.trim().to_lowercase()),
        min_size: written.min_size,
        max_size: written.max_size,
        take: written.take,
    };
    let by_rule = rule != DiskRule::default();
    match (written.device, written.serial) {
        (Some(_), Some(_)) => {
            let message = format!("give either this or `{table}.device`, not both");
            reading.wrong(&key("serial"), message);
        }
        (Some(_), None) if by_rule => reading.wrong(
            &key("device"),
            "give either this or a rule for choosing, not both",
        ),
        (None, Some(_)) if by_rule => reading.wrong(
            &key("serial"),
            "give either this or a rule for choosing, not both",
        ),
        (Some(device), None) if !device.starts_with("/dev/") => {
            reading.wrong(&key("device"), "expected a path below /dev, as /dev/sda");
        }
        (Some(device), None) => return DiskChoice::Device(device),
        (None, Some(serial)) if serial.trim().is_empty() => {
            reading.wrong(&key("serial"), "the serial number is empty");
        }
        (None, Some(serial)) => return DiskChoice::Serial(serial),
        (None, None) if by_rule => {
            let (least, most) = (rule.min_size, rule.max_size);
            if least.zip(most).is_some_and(|(least, most)| least > most) {
                let message = format!("less than `{table}.min_size`: no disk fits");
                reading.wrong(&key("max_size"), message);
            }
            return DiskChoice::Rule(rule);
        }
        (None, None) => {}
    }
    DiskChoice::Only
}

/// What can be said of a mirror before disks are looked at.
fn check_mirror(
    disk: &DiskChoice,
    mirror: &DiskChoice,
    action: Option<Existing>,
    reading: &mut Reading<'_>,
) {
    match mirror {
        DiskChoice::Device(device) if disk == mirror => reading.wrong(
            "mirror.device",
            format!("{device} is also `disk.device`: a mirror needs another disk"),
        ),
        DiskChoice::Serial(serial) if disk == mirror => reading.wrong(
            "mirror.serial",
            format!("{serial} is also `disk.serial`: a mirror needs another disk"),
        ),
        _ => {}
    }
    if matches!(action, Some(Existing::Repair | Existing::KeepData)) {
        reading.wrong(
            "mirror",
            "made only by an installation that keeps nothing; leave the table out, and add the \
             second disk afterwards: basalt-update mirror add DISK",
        );
    }
}

#[cfg(test)]
mod tests;
