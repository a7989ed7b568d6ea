//! The answer file as it is written: its keys, and the JSON Schema that editors check it by.
//!
//! Every key is optional here, so that reading goes on after a missing one; what must be there is
//! checked afterwards, together with what only makes sense in combination.

use std::net::IpAddr;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

use super::{After, Encryption, Enrol, Existing, GuestStorage, PoolLevel, Size, Take};
use crate::host::{
    Email, Hostname, InterfaceAddress, Keyboard, MacAddress, PasswordHash, SshPublicKey, TimeZone,
};

/// What an unattended installation of Basalt needs to know.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Basalt answer file")]
pub struct Written {
    /// The host's name, with or without its domain.
    pub hostname: Option<Hostname>,
    /// Its time zone, as `Europe/Berlin`. Default: UTC.
    pub timezone: Option<TimeZone>,
    /// The console's keyboard, as `us`, `de` or `fr`. Default: us.
    pub keyboard: Option<Keyboard>,
    /// Where the host's administrator is reached.
    pub email: Option<Email>,
    /// Root's password as it is typed: 8 characters at least.
    pub root_password: Option<String>,
    /// Root's password as a hash, as `mkpasswd` prints it.
    pub root_password_hash: Option<PasswordHash>,
    /// Keys that may log in as root over SSH.
    pub root_ssh_keys: Vec<SshPublicKey>,
    /// How the host is reached. Default: DHCP on the first card.
    pub network: WrittenNetwork,
    /// The disk Basalt is installed on. Default: the only one.
    pub disk: WrittenDisk,
    /// A second disk that holds everything once more, so that the host survives the loss of either.
    /// Default: none. An empty table means the only other one.
    #[schemars(with = "WrittenDisk")]
    pub mirror: Option<WrittenDisk>,
    /// Where guests' disks lie. Default: in a directory beside everything else.
    pub data: WrittenData,
    /// What is done when the disk already holds a Basalt.
    pub existing: WrittenExisting,
    /// What follows a finished installation. Default: reboot.
    pub after: Option<After>,
    /// Whether a firmware in setup mode is told of our certificates. Default: auto, in a virtual machine.
    pub secure_boot: Option<Enrol>,
}

/// How the host is reached.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenNetwork {
    /// Hardware address of the card below the host's bridge. Default: the first card.
    pub port: Option<MacAddress>,
    /// Address and length of the prefix, as `192.0.2.10/24`. Default: DHCP.
    pub address: Option<InterfaceAddress>,
    /// The router; only with `address`.
    pub gateway: Option<IpAddr>,
    /// Name servers; only with `address`.
    pub dns: Vec<IpAddr>,
}

/// A disk Basalt is installed on: by `device`, by `serial`, or by what it is like.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenDisk {
    /// Its path below `/dev`.
    pub device: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// A part of its model's name; case does not matter.
    pub model: Option<String>,
    /// Its least size, as `100 GiB`.
    pub min_size: Option<Size>,
    /// Its greatest size, as `2 TB`.
    pub max_size: Option<Size>,
    /// Which one of several that fit. Default: there must be only one.
    pub take: Option<Take>,
}

/// Where guests' disks lie.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenData {
    /// On what. Default: directory.
    pub storage: Option<GuestStorage>,
    /// With a pool: the size of the partition that the system keeps for itself, with installation
    /// media and templates, as `16 GiB`. Default: a quarter of the disk, 4 GiB at least and 64 GiB at most.
    pub system_size: Option<Size>,
    /// With `zfs`: disks that the pool has for itself, beside those of the system. Default: none, the
    /// pool lies on the system's own disk, and with a `mirror` on both.
    pub disks: Vec<WrittenPoolDisk>,
    /// With `disks`: how the pool bears the loss of some. Default: single, for one disk.
    pub level: Option<PoolLevel>,
    /// Whether data and pool are encrypted, and opened by the machine's TPM 2.0. Default: none.
    pub encryption: Option<Encryption>,
    /// With encryption: the key that opens them when the TPM does not, 32 characters at least.
    pub recovery_key: Option<String>,
}

/// A disk that a pool has for itself: by `device` or by `serial`.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenPoolDisk {
    /// Its path below `/dev`.
    pub device: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
}

/// What is done when the disk already holds a Basalt.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenExisting {
    /// Default: refuse.
    pub action: Option<Existing>,
}

/// The JSON Schema of the answer file.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<Written>()
        .to_value();
    // The one key that reading alone can do without.
    schema["required"] = serde_json::json!(["hostname"]);
    schema
}

/// The same without references, in which every key is found by its way.
pub(super) fn inlined() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    SchemaGenerator::new(settings)
        .into_root_schema_for::<Written>()
        .to_value()
}
