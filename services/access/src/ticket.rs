//! Proof of a login: tickets signed with ed25519, verified by anybody who has the public key.
//!
//! A ticket is `PVE:user@realm:HEX8::signature`, where `HEX8` is the time it was made. The CSRF
//! token that goes with it is `HEX8:signature`. A console ticket is `PVEVNC:HEX8::signature`,
//! signed together with user, path and port, which it does not tell. A challenge, for who has given
//! the password and still owes a second factor, is `PVE:!tfa!JSON:HEX8::signature`, signed together
//! with the user; it is no ticket, as `!tfa!…` is no user.

use crate::second::Challenge;
use basalt_api::bag::encode;
use basalt_model::userid::{Authid, Userid};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};

/// A ticket is valid for so many seconds.
pub const LIFETIME: u64 = 2 * 60 * 60;
/// Begins what would be the user in a ticket.
const CHALLENGE: &str = "!tfa!";
/// Clocks of nodes may differ by so many seconds.
pub(crate) const SKEW: u64 = 300;
/// A challenge can be answered for so many seconds.
pub(crate) const CHALLENGE_LIFETIME: u64 = 300;
/// A console ticket is valid from so many seconds before it was made …
const CONSOLE_SKEW: u64 = 20;
/// … to so many after.
const CONSOLE_LIFETIME: u64 = 40;

/// Why a ticket does not prove a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// It has not the form of one.
    #[error("invalid ticket")]
    Malformed,
    /// The signature does not fit.
    #[error("invalid ticket")]
    Forged,
    /// It is too old, or from the future.
    #[error("ticket expired")]
    Expired,
}

/// Signs tickets. Only the node has it.
pub struct TicketKey(SigningKey);

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TicketKey")
    }
}

/// A key file that holds no key.
#[derive(Debug, thiserror::Error)]
#[error("the key of tickets cannot be read or written: {0}")]
pub struct KeyError(String);

impl TicketKey {
    /// Makes a key.
    pub fn generate() -> Self {
        Self(SigningKey::generate(&mut OsRng))
    }

    /// Reads a key from PEM.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        SigningKey::from_pkcs8_pem(text)
            .map(Self)
            .map_err(|e| KeyError(e.to_string()))
    }

    /// Writes the key as PEM.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF);
        pem.map(|pem| pem.to_string())
            .map_err(|e| KeyError(e.to_string()))
    }

    /// What others verify with.
    pub fn verifier(&self) -> Verifier {
        Verifier {
            key: BASE64.encode(self.0.verifying_key().as_bytes()),
        }
    }

    /// The ticket of a user who logged in at `now`.
    pub fn ticket(&self, user: &Userid, now: u64) -> String {
        let plain = format!("PVE:{user}:{now:08X}");
        format!("{plain}::{}", self.sign(&plain))
    }

    /// The CSRF token that goes with it.
    pub fn csrf(&self, user: &Userid, now: u64) -> String {
        format!("{now:08X}:{}", self.sign(&csrf_text(user, now)))
    }

    /// A ticket for one console: one user, path and port.
    pub fn console(&self, user: &Authid, path: &str, port: u16, now: u64) -> String {
        format!(
            "PVEVNC:{now:08X}::{}",
            self.sign(&console_text(user, path, port, now))
        )
    }

    /// A challenge for a user who gave the right password at `now`.
    pub fn challenge(&self, user: &Userid, challenge: &Challenge, now: u64) -> String {
        let json = serde_json::json!(challenge).to_string();
        let plain = format!("PVE:{CHALLENGE}{}:{now:08X}", encode(&json));
        let signature = self.sign(&challenge_text(user, &plain));
        format!("{plain}::{signature}")
    }

    fn sign(&self, text: &str) -> String {
        BASE64.encode(self.sign_bytes(text))
    }

    pub(crate) fn sign_bytes(&self, text: &str) -> [u8; 64] {
        self.0.sign(text.as_bytes()).to_bytes()
    }
}

/// Verifies tickets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    key: String,
}

