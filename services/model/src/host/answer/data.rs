//! Where guests' disks lie: in a directory beside the system's own files, or in a pool.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Size;
use super::fault::Reading;
use super::written::WrittenData;

/// Least length of a recovery key in characters.
pub const MIN_RECOVERY_KEY_LENGTH: usize = 32;

/// Least size of the partition that the system keeps for itself, in bytes.
pub const MIN_SYSTEM_SIZE: u64 = 2 << 30;

/// Where guests' disks are to lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataChoice {
    /// On what; a directory when nothing is said. What a disk already has stays when its data does.
    pub storage: Option<GuestStorage>,
    /// With a pool: the size of the partition that the system keeps for itself.
    pub system_size: Option<Size>,
    /// Whether all this is encrypted.
    pub encryption: EncryptionChoice,
}

/// Whether data and pool are encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum EncryptionChoice {
    /// Whoever has the disk can read it.
    #[default]
    None,
    /// Opened by the machine's TPM, or by this key of the owner's.
    Tpm(RecoveryKey),
}

/// A key that opens the data when the TPM does not.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryKey(String);

impl RecoveryKey {
    /// Checks a key that somebody chose.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.chars().count() < MIN_RECOVERY_KEY_LENGTH {
            return Err(format!(
                "too short: whoever has the disk can try millions of keys a second; \
                 {MIN_RECOVERY_KEY_LENGTH} characters at least"
            ));
        }
        // It is typed at a console that knows no other keyboard yet.
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err("only letters, digits and signs of ASCII".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as it is typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(…)")
    }
}

/// What opens encrypted data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Nothing is encrypted.
    #[default]
    None,
    /// The machine's TPM 2.0, and a recovery key.
    Tpm,
}

/// What guests' disks lie on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GuestStorage {
    /// Files in the file system that everything else lies in, too.
    #[default]
    Directory,
    /// A thin pool of LVM: block devices with snapshots, which take room as they are written.
    LvmThin,
}

impl GuestStorage {
    /// Every one there is, in the order in which they are offered.
    pub const ALL: [Self; 2] = [Self::Directory, Self::LvmThin];

    /// Its name in an answer file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::LvmThin => "lvm-thin",
        }
    }

    /// What it is, for who has to choose.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Directory => "a directory: disks are files beside the system's own",
            Self::LvmThin => {
                "an LVM thin pool: disks are block devices, quick to snapshot and to copy"
            }
        }
    }

    /// Whether it has a partition of its own.
    pub fn is_pool(self) -> bool {
        self != Self::Directory
    }
}

/// What can be said of the data's place before disks are looked at.
pub(super) fn choice(written: &WrittenData, reading: &mut Reading<'_>) -> DataChoice {
    let (storage, system_size) = (written.storage, written.system_size);
    if let Some(size) = system_size {
        if !storage.unwrap_or_default().is_pool() && !reading.is_wrong("data.storage") {
            reading.wrong(
                "data.system_size",
                "only used with a pool beside the system; give `data.storage = \"lvm-thin\"` too",
            );
        } else if size.bytes() < MIN_SYSTEM_SIZE {
            reading.wrong(
                "data.system_size",
                format!(
                    "too small: the system keeps {} GiB at least",
                    MIN_SYSTEM_SIZE >> 30
                ),
            );
        }
    }
    DataChoice {
        storage,
        system_size,
        encryption: encryption(written, reading),
    }
}

fn encryption(written: &WrittenData, reading: &mut Reading<'_>) -> EncryptionChoice {
    const KEY: &str = "data.recovery_key";
    match (written.encryption.unwrap_or_default(), &written.recovery_key) {
        (Encryption::None, None) => {}
        (Encryption::None, Some(_)) if reading.is_wrong("data.encryption") => {}
        (Encryption::None, Some(_)) => {
            reading.wrong(KEY, "only used with `data.encryption = \"tpm\"`");
        }
        (Encryption::Tpm, None) => reading.wrong(
            KEY,
            "missing: nobody sees what an unattended installation would show; choose a key and keep it",
        ),
        (Encryption::Tpm, Some(text)) => match RecoveryKey::new(text) {
            Ok(key) => return EncryptionChoice::Tpm(key),
            Err(reason) => reading.wrong(KEY, reason),
        },
    }
    EncryptionChoice::None
}
