//! Signatures as a server looks at them (RFC 7515; RFC 8555, section 6.2).

use super::server::Refusal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A signed request whose signature has not been looked at.
pub struct Signed {
    pub protected: Value,
    /// None when the request only reads.
    pub payload: Option<Value>,
    text: String,
    signature: Vec<u8>,
}

pub fn decode(text: &str) -> Result<Vec<u8>, Refusal> {
    let decoded = URL_SAFE_NO_PAD.decode(text);
    decoded.map_err(|_| Refusal::new(400, "malformed", "no base64 for addresses"))
}

impl Signed {
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let json = |bytes: &[u8]| {
            let value = serde_json::from_slice::<Value>(bytes);
            value.map_err(|error| Refusal::new(400, "malformed", error))
        };
        let body = json(body)?;
        let part = |name: &str| body[name].as_str().unwrap_or("!");
        let payload = decode(part("payload"))?;
        Ok(Self {
            protected: json(&decode(part("protected"))?)?,
            payload: match payload.is_empty() {
                true => None,
                false => Some(json(&payload)?),
            },
            text: format!("{}.{}", part("protected"), part("payload")),
            signature: decode(part("signature"))?,
        })
    }

    /// A text of the protected header.
    pub fn header(&self, name: &str) -> &str {
        self.protected[name].as_str().unwrap_or("")
    }

    /// Refuses unless the key made the signature.
    pub fn verify(&self, jwk: &Value) -> Result<(), Refusal> {
        let refuse = || Refusal::new(400, "malformed", "the signature is wrong");
        if self.header("alg") != "ES256" || jwk["kty"] != "EC" || jwk["crv"] != "P-256" {
            return Err(Refusal::new(400, "badSignatureAlgorithm", "only ES256"));
        }
        let mut point = vec![4];
        for name in ["x", "y"] {
            point.extend(decode(jwk[name].as_str().unwrap_or("!"))?);
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        key.verify(self.text.as_bytes(), &self.signature)
            .map_err(|_| refuse())
    }

    /// Refuses unless the customer's key made the signature.
    pub fn verify_customer(&self, key: &[u8]) -> Result<(), Refusal> {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
        let right = ring::hmac::verify(&key, self.text.as_bytes(), &self.signature);
        match right {
            Ok(()) if self.header("alg") == "HS256" => Ok(()),
            _ => Err(Refusal::new(403, "unauthorized", "the binding is wrong")),
        }
    }
}

/// RFC 7638.
pub fn thumbprint(jwk: &Value) -> String {
    let (x, y) = (&jwk["x"], &jwk["y"]);
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{x},"y":{y}}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}
