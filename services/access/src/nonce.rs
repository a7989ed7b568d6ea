//! What others hand back to us: challenges of security keys, and the state of a login at an OpenID
//! Connect provider.
//!
//! Nothing of them is kept here. Each carries the time it was made, random bytes, and a signature
//! of these and of what it is for, so it is known again, and good for nothing else. Signatures of
//! ed25519 are the same every time, so what only the node may know of a login at a provider is made
//! of its state in the same way.

use crate::TicketError;
use crate::ticket::{CHALLENGE_LIFETIME, SKEW, TicketKey, Verifier, in_time};
use basalt_model::userid::Userid;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A challenge is refused for its age after so many seconds, by whichever clock.
pub(crate) const LONGEST: u64 = CHALLENGE_LIFETIME + SKEW;
/// A login at a provider may take so many seconds.
const LOGIN_LIFETIME: u64 = 600;

/// What a security key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be registered.
    Registration,
    /// To prove a login.
    Login,
}

impl Purpose {
    fn text(self, user: &Userid) -> String {
        match self {
            Self::Registration => format!("KEY-NEW:{user}"),
            Self::Login => format!("KEY-LOGIN:{user}"),
        }
    }
}

/// What is secret of a login at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// What comes back in the token.
    Nonce,
    /// What proves that who began the login ends it (RFC 7636).
    Verifier,
}

impl TicketKey {
    /// A challenge for the security keys of `user`, made at `now`: base64url.
    pub fn key_challenge(&self, purpose: Purpose, user: &Userid, now: u64) -> String {
        self.stamp(&purpose.text(user), now)
    }

    /// The state of a login at the provider of `realm`, which comes back to `redirect`.
    pub fn login_state(&self, realm: &str, redirect: &str, now: u64) -> String {
        let stamp = self.stamp(&state_text(realm, redirect), now);
        format!("{realm}.{stamp}")
    }

    /// What only we know of the login with this state: 86 characters of base64url.
    pub fn login_secret(&self, secret: Secret, state: &str) -> String {
        let label = match secret {
            Secret::Nonce => "OPENID-NONCE",
            Secret::Verifier => "OPENID-VERIFIER",
        };
        URL_SAFE_NO_PAD.encode(self.sign_bytes(&format!("{label}:{state}")))
    }

    fn stamp(&self, text: &str, now: u64) -> String {
        let mut bytes = now.to_be_bytes().to_vec();
        bytes.extend(rand::random::<[u8; 16]>());
        let signature = self.sign_bytes(&stamp_text(text, &bytes));
        bytes.extend(signature);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

impl Verifier {
    /// Whether a challenge was made for this purpose and user and can be answered at `now`.
    pub fn key_challenge(
        &self,
        challenge: &str,
        purpose: Purpose,
        user: &Userid,
        now: u64,
    ) -> Result<(), TicketError> {
        self.stamp(challenge, &purpose.text(user), now, CHALLENGE_LIFETIME)
    }

    /// The realm of a login that comes back to `redirect` at `now` with this state.
    pub fn login_state<'a>(
        &self,
        state: &'a str,
        redirect: &str,
        now: u64,
    ) -> Result<&'a str, TicketError> {
        let (realm, stamp) = state.rsplit_once('.').ok_or(TicketError::Malformed)?;
        self.stamp(stamp, &state_text(realm, redirect), now, LOGIN_LIFETIME)?;
        Ok(realm)
    }

    fn stamp(&self, stamp: &str, text: &str, now: u64, lifetime: u64) -> Result<(), TicketError> {
        let bytes = URL_SAFE_NO_PAD.decode(stamp);
        let bytes = bytes.map_err(|_| TicketError::Malformed)?;
        let (made, signature) = bytes.split_at_checked(24).ok_or(TicketError::Malformed)?;
        self.check_bytes(&stamp_text(text, made), signature)?;
        let time = made.first_chunk().ok_or(TicketError::Malformed)?;
        in_time(u64::from_be_bytes(*time), now, SKEW, lifetime)
    }
}

fn state_text(realm: &str, redirect: &str) -> String {
    format!("OPENID-STATE:{realm}:{redirect}")
}

fn stamp_text(text: &str, made: &[u8]) -> String {
    format!("{}:{text}", URL_SAFE_NO_PAD.encode(made))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn a_challenge_is_for_one_purpose_and_user() {
        let key = TicketKey::generate();
        let (verifier, user) = (key.verifier(), Userid::root());
        let challenge = key.key_challenge(Purpose::Login, &user, NOW);
        assert_ne!(challenge, key.key_challenge(Purpose::Login, &user, NOW));
        let check =
            |purpose, user: &Userid, now| verifier.key_challenge(&challenge, purpose, user, now);
        assert_eq!(check(Purpose::Login, &user, NOW + 300), Ok(()));
        let late = check(Purpose::Login, &user, NOW + 301);
        assert_eq!(late, Err(TicketError::Expired));
        let other = "jo@pve".parse().unwrap();
        for refused in [
            check(Purpose::Registration, &user, NOW),
            check(Purpose::Login, &other, NOW),
        ] {
            assert_eq!(refused, Err(TicketError::Forged));
        }
        for bad in ["", "AAAA", "%", &challenge[..40], &challenge[..117]] {
            let checked = verifier.key_challenge(bad, Purpose::Login, &user, NOW);
            assert!(checked.is_err(), "{bad}");
        }
    }

    #[test]
    fn a_state_is_of_its_realm_and_address() {
        let key = TicketKey::generate();
        let verifier = key.verifier();
        let here = "https://basalt:8006/";
        let state = key.login_state("corp.sso", here, NOW);
        assert_eq!(
            verifier.login_state(&state, here, NOW + 600),
            Ok("corp.sso")
        );
        assert!(verifier.login_state(&state, "https://evil/", NOW).is_err());
        assert!(verifier.login_state(&state, here, NOW + 601).is_err());
        let moved = state.replace("corp.sso", "pve");
        assert!(verifier.login_state(&moved, here, NOW).is_err());
        let foreign = TicketKey::generate();
        assert!(foreign.verifier().login_state(&state, here, NOW).is_err());
        let secret = |secret| key.login_secret(secret, &state);
        assert_eq!(secret(Secret::Verifier), secret(Secret::Verifier));
        assert_ne!(secret(Secret::Verifier), secret(Secret::Nonce));
        let length = secret(Secret::Verifier).len();
        // What RFC 7636 allows, section 4.1.
        assert!((43..=128).contains(&length), "{length}");
        assert_ne!(
            foreign.login_secret(Secret::Verifier, &state),
            secret(Secret::Verifier)
        );
    }
}
