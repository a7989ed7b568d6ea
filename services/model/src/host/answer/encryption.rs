//! Whether the data is encrypted, and by which key of the owner's it opens.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fault::Reading;
use super::written::WrittenData;

/// Least length of a recovery key in characters.
pub const MIN_RECOVERY_KEY_LENGTH: usize = 32;

/// Greatest length: what every tool takes that reads the key.
pub const MAX_RECOVERY_KEY_LENGTH: usize = 256;

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
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let length = text.chars().count();
        if length < MIN_RECOVERY_KEY_LENGTH {
            return Err(format!(
                "too short: whoever has the disk can try keys without end; give \
                 {MIN_RECOVERY_KEY_LENGTH} characters at least"
            ));
        }
        if length > MAX_RECOVERY_KEY_LENGTH {
            return Err(format!(
                "too long: give {MAX_RECOVERY_KEY_LENGTH} characters at most"
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

/// What the file says of it.
pub(super) fn choice(written: &WrittenData, reading: &mut Reading<'_>) -> EncryptionChoice {
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
