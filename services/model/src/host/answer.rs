//! The answer file of an unattended installation.
//!
//! ```toml
//! hostname = "node1"
//! root_password = "a good one"      # or root_password_hash = "$6$…"
//! root_ssh_keys = ["ssh-ed25519 AAAA… me"]
//! timezone = "Europe/Berlin"        # default: UTC
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
//! device = "/dev/vda"               # or serial = "…"
//! ```

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{
    Addressing, HostNetwork, Hostname, InterfaceAddress, MacAddress, PasswordHash, Port,
    SshPublicKey, TimeZone,
};

/// Least length of a root password in characters.
pub const MIN_PASSWORD_LENGTH: usize = 8;

/// An answer file that has been checked as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerFile {
    /// The host's name.
    pub hostname: Hostname,
    /// Its time zone.
    pub timezone: TimeZone,
    /// Root's password.
    pub root_password: RootPassword,
    /// Keys that may log in as root over SSH.
    pub root_ssh_keys: Vec<SshPublicKey>,
    /// How the host is reached.
    pub network: HostNetwork,
    /// The disk Basalt is installed on.
    pub disk: DiskChoice,
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
}

/// What follows a finished installation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum After {
    /// Boot the installed system.
    #[default]
    Reboot,
    /// Switch the machine off.
    Poweroff,
}

