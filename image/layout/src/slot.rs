//! How a slot's partitions and its kernel image are named.

use std::fmt;
use std::str::FromStr;

use crate::{IMAGE_ID, Version};

/// Folder of the ESP in which the boot loader looks for kernel images.
pub const UKI_FOLDER: &str = "EFI/Linux";

/// Number of boots a fresh slot is given to prove itself.
pub const TRIES: u32 = 3;

/// Partition label of a slot's partitions, saying what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotLabel {
    /// Nothing, or something half-written.
    Empty,
    /// The root file system of a version.
    Root(Version),
    /// The hash tree of a version.
    Verity(Version),
}

impl SlotLabel {
    /// Reads a partition label; `None` when it is not one of a slot.
    pub fn parse(label: &str) -> Option<Self> {
        if label == "_empty" {
            return Some(Self::Empty);
        }
        let rest = label.strip_prefix(IMAGE_ID)?.strip_prefix('_')?;
        match rest.strip_suffix("_verity") {
            Some(version) => Some(Self::Verity(version.parse().ok()?)),
            None => Some(Self::Root(rest.parse().ok()?)),
        }
    }
}

impl fmt::Display for SlotLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("_empty"),
            Self::Root(version) => write!(f, "{IMAGE_ID}_{version}"),
            Self::Verity(version) => write!(f, "{IMAGE_ID}_{version}_verity"),
        }
    }
}

/// How often a kernel image may still be tried, as its file name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// Boots left; at 0 the boot loader prefers any other entry.
    pub left: u32,
    /// Boots that did not end healthy.
    pub done: u32,
}

/// File name of a kernel image in [`UKI_FOLDER`]: `basalt_<version>[+<left>[-<done>]].efi`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UkiName {
    /// The version it boots.
    pub version: Version,
    /// `None` once the version has proved itself.
    pub tries: Option<Tries>,
}

impl UkiName {
    /// The name of a version never booted yet.
    pub fn fresh(version: Version) -> Self {
        Self {
            version,
            tries: Some(Tries {
                left: TRIES,
                done: 0,
            }),
        }
    }

    /// The name of a version that is known to be good.
    pub fn good(version: Version) -> Self {
        Self {
            version,
            tries: None,
        }
    }

    /// True when the boot loader has given it up.
    pub fn is_exhausted(&self) -> bool {
        self.tries.is_some_and(|tries| tries.left == 0)
    }
}

/// Glob with which the boot loader finds the entry of a version, whatever its tries.
pub fn entry_pattern(version: &Version) -> String {
    format!("{IMAGE_ID}_{version}[+.]*")
}

/// A file name that is no kernel image of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not named like a kernel image of Basalt")]
pub struct UkiNameError(String);

impl FromStr for UkiName {
    type Err = UkiNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let parse = || {
            // A FAT file system may hand names back in upper case.
            let lower = name.to_ascii_lowercase();
            let stem = lower
                .strip_suffix(".efi")?
                .strip_prefix(IMAGE_ID)?
                .strip_prefix('_')?;
            let Some((version, counter)) = stem.split_once('+') else {
                return Some(Self {
                    version: stem.parse().ok()?,
                    tries: None,
                });
            };
            let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
            let tries = Tries {
                left: left.parse().ok()?,
                done: done.parse().ok()?,
            };
            Some(Self {
                version: version.parse().ok()?,
                tries: Some(tries),
            })
        };
        parse().ok_or_else(|| UkiNameError(name.to_owned()))
    }
}

impl fmt::Display for UkiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{IMAGE_ID}_{}", self.version)?;
        match self.tries {
            Some(Tries { left, done: 0 }) => write!(f, "+{left}.efi"),
            Some(Tries { left, done }) => write!(f, "+{left}-{done}.efi"),
            None => f.write_str(".efi"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_survive() {
        for label in [
            "_empty",
            "basalt_0.1.0",
            "basalt_0.1.0_verity",
            "basalt_1.2.3~rc1_verity",
        ] {
            assert_eq!(SlotLabel::parse(label).unwrap().to_string(), label);
        }
        for label in ["basalt-data", "basalt_", "other_0.1.0", ""] {
            assert_eq!(SlotLabel::parse(label), None, "{label}");
        }
    }

    #[test]
    fn longest_label_fits_a_gpt_entry() {
        let version = "100000.100000.10000~ab".parse().unwrap();
        assert!(SlotLabel::Verity(version).to_string().len() <= 36);
    }

    #[test]
    fn uki_names_carry_their_tries() {
        for name in [
            "basalt_0.1.0.efi",
            "basalt_0.1.0+3.efi",
            "basalt_0.1.0~rc1+0-3.efi",
        ] {
            assert_eq!(name.parse::<UkiName>().unwrap().to_string(), name);
        }
        assert!(
            "basalt_0.1.0+0-3.efi"
                .parse::<UkiName>()
                .unwrap()
                .is_exhausted()
        );
        assert!(
            !"BASALT_0.1.0+2-1.EFI"
                .parse::<UkiName>()
                .unwrap()
                .is_exhausted()
        );
        for name in [
            "linux.efi",
            "basalt_0.1.0",
            "basalt_0.1.0+x.efi",
            "basalt_.efi",
        ] {
            assert!(name.parse::<UkiName>().is_err(), "{name}");
        }
    }
}
