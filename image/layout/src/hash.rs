//! The root hash of a slot's hash tree, and the partition identities derived from it.
//!
//! The kernel command line carries the root hash; systemd finds the two partitions by the halves
//! of it. So a slot's partitions are found by what they hold, never by where they lie.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The 256-bit root hash of a dm-verity tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RootHash([u8; 32]);

/// A text that is no root hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no root hash: expected 64 hexadecimal digits")]
pub struct RootHashError(String);

impl RootHash {
    /// The partition UUID of the root partition: the first 128 bits.
    pub fn root_partuuid(&self) -> String {
        uuid_text(&self.0[..16])
    }

    /// The partition UUID of the hash tree's partition: the last 128 bits.
    pub fn verity_partuuid(&self) -> String {
        uuid_text(&self.0[16..])
    }

    /// The hash named by `roothash=` in a kernel command line.
    pub fn from_cmdline(cmdline: &str) -> Option<Self> {
        cmdline
            .split_ascii_whitespace()
            .find_map(|word| word.strip_prefix("roothash="))
            .and_then(|text| text.parse().ok())
    }
}

fn uuid_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

impl FromStr for RootHash {
    type Err = RootHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || RootHashError(text.to_owned());
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootHash({self})")
    }
}

impl TryFrom<String> for RootHash {
    type Error = RootHashError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RootHash> for String {
    fn from(hash: RootHash) -> Self {
        hash.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";

    #[test]
    fn halves_become_partition_uuids() {
        let hash: RootHash = TEXT.parse().unwrap();
        assert_eq!(hash.root_partuuid(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(
            hash.verity_partuuid(),
            "01234567-89ab-cdef-0123-456789abcdef"
        );
        assert_eq!(hash.to_string(), TEXT);
    }

    #[test]
    fn only_whole_hashes_are_taken() {
        for text in ["", "00", &TEXT[1..], &TEXT.replace('f', "g")] {
            assert!(text.parse::<RootHash>().is_err(), "{text}");
        }
    }

    #[test]
    fn found_in_a_command_line() {
        let line = format!("quiet roothash={TEXT} rw\n");
        assert_eq!(RootHash::from_cmdline(&line).unwrap().to_string(), TEXT);
        assert_eq!(RootHash::from_cmdline("quiet usrhash=1"), None);
    }
}