/// Whether a firmware in setup mode is told of our certificates, so that it starts nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// Why an answer file cannot be used: where, which key, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerError {
    /// Line of the file, counted from 1.
    pub line: Option<usize>,
    /// The key with its table, as `network.gateway`.
    pub key: Option<String>,
    /// What is wrong and how to put it right.
    pub message: String,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("answer file")?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ", `{key}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for AnswerError {}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    hostname: Hostname,
    #[serde(default)]
    timezone: TimeZone,
    root_password: Option<String>,
    root_password_hash: Option<PasswordHash>,
    #[serde(default)]
    root_ssh_keys: Vec<SshPublicKey>,
    #[serde(default)]
    network: RawNetwork,
    #[serde(default)]
    disk: RawDisk,
    #[serde(default)]
    after: After,
    #[serde(default)]
    secure_boot: Enrol,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNetwork {
    port: Option<MacAddress>,
    address: Option<InterfaceAddress>,
    gateway: Option<IpAddr>,
    #[serde(default)]
    dns: Vec<IpAddr>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDisk {
    device: Option<String>,
    serial: Option<String>,
}

impl AnswerFile {
    /// Reads and checks an answer file as a whole.
    pub fn parse(text: &str) -> Result<Self, AnswerError> {
        let raw: Raw = toml::from_str(text).map_err(|error| from_toml(text, &error))?;
        let at = |key: &str, message: &str| AnswerError {
            line: line_of(text, key),
            key: Some(key.to_owned()),
            message: message.to_owned(),
        };
        Ok(Self {
            root_password: root_password(&raw, at)?,
            network: network(raw.network, at)?,
            disk: disk(raw.disk, at)?,
            hostname: raw.hostname,
            timezone: raw.timezone,
            root_ssh_keys: raw.root_ssh_keys,
            after: raw.after,
            secure_boot: raw.secure_boot,
        })
    }
}

fn root_password(
    raw: &Raw,
    at: impl Fn(&str, &str) -> AnswerError,
) -> Result<RootPassword, AnswerError> {
    match (&raw.root_password, &raw.root_password_hash) {
        (Some(_), Some(_)) => Err(at(
            "root_password",
            "give either this or `root_password_hash`, not both",
        )),
        (None, Some(hash)) => Ok(RootPassword::Hash(hash.clone())),
        (Some(password), None) => {
            check_password(password).map_err(|message| at("root_password", &message))?;
            Ok(RootPassword::Plain(password.clone()))
        }
        (None, None) if raw.root_ssh_keys.is_empty() => Err(at(
            "root_password",
            "nobody could log in: give `root_password`, `root_password_hash` or `root_ssh_keys`",
        )),
        (None, None) => Ok(RootPassword::Locked),
    }
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

fn network(
    raw: RawNetwork,
    at: impl Fn(&str, &str) -> AnswerError,
) -> Result<HostNetwork, AnswerError> {
    let addressing = match raw.address {
        None if raw.gateway.is_some() => {
            return Err(at(
                "network.gateway",
                "only used with `network.address`; give that too",
            ));
        }
        None if !raw.dns.is_empty() => {
            return Err(at(
                "network.dns",
                "only used with `network.address`; give that too",
            ));
        }
        None => Addressing::Dhcp,
        Some(address) => {
            if raw
                .gateway
                .is_some_and(|gateway| !address.contains(&gateway))
            {
                return Err(at(
                    "network.gateway",
                    &format!("lies outside the network of `network.address` ({address})"),
                ));
            }
            Addressing::Static {
                address,
                gateway: raw.gateway,
                dns: raw.dns,
            }
        }
    };
    let port = raw.port.map_or(Port::First, Port::Mac);
    Ok(HostNetwork {
        port,
        addressing,
        ..HostNetwork::default()
    })
}

fn disk(raw: RawDisk, at: impl Fn(&str, &str) -> AnswerError) -> Result<DiskChoice, AnswerError> {
    match (raw.device, raw.serial) {
        (Some(_), Some(_)) => Err(at(
            "disk.serial",
            "give either this or `disk.device`, not both",
        )),
        (Some(device), None) if !device.starts_with("/dev/") => {
            Err(at("disk.device", "expected a path below /dev, as /dev/sda"))
        }
        (Some(device), None) => Ok(DiskChoice::Device(device)),
        (None, Some(serial)) if serial.trim().is_empty() => {
            Err(at("disk.serial", "the serial number is empty"))
        }
        (None, Some(serial)) => Ok(DiskChoice::Serial(serial)),
        (None, None) => Ok(DiskChoice::Only),
    }
}

fn from_toml(text: &str, error: &toml::de::Error) -> AnswerError {
    let message = error.message().trim().replace('\n', "; ");
    // serde reports a missing key at the whole document or table, where no line helps.
    if message.starts_with("missing field") {
        return AnswerError {
            line: None,
            key: None,
            message,
        };
    }
    let line = error.span().map(|span| {
        let start = span.start.min(text.len());
        1 + text.as_bytes()[..start]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
    });
    let key = line
        .and_then(|line| keys(text).find(|(at, _)| *at == line))
        .map(|(_, key)| key);
    AnswerError { line, key, message }
}

/// The line on which a key is set.
fn line_of(text: &str, key: &str) -> Option<usize> {
    keys(text)
        .find(|(_, found)| found == key)
        .map(|(line, _)| line)
}

/// Every `key =` with the line it stands on, the table's name before it.
fn keys(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    let mut table = String::new();
    text.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.trim();
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            if !line.contains('=') {
                table = format!("{}.", name.trim());
            }
            return None;
        }
        let (key, _) = line.split_once('=')?;
        let key = key.trim().trim_matches('"');
        (!key.starts_with('#')).then(|| (index + 1, format!("{table}{key}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
hostname = "node1"
root_password = "longenough"
after = "poweroff"

[network]
port = "52:54:00:12:34:56"
address = "192.0.2.10/24"
gateway = "192.0.2.1"
dns = ["192.0.2.1", "2001:db8::1"]

[disk]
serial = "BASALT0"
"#;

    fn error(text: &str) -> String {
        AnswerFile::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn whole_file_is_read() {
        let answers = AnswerFile::parse(GOOD).unwrap();
        assert_eq!(answers.hostname.as_str(), "node1");
        assert_eq!(
            answers.root_password,
            RootPassword::Plain("longenough".to_owned())
        );
        assert_eq!(answers.after, After::Poweroff);
        assert_eq!(answers.disk, DiskChoice::Serial("BASALT0".to_owned()));
        assert!(matches!(answers.network.port, Port::Mac(_)));
        assert!(matches!(
            answers.network.addressing,
            Addressing::Static { .. }
        ));
    }

    #[test]
    fn least_file_takes_defaults() {
        let answers =
            AnswerFile::parse("hostname = \"n\"\nroot_password = \"longenough\"").unwrap();
        assert_eq!(answers.network, HostNetwork::default());
        assert_eq!(answers.disk, DiskChoice::Only);
        assert_eq!(answers.after, After::Reboot);
        assert_eq!(answers.secure_boot, Enrol::Auto);
        assert_eq!(answers.timezone, TimeZone::default());
    }

    #[test]
    fn errors_name_line_and_key() {
        let cases = [
            (
                GOOD.replace("hostname =", "hostnam ="),
                "line 2, `hostnam`: unknown field",
            ),
            (
                GOOD.replace("\"node1\"", "\"no de\""),
                "line 2, `hostname`: `no de` is no host name",
            ),
            (
                GOOD.replace("longenough", "short"),
                "line 3, `root_password`: the password needs",
            ),
            (
                GOOD.replace("poweroff", "sleep"),
                "line 4, `after`: unknown variant `sleep`",
            ),
            (
                GOOD.replace("10/24", "10"),
                "line 8, `network.address`: `192.0.2.10`: the length",
            ),
            (
                GOOD.replace("\"192.0.2.1\"\ndns", "\"198.51.100.1\"\ndns"),
                "line 9, `network.gateway`: lies outside",
            ),
            (
                GOOD.replace("address =", "# address ="),
                "line 9, `network.gateway`: only used with",
            ),
            (
                GOOD.replace("serial =", "serail ="),
                "line 13, `disk.serail`: unknown field",
            ),
            (
                GOOD.replace("[disk]", "[disk]\ndevice = \"/dev/vda\""),
                "line 14, `disk.serial`",
            ),
            (
                GOOD.replace("serial = \"B", "device = \"B"),
                "line 13, `disk.device`: expected a path",
            ),
            (
                GOOD.replace("root_password", "#"),
                "`root_password`: nobody could log in",
            ),
            (
                GOOD.replace("hostname = \"node1\"", "hostname = node1"),
                "line 2, `hostname`",
            ),
        ];
        for (text, expected) in cases {
            let error = error(&text);
            assert!(error.contains(expected), "{error}\nexpected: {expected}");
        }
        assert!(error("root_password = \"longenough\"").contains("missing field `hostname`"));
    }

    #[test]
    fn passwords_are_not_printed() {
        let answers = AnswerFile::parse(GOOD).unwrap();
        assert!(!format!("{answers:?}").contains("longenough"));
    }
}
