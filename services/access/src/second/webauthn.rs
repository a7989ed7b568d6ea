//! Security keys: what a browser is asked, and whether the answer is a key's (Web Authentication,
//! level 2; the sections named below are its).
//!
//! A key is bound to the host name by which the interface was opened when it was registered (its
//! relying party), so it answers no other site, whatever its user is made to believe. Which make
//! of key it is does not matter: no attestation is asked for, and none is looked at.
//!
//! Challenges are the node's own (see [`crate::nonce`]); that one is answered once is up to whoever
//! keeps the keys.

mod cbor;
mod cose;

use basalt_model::userid::Userid;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cbor::Value;
use cose::PublicKey;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::str::FromStr;

/// Browsers wait so many milliseconds for a key to be touched.
const PATIENCE: u32 = 120_000;
/// The longest id of a key, in bytes (section 5.8.3 of level 3).
const LONGEST_ID: usize = 1023;

/// Flags of authenticator data (section 6.1): somebody was there, and a key is attached.
const PRESENT: u8 = 1;
const ATTACHED: u8 = 1 << 6;

/// Why an answer is not the one of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebauthnError {
    /// It has not the form of one.
    #[error("the {0} cannot be read")]
    Malformed(&'static str),
    /// It answers another kind of question.
    #[error("this answers another question")]
    Kind,
    /// It was made for another page or host.
    #[error("this was made for another address of the interface")]
    Origin,
    /// Nobody touched the key.
    #[error("the security key was not touched")]
    Absent,
    /// Its public key is of a kind that was not asked for.
    #[error("the security key uses no algorithm that was asked for (ES256, EdDSA, RS256)")]
    Algorithm,
    /// The signature does not fit.
    #[error("the signature is not the security key's")]
    Signature,
    /// Its counter went back: there may be a copy.
    #[error("the security key counts backwards, as a copy of it would")]
    Copied,
}

/// Bytes that are written as base64 for addresses, without padding (RFC 4648, section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Base64(Vec<u8>);

impl TryFrom<String> for Base64 {
    type Error = WebauthnError;
    fn try_from(text: String) -> Result<Self, WebauthnError> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        bytes
            .map(Self)
            .map_err(|_| WebauthnError::Malformed("base64url"))
    }
}

impl From<Base64> for String {
    fn from(bytes: Base64) -> Self {
        URL_SAFE_NO_PAD.encode(bytes.0)
    }
}

/// Where a page comes from, `https://host` or `https://host:port`, with a host that keys can be
/// bound to: a name, no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    text: String,
    host: String,
}

/// A page that keys cannot be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("security keys need the interface to be opened by https and a name, not an address")]
pub struct OriginError;

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let rest = text.strip_prefix("https://").ok_or(OriginError)?;
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        };
        let letter = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        // Browsers write addresses so that the last part is a number (or in brackets).
        let last = host.rsplit('.').next().unwrap_or_default();
        let name = !host.is_empty()
            && host.len() <= 253
            && host.chars().all(letter)
            && host.parse::<IpAddr>().is_err()
            && !last.chars().all(|c| c.is_ascii_digit());
        if !name || port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(OriginError);
        }
        Ok(Self {
            text: text.to_owned(),
            host: host.to_ascii_lowercase(),
        })
    }
}

impl Origin {
    /// Its host.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// A security key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The host that it is bound to.
    host: String,
    id: Base64,
    key: PublicKey,
    /// How often it signed, if it counts.
    counter: u32,
}

/// What the browser collected about a question (section 5.8.1).
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
}

impl ClientData {
    fn read(json: &Base64) -> Result<Self, WebauthnError> {
        serde_json::from_slice(&json.0).map_err(|_| WebauthnError::Malformed("client data"))
    }

    /// The page that asked, if the question was of this kind.
    fn origin(&self, kind: &str) -> Result<Origin, WebauthnError> {
        if self.kind != kind {
            return Err(WebauthnError::Kind);
        }
        if self.cross_origin {
            return Err(WebauthnError::Origin);
        }
        self.origin.parse().map_err(|_| WebauthnError::Origin)
    }
}

/// What a key says about itself (section 6.1), up to what it was asked to attach.
struct AuthenticatorData<'a> {
    host_hash: &'a [u8],
    flags: u8,
    counter: u32,
    rest: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, WebauthnError> {
        let broken = WebauthnError::Malformed("authenticator data");
        let (host_hash, rest) = bytes.split_at_checked(32).ok_or(broken)?;
        let (flags, rest) = rest.split_first().ok_or(broken)?;
        let (counter, rest) = rest.split_first_chunk().ok_or(broken)?;
        Ok(Self {
            host_hash,
            flags: *flags,
            counter: u32::from_be_bytes(*counter),
            rest,
        })
    }

    /// Whether somebody touched the key for this host.
    fn check(&self, host: &str) -> Result<(), WebauthnError> {
        if self.host_hash != Sha256::digest(host.as_bytes()).as_slice() {
            return Err(WebauthnError::Origin);
        }
        if self.flags & PRESENT == 0 {
            return Err(WebauthnError::Absent);
        }
        Ok(())
    }

    /// The id and public key of a new credential (section 6.5.1).
    fn attached(&self) -> Result<(&'a [u8], PublicKey), WebauthnError> {
        let broken = WebauthnError::Malformed("attested credential data");
        if self.flags & ATTACHED == 0 {
            return Err(broken);
        }
        let (_model, rest) = self.rest.split_at_checked(16).ok_or(broken)?;
        let (length, rest) = rest.split_first_chunk().ok_or(broken)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (id, mut rest) = rest.split_at_checked(length).ok_or(broken)?;
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err(broken);
        }
        Ok((id, PublicKey::read(&mut rest)?))
    }
}

