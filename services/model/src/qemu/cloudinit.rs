//! What a virtual machine tells cloud-init in its guest, with Proxmox VE's names.
//!
//! A drive written `STORAGE:cloudinit` holds a disc that is made of these settings and of the
//! machine's name and network cards.

use super::QemuConfig;
use crate::network::{Ip4, Ip4Config, Ip6, Ip6Config};
use crate::propstring;
use crate::storage::{DiskSize, VolumeId};
use crate::vmid::Vmid;
use crate::words;
use serde_json::json;
use std::fmt;
use std::str::FromStr;

/// What stands for a password that is not shown.
const HIDDEN: &str = "**********";

words! {
    /// How cloud-init is told.
    pub enum CloudInitType {
        /// By a disc called `cidata`.
        Nocloud = "nocloud",
    }
}

/// The user that cloud-init makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudUser(String);

impl fmt::Display for CloudUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CloudUser {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if begins && text.len() <= 32 && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' is no user name: use a letter, then letters, digits, '-_.', 32 at most"
        ))
    }
}

crate::text_field!(CloudUser, "CloudUser", json!({"type": "string"}));

/// The password of that user: its hash once it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct CloudPassword(String);

impl CloudPassword {
    /// The password, or its hash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is shown in place of one.
    pub fn hidden() -> Self {
        Self(HIDDEN.to_owned())
    }

    /// Whether this is what is shown in place of one.
    pub fn is_hidden(&self) -> bool {
        self.0 == HIDDEN
    }

    /// Whether it is a hash that cloud-init takes for one: `$6$SALT$HASH`.
    pub fn is_hash(&self) -> bool {
        let mut parts = self.0.split('$');
        let known = ["1", "2a", "2y", "5", "6"];
        parts.next() == Some("")
            && parts.next().is_some_and(|kind| known.contains(&kind))
            && parts.filter(|part| !part.is_empty()).count() >= 2
    }
}

impl fmt::Debug for CloudPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CloudPassword")
    }
}

impl fmt::Display for CloudPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CloudPassword {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if (1..=1024).contains(&text.len()) && !text.contains(char::is_control) {
            return Ok(Self(text.to_owned()));
        }
        Err("use 1 to 1024 bytes without control characters".to_owned())
    }
}

crate::text_field!(CloudPassword, "CloudPassword", json!({"type": "string"}));

/// Public keys of OpenSSH, one a line; written percent-encoded, as clients send them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKeys(Vec<String>);

impl SshKeys {
    /// The keys, each one line of an `authorized_keys` file.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

/// Largest list of keys, in bytes.
const MOST_KEYS: usize = 32 << 10;

impl fmt::Display for SshKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
        for byte in self.0.join("\n").bytes() {
            match plain(byte) {
                true => write!(f, "{}", char::from(byte))?,
                false => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for SshKeys {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = decoded(text).ok_or("it is not percent-encoded text")?;
        let lines = text.lines().map(str::trim);
        let lines: Vec<String> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        if text.len() > MOST_KEYS {
            return Err(format!("at most {MOST_KEYS} bytes"));
        }
        match lines.iter().position(|line| !is_key(line)) {
            Some(index) => Err(format!(
                "key {} is no public key of OpenSSH, like 'ssh-ed25519 AAAA… me@home'",
                index + 1
            )),
            None if lines.is_empty() => Err("there is no key in it".to_owned()),
            None => Ok(Self(lines)),
        }
    }
}

crate::text_field!(
    SshKeys,
    "SshKeys",
    json!({"type": "string", "format": "urlencoded"})
);

/// Text with its `%41`s replaced; none if one is cut short or the whole is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        // Two digits of 16 make at most 255.
        plain.push((high << 4 | low) as u8);
    }
    String::from_utf8(plain).ok()
}

/// Whether a line has a key in it, after options or not.
fn is_key(line: &str) -> bool {
    const KINDS: [&str; 4] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
    let is_kind = |word: &str| KINDS.iter().any(|kind| word.starts_with(kind));
    let in_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let is_blob = |word: &str| word.len() >= 16 && word.bytes().all(in_base64);
    let words: Vec<&str> = line.split(' ').collect();
    let has_key = words
        .windows(2)
        .any(|pair| is_kind(pair[0]) && is_blob(pair[1]));
    has_key && !line.contains(char::is_control)
}

/// Addresses of a network card: `ip=192.0.2.10/24,gw=192.0.2.1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpConfig {
    /// IPv4 gateway.
    pub gw: Option<Ip4>,
    /// IPv6 gateway.
    pub gw6: Option<Ip6>,
    /// IPv4 address: `dhcp` or with the length of its prefix.
    pub ip: Option<Ip4Config>,
    /// IPv6 address: `auto`, `dhcp` or with the length of its prefix.
    pub ip6: Option<Ip6Config>,
}

