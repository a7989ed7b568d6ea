//! Public keys of security keys (COSE, RFC 9052 and 9053), and what they signed.

use super::cbor::Value;
use super::{Base64, WebauthnError};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};

/// The algorithms that are asked for, the best liked first: ES256, EdDSA and RS256.
pub(super) const ALGORITHMS: [i64; 3] = [ES256, EDDSA, RS256];
const ES256: i64 = -7;
const EDDSA: i64 = -8;
const RS256: i64 = -257;

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "alg", rename_all = "lowercase")]
pub(super) enum PublicKey {
    /// ECDSA on P-256 with SHA-256: the point, uncompressed.
    Es256 { point: Base64 },
    /// Ed25519.
    Eddsa { point: Base64 },
    /// RSA PKCS #1 v1.5 with SHA-256.
    Rs256 { n: Base64, e: Base64 },
}

impl PublicKey {
    /// Reads a `COSE_Key` from the start of `input`.
    pub(super) fn read(input: &mut &[u8]) -> Result<Self, WebauthnError> {
        let key = Value::read(input).ok_or(WebauthnError::Malformed("public key"))?;
        Self::of(&key).ok_or(WebauthnError::Algorithm)
    }

    fn of(key: &Value<'_>) -> Option<Self> {
        let number = |label| match key.get(&Value::Integer(label)) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        };
        let bytes = |label, length: Option<usize>| match key.get(&Value::Integer(label)) {
            Some(Value::Bytes(bytes)) if length.is_none_or(|n| n == bytes.len()) => Some(*bytes),
            _ => None,
        };
        // Labels: 1 kind of key, 3 algorithm, -1 curve, or of RSA n, -2 x or e, -3 y.
        match (number(1)?, number(3)?) {
            (2, ES256) if number(-1) == Some(1) => {
                let point = [&[4][..], bytes(-2, Some(32))?, bytes(-3, Some(32))?].concat();
                Some(Self::Es256 {
                    point: Base64(point),
                })
            }
            (1, EDDSA) if number(-1) == Some(6) => Some(Self::Eddsa {
                point: Base64(bytes(-2, Some(32))?.to_vec()),
            }),
            (3, RS256) => Some(Self::Rs256 {
                n: Base64(bytes(-1, None)?.to_vec()),
                e: Base64(bytes(-2, None)?.to_vec()),
            }),
            _ => None,
        }
    }

    /// Whether the signature of `message` is this key's.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let checked = match self {
            Self::Es256 { point } => {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &point.0);
                key.verify(message, signature)
            }
            Self::Eddsa { point } => {
                UnparsedPublicKey::new(&ED25519, &point.0).verify(message, signature)
            }
            Self::Rs256 { n, e } => {
                let key = RsaPublicKeyComponents { n: &n.0, e: &e.0 };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        };
        checked.is_ok()
    }
}
