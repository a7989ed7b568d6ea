//! Time-based one-time codes (RFC 6238) of a secret that an `otpauth` address describes.

use hmac::{Hmac, Mac};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

/// The shortest secret that is taken, in bytes (80 bits; RFC 4226 wants 128, but generators in use
/// make 80).
const SHORTEST: usize = 10;
const LONGEST: usize = 128;

/// Why an address describes no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is no address of time-based codes.
    #[error("must be like otpauth://totp/NAME?secret=BASE32")]
    Address,
    /// The secret is no base32, or of a wrong length.
    #[error("the secret must be base32 of {SHORTEST} to {LONGEST} bytes")]
    Secret,
    /// A setting has a value that is not supported.
    #[error("{0}")]
    Setting(&'static str),
}

/// A secret with how codes are made of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Secret {
    key: Vec<u8>,
    algorithm: Algorithm,
    digits: u32,
    /// Seconds.
    step: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl std::str::FromStr for Secret {
    type Err = SecretError;

    /// Reads `otpauth://totp/NAME?secret=…&digits=6&period=30&algorithm=SHA1`.
    fn from_str(text: &str) -> Result<Self, SecretError> {
        let rest = text
            .strip_prefix("otpauth://totp/")
            .ok_or(SecretError::Address)?;
        let (_, query) = rest.split_once('?').ok_or(SecretError::Address)?;
        let mut secret = Self {
            key: Vec::new(),
            algorithm: Algorithm::Sha1,
            digits: 6,
            step: 30,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(SecretError::Address)?;
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| SecretError::Address)?;
            secret.set(name, &value)?;
        }
        if !(SHORTEST..=LONGEST).contains(&secret.key.len()) {
            return Err(SecretError::Secret);
        }
        Ok(secret)
    }
}

impl TryFrom<String> for Secret {
    type Error = SecretError;
    fn try_from(text: String) -> Result<Self, SecretError> {
        text.parse()
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> Self {
        let algorithm = match secret.algorithm {
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
            Algorithm::Sha512 => "SHA512",
        };
        let (digits, step) = (secret.digits, secret.step);
        let key = to_base32(&secret.key);
        format!("otpauth://totp/?secret={key}&algorithm={algorithm}&digits={digits}&period={step}")
    }
}

impl Secret {
    /// Digits of its codes.
    pub fn digits(&self) -> u32 {
        self.digits
    }

    /// A code is for so many seconds.
    pub fn step(&self) -> u64 {
        self.step
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), SecretError> {
        match name {
            "secret" => self.key = from_base32(value).ok_or(SecretError::Secret)?,
            "digits" => {
                let digits = value.parse().ok().filter(|n| (6..=8).contains(n));
                self.digits = digits.ok_or(SecretError::Setting("digits must be 6 to 8"))?;
            }
            "period" => {
                let step = value.parse().ok().filter(|n| (10..=120).contains(n));
                self.step = step.ok_or(SecretError::Setting("period must be 10 to 120"))?;
            }
            "algorithm" => {
                self.algorithm = match value {
                    "SHA1" => Algorithm::Sha1,
                    "SHA256" => Algorithm::Sha256,
                    "SHA512" => Algorithm::Sha512,
                    _ => {
                        let text = "algorithm must be SHA1, SHA256 or SHA512";
                        return Err(SecretError::Setting(text));
                    }
                };
            }
            // The issuer and what else generators show is nothing to us.
            _ => {}
        }
        Ok(())
    }

    /// The step that a code belongs to: the one of `now` or one beside it, and later than `last`.
    pub(super) fn step_of(&self, code: &str, now: u64, last: u64) -> Option<u64> {
        let here = now / self.step;
        let mut found = None;
        for step in here.saturating_sub(1)..=here + 1 {
            let same: bool = self.code(step).as_bytes().ct_eq(code.as_bytes()).into();
            if same && step > last {
                found = Some(step);
            }
        }
        found
    }

    /// The code of a step (RFC 4226, section 5.3).
    pub fn code(&self, step: u64) -> String {
        let digest = match self.algorithm {
            Algorithm::Sha1 => digest::<Hmac<Sha1>>(&self.key, step),
            Algorithm::Sha256 => digest::<Hmac<Sha256>>(&self.key, step),
            Algorithm::Sha512 => digest::<Hmac<Sha512>>(&self.key, step),
        };
        let at = usize::from(digest[digest.len() - 1] & 0x0f);
        let word = [
            digest[at] & 0x7f,
            digest[at + 1],
            digest[at + 2],
            digest[at + 3],
        ];
        let number = u32::from_be_bytes(word) % 10_u32.pow(self.digits);
        let digits = self.digits as usize;
        format!("{number:0digits$}")
    }
}

fn digest<M: Mac + hmac::digest::KeyInit>(key: &[u8], step: u64) -> Vec<u8> {
    let Ok(mut mac) = <M as Mac>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    mac.update(&step.to_be_bytes());
    mac.finalize().into_bytes().to_vec()
}

const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Base32 without padding (RFC 4648, section 6).
fn to_base32(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut held) = (String::new(), 0_u32, 0_u32);
    for byte in bytes {
        held = (held << 8 | u32::from(*byte)) & 0xfff;
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(LETTERS[(held >> bits & 31) as usize]));
        }
    }
    if bits > 0 {
        text.push(char::from(LETTERS[(held << (5 - bits) & 31) as usize]));
    }
    text
}

fn from_base32(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes().filter(|b| *b != b' ') {
        let upper = letter.to_ascii_uppercase();
        let value = LETTERS.iter().position(|known| *known == upper)?;
        held = (held << 5 | u32::try_from(value).ok()?) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 6238, appendix B.
    #[test]
    fn codes_are_those_of_the_specification() {
        let key =
            |length: usize| -> Vec<u8> { (b'0'..=b'9').cycle().skip(1).take(length).collect() };
        let secret = |algorithm: &str, length| -> Secret {
            let secret = to_base32(&key(length));
            let text = format!("otpauth://totp/x?secret={secret}&digits=8&algorithm={algorithm}");
            text.parse().unwrap()
        };
        for (time, sha1, sha256, sha512) in [
            (59, "94287082", "46119246", "90693936"),
            (1_111_111_109, "07081804", "68084774", "25091201"),
            (20_000_000_000, "65353130", "77737706", "47863826"),
        ] {
            let step = time / 30;
            assert_eq!(secret("SHA1", 20).code(step), sha1);
            assert_eq!(secret("SHA256", 32).code(step), sha256);
            assert_eq!(secret("SHA512", 64).code(step), sha512);
        }
    }

    #[test]
    fn addresses_are_read_and_kept() {
        let text = "otpauth://totp/Basalt:jo%40pve?secret=JBSWY3DPEHPK3PXP&issuer=Basalt&period=60";
        let secret: Secret = text.parse().unwrap();
        assert_eq!((secret.digits(), secret.step()), (6, 60));
        let kept = String::from(secret.clone());
        assert_eq!(kept.parse(), Ok(secret));
        for bad in [
            "",
            "otpauth://hotp/x?secret=JBSWY3DPEHPK3PXP",
            "otpauth://totp/x?secret=JBSW",
            "otpauth://totp/x?secret=JBSWY3DPEHPK3PX1",
            "otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&digits=4",
            "otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&algorithm=MD5",
        ] {
            assert!(bad.parse::<Secret>().is_err(), "{bad}");
        }
    }
}