impl fmt::Display for IpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn pair<T: fmt::Display>(key: &str, value: Option<T>) -> Option<String> {
            value.map(|value| format!("{key}={value}"))
        }
        let pairs = [
            pair("gw", self.gw),
            pair("gw6", self.gw6),
            pair("ip", self.ip),
            pair("ip6", self.ip6),
        ];
        let set: Vec<String> = pairs.into_iter().flatten().collect();
        f.write_str(&set.join(","))
    }
}

impl FromStr for IpConfig {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut pairs = propstring::split(text, None)?;
        let config = Self {
            gw: propstring::take(&mut pairs, "gw")?,
            gw6: propstring::take(&mut pairs, "gw6")?,
            ip: propstring::take(&mut pairs, "ip")?,
            ip6: propstring::take(&mut pairs, "ip6")?,
        };
        propstring::refuse_rest(&pairs, &["gw", "gw6", "ip", "ip6"])?;
        if config.ip == Some(Ip4Config::Manual) || config.ip6 == Some(Ip6Config::Manual) {
            return Err("'manual' is for containers: leave the address out".to_owned());
        }
        let fixed = matches!(config.ip, Some(Ip4Config::Static(..)));
        let fixed6 = matches!(config.ip6, Some(Ip6Config::Static(..)));
        if config.gw.is_some() && !fixed {
            return Err("gw: a gateway needs an address, like ip=192.0.2.10/24".to_owned());
        }
        if config.gw6.is_some() && !fixed6 {
            return Err("gw6: a gateway needs an address, like ip6=2001:db8::10/64".to_owned());
        }
        Ok(config)
    }
}

crate::text_field!(
    IpConfig,
    "IpConfig",
    json!({
        "type": "string",
        "x-typetext": "[gw=<address>][,gw6=<address>][,ip=<address/prefix|dhcp>][,ip6=<address/prefix|auto|dhcp>]",
    })
);

/// Documents of one's own in the place of those that are made: volumes of content kind `snippets`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudCustom {
    /// In the place of `meta-data`.
    pub meta: Option<VolumeId>,
    /// In the place of `network-config`.
    pub network: Option<VolumeId>,
    /// In the place of `user-data`.
    pub user: Option<VolumeId>,
    /// `vendor-data`, which is not made otherwise.
    pub vendor: Option<VolumeId>,
}

impl CloudCustom {
    const KEYS: [&str; 4] = ["meta", "network", "user", "vendor"];

    /// The documents in the order of their keys.
    fn documents(&self) -> [&Option<VolumeId>; 4] {
        [&self.meta, &self.network, &self.user, &self.vendor]
    }

    /// The volumes that are named.
    pub fn volumes(&self) -> impl Iterator<Item = &VolumeId> {
        self.documents().into_iter().flatten()
    }
}

impl fmt::Display for CloudCustom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (key, document) in Self::KEYS.iter().zip(self.documents()) {
            if let Some(volume) = document {
                write!(f, "{separator}{key}={volume}")?;
                separator = ",";
            }
        }
        Ok(())
    }
}

impl FromStr for CloudCustom {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut pairs = propstring::split(text, None)?;
        let custom = Self {
            meta: propstring::take(&mut pairs, "meta")?,
            network: propstring::take(&mut pairs, "network")?,
            user: propstring::take(&mut pairs, "user")?,
            vendor: propstring::take(&mut pairs, "vendor")?,
        };
        propstring::refuse_rest(&pairs, &Self::KEYS)?;
        if custom == Self::default() {
            return Err("name a volume, e.g. user=local:snippets/user.yaml".to_owned());
        }
        Ok(custom)
    }
}

crate::text_field!(
    CloudCustom,
    "CloudCustom",
    json!({"type": "string", "x-typetext": "[meta=VOLUME][,network=…][,user=…][,vendor=…]"})
);

/// Size of the volume behind a drive of cloud-init.
pub const DRIVE_SIZE: DiskSize = DiskSize::mebibytes(4);

/// What the volume behind a machine's drive of cloud-init is called, without an ending.
pub fn drive_name(vmid: Vmid) -> String {
    format!("vm-{vmid}-cloudinit")
}

/// Whether a volume is what is behind such a drive.
pub fn is_drive(volume: &VolumeId) -> bool {
    let name = volume.name();
    let stem = name.strip_suffix(".raw").unwrap_or(name);
    volume
        .owner()
        .is_some_and(|owner| stem == drive_name(owner))
}

