//! Storages as the store keeps them: a driver, what it needs, and what may lie there.

use super::{ContentKinds, ZfsBlockSize, ZfsName};
use crate::words;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A storage as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageConfig {
    /// The driver and what it needs.
    #[serde(flatten)]
    pub driver: StorageDriver,
    /// What may lie on it.
    pub content: ContentKinds,
    /// Switched off by the administrator.
    #[serde(default)]
    pub disable: bool,
    /// The nodes that have it; all of them when none is named.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub nodes: BTreeSet<String>,
}

words! {
    /// A storage's driver.
    pub enum StorageKind {
        /// A directory of the host.
        Dir = "dir",
        /// A thin pool of LVM.
        LvmThin = "lvmthin",
        /// A dataset of a ZFS pool.
        ZfsPool = "zfspool",
    }
}

/// A storage's driver and what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum StorageDriver {
    /// A directory of the host.
    Dir {
        /// Where.
        path: String,
    },
    /// A thin pool of LVM.
    LvmThin {
        /// Its volume group.
        vgname: LvmName,
        /// The pool's own name in it.
        thinpool: LvmName,
    },
    /// A dataset of a ZFS pool.
    ZfsPool {
        /// The dataset, which may be the whole pool.
        pool: ZfsName,
        /// The block size of new volumes.
        #[serde(default)]
        blocksize: ZfsBlockSize,
        /// Whether new volumes take no room before they are written.
        #[serde(default)]
        sparse: bool,
    },
}

/// The name of a volume group of LVM, or of a logical volume in one (lvm(8), "VALID NAMES").
///
/// It never begins with `-`, so no tool takes it for an option, and has no `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LvmName(String);

impl LvmName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LvmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LvmName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+_.-".contains(&byte);
        let good = (1..=100).contains(&text.len())
            && text.bytes().all(plain)
            && !text.starts_with('-')
            && text != "."
            && text != "..";
        match good {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "'{text}' is no name in LVM: use letters, digits and '+_.-', and no '-' first"
            )),
        }
    }
}

crate::text_field!(
    LvmName,
    "LvmName",
    json!({"type": "string", "maxLength": 100})
);

impl StorageDriver {
    /// Which one it is.
    pub fn kind(&self) -> StorageKind {
        match self {
            Self::Dir { .. } => StorageKind::Dir,
            Self::LvmThin { .. } => StorageKind::LvmThin,
            Self::ZfsPool { .. } => StorageKind::ZfsPool,
        }
    }

    /// What a storage with this driver can hold.
    pub fn can_hold(&self) -> ContentKinds {
        match self {
            Self::Dir { .. } => ContentKinds::all(),
            Self::LvmThin { .. } | Self::ZfsPool { .. } => ContentKinds::guests(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_lvm_are_never_options_or_paths() {
        for good in ["basalt", "pve-data", "vm-100-disk-0", "a+b_c.d", "_x"] {
            assert!(good.parse::<LvmName>().is_ok(), "{good}");
        }
        let long = "x".repeat(101);
        for bad in [
            "",
            ".",
            "..",
            "-f",
            "a/b",
            "a b",
            "a\0",
            "a@b",
            "ä",
            long.as_str(),
        ] {
            assert!(bad.parse::<LvmName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn storages_are_kept_under_their_types_names() {
        let pool = StorageConfig {
            driver: StorageDriver::LvmThin {
                vgname: "basalt".parse().unwrap(),
                thinpool: "data".parse().unwrap(),
            },
            content: ContentKinds::guests(),
            disable: false,
            nodes: BTreeSet::new(),
        };
        let json = json!({"type": "lvmthin", "vgname": "basalt", "thinpool": "data",
            "content": "images,rootdir", "disable": false});
        assert_eq!(serde_json::to_value(&pool).unwrap(), json);
        assert_eq!(json["type"], pool.driver.kind().as_str());
        assert_eq!(serde_json::from_value::<StorageConfig>(json).unwrap(), pool);
        let json = json!({"type": "zfspool", "pool": "tank/data", "content": "images"});
        let zfs = serde_json::from_value::<StorageConfig>(json).unwrap();
        let driver = StorageDriver::ZfsPool {
            pool: "tank/data".parse().unwrap(),
            blocksize: "16k".parse().unwrap(),
            sparse: false,
        };
        assert_eq!(zfs.driver, driver);
        let bad = json!({"type": "lvmthin", "vgname": "-f", "thinpool": "x", "content": ""});
        assert!(serde_json::from_value::<StorageConfig>(bad).is_err());
    }
}
