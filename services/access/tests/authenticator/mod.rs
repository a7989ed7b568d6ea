//! A security key in software, and the browser that it is plugged into.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "the node's tests use it, too, and each only a part; what goes wrong ends a test"
)]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

/// A key that signs by ES256 and counts.
pub struct Authenticator {
    key: EcdsaKeyPair,
    pub id: Vec<u8>,
    /// How often it has signed.
    pub counter: u32,
    /// The page's origin, as the browser tells it.
    pub origin: String,
    /// Flags of what it says: 1, somebody touched it.
    pub flags: u8,
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Text or bytes of fewer than 256 bytes in CBOR.
fn cbor(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    [&[kind << 5 | 24, length], bytes].concat()
}

impl Authenticator {
    pub fn new(origin: &str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        let id = digest(&SHA256, key.public_key().as_ref());
        Self {
            key,
            id: id.as_ref().to_vec(),
            counter: 0,
            origin: origin.to_owned(),
            flags: 1,
        }
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        let data = json!({
            "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false,
        });
        data.to_string().into_bytes()
    }

    fn data(&mut self, host: &str, flags: u8) -> Vec<u8> {
        self.counter += 1;
        let hash = digest(&SHA256, host.as_bytes());
        let counter = self.counter.to_be_bytes();
        [hash.as_ref(), &[self.flags | flags], &counter].concat()
    }

    /// Answers the options of `navigator.credentials.create`.
    pub fn create(&mut self, options: &Value) -> String {
        let asked = &options["publicKey"];
        let mut data = self.data(asked["rp"]["id"].as_str().unwrap(), 1 << 6);
        let length = u16::try_from(self.id.len()).unwrap();
        data.extend([0; 16]);
        data.extend(length.to_be_bytes());
        data.extend(&self.id);
        let point = self.key.public_key().as_ref();
        // {1: 2, 3: -7, -1: 1, -2: x, -3: y}
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21]);
        data.extend(cbor(2, &point[1..33]));
        data.push(0x22);
        data.extend(cbor(2, &point[33..]));
        let object = [
            vec![0xa3],
            cbor(3, b"fmt"),
            cbor(3, b"none"),
            cbor(3, b"attStmt"),
            vec![0xa0],
            cbor(3, b"authData"),
            cbor(2, &data),
        ]
        .concat();
        let challenge = asked["challenge"].as_str().unwrap();
        let answer = json!({
            "id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key",
            "response": {
                "clientDataJSON": encode(&self.client_data("webauthn.create", challenge)),
                "attestationObject": encode(&object),
            },
        });
        answer.to_string()
    }

    /// Answers the options of `navigator.credentials.get`.
    pub fn get(&mut self, options: &Value) -> String {
        let asked = &options["publicKey"];
        let data = self.data(asked["rpId"].as_str().unwrap(), 0);
        let challenge = asked["challenge"].as_str().unwrap();
        let client = self.client_data("webauthn.get", challenge);
        let message = [data.as_slice(), digest(&SHA256, &client).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &message).unwrap();
        let answer = json!({
            "id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key",
            "challenge": challenge,
            "response": {
                "authenticatorData": encode(&data),
                "clientDataJSON": encode(&client),
                "signature": encode(signature.as_ref()),
            },
        });
        answer.to_string()
    }
}
