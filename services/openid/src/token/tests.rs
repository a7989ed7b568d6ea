//! Tokens that are valid, and those that are nearly.

use super::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

const NOW: u64 = 1_800_000_000;

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap())
    }

    fn keys(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        let ours = json!({"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "x": x, "y": y});
        json!({"keys": [{"kty": "new"}, 5, {"kty": "RSA", "kid": "k1", "n": "AQ", "e": "AQ"}, ours]})
    }

    fn token(&self, head: &Value, claims: &Value) -> String {
        let (head, claims) = (head.to_string(), claims.to_string());
        let message = format!("{}.{}", encode(head.as_bytes()), encode(claims.as_bytes()));
        let signature = self
            .0
            .sign(&SystemRandom::new(), message.as_bytes())
            .unwrap();
        format!("{message}.{}", encode(signature.as_ref()))
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn head() -> Value {
    json!({"alg": "ES256", "kid": "k1"})
}

fn good() -> Value {
    json!({
        "iss": "https://id.example.org", "aud": "basalt", "sub": "ann", "nonce": "n1",
        "exp": NOW + 300, "iat": NOW,
    })
}

fn try_it(token: &str, keys: &Value) -> Result<Claims, Error> {
    let expected = Expected {
        issuer: "https://id.example.org",
        client: "basalt",
        nonce: "n1",
        now: NOW,
    };
    claims(token, keys, &expected)
}

#[test]
fn a_valid_token_tells_its_claims() {
    let signer = Signer::new();
    let keys = signer.keys();
    for aud in [json!("basalt"), json!(["basalt"])] {
        let mut claims = good();
        claims["aud"] = aud;
        let found = try_it(&signer.token(&head(), &claims), &keys).unwrap();
        assert_eq!(found["sub"], "ann");
    }
    // Without the name of a key, each is tried.
    try_it(&signer.token(&json!({"alg": "ES256"}), &good()), &keys).unwrap();
}

#[test]
fn wrong_claims_are_refused() {
    let signer = Signer::new();
    for (change, reason) in [
        (json!({"iss": "https://evil.example.net"}), "another issuer"),
        (json!({"aud": "other"}), "another client"),
        (json!({"aud": ["basalt", "other"]}), "another client"),
        (json!({"azp": "other"}), "another client"),
        (json!({"exp": NOW - 61}), "expired"),
        (json!({"exp": null}), "expired"),
        (json!({"iat": NOW + 61}), "future"),
        (json!({"nonce": "n2"}), "another login"),
        (json!({"nonce": null}), "another login"),
        (json!({"sub": ""}), "nobody"),
    ] {
        let mut claims = good();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let error = try_it(&signer.token(&head(), &claims), &signer.keys()).unwrap_err();
        assert!(error.to_string().contains(reason), "{change}: {error}");
    }
}

#[test]
fn only_the_providers_own_signature_counts() {
    let signer = Signer::new();
    let keys = signer.keys();
    let token = signer.token(&head(), &good());
    let foreign = Signer::new().token(&head(), &good());
    let (message, _) = token.rsplit_once('.').unwrap();
    let (start, end) = token.split_once('.').unwrap();
    let none = encode(json!({"alg": "none"}).to_string().as_bytes());
    let secret = encode(json!({"alg": "HS256"}).to_string().as_bytes());
    let critical = signer.token(&json!({"alg": "ES256", "crit": ["x"]}), &good());
    let other_key = signer.token(&json!({"alg": "ES256", "kid": "k2"}), &good());
    for bad in [
        foreign,
        format!("{message}."),
        format!("{none}.{end}"),
        format!("{secret}.{end}"),
        format!("{start}.{}", end.replacen('e', "f", 1)),
        critical,
        other_key,
        String::new(),
        "a.b.c".into(),
    ] {
        assert!(matches!(try_it(&bad, &keys), Err(Error::Token(_))), "{bad}");
    }
    assert!(try_it(&token, &json!({"keys": []})).is_err());
    assert!(try_it(&token, &json!([])).is_err());
}
