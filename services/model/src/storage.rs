//! Storage as users name it: storages, volumes, what they may contain, and sizes.

mod config;
mod zfs;

use crate::vmid::Vmid;
use crate::words;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

pub use config::{LvmName, StorageConfig, StorageDriver, StorageKind};
pub use zfs::{ZfsBlockSize, ZfsName};

/// The name of a storage, e.g. `local`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageId(String);

impl StorageId {
    /// The storage every host has.
    pub fn local() -> Self {
        Self("local".to_owned())
    }

    /// The storage in the pool of LVM that a host may have been installed with.
    pub fn local_lvm() -> Self {
        Self("local-lvm".to_owned())
    }

    /// The storage in the pool of ZFS that a host may have been installed with.
    pub fn local_zfs() -> Self {
        Self("local-zfs".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StorageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StorageId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let first = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic());
        let last = text
            .bytes()
            .last()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if first && last && (2..=100).contains(&text.len()) && text.bytes().all(rest) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' is no storage name: use a letter, then letters, digits, '-_.'"
        ))
    }
}

crate::text_field!(
    StorageId,
    "StorageId",
    json!({"type": "string", "format": "pve-storage-id", "maxLength": 100})
);

words! {
    /// What a volume is for.
    pub enum ContentKind {
        /// Disks of virtual machines.
        Images = "images",
        /// Root file systems of containers.
        Rootdir = "rootdir",
        /// Archives that containers are made from.
        Vztmpl = "vztmpl",
        /// Optical discs.
        Iso = "iso",
        /// Disk images that new disks are copied from.
        Import = "import",
        /// Small files such as hook scripts.
        Snippets = "snippets",
        /// Backups of guests.
        Backup = "backup",
        /// Kernels and initial RAM disks that virtual machines boot directly.
        Kernel = "kernel",
    }
}

/// A set of [`ContentKind`]s, written `iso,vztmpl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentKinds(pub BTreeSet<ContentKind>);

impl ContentKinds {
    /// Every kind there is.
    pub fn all() -> Self {
        Self(ContentKind::ALL.iter().copied().collect())
    }

    /// What is read only, or from outside: everything but what guests write to.
    pub fn files() -> Self {
        Self(&Self::all().0 - &Self::guests().0)
    }

    /// What guests write to: all that a storage of block devices can hold.
    pub fn guests() -> Self {
        Self(BTreeSet::from([ContentKind::Images, ContentKind::Rootdir]))
    }
}

impl fmt::Display for ContentKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.0.iter().map(|kind| kind.as_str()).collect();
        f.write_str(&words.join(","))
    }
}

impl FromStr for ContentKinds {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split([',', ';', ' ']).filter(|word| !word.is_empty());
        words.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

crate::text_field!(ContentKinds, "ContentKinds", json!({"type": "string"}));

/// A volume: `local:100/vm-100-disk-0.raw`, `local:iso/debian.iso`.
///
/// The path after the storage's name is checked here to be one or two plain components, so that
/// no driver ever sees `..`, an absolute path or a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeId {
    storage: StorageId,
    path: String,
}

/// Whether `text` may be one component of a volume's path, and so a file's name.
pub fn is_plain_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+~@".contains(&byte);
    !text.is_empty() && text.len() <= 200 && !text.starts_with('.') && text.bytes().all(plain)
}

impl VolumeId {
    /// A volume of `storage`; none if `path` is not one or two plain components.
    pub fn new(storage: StorageId, path: impl Into<String>) -> Option<Self> {
        let path = path.into();
        let plain = path.split('/').count() <= 2 && path.split('/').all(is_plain_name);
        plain.then_some(Self { storage, path })
    }

    /// The storage it lies on.
    pub fn storage(&self) -> &StorageId {
        &self.storage
    }

    /// Its path within the storage.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last component of its path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether it is a disk of a template: `base-100-disk-0`.
    pub fn is_base(&self) -> bool {
        self.name().starts_with(BASE)
    }

    /// What a guest's disk is called when the guest became a template; none if it is called
    /// like nothing that could.
    pub fn as_base(&self) -> Option<Self> {
        let rest = self.name().strip_prefix(DISK)?;
        let name = match self.path.split_once('/') {
            Some((directory, _)) => format!("{directory}/{BASE}{rest}"),
            None => format!("{BASE}{rest}"),
        };
        Self::new(self.storage.clone(), name)
    }

