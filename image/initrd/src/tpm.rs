//! Closes the TPM's door behind the initial RAM disk: what it keeps for the data is given out once.
//!
//! The key of encrypted data is bound to a register that is zero only until now
//! ([`basalt_layout::encryption`]). Without that, whoever puts a data partition of their own into the
//! machine would be root on a host that the TPM trusts, and could ask it for the key of the real one. So
//! the register changes in each boot and in each mode, whether or not anything is encrypted.

use crate::root::say;
use basalt_layout::encryption::CLOSED_PCR;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::Path;

/// The TPM, as the kernel shares it among programs.
pub const DEVICE: &str = "/dev/tpmrm0";

/// What the register is extended with: any value but none. The register is for this purpose alone.
const DIGEST: [u8; 32] = *b"basalt: initial RAM disk is done";

/// Size of a request to extend one register of one bank, in bytes.
const REQUEST: usize = 65;

/// Size of the head of an answer: tag, length, and code.
const HEAD: usize = 10;

/// Changes the register, on a machine with a TPM.
///
/// A TPM that refuses is told of and no more: one that does not extend does not unseal either, and hosts
/// without encrypted data need none.
pub fn close() {
    if !Path::new(DEVICE).exists() {
        return;
    }
    if let Err(error) = extend() {
        say(&format!(
            "the TPM does not extend register {CLOSED_PCR}: {error}"
        ));
    }
}

fn extend() -> io::Result<()> {
    let mut device = OpenOptions::new().read(true).write(true).open(DEVICE)?;
    device.write_all(&request())?;
    let mut answer = [0; 4096];
    let length = device.read(&mut answer)?;
    match code(&answer[..length]) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::other(format!("code {code:#x}"))),
        None => Err(io::Error::other("no answer that makes sense")),
    }
}

/// TPM2_PCR_Extend of the SHA-256 bank (TPM 2.0 Library, part 3, section 22.2), with the empty password
/// that the register has.
fn request() -> Vec<u8> {
    /// TPM_ST_SESSIONS.
    const SESSIONS: u16 = 0x8002;
    /// TPM_CC_PCR_Extend.
    const EXTEND: u32 = 0x182;
    /// TPM_RS_PW: a session that is a password.
    const PASSWORD: u32 = 0x4000_0009;
    /// Bytes of the authorization: handle, empty nonce, no attributes, empty password.
    const AUTHORIZATION: u32 = 9;
    /// TPM_ALG_SHA256.
    const SHA256: u16 = 0x000b;
    let mut bytes = Vec::with_capacity(REQUEST);
    bytes.extend(SESSIONS.to_be_bytes());
    bytes.extend((REQUEST as u32).to_be_bytes());
    bytes.extend(EXTEND.to_be_bytes());
    bytes.extend(CLOSED_PCR.to_be_bytes());
    bytes.extend(AUTHORIZATION.to_be_bytes());
    bytes.extend(PASSWORD.to_be_bytes());
    bytes.extend([0; 5]);
    bytes.extend(1u32.to_be_bytes());
    bytes.extend(SHA256.to_be_bytes());
    bytes.extend(DIGEST);
    bytes
}

/// The code of an answer; zero is success.
fn code(answer: &[u8]) -> Option<u32> {
    let code = answer.get(HEAD - 4..HEAD)?;
    Some(u32::from_be_bytes(code.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_says_its_length_and_its_register() {
        let bytes = request();
        assert_eq!(bytes.len(), REQUEST);
        assert_eq!(
            bytes[..14],
            [0x80, 2, 0, 0, 0, 65, 0, 0, 1, 0x82, 0, 0, 0, 15]
        );
        assert_eq!(bytes[14..27], [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[27..33], [0, 0, 0, 1, 0, 0x0b]);
    }

    #[test]
    fn only_a_whole_answer_has_a_code() {
        assert_eq!(code(&[0x80, 2, 0, 0, 0, 10, 0, 0, 0, 0]), Some(0));
        assert_eq!(code(&[0x80, 1, 0, 0, 0, 10, 0, 0, 9, 0x1c]), Some(0x91c));
        assert_eq!(code(&[0x80, 1, 0, 0]), None);
    }
}
