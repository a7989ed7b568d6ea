//! What an update bundle says about itself: the file `manifest.json`, first in the archive. The
//! second entry is its signature, see [`crate::signature`].

use std::fmt;
use std::str::FromStr;

use basalt_layout::{ARCHITECTURE, IMAGE_ID, RootHash, UkiName, Version, store};
use serde::{Deserialize, Serialize};

/// Name of the manifest in the archive; always its first entry.
pub const MANIFEST_FILE: &str = "manifest.json";

/// Name of the manifest's signature in the archive; always its second entry.
pub const SIGNATURE_FILE: &str = "manifest.json.sig";

/// Longest manifest that is read.
pub const MANIFEST_MAX_SIZE: u64 = 64 << 10;

/// Version of the bundle format this code reads and writes.
pub const FORMAT: u32 = 2;

/// Describes a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// [`IMAGE_ID`].
    pub name: String,
    /// Version of the image.
    pub version: Version,
    /// [`ARCHITECTURE`].
    pub architecture: String,
    /// Root hash of the hash tree, which names the slot's partitions.
    pub root_hash: RootHash,
    /// Formats of the configuration store that the image gets along with.
    pub store: StoreFormats,
    /// The files, in the order they follow in the archive.
    pub parts: Parts,
}

/// Formats of the configuration store that an image gets along with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreFormats {
    /// The oldest format it opens.
    pub oldest: u32,
    /// The newest format it opens.
    pub newest: u32,
    /// The format it turns every older one into.
    pub writes: u32,
}

impl StoreFormats {
    /// What the code of this very build gets along with.
    pub const OWN: Self = Self {
        oldest: store::OLDEST_FORMAT,
        newest: store::NEWEST_FORMAT,
        writes: store::WRITTEN_FORMAT,
    };
}

/// The files of an image, in the order they follow in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Digests of all blocks of the other parts, see [`crate::blocks`].
    pub blocks: Part,
    /// The root file system.
    pub root: Part,
    /// Its hash tree.
    pub verity: Part,
    /// The kernel image; written last, because it makes the slot bootable.
    pub uki: Part,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Name in the archive.
    pub file: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest of the content.
    pub sha256: Sha256,
}

impl Manifest {
    /// A manifest for this product and architecture.
    pub fn new(version: Version, root_hash: RootHash, parts: Parts) -> Self {
        Self {
            format: FORMAT,
            name: IMAGE_ID.to_owned(),
            version,
            architecture: ARCHITECTURE.to_owned(),
            root_hash,
            store: StoreFormats::OWN,
            parts,
        }
    }
}

impl Parts {
    /// The parts in archive order.
    pub fn in_order(&self) -> [&Part; 4] {
        [&self.blocks, &self.root, &self.verity, &self.uki]
    }

    /// Name of the list of blocks in a bundle.
    pub fn blocks_file(version: &Version) -> String {
        format!("{IMAGE_ID}_{version}.blocks")
    }

    /// Name of the root file system's file in a bundle.
    pub fn root_file(version: &Version) -> String {
        format!("{IMAGE_ID}_{version}.root")
    }

    /// Name of the hash tree's file in a bundle.
    pub fn verity_file(version: &Version) -> String {
        format!("{IMAGE_ID}_{version}.verity")
    }

    /// Name of the kernel image's file in a bundle.
    pub fn uki_file(version: &Version) -> String {
        UkiName::good(version.clone()).to_string()
    }
}

/// A SHA-256 digest, written in hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(pub [u8; 32]);

/// A text that is no SHA-256 digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no SHA-256 digest: expected 64 hexadecimal digits")]
pub struct Sha256Error(String);

impl FromStr for Sha256 {
    type Err = Sha256Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| Sha256Error(text.to_owned()))?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl TryFrom<String> for Sha256 {
    type Error = Sha256Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> Self {
        digest.to_string()
    }
}