    /// The guest it belongs to, going by its path: `100/vm-100-disk-0.raw` and `vm-100-disk-0` are
    /// 100's.
    pub fn owner(&self) -> Option<Vmid> {
        match self.path.split_once('/') {
            Some((directory, _)) => directory.parse().ok(),
            None => owner_in_name(&self.path),
        }
    }
}

/// Begins the names of guests' volumes.
const DISK: &str = "vm-";
/// Begins the names of templates' disks.
const BASE: &str = "base-";

/// The guest that a volume without a directory belongs to: `vm-100-disk-0`, `base-100-disk-0`.
fn owner_in_name(name: &str) -> Option<Vmid> {
    let rest = [DISK, BASE]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))?;
    rest.split_once('-')?.0.parse().ok()
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.storage, self.path)
    }
}

impl FromStr for VolumeId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("'{text}' is no volume: write it STORAGE:PATH, e.g. local:iso/x.iso");
        let (storage, path) = text.split_once(':').ok_or_else(wrong)?;
        Self::new(storage.parse()?, path).ok_or_else(wrong)
    }
}

crate::text_field!(
    VolumeId,
    "VolumeId",
    json!({"type": "string", "format": "pve-volume-id"})
);

/// The name of a snapshot: `before-upgrade`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotName(String);

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SnapshotName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let letter = text.starts_with(|first: char| first.is_ascii_alphabetic());
        let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if letter && (2..=40).contains(&text.len()) && text.bytes().all(rest) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' is no name of a snapshot: use a letter, then letters, digits, '-_', 40 at most"
        ))
    }
}

crate::text_field!(
    SnapshotName,
    "SnapshotName",
    json!({"type": "string", "format": "pve-configid", "maxLength": 40})
);

/// What a disk setting points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSource {
    /// `none`: an empty drive.
    None,
    /// `STORAGE:SIZE`: a new volume of that many GiB is to be made.
    New {
        /// Where.
        storage: StorageId,
        /// How large; zero with `import-from`, which brings its own size.
        size: DiskSize,
    },
    /// `STORAGE:cloudinit`: a new drive with the settings of cloud-init.
    CloudInit {
        /// Where its volume lies.
        storage: StorageId,
    },
    /// A volume that exists.
    Volume(VolumeId),
}

impl VolumeSource {
    /// The volume, if it exists already.
    pub fn volume(&self) -> Option<&VolumeId> {
        match self {
            Self::Volume(volume) => Some(volume),
            Self::None | Self::New { .. } | Self::CloudInit { .. } => None,
        }
    }
}

impl fmt::Display for VolumeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::New { storage, size } => {
                write!(
                    f,
                    "{storage}:{}",
                    size.bytes() as f64 / DiskSize::GIB as f64
                )
            }
            Self::CloudInit { storage } => write!(f, "{storage}:cloudinit"),
            Self::Volume(volume) => volume.fmt(f),
        }
    }
}

impl FromStr for VolumeSource {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        let Some((storage, size)) = text.split_once(':') else {
            return Err(format!(
                "'{text}' should be STORAGE:GIB for a new volume, or STORAGE:PATH"
            ));
        };
        if size == "cloudinit" {
            let storage = storage.parse()?;
            return Ok(Self::CloudInit { storage });
        }
        if size.is_empty()
            || !size
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
        {
            return text.parse().map(Self::Volume);
        }
        let gib: f64 = size
            .parse()
            .map_err(|_| format!("'{size}' is not a size in GiB"))?;
        if gib > 128.0 * 1024.0 {
            return Err(format!(
                "{size} GiB is more than a volume may have: at most 131072"
            ));
        }
        // Whole KiB, which a float of this range holds exactly.
        let kib = (gib * 1024.0 * 1024.0).round() as u64;
        Ok(Self::New {
            storage: storage.parse()?,
            size: DiskSize::from_bytes(kib * 1024),
        })
    }
}

crate::text_field!(VolumeSource, "VolumeSource", json!({"type": "string"}));

/// A size in bytes, written with the largest unit that divides it: `4G`, `512M`, `1000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DiskSize(u64);

impl DiskSize {
    /// Bytes in a GiB.
    pub const GIB: u64 = 1 << 30;

    /// A size of so many MiB.
    pub const fn mebibytes(mebibytes: u64) -> Self {
        Self(mebibytes << 20)
    }

