//! What a storage on ZFS is called and how its volumes are made.

use serde_json::json;
use std::fmt;
use std::str::FromStr;

/// The name of a ZFS pool, or of a dataset in one: `tank`, `tank/guests` (zfsconcepts(7)).
///
/// No component begins with `-`, so no tool takes it for an option, or names a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZfsName(String);

/// Words that ZFS keeps for itself as the names of pools (zpoolconcepts(7)).
const KEPT: [&str; 5] = ["mirror", "raidz", "draid", "spare", "log"];

impl ZfsName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pool: the name's first component.
    pub fn pool(&self) -> &str {
        self.0.split('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for ZfsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ZfsName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let component = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_alphanumeric()) && part.bytes().all(plain)
        };
        let good = text.len() <= 200
            && text.split('/').all(component)
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && !KEPT.iter().any(|kept| text.starts_with(kept));
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' names no ZFS pool or dataset: use a letter, then letters, digits, '-_.:', and \
             '/' between components; not first: {}",
            KEPT.join(", ")
        ))
    }
}

crate::text_field!(
    ZfsName,
    "ZfsName",
    json!({"type": "string", "maxLength": 200})
);

/// The block size of volumes: a power of two from 512 bytes to 128 KiB, written `16k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZfsBlockSize(u64);

impl ZfsBlockSize {
    /// The size in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl Default for ZfsBlockSize {
    /// ZFS's own default: little waste on mirrors and RAIDZ alike.
    fn default() -> Self {
        Self(16 << 10)
    }
}

impl fmt::Display for ZfsBlockSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            small @ ..1024 => write!(f, "{small}"),
            bytes => write!(f, "{}k", bytes / 1024),
        }
    }
}

impl FromStr for ZfsBlockSize {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, factor) = match text.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, 1024),
            None => (text, 1),
        };
        let bytes = Some(digits)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(factor))
            .filter(|bytes| bytes.is_power_of_two() && (512..=128 << 10).contains(bytes));
        bytes.map(Self).ok_or_else(|| {
            format!("'{text}' is no block size: write a power of two from 512 to 128k, like 16k")
        })
    }
}

crate::text_field!(
    ZfsBlockSize,
    "ZfsBlockSize",
    json!({"type": "string", "pattern": "^[0-9]+[kK]?$"})
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_never_options_snapshots_or_paths() {
        for good in ["tank", "rpool/data", "a/b-c_d.e:f", "p1"] {
            assert_eq!(good.parse::<ZfsName>().unwrap().to_string(), good);
        }
        assert_eq!("rpool/data".parse::<ZfsName>().unwrap().pool(), "rpool");
        let long = "x".repeat(201);
        for bad in [
            "",
            "-f",
            "a/-f",
            "a//b",
            "/a",
            "a/",
            "a@b",
            "a b",
            "a/..",
            "1a",
            "mirror",
            "raidz2",
            "log",
            "ä",
            long.as_str(),
        ] {
            assert!(bad.parse::<ZfsName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn block_sizes_are_powers_of_two() {
        assert_eq!("16k".parse(), Ok(ZfsBlockSize::default()));
        assert_eq!("16384".parse(), Ok(ZfsBlockSize::default()));
        assert_eq!("128K".parse::<ZfsBlockSize>().unwrap().to_string(), "128k");
        assert_eq!("512".parse::<ZfsBlockSize>().unwrap().to_string(), "512");
        for bad in [
            "",
            "k",
            "0",
            "256",
            "3k",
            "256k",
            "-8k",
            "+8k",
            "99999999999999999999k",
        ] {
            assert!(bad.parse::<ZfsBlockSize>().is_err(), "{bad}");
        }
    }
}
