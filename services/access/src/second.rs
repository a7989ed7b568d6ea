//! Second factors: time-based codes (TOTP, RFC 6238), recovery codes and security keys (WebAuthn).
//!
//! What is kept of a user are secrets, so it stays on the node. A code is taken once: the step it
//! belongs to is remembered, and no code of that step or an earlier one is taken again. Nor is a
//! second answer to the challenge of a security key.

mod totp;
pub mod webauthn;

pub use totp::{Secret, SecretError};

use crate::{nonce, password};
use basalt_model::userid::Userid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use subtle::{Choice, ConstantTimeEq};
use webauthn::{Assertion, Credential, WebauthnError};

/// So many wrong codes in a row lock a user's TOTP until a recovery code or an administrator
/// unlocks it.
const WRONG_CODES: u32 = 8;
/// So many recovery codes are made at once.
const RECOVERY_CODES: usize = 10;
/// A user has so many security keys at most: each makes every challenge longer.
const MOST_KEYS: usize = 16;
/// The id of a user's recovery codes.
pub const RECOVERY: &str = "recovery";

/// The second factors of every user who has some.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Factors(BTreeMap<Userid, UserFactors>);

/// The second factors of a user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UserFactors {
    /// Generators of time-based codes by id.
    #[serde(default)]
    totp: BTreeMap<String, Totp>,
    /// Recovery codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recovery: Option<Recovery>,
    /// Security keys by id.
    #[serde(default)]
    webauthn: BTreeMap<String, Key>,
    /// Challenges that security keys answered, with when they can be forgotten.
    #[serde(default)]
    answered: BTreeMap<String, u64>,
    /// Wrong time-based codes since the last right one.
    #[serde(default)]
    wrong: u32,
}

/// What describes a factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What the user calls it.
    pub description: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// Whether it counts.
    pub enable: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Totp {
    about: About,
    secret: Secret,
    /// The last step of which a code was taken.
    #[serde(default)]
    last: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Recovery {
    about: About,
    /// Hash of each code; none once it was used.
    codes: Vec<Option<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Key {
    about: About,
    credential: Credential,
}

/// Kind of a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Time-based codes.
    Totp,
    /// Recovery codes.
    Recovery,
    /// A security key.
    Webauthn,
}

/// What a user may answer a challenge with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// A time-based code.
    pub totp: bool,
    /// One of the recovery codes of these numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recovery: Vec<usize>,
    /// A security key: options of `navigator.credentials.get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webauthn: Option<serde_json::Value>,
}

/// What a user answers a challenge with.
pub enum Answer {
    /// A time-based code.
    Totp(String),
    /// A recovery code.
    Recovery(String),
    /// What a security key says.
    Webauthn(Box<Assertion>),
}

impl Answer {
    /// Reads `totp:123456`, `recovery:…` or `webauthn:JSON`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("totp", code) => Some(Self::Totp(code.trim().to_owned())),
            ("recovery", code) => Some(Self::Recovery(code.trim().to_ascii_lowercase())),
            ("webauthn", json) => Some(Self::Webauthn(Box::new(Assertion::parse(json).ok()?))),
            _ => None,
        }
    }
}

impl Factors {
    /// Everybody who has some.
    pub fn iter(&self) -> impl Iterator<Item = (&Userid, &UserFactors)> {
        self.0.iter()
    }

    /// Those of a user, if there are any.
    pub fn of(&self, user: &Userid) -> Option<&UserFactors> {
        self.0.get(user)
    }

    /// Those of a user, to be changed.
    pub fn of_mut(&mut self, user: &Userid) -> &mut UserFactors {
        self.0.entry(user.clone()).or_default()
    }

    /// Forgets whoever is not wanted, and whoever has no factor.
    pub fn retain(&mut self, wanted: impl Fn(&Userid) -> bool) {
        self.0
            .retain(|user, factors| wanted(user) && !factors.is_empty());
    }
}

impl UserFactors {
    fn is_empty(&self) -> bool {
        self.totp.is_empty() && self.recovery.is_none() && self.webauthn.is_empty()
    }

