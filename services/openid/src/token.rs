//! ID tokens (OpenID Connect Core 1.0, sections 2 and 3.1.3.7): signed claims about a user.

use crate::{Claims, Error};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

/// Clocks may differ by so many seconds.
const SKEW: u64 = 60;

/// What a token must be about.
pub(crate) struct Expected<'a> {
    pub issuer: &'a str,
    pub client: &'a str,
    pub nonce: &'a str,
    /// Seconds since 1970.
    pub now: u64,
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |time| time.as_secs())
}

/// The head of a token (RFC 7515, section 4).
#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood; none is.
    crit: Option<Value>,
}

/// A public key (RFC 7517).
#[derive(Deserialize)]
struct Key {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// How a signature is made.
enum Algorithm {
    Rsa(&'static RsaParameters),
    Curve {
        name: &'static str,
        bytes: usize,
        algorithm: &'static dyn VerificationAlgorithm,
    },
    Ed25519,
}

impl Algorithm {
    /// Those of RFC 7518 and 8037 with a public key. `none` and those with a shared secret prove
    /// nothing here.
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            "PS256" => Self::Rsa(&RSA_PSS_2048_8192_SHA256),
            "PS384" => Self::Rsa(&RSA_PSS_2048_8192_SHA384),
            "PS512" => Self::Rsa(&RSA_PSS_2048_8192_SHA512),
            "ES256" => Self::Curve {
                name: "P-256",
                bytes: 32,
                algorithm: &ECDSA_P256_SHA256_FIXED,
            },
            "ES384" => Self::Curve {
                name: "P-384",
                bytes: 48,
                algorithm: &ECDSA_P384_SHA384_FIXED,
            },
            "EdDSA" | "Ed25519" => Self::Ed25519,
            _ => return None,
        })
    }

    /// Whether `key` signed `message`; a key of another kind did not.
    fn signed(&self, key: &Key, message: &[u8], signature: &[u8]) -> Option<bool> {
        let bytes = |text: &Option<String>| decode(text.as_deref()?);
        let checked = match self {
            Self::Rsa(parameters) if key.kty == "RSA" => {
                let (n, e) = (bytes(&key.n)?, bytes(&key.e)?);
                let key = RsaPublicKeyComponents { n: &n, e: &e };
                key.verify(parameters, message, signature)
            }
            Self::Curve {
                name,
                bytes: length,
                algorithm,
            } if key.kty == "EC" && key.crv.as_deref() == Some(*name) => {
                let (x, y) = (bytes(&key.x)?, bytes(&key.y)?);
                if (x.len(), y.len()) != (*length, *length) {
                    return None;
                }
                let point = [&[4][..], &x, &y].concat();
                UnparsedPublicKey::new(*algorithm, point).verify(message, signature)
            }
            Self::Ed25519 if key.kty == "OKP" && key.crv.as_deref() == Some("Ed25519") => {
                UnparsedPublicKey::new(&ED25519, bytes(&key.x)?).verify(message, signature)
            }
            Self::Rsa(_) | Self::Curve { .. } | Self::Ed25519 => return None,
        };
        Some(checked.is_ok())
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

fn read<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&decode(part)?).ok()
}

/// The claims of a token that one of `keys` (a JWK set) signed, if they are what is expected.
pub(crate) fn claims(token: &str, keys: &Value, expected: &Expected<'_>) -> Result<Claims, Error> {
    let wrong = |text: &str| Error::Token(text.to_owned());
    let (message, signature) = token.rsplit_once('.').ok_or(wrong("no token"))?;
    let (head, body) = message.split_once('.').ok_or(wrong("no token"))?;
    let signature = decode(signature).ok_or(wrong("its signature is no base64url"))?;
    let head: Head = read(head).ok_or(wrong("its head cannot be read"))?;
    let algorithm = Algorithm::parse(&head.alg)
        .filter(|_| head.crit.is_none())
        .ok_or_else(|| Error::Token(format!("it is signed by '{}'", head.alg)))?;
    let keys = keys.get("keys").and_then(Value::as_array);
    let keys = keys.into_iter().flatten();
    // What is no key that we can read is passed over (RFC 7517, section 5).
    let mut keys = keys
        .filter_map(|key| serde_json::from_value::<Key>(key.clone()).ok())
        .filter(|key| {
            let same = |mine: &Option<String>, wanted: &str| {
                mine.as_deref().is_none_or(|mine| mine == wanted)
            };
            same(&key.purpose, "sig")
                && same(&key.alg, &head.alg)
                && head.kid.as_deref().is_none_or(|kid| same(&key.kid, kid))
        });
    let signed = |key: Key| algorithm.signed(&key, message.as_bytes(), &signature);
    if !keys.any(|key| signed(key) == Some(true)) {
        return Err(wrong("none of the provider's keys signed it"));
    }
    let claims: Claims = read(body).ok_or(wrong("its claims cannot be read"))?;
    check(&claims, expected).map_err(wrong)?;
    Ok(claims)
}

/// Whether claims are about a login of ours, and of now.
fn check(claims: &Claims, expected: &Expected<'_>) -> Result<(), &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err("it is another issuer's");
    }
    let (ours, several) = match claims.get("aud") {
        Some(Value::String(one)) => (one == expected.client, false),
        Some(Value::Array(all)) => {
            let ours = all.iter().any(|one| one == expected.client);
            (ours, all.len() > 1)
        }
        _ => (false, false),
    };
    let party = text("azp");
    if !ours || (several && party.is_none()) || party.is_some_and(|id| id != expected.client) {
        return Err("it is for another client");
    }
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    // Seconds of an age that a double holds exactly.
    let (earliest, latest) = (expected.now.saturating_sub(SKEW), expected.now + SKEW);
    if time("exp").is_none_or(|end| end < earliest as f64) {
        return Err("it has expired");
    }
    if time("iat").is_some_and(|made| made > latest as f64) {
        return Err("it is from the future");
    }
    if text("nonce") != Some(expected.nonce) {
        return Err("it is for another login");
    }
    match text("sub") {
        Some(subject) if !subject.is_empty() => Ok(()),
        _ => Err("it names nobody"),
    }
}

#[cfg(test)]
mod tests;