impl Verifier {
    /// Who a ticket belongs to, if it is valid at `now`.
    pub fn ticket(&self, ticket: &str, now: u64) -> Result<Userid, TicketError> {
        let (plain, signature) = ticket.split_once("::").ok_or(TicketError::Malformed)?;
        let rest = plain.strip_prefix("PVE:").ok_or(TicketError::Malformed)?;
        let (user, time) = rest.rsplit_once(':').ok_or(TicketError::Malformed)?;
        let user: Userid = user.parse().map_err(|_| TicketError::Malformed)?;
        self.check(plain, signature)?;
        in_time(parse_time(time)?, now, SKEW, LIFETIME)?;
        Ok(user)
    }

    /// Whether a CSRF token was made for this user and is valid at `now`.
    pub fn csrf(&self, token: &str, user: &Userid, now: u64) -> Result<(), TicketError> {
        let (time, signature) = token.split_once(':').ok_or(TicketError::Malformed)?;
        let time = parse_time(time)?;
        self.check(&csrf_text(user, time), signature)?;
        in_time(time, now, SKEW, LIFETIME)
    }

    /// Whether a console ticket was made for this user, path and port and is valid at `now`.
    pub fn console(
        &self,
        ticket: &str,
        user: &Authid,
        path: &str,
        port: u16,
        now: u64,
    ) -> Result<(), TicketError> {
        let rest = ticket
            .strip_prefix("PVEVNC:")
            .ok_or(TicketError::Malformed)?;
        let (time, signature) = rest.split_once("::").ok_or(TicketError::Malformed)?;
        let time = parse_time(time)?;
        self.check(&console_text(user, path, port, time), signature)?;
        in_time(time, now, CONSOLE_SKEW, CONSOLE_LIFETIME)
    }

    /// Whether a challenge was made for this user and can be answered at `now`.
    pub fn challenge(&self, text: &str, user: &Userid, now: u64) -> Result<(), TicketError> {
        let (plain, signature) = text.split_once("::").ok_or(TicketError::Malformed)?;
        let rest = plain.strip_prefix("PVE:").ok_or(TicketError::Malformed)?;
        let rest = rest.strip_prefix(CHALLENGE).ok_or(TicketError::Malformed)?;
        let (_, time) = rest.rsplit_once(':').ok_or(TicketError::Malformed)?;
        self.check(&challenge_text(user, plain), signature)?;
        in_time(parse_time(time)?, now, SKEW, CHALLENGE_LIFETIME)
    }

    fn check(&self, text: &str, signature: &str) -> Result<(), TicketError> {
        let signature = BASE64.decode(signature);
        let signature = signature.map_err(|_| TicketError::Malformed)?;
        self.check_bytes(text, &signature)
    }

    pub(crate) fn check_bytes(&self, text: &str, signature: &[u8]) -> Result<(), TicketError> {
        let key = BASE64
            .decode(&self.key)
            .ok()
            .and_then(|bytes| bytes.try_into().ok());
        let key = key.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        let signature = Signature::from_slice(signature).ok();
        let (Some(key), Some(signature)) = (key, signature) else {
            return Err(TicketError::Malformed);
        };
        key.verify_strict(text.as_bytes(), &signature)
            .map_err(|_| TicketError::Forged)
    }
}

fn csrf_text(user: &Userid, time: u64) -> String {
    format!("CSRF:{time:08X}:{user}")
}

fn challenge_text(user: &Userid, plain: &str) -> String {
    format!("TFA:{user}:{plain}")
}

fn console_text(user: &Authid, path: &str, port: u16, time: u64) -> String {
    format!("PVEVNC:{time:08X}:{user}:{path}:{port}")
}

fn parse_time(text: &str) -> Result<u64, TicketError> {
    let hex = text
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
    let time = u64::from_str_radix(text, 16)
        .ok()
        .filter(|_| hex && text.len() >= 8);
    time.ok_or(TicketError::Malformed)
}