    /// Every factor with its id.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Kind, &About)> {
        let totp = self
            .totp
            .iter()
            .map(|(id, totp)| (id.as_str(), Kind::Totp, &totp.about));
        let recovery = self.recovery.iter();
        let recovery = recovery.map(|found| (RECOVERY, Kind::Recovery, &found.about));
        let keys = self
            .webauthn
            .iter()
            .map(|(id, key)| (id.as_str(), Kind::Webauthn, &key.about));
        totp.chain(recovery).chain(keys)
    }

    /// What describes a factor, to be changed.
    pub fn about_mut(&mut self, id: &str) -> Option<&mut About> {
        match &mut self.recovery {
            Some(recovery) if id == RECOVERY => Some(&mut recovery.about),
            _ => {
                let totp = self.totp.get_mut(id).map(|totp| &mut totp.about);
                totp.or_else(|| self.webauthn.get_mut(id).map(|key| &mut key.about))
            }
        }
    }

    /// Removes a factor; whether there was one.
    pub fn remove(&mut self, id: &str) -> bool {
        if id == RECOVERY {
            return self.recovery.take().is_some();
        }
        self.totp.remove(id).is_some() || self.webauthn.remove(id).is_some()
    }

    /// Adds a generator whose present code is `code`; its id, or none if it is another.
    pub fn add_totp(&mut self, about: About, secret: Secret, code: &str) -> Option<String> {
        let last = secret.step_of(code, about.created, 0)?;
        let id = password::new_secret();
        let totp = Totp {
            about,
            secret,
            last,
        };
        self.totp.insert(id.clone(), totp);
        Some(id)
    }

    /// Makes recovery codes, which are shown this once; none if there are some.
    pub fn add_recovery(&mut self, about: About) -> Option<Vec<String>> {
        if self.recovery.is_some() {
            return None;
        }
        let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| new_code()).collect();
        let hashed = codes.iter().map(|code| Some(password::hash_secret(code)));
        self.recovery = Some(Recovery {
            about,
            codes: hashed.collect(),
        });
        Some(codes)
    }

    /// The security keys that are there.
    pub fn keys(&self) -> impl Iterator<Item = &Credential> {
        self.webauthn.values().map(|key| &key.credential)
    }

    /// Whether one more security key has room.
    pub fn has_room(&self) -> bool {
        self.webauthn.len() < MOST_KEYS
    }

    /// Adds a security key; its id, or none if it is there already or there are too many.
    pub fn add_key(&mut self, about: About, credential: Credential) -> Option<String> {
        if !self.has_room() || self.keys().any(|key| key.is(&credential)) {
            return None;
        }
        let id = password::new_secret();
        self.webauthn.insert(id.clone(), Key { about, credential });
        Some(id)
    }

    /// What the user must answer, if anything. Where the interface was opened by the name `host`,
    /// the security keys that are bound to it are asked by what `nonce` makes.
    pub fn challenge(
        &self,
        host: Option<&str>,
        nonce: impl FnOnce() -> String,
    ) -> Option<Challenge> {
        let recovery = self.recovery.iter().filter(|found| found.about.enable);
        let left = recovery.flat_map(|found| found.codes.iter().enumerate());
        let left = left.filter(|(_, code)| code.is_some()).map(|(n, _)| n);
        let totp = self.totp.values().any(|totp| totp.about.enable);
        // Recovery codes stand in for another factor: used up, they must not open the door.
        let any = self.entries().any(|(_, _, about)| about.enable);
        let recovery: Vec<usize> = left.collect();
        let keys = self.webauthn.values().filter(|key| key.about.enable);
        let mut keys = keys
            .map(|key| &key.credential)
            .filter(|key| host.is_some_and(|host| key.is_for(host)))
            .peekable();
        let asked = host.filter(|_| keys.peek().is_some());
        let webauthn = asked.map(|host| webauthn::ask(host, &nonce(), keys));
        any.then_some(Challenge {
            totp,
            recovery,
            webauthn,
        })
    }

    /// Whether there is a factor that recovery codes could stand in for.
    pub fn has_real(&self) -> bool {
        self.entries()
            .any(|(_, kind, about)| about.enable && kind != Kind::Recovery)
    }

    /// Whether too many wrong codes were given.
    pub fn totp_locked(&self) -> bool {
        self.wrong >= WRONG_CODES
    }

    /// Takes time-based codes again; whether they were locked.
    pub fn unlock(&mut self) -> bool {
        let locked = self.totp_locked();
        self.wrong = 0;
        locked
    }

    /// Whether an answer is right. What it used up and how often it was wrong has to be stored
    /// before anything is made of it.
    pub fn verify(&mut self, answer: &Answer, now: u64) -> bool {
        match answer {
            Answer::Totp(code) => self.verify_totp(code, now),
            Answer::Recovery(code) => self.verify_recovery(code),
            Answer::Webauthn(assertion) => match self.verify_key(assertion, now) {
                Ok(right) => right,
                Err(error) => {
                    tracing::warn!(%error, "answer of a security key");
                    false
                }
            },
        }
    }

    /// That the challenge is ours is known already.
    fn verify_key(&mut self, assertion: &Assertion, now: u64) -> Result<bool, WebauthnError> {
        let mut keys = self.webauthn.values_mut().filter(|key| key.about.enable);
        let Some(key) = keys.find(|key| assertion.is_of(&key.credential)) else {
            return Ok(false);
        };
        key.credential.verify(assertion)?;
        self.answered.retain(|_, forgotten| *forgotten >= now);
        let forgotten = now + nonce::LONGEST;
        let before = self
            .answered
            .insert(assertion.challenge().to_owned(), forgotten);
        Ok(before.is_none())
    }

    fn verify_totp(&mut self, code: &str, now: u64) -> bool {
        if self.totp_locked() {
            return false;
        }
        let mut right = false;
        for totp in self.totp.values_mut().filter(|totp| totp.about.enable) {
            if let Some(step) = totp.secret.step_of(code, now, totp.last) {
                totp.last = step;
                right = true;
            }
        }
        self.wrong = if right { 0 } else { self.wrong + 1 };
        right
    }

    fn verify_recovery(&mut self, code: &str) -> bool {
        let Some(recovery) = self.recovery.as_mut().filter(|found| found.about.enable) else {
            return false;
        };
        let hash = password::hash_secret(code);
        let mut right = Choice::from(0);
        for known in &mut recovery.codes {
            let Some(text) = known else { continue };
            let same = text.as_bytes().ct_eq(hash.as_bytes());
            if same.into() {
                *known = None;
            }
            right |= same;
        }
        let right = right.into();
        if right {
            self.wrong = 0;
        }
        right
    }
}

/// A recovery code: 64 random bits.
fn new_code() -> String {
    let hex = hex::encode(rand::random::<[u8; 8]>());
    [&hex[..4], &hex[4..8], &hex[8..12], &hex[12..]].join("-")
}

#[cfg(test)]
mod tests;
