//! The key of an account, and what is signed with it: JSON Web Signatures (RFC 7515) by ES256.

use crate::account::ExternalAccount;
use crate::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// Octets of one coordinate of a point on P-256.
const COORDINATE: usize = 32;

/// The key of an account: ECDSA on P-256.
pub struct AccountKey {
    pair: EcdsaKeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
    x: String,
    y: String,
}

/// Says nothing of the key.
impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountKey").finish_non_exhaustive()
    }
}

/// Who signs (RFC 8555, section 6.2).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signer<'a> {
    /// A key that the server does not know yet, or that stands for a certificate.
    Key,
    /// The account at this address.
    Account(&'a str),
}

impl AccountKey {
    /// A new key.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> Result<Self> {
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let made = made.map_err(|error| Error::Key(error.to_string()))?;
        Self::from_pkcs8(made.as_ref())
    }

    /// The key in the form that [`AccountKey::pkcs8`] gives.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            bytes,
            &SystemRandom::new(),
        );
        let pair = pair.map_err(|error| Error::Key(error.to_string()))?;
        // An uncompressed point: 4, then both coordinates (SEC 1, section 2.3.3).
        let point = pair.public_key().as_ref();
        let (Some(x), Some(y)) = (
            point.get(1..=COORDINATE),
            point.get(COORDINATE + 1..=2 * COORDINATE),
        ) else {
            return Err(Error::Key("its point is too short".to_owned()));
        };
        let (x, y) = (encode(x), encode(y));
        let pkcs8 = Zeroizing::new(bytes.to_vec());
        Ok(Self { pair, pkcs8, x, y })
    }

    /// The private key as PKCS #8 (RFC 5958).
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public key as JSON (RFC 7518, section 6.2.1).
    pub(crate) fn jwk(&self) -> Value {
        json!({"crv": "P-256", "kty": "EC", "x": self.x, "y": self.y})
    }

    /// What the key is known by (RFC 7638): the names in this order, and no blank.
    pub(crate) fn thumbprint(&self) -> String {
        let (x, y) = (&self.x, &self.y);
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        encode(Sha256::digest(text.as_bytes()))
    }

    /// Signs a request to `url`; without a payload it only reads (RFC 8555, section 6.3).
    pub(crate) fn sign(
        &self,
        signer: Signer<'_>,
        nonce: &str,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<String> {
        let mut protected = json!({"alg": "ES256", "nonce": nonce, "url": url});
        match signer {
            Signer::Key => protected["jwk"] = self.jwk(),
            Signer::Account(location) => protected["kid"] = location.into(),
        }
        let payload = payload.map(Value::to_string).unwrap_or_default();
        let (protected, payload) = (encode(protected.to_string()), encode(payload));
        let text = format!("{protected}.{payload}");
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes());
        let signature = signature.map_err(|error| Error::Key(error.to_string()))?;
        Ok(flattened(&protected, &payload, signature.as_ref()).to_string())
    }

    /// Proves to `url` that the account is wanted by one of the authority's customers (RFC 8555,
    /// section 7.3.4).
    pub(crate) fn bind(&self, customer: &ExternalAccount, url: &str) -> Value {
        let protected = json!({"alg": "HS256", "kid": customer.kid, "url": url});
        let (protected, payload) = (
            encode(protected.to_string()),
            encode(self.jwk().to_string()),
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, &customer.key);
        let signature = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
        flattened(&protected, &payload, signature.as_ref())
    }
}

/// The flattened form of a signature (RFC 7515, section 7.2.2).
fn flattened(protected: &str, payload: &str, signature: &[u8]) -> Value {
    json!({"protected": protected, "payload": payload, "signature": encode(signature)})
}

/// Base64 as ACME wants it everywhere: for addresses, without padding.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn a_key_stays_the_same_through_its_bytes() {
        let key = AccountKey::generate().unwrap();
        let again = AccountKey::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(key.thumbprint(), again.thumbprint());
        assert!(AccountKey::from_pkcs8(b"no key").is_err());
        let private = STANDARD.encode(key.pkcs8());
        assert!(!format!("{key:?}").contains(&private[..20]));
    }
}
