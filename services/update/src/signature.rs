//! Who made an update: Ed25519 signatures over the exact bytes of a manifest or channel file.
//!
//! The image carries the public keys it trusts, one PEM file each. Any of them will do, so that
//! a key can be changed by an update that is still signed with the old one.

use std::fs;
use std::path::Path;

use ed25519_dalek::pkcs8::DecodePublicKey;
use ed25519_dalek::{Signature, VerifyingKey};

use crate::Error;

/// Where the image keeps the keys it trusts.
pub const KEYS: &str = "/usr/lib/basalt/keys/update";

/// Bytes of a signature.
pub const SIGNATURE_SIZE: u64 = Signature::BYTE_SIZE as u64;

/// The public keys a host trusts.
#[derive(Debug, Clone)]
pub struct Keys {
    keys: Vec<(String, VerifyingKey)>,
}

impl Keys {
    /// Reads every `*.pub` file of a folder.
    ///
    /// # Errors
    /// When there is none, or one of them is no Ed25519 public key.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let entries = fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
        let mut keys = Vec::new();
        for entry in entries {
            let path = entry.map_err(|e| Error::io(folder, e))?.path();
            if path.extension().is_none_or(|extension| extension != "pub") {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
            let key = VerifyingKey::from_public_key_pem(&text).map_err(|error| {
                Error::Signature(format!("{} is no Ed25519 key ({error})", path.display()))
            })?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            keys.push((name.into_owned(), key));
        }
        if keys.is_empty() {
            return Err(Error::Signature(format!(
                "this host trusts no key: there is none in {}",
                folder.display()
            )));
        }
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { keys })
    }

    /// The name of the key that signed `bytes`.
    ///
    /// # Errors
    /// When none of the keys did.
    pub fn verify(&self, bytes: &[u8], signature: &[u8]) -> Result<&str, Error> {
        let signature = Signature::from_slice(signature)
            .map_err(|_| Error::Signature(format!("it is not {SIGNATURE_SIZE} bytes long")))?;
        self.keys
            .iter()
            .find(|(_, key)| key.verify_strict(bytes, &signature).is_ok())
            .map(|(name, _)| name.as_str())
            .ok_or_else(|| {
                let names: Vec<&str> = self.keys.iter().map(|(name, _)| name.as_str()).collect();
                Error::Signature(format!(
                    "no key that this host trusts ({}) made it, or what it signs was changed",
                    names.join(", ")
                ))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use ed25519_dalek::Signer;

    #[test]
    fn any_trusted_key_will_do_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let error = Keys::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("trusts no key"), "{error}");
        testing::put_key(dir.path(), "old", 1);
        testing::put_key(dir.path(), "new", 2);
        let keys = Keys::read(dir.path()).unwrap();
        let sign = |seed| testing::key(seed).sign(b"text").to_bytes();
        assert_eq!(keys.verify(b"text", &sign(1)).unwrap(), "old");
        assert_eq!(keys.verify(b"text", &sign(2)).unwrap(), "new");
        assert!(keys.verify(b"texT", &sign(1)).is_err());
        let error = keys.verify(b"text", &sign(3)).unwrap_err().to_string();
        assert!(error.contains("(new, old)"), "{error}");
        let error = keys.verify(b"text", &sign(1)[..63]).unwrap_err();
        assert!(error.to_string().contains("64 bytes"), "{error}");
        fs::write(dir.path().join("odd.pub"), "no key").unwrap();
        assert!(Keys::read(dir.path()).is_err());
    }
}