/// Whether a setting is told to cloud-init and to nobody else.
pub fn is_setting(key: &str) -> bool {
    const KEYS: [&str; 8] = [
        "cicustom",
        "cipassword",
        "citype",
        "ciupgrade",
        "ciuser",
        "nameserver",
        "searchdomain",
        "sshkeys",
    ];
    KEYS.contains(&key) || crate::field::index_of("ipconfig", key).is_some()
}

impl QemuConfig {
    /// The drive of cloud-init, by its key.
    pub fn cloudinit_drive(&self) -> Option<(String, &VolumeId)> {
        self.disks().into_iter().find_map(|(key, disk)| {
            let volume = disk.file.volume()?;
            is_drive(volume).then_some((key, volume))
        })
    }

    /// The configuration as it is shown: without the hash of the password.
    pub fn without_secrets(mut self) -> Self {
        self.cipassword = self.cipassword.map(|_| CloudPassword::hidden());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_percent_encoded_on_the_wire() {
        let sent = "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAA%20me%40home%0A%0A";
        let keys: SshKeys = sent.parse().unwrap();
        assert_eq!(
            keys.lines(),
            ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@home"]
        );
        assert_eq!(keys.to_string(), sent.trim_end_matches("%0A"));
        assert_eq!(keys.to_string().parse::<SshKeys>().unwrap(), keys);
        let two =
            "no-pty ssh-rsa AAAAB3NzaC1yc2EAAAA a\nsk-ssh-ed25519@openssh.com AAAAGnNrLXNzaAAA";
        assert_eq!(two.parse::<SshKeys>().unwrap().lines().len(), 2);
        for bad in [
            "",
            "%0A",
            "hello",
            "ssh-rsa",
            "ssh-rsa%2",
            "ssh-rsa%20x%20y",
            "%FF",
        ] {
            assert!(bad.parse::<SshKeys>().is_err(), "{bad}");
        }
        let second = "ssh-rsa%20AAAAB3NzaC1yc2EAAAA%0Arubbish".parse::<SshKeys>();
        assert!(second.unwrap_err().contains("key 2"));
    }

    #[test]
    fn a_gateway_needs_an_address() {
        for text in [
            "gw=192.0.2.1,ip=192.0.2.10/24",
            "gw6=fe80::1,ip=dhcp,ip6=2001:db8::1/64",
            "ip6=auto",
        ] {
            assert_eq!(text.parse::<IpConfig>().unwrap().to_string(), text);
        }
        for bad in [
            "gw=192.0.2.1",
            "ip=dhcp,gw=192.0.2.1",
            "ip=manual",
            "ip=192.0.2.1",
            "mac=1",
        ] {
            assert!(bad.parse::<IpConfig>().is_err(), "{bad}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let plain: CloudPassword = "secret".parse().unwrap();
        let hash: CloudPassword = "$6$salt$hash".parse().unwrap();
        assert!(!plain.is_hash() && hash.is_hash());
        assert!(!"$6$salt".parse::<CloudPassword>().unwrap().is_hash());
        assert!(!format!("{hash:?}").contains("salt"));
        let config = QemuConfig {
            cipassword: Some(hash),
            ..QemuConfig::default()
        };
        let shown = config.without_secrets().cipassword.unwrap();
        assert!(shown.is_hidden() && shown.as_str() == HIDDEN);
    }

    #[test]
    fn drives_are_known_by_their_volumes() {
        for (text, is) in [
            ("local:100/vm-100-cloudinit.raw", true),
            ("pool:vm-100-cloudinit", true),
            ("local:100/vm-101-cloudinit.raw", false),
            ("local:100/vm-100-disk-0.raw", false),
            ("local:iso/vm-100-cloudinit.iso", false),
        ] {
            assert_eq!(is_drive(&text.parse().unwrap()), is, "{text}");
        }
        assert!(is_setting("ipconfig12") && !is_setting("name") && !is_setting("ipconfig"));
    }

    #[test]
    fn documents_of_ones_own_are_volumes() {
        let text = "meta=local:snippets/m.yaml,user=local:snippets/u.yaml";
        let custom: CloudCustom = text.parse().unwrap();
        assert_eq!(custom.to_string(), text);
        assert_eq!(custom.volumes().count(), 2);
        for bad in [
            "",
            "local:snippets/u.yaml",
            "user=/etc/shadow",
            "user=local:snippets/u.yaml,user=local:snippets/v.yaml",
            "extra=local:snippets/u.yaml",
        ] {
            assert!(bad.parse::<CloudCustom>().is_err(), "{bad}");
        }
    }

    #[test]
    fn users_are_plain_names() {
        assert!("debian".parse::<CloudUser>().is_ok());
        for bad in ["", "-x", "a b", "a:b", "root\n", "1st"] {
            assert!(bad.parse::<CloudUser>().is_err(), "{bad}");
        }
    }
}