/// What a browser answers when a key is registered.
#[derive(Deserialize)]
struct Registered {
    response: RegisteredResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegisteredResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: Base64,
    attestation_object: Base64,
}

impl Credential {
    /// The key that a browser registered (section 7.1): its answer as JSON, to `challenge`, for a
    /// page of `origin`.
    pub fn registered(json: &str, challenge: &str, origin: &Origin) -> Result<Self, WebauthnError> {
        let answer: Registered =
            serde_json::from_str(json).map_err(|_| WebauthnError::Malformed("answer"))?;
        let client = ClientData::read(&answer.response.client_data)?;
        if client.origin("webauthn.create")? != *origin {
            return Err(WebauthnError::Origin);
        }
        if client.challenge != challenge {
            return Err(WebauthnError::Kind);
        }
        let mut input = answer.response.attestation_object.0.as_slice();
        let attestation =
            Value::read(&mut input).ok_or(WebauthnError::Malformed("attestation object"))?;
        let Some(Value::Bytes(data)) = attestation.get(&Value::Text("authData")) else {
            return Err(WebauthnError::Malformed("attestation object"));
        };
        let data = AuthenticatorData::read(data)?;
        data.check(&origin.host)?;
        let (id, key) = data.attached()?;
        Ok(Self {
            host: origin.host.clone(),
            id: Base64(id.to_vec()),
            key,
            counter: data.counter,
        })
    }

    /// Whether another key is the same.
    pub fn is(&self, other: &Self) -> bool {
        self.id == other.id
    }

    /// Whether it can answer for a host.
    pub fn is_for(&self, host: &str) -> bool {
        self.host == host
    }

    fn descriptor(&self) -> serde_json::Value {
        json!({ "type": "public-key", "id": String::from(self.id.clone()) })
    }

    /// Takes an answer of this key (section 7.2), and remembers how far it counted.
    pub fn verify(&mut self, assertion: &Assertion) -> Result<(), WebauthnError> {
        let response = &assertion.response;
        if assertion.client.origin("webauthn.get")?.host != self.host {
            return Err(WebauthnError::Origin);
        }
        let data = AuthenticatorData::read(&response.authenticator_data.0)?;
        data.check(&self.host)?;
        let client = Sha256::digest(&response.client_data.0);
        let message = [response.authenticator_data.0.as_slice(), &client].concat();
        if !self.key.signed(&message, &response.signature.0) {
            return Err(WebauthnError::Signature);
        }
        // Keys that do not count say zero, always.
        if (self.counter, data.counter) != (0, 0) && data.counter <= self.counter {
            return Err(WebauthnError::Copied);
        }
        self.counter = data.counter;
        Ok(())
    }
}

/// What a browser answers when a key is asked for.
pub struct Assertion {
    id: Base64,
    client: ClientData,
    response: AssertionResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asserted {
    raw_id: Base64,
    response: AssertionResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AssertionResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: Base64,
    authenticator_data: Base64,
    signature: Base64,
}

impl Assertion {
    /// Reads the answer as JSON.
    pub fn parse(json: &str) -> Result<Self, WebauthnError> {
        let answer: Asserted =
            serde_json::from_str(json).map_err(|_| WebauthnError::Malformed("answer"))?;
        Ok(Self {
            id: answer.raw_id,
            client: ClientData::read(&answer.response.client_data)?,
            response: answer.response,
        })
    }

    /// The challenge that it answers.
    pub fn challenge(&self) -> &str {
        &self.client.challenge
    }

    /// Whether a key gave it, going by its id.
    pub fn is_of(&self, credential: &Credential) -> bool {
        self.id == credential.id
    }
}

/// Asks for a new key of `user` that is none of `known`: options of `navigator.credentials.create`.
pub fn ask_new<'a>(
    origin: &Origin,
    user: &Userid,
    challenge: &str,
    known: impl Iterator<Item = &'a Credential>,
) -> serde_json::Value {
    let known = known.filter(|key| key.is_for(&origin.host));
    let known: Vec<_> = known.map(Credential::descriptor).collect();
    let kinds = cose::ALGORITHMS.map(|alg| json!({ "type": "public-key", "alg": alg }));
    // The handle may have 64 bytes (section 5.4.3), a name more.
    let handle = URL_SAFE_NO_PAD.encode(Sha256::digest(user.as_str().as_bytes()));
    json!({ "publicKey": {
        "challenge": challenge,
        "rp": { "id": origin.host, "name": "Basalt" },
        "user": { "id": handle, "name": user, "displayName": user },
        "pubKeyCredParams": kinds,
        "excludeCredentials": known,
        "authenticatorSelection": {
            "residentKey": "discouraged",
            "requireResidentKey": false,
            "userVerification": "discouraged",
        },
        "attestation": "none",
        "timeout": PATIENCE,
    }})
}

/// Asks for an answer of one of `known`: options of `navigator.credentials.get`.
pub fn ask<'a>(
    host: &str,
    challenge: &str,
    known: impl Iterator<Item = &'a Credential>,
) -> serde_json::Value {
    let known: Vec<_> = known.map(Credential::descriptor).collect();
    json!({ "publicKey": {
        "challenge": challenge,
        "rpId": host,
        "allowCredentials": known,
        "userVerification": "discouraged",
        "timeout": PATIENCE,
    }})
}

#[cfg(test)]
mod tests;
