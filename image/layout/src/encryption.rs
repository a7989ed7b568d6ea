//! Encrypted data: LUKS 2 over the data partition, or over the array that a mirror makes of two, so that
//! there is one header, one key, and each block is encrypted once. What mirrors disks knows nothing of it.
//!
//! The data opens by the same two keys always, and for a while by a third one:
//!
//! - the recovery key, which the host's owner keeps ([`RECOVERY_SLOT`]);
//! - the TPM of this machine ([`TPM_TOKEN`]), while its registers are as in an initial RAM disk of ours
//!   that the same Secure Boot has started ([`SEALED_PCRS`]);
//! - from the installation to the first healthy boot a key that lies in the header for everybody to
//!   read ([`FirstBoot`]). What the installer sees of Secure Boot is not what the host will see, for it
//!   may set it up; so only the host itself can tell its TPM what to wait for. Nothing secret but the
//!   configuration is on the disk until then.
//!
//! A pool for guests' disks is encrypted with the data, whose file system has its key ([`POOL_KEY`]): LVM's
//! in LUKS 2, ZFS by itself. The TPM does not open it, so that nobody gets at a pool by putting other data
//! beside it. The key is the recovery key: a pool opens by it also when the data is lost.

/// How a LUKS header begins.
const MAGIC: [u8; 6] = *b"LUKS\xba\xbe";

/// Name of the opened data.
pub const DATA: &str = "basalt-data";

/// Name of an opened pool of LVM.
pub const POOL: &str = "basalt-pool";

/// The key slot that the recovery key opens.
pub const RECOVERY_SLOT: u32 = 0;

/// Type of the token in the header by which the TPM opens.
pub const TPM_TOKEN: &str = "systemd-tpm2";

/// The TPM's register that is zero until the initial RAM disk is done, and never again in that boot: what
/// runs later, whatever it is, gets no key.
pub const CLOSED_PCR: u32 = 15;

/// Registers that must be as they were, as `systemd-cryptenroll` takes them. 7 tells the state of Secure
/// Boot and who signed what was started; updates are signed by the same keys, so they go on booting. The
/// other one is [`CLOSED_PCR`], with the value that it has before.
pub const SEALED_PCRS: &str =
    "7:sha256+15:sha256=0000000000000000000000000000000000000000000000000000000000000000";

/// File on the data partition with the key of the pool, in the very bytes that open it.
pub const POOL_KEY: &str = "lib/basalt/pool.key";

/// Whether a device that begins with these bytes is encrypted.
pub fn is_encrypted(beginning: &[u8]) -> bool {
    beginning.starts_with(&MAGIC)
}

/// The device of what is opened under a name.
pub fn opened(name: &str) -> String {
    format!("/dev/mapper/{name}")
}

/// The key in the header that opens everything until the TPM knows the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstBoot {
    key: String,
}

impl FirstBoot {
    /// The key slot it opens.
    pub const SLOT: u32 = 1;

    /// Number of the token in the header that carries it.
    pub const TOKEN: u32 = 31;

    /// A key of this text, of letters and digits.
    pub fn new(key: String) -> Option<Self> {
        let fits = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then_some(Self { key })
    }

    /// The key itself.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The token as `cryptsetup` reads it.
    pub fn token(&self) -> String {
        format!(
            r#"{{"type":"basalt-first-boot","keyslots":["{}"],"key":"{}"}}"#,
            Self::SLOT,
            self.key
        )
    }

    /// Reads a token that `cryptsetup` has printed.
    pub fn parse(token: &str) -> Option<Self> {
        let (_, rest) = token.split_once(r#""key""#)?;
        let rest = rest.trim_start().strip_prefix(':')?.trim_start();
        let (key, _) = rest.strip_prefix('"')?.split_once('"')?;
        Self::new(key.to_owned())
    }
}

/// Letters of recovery keys: those that all keyboards with Latin letters have at the same place.
const LETTERS: [u8; 16] = *b"cbdefghijklnrtuv";

/// Letters between two dashes of a recovery key.
const GROUP: usize = 8;

/// A recovery key of 32 random bytes, as a person copies it: 64 letters in groups of eight.
pub fn recovery_key(random: &[u8; 32]) -> String {
    let letters: Vec<u8> = random
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| LETTERS[usize::from(digit)])
        .collect();
    let groups: Vec<String> = letters
        .chunks(GROUP)
        .map(|group| String::from_utf8_lossy(group).into_owned())
        .collect();
    groups.join("-")
}

/// What a person typed, as the key it was meant to be: one that we made has no other letters than its
/// own, and whoever copies it may forget the dashes or use large letters. Anything else stays as it is.
pub fn typed_recovery_key(typed: &str) -> String {
    let letters: Vec<u8> = typed
        .bytes()
        .filter(|byte| !matches!(byte, b'-' | b' '))
        .map(|byte| byte.to_ascii_lowercase())
        .collect();
    let digits: Option<Vec<u8>> = letters
        .iter()
        .map(|letter| LETTERS.iter().position(|known| known == letter))
        .map(|digit| digit.and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let bytes: Option<Vec<u8>> = digits.map(|digits| {
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    });
    match bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
        Some(bytes) if letters.len() == 64 => recovery_key(&bytes),
        _ => typed.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_known_by_its_beginning() {
        assert!(is_encrypted(b"LUKS\xba\xbe\0\x02"));
        assert!(!is_encrypted(b"LUKS") && !is_encrypted(&[0; 64]));
    }

    #[test]
    fn the_tpm_waits_for_a_register_that_is_still_zero() {
        let (state, open) = SEALED_PCRS.split_once('+').unwrap();
        assert_eq!(state, "7:sha256");
        let zero = open.strip_prefix(&format!("{CLOSED_PCR}:sha256=")).unwrap();
        assert_eq!(zero, "0".repeat(64));
    }

    #[test]
    fn a_recovery_key_is_read_as_it_was_meant() {
        let random: [u8; 32] = std::array::from_fn(|index| index as u8 * 7);
        let key = recovery_key(&random);
        assert_eq!(key.len(), 71);
        assert_eq!(typed_recovery_key(&key), key);
        let careless = format!(" {} ", key.replace('-', "").to_uppercase());
        assert_eq!(typed_recovery_key(&careless), key);
        assert_eq!(typed_recovery_key("one of my Own\n"), "one of my Own");
        assert_eq!(typed_recovery_key("cc"), "cc");
    }

    #[test]
    fn the_first_boots_key_is_found_in_its_token() {
        let first = FirstBoot::new("0ab9".to_owned()).unwrap();
        assert_eq!(FirstBoot::parse(&first.token()), Some(first.clone()));
        let spaced = first.token().replace(':', " : ");
        assert_eq!(FirstBoot::parse(&spaced), Some(first));
        for wrong in [
            "",
            "{}",
            r#"{"key":""}"#,
            r#"{"key":"a b"}"#,
            r#"{"key":7}"#,
        ] {
            assert_eq!(FirstBoot::parse(wrong), None, "{wrong}");
        }
    }
}