pub(crate) fn in_time(made: u64, now: u64, skew: u64, lifetime: u64) -> Result<(), TicketError> {
    let fits = made <= now.saturating_add(skew) && now <= made.saturating_add(lifetime);
    if fits {
        Ok(())
    } else {
        Err(TicketError::Expired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn a_ticket_proves_its_user_for_two_hours() {
        let key = TicketKey::generate();
        let verifier = key.verifier();
        let user = Userid::root();
        let ticket = key.ticket(&user, NOW);
        assert!(ticket.starts_with("PVE:root@pam:6B49D200::"), "{ticket}");
        assert_eq!(verifier.ticket(&ticket, NOW + LIFETIME), Ok(user.clone()));
        assert_eq!(
            verifier.ticket(&ticket, NOW + LIFETIME + 1),
            Err(TicketError::Expired)
        );
        assert_eq!(
            verifier.ticket(&ticket, NOW - 301),
            Err(TicketError::Expired)
        );
        let csrf = key.csrf(&user, NOW);
        assert_eq!(verifier.csrf(&csrf, &user, NOW), Ok(()));
        let other = "jo@pve".parse().unwrap();
        assert_eq!(verifier.csrf(&csrf, &other, NOW), Err(TicketError::Forged));
    }

    #[test]
    fn changed_and_foreign_tickets_are_forged() {
        let key = TicketKey::generate();
        let ticket = key.ticket(&"jo@pve".parse().unwrap(), NOW);
        let changed = ticket.replace("jo@pve", "root@pam");
        assert_eq!(
            key.verifier().ticket(&changed, NOW),
            Err(TicketError::Forged)
        );
        let foreign = TicketKey::generate().verifier();
        assert_eq!(foreign.ticket(&ticket, NOW), Err(TicketError::Forged));
        for bad in [
            "",
            "PVE",
            "PVE:root@pam:0::x",
            "PVE:root@pam:6B49D200::",
            "PVEVNC:1::",
        ] {
            assert!(key.verifier().ticket(bad, NOW).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_console_ticket_is_bound_to_user_path_and_port() {
        let key = TicketKey::generate();
        let (verifier, user) = (key.verifier(), Authid::from(Userid::root()));
        let ticket = key.console(&user, "/vms/100", 5900, NOW);
        let check = |path, port, now| verifier.console(&ticket, &user, path, port, now);
        assert_eq!(check("/vms/100", 5900, NOW + 40), Ok(()));
        assert_eq!(check("/vms/100", 5900, NOW - 20), Ok(()));
        assert_eq!(check("/vms/100", 5900, NOW + 41), Err(TicketError::Expired));
        assert_eq!(check("/vms/101", 5900, NOW), Err(TicketError::Forged));
        assert_eq!(check("/vms/100", 5901, NOW), Err(TicketError::Forged));
    }

    #[test]
    fn a_challenge_is_its_users_and_no_ticket() {
        let key = TicketKey::generate();
        let (verifier, user) = (key.verifier(), Userid::root());
        let challenge = Challenge {
            totp: true,
            recovery: vec![0, 2],
            webauthn: None,
        };
        let text = key.challenge(&user, &challenge, NOW);
        assert!(text.starts_with("PVE:!tfa!%7B%22totp%22%3Atrue"), "{text}");
        assert_eq!(verifier.challenge(&text, &user, NOW + 300), Ok(()));
        assert_eq!(
            verifier.challenge(&text, &user, NOW + 301),
            Err(TicketError::Expired)
        );
        let other = "jo@pve".parse().unwrap();
        assert_eq!(
            verifier.challenge(&text, &other, NOW),
            Err(TicketError::Forged)
        );
        assert!(verifier.ticket(&text, NOW).is_err());
        assert!(
            verifier
                .challenge(&key.ticket(&user, NOW), &user, NOW)
                .is_err()
        );
    }

    #[test]
    fn a_key_survives_its_file() {
        let key = TicketKey::generate();
        let again = TicketKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(again.verifier(), key.verifier());
        assert!(TicketKey::from_pem("nonsense").is_err());
    }
}