    /// A size of so many bytes.
    pub fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

const UNITS: [(&str, u64); 4] = [
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
];

impl fmt::Display for DiskSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, bytes) in UNITS {
            if self.0 > 0 && self.0.is_multiple_of(bytes) {
                return write!(f, "{}{unit}", self.0 / bytes);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl FromStr for DiskSize {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
        let (digits, factor) = unit.map_or((text, 1), |(unit, bytes)| {
            (text.strip_suffix(unit).unwrap_or(text), *bytes)
        });
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain
            .then(|| digits.parse::<u64>().ok()?.checked_mul(factor))
            .flatten()
            .map(Self)
            .ok_or_else(|| format!("'{text}' is no size: write it 4G or 512M"))
    }
}

crate::text_field!(
    DiskSize,
    "DiskSize",
    json!({"type": "string", "format": "disk-size"})
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_round_trip() {
        for text in [
            "local:100/vm-100-disk-0.raw",
            "local:iso/debian-13.iso",
            "tank:vm-1-disk-0",
        ] {
            assert_eq!(text.parse::<VolumeId>().unwrap().to_string(), text);
        }
        let disk: VolumeId = "local:100/vm-100-disk-0.raw".parse().unwrap();
        assert_eq!(disk.owner(), Vmid::new(100));
        assert_eq!(disk.name(), "vm-100-disk-0.raw");
    }

    #[test]
    fn block_devices_name_their_owners() {
        let owner = |text: &str| text.parse::<VolumeId>().unwrap().owner();
        assert_eq!(owner("pool:vm-100-disk-0"), Vmid::new(100));
        assert_eq!(owner("pool:base-101-disk-0"), Vmid::new(101));
        let base = |text: &str| text.parse::<VolumeId>().unwrap().as_base();
        let of_files = base("local:100/vm-100-disk-0.qcow2").unwrap();
        assert_eq!(of_files.to_string(), "local:100/base-100-disk-0.qcow2");
        let of_devices = base("pool:vm-100-disk-0").unwrap();
        assert_eq!(of_devices.to_string(), "pool:base-100-disk-0");
        assert!(of_devices.is_base() && of_files.is_base());
        assert_eq!(base("local:iso/a.iso"), None);
        for nobodys in [
            "pool:root",
            "pool:vm-1-disk-0",
            "pool:vm-100",
            "pool:vm-x-disk-0",
        ] {
            assert_eq!(owner(nobodys), None, "{nobodys}");
        }
    }

    #[test]
    fn no_volume_leaves_its_storage() {
        for bad in [
            "local:../etc/passwd",
            "local:iso/../../x",
            "local:/etc/passwd",
            "local:iso/.hidden",
            "local:iso//x",
            "local:a/b/c",
            "local:iso/a\0b",
            "local:iso/a b",
            "local:",
            "l:iso/x",
            "iso/x",
        ] {
            assert!(bad.parse::<VolumeId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bare_number_is_a_new_volume() {
        let VolumeSource::New { size, .. } = "local:4".parse().unwrap() else {
            panic!("not a new volume");
        };
        assert_eq!(size.to_string(), "4G");
        assert_eq!(
            "local:0.5".parse::<VolumeSource>().unwrap().to_string(),
            "local:0.5"
        );
        assert!(matches!(
            "local:4.raw".parse::<VolumeSource>(),
            Ok(VolumeSource::Volume(_))
        ));
        let drive = "local:cloudinit".parse::<VolumeSource>().unwrap();
        assert!(matches!(drive, VolumeSource::CloudInit { .. }) && drive.volume().is_none());
        assert_eq!(drive.to_string(), "local:cloudinit");
        assert!("local:1.2.3".parse::<VolumeSource>().is_err());
        assert!("local:99999999".parse::<VolumeSource>().is_err());
    }

    #[test]
    fn sizes_use_the_largest_unit_that_divides() {
        for (bytes, text) in [(4 << 30, "4G"), (1 << 20, "1M"), (1000, "1000"), (0, "0")] {
            assert_eq!(DiskSize(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(DiskSize(bytes)));
        }
        for bad in ["", "G", "4Q", "-1", "99999999999T", "1.5G"] {
            assert!(bad.parse::<DiskSize>().is_err(), "{bad}");
        }
    }
}
