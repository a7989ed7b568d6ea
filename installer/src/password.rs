//! Hashes root's password the way `/etc/shadow` wants it.

use anyhow::Context;
use basalt_model::host::PasswordHash;
use rand::Rng;
use rand::distributions::Alphanumeric;
use sha_crypt::{Sha512Params, sha512_crypt_b64};

/// Rounds of hashing: some tenths of a second on common hardware.
const ROUNDS: usize = 100_000;

/// Length of the salt; the format allows no more.
const SALT_LENGTH: usize = 16;

/// Hashes a password with a fresh salt.
pub fn hash(password: &str) -> anyhow::Result<PasswordHash> {
    let salt: String = rand::thread_rng()
        .sample_iter(Alphanumeric)
        .take(SALT_LENGTH)
        .map(char::from)
        .collect();
    let failed = || "the password cannot be hashed";
    let params = Sha512Params::new(ROUNDS).ok().with_context(failed)?;
    let digest = sha512_crypt_b64(password.as_bytes(), salt.as_bytes(), &params)
        .ok()
        .with_context(failed)?;
    format!("$6$rounds={ROUNDS}${salt}${digest}")
        .parse()
        .with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_verifies_and_differs_each_time() {
        let first = hash("correct horse").unwrap();
        assert!(sha_crypt::sha512_check("correct horse", first.as_str()).is_ok());
        assert!(sha_crypt::sha512_check("wrong horse", first.as_str()).is_err());
        assert_ne!(hash("correct horse").unwrap(), first);
    }
}
