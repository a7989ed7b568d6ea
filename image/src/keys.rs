//! The keys that an image is signed with. Start at [`Keys::ensure`].
//!
//! A set is one folder of PEM files, whole or absent, which never lies in the repository:
//!
//! | files | what for |
//! |---|---|
//! | `platform.key`, `.crt`, `.auth` | PK: who may replace the others in a machine's firmware |
//! | `exchange.key`, `.crt`, `.auth` | KEK: who may change the list of boot certificates |
//! | `boot.key`, `.crt`, `.auth` | db: signs boot loader and kernel images |
//! | `update.key`, `update.pub` | Ed25519: signs update manifests |
//!
//! Instead of `boot.key` and `update.key` there may be `boot.uri` and `update.uri`, which name keys in
//! a token by their PKCS#11 URIs ([`token`]): those never leave it.
//!
//! The `.auth` files are what a firmware in setup mode takes to know the certificates. They are
//! signed when the set is made, so the keys of platform and exchange can be kept elsewhere
//! afterwards: a build needs only those of boot and update. Any other `*.pub` in the folder is
//! carried by the image, too: a host that knows the next key follows when the present one is
//! replaced.
//!
//! `BASALT_KEYS` names the folder for releases. Without it development keys are used, which are made
//! once per cache.

pub mod authenticode;
mod make;
pub mod module;
pub mod token;
mod variable;

use crate::build::paths;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use rcgen::{KeyPair, PKCS_RSA_SHA256, SigningKey as _};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use token::{TokenKey, Uri};
pub use variable::Variable;

/// Names the folder with release keys.
pub const FOLDER: &str = "BASALT_KEYS";
/// The private half that signs update manifests.
const UPDATE_KEY: &str = "update.key";
/// Where it is, when it is in a token.
const UPDATE_URI: &str = "update.uri";
/// Where the key that signs boot loader and kernel images is, when it is in a token.
const BOOT_URI: &str = "boot.uri";
/// Its public half.
const UPDATE_PUBLIC: &str = "update.pub";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read, written or made.
    #[error("{action} {path}: {source}")]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A set lacks a file.
    #[error(
        "{dir} holds no whole set of keys: {file} is missing; `cargo image keys --out DIR` makes \
         a set, and without {FOLDER} development keys are used"
    )]
    Incomplete {
        /// The folder.
        dir: PathBuf,
        /// The first missing file.
        file: String,
    },
    /// The folder for new keys is taken or lies in the repository.
    #[error("cannot make keys in {dir}: {reason}; choose another folder")]
    Place {
        /// The folder.
        dir: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// A key file holds something else.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// `openssl` refused.
    #[error("openssl {command} failed ({status}): {output}")]
    Openssl {
        /// Its arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        output: String,
    },
    /// A URI that names no key.
    #[error("{uri}: {reason}")]
    Uri {
        /// The URI, without its query.
        uri: String,
        /// What is wrong.
        reason: String,
    },
    /// A token refused.
    #[error("the key {uri}: {reason}")]
    Token {
        /// The key.
        uri: String,
        /// What the token said.
        reason: String,
    },
    /// There is no `openssl`, or no folder for development keys.
    #[error("{0}")]
    Missing(String),
}

/// Result of work with keys.
pub type Result<T> = std::result::Result<T, Error>;

/// Gives an I/O error its file and verb.
trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::File {
            action,
            path: path.to_owned(),
            source,
        })
    }
}

/// One of the three certificates of UEFI Secure Boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// PK, the platform key.
    Platform,
    /// KEK, the key exchange key.
    Exchange,
    /// The certificate in db.
    Boot,
}

impl Role {
    /// All of them, each signed for by the one before it.
    pub const ALL: [Self; 3] = [Self::Platform, Self::Exchange, Self::Boot];

    /// The name of its files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Exchange => "exchange",
            Self::Boot => "boot",
        }
    }

    /// The firmware's variable that holds it.
    pub fn variable(self) -> Variable {
        match self {
            Self::Platform => Variable::PK,
            Self::Exchange => Variable::KEK,
            Self::Boot => Variable::DB,
        }
    }
}

/// Keys of a new set that are in a token already.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    /// The one that signs boot loader and kernel images: RSA with 2048 bits.
    pub boot: Option<Uri>,
    /// The one that signs update manifests: Ed25519.
    pub update: Option<Uri>,
}

/// The private key that signs boot loader, kernel images and kernel modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootKey {
    /// A PEM file.
    File(PathBuf),
    /// In a token.
    Token(Uri),
}

impl BootKey {
    /// The RSA signature (PKCS#1 1.5, SHA-256) of `bytes`.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Token(uri) => TokenKey::open(uri)?.sign_rsa(bytes),
            Self::File(path) => {
                let malformed = |error: rcgen::Error| Error::Malformed {
                    path: path.clone(),
                    reason: error.to_string(),
                };
                let pem = fs::read_to_string(path).at("read", path)?;
                KeyPair::from_pem_and_sign_algo(&pem, &PKCS_RSA_SHA256)
                    .and_then(|key| key.sign(bytes))
                    .map_err(malformed)
            }
        }
    }
}

/// The private key that signs update manifests.
pub enum UpdateKey {
    /// Read from its file.
    Here(SigningKey),
    /// In a token.
    Token {
        /// The key.
        key: TokenKey,
        /// Its public half.
        public: VerifyingKey,
    },
}

impl UpdateKey {
    /// The public half.
    pub fn public(&self) -> VerifyingKey {
        match self {
            Self::Here(key) => key.verifying_key(),
            Self::Token { public, .. } => *public,
        }
    }

    /// Signs `bytes`.
    pub fn sign(&self, bytes: &[u8]) -> Result<[u8; 64]> {
        match self {
            Self::Here(key) => Ok(key.sign(bytes).to_bytes()),
            Self::Token { key, .. } => key.sign_ed25519(bytes),
        }
    }
}

/// A whole set of keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Keys {
    dir: PathBuf,
}

impl Keys {
    /// The keys that builds use: those in `BASALT_KEYS`, or development keys.
    pub fn ensure() -> Result<Self> {
        match std::env::var_os(FOLDER).filter(|value| !value.is_empty()) {
            Some(dir) => Self::open(Path::new(&dir)),
            None => Self::development(),
        }
    }

    /// The development keys of this cache, made now unless they were before.
    pub fn development() -> Result<Self> {
        let cache = paths::cache().map_err(|error| Error::Missing(error.to_string()))?;
        let sets = cache.join("keys");
        fs::create_dir_all(&sets).at("make", &sets)?;
        let path = sets.join("development.lock");
        let lock = File::create(&path).at("make", &path)?;
        lock.lock().at("lock", &path)?;
        let dir = sets.join("development");
        if dir.exists() {
            return Self::open(&dir);
        }
        make::set(&dir, "Basalt development", &Tokens::default())?;
        Self::open(&dir)
    }

    /// Makes a new set in `dir`, which must be absent or empty, and outside the repository. The keys in
    /// `tokens` stay where they are.
    pub fn make(dir: &Path, tokens: &Tokens) -> Result<Self> {
        let dir = std::path::absolute(dir).at("find", dir)?;
        let refuse = |reason| Error::Place {
            dir: dir.clone(),
            reason,
        };
        if fs::read_dir(&dir).is_ok_and(|mut content| content.next().is_some()) {
            return Err(refuse("it is not empty"));
        }
        let parent = dir.parent().unwrap_or(&dir);
        fs::create_dir_all(parent).at("make", parent)?;
        let parent = parent.canonicalize().at("find", parent)?;
        let workspace = paths::workspace();
        let workspace = workspace.canonicalize().at("find", &workspace)?;
        if parent.starts_with(workspace) {
            return Err(refuse("it lies in the repository"));
        }
        make::set(&dir, "Basalt", tokens)?;
        Self::open(&dir)
    }

    /// The set in `dir`.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir = std::path::absolute(dir).at("find", dir)?;
        let certificates = Role::ALL
            .iter()
            .flat_map(|role| ["crt", "auth"].map(|suffix| format!("{}.{suffix}", role.as_str())));
        let either = |key: &str, uri: &str| {
            let in_token = dir.join(uri).is_file();
            if in_token { uri } else { key }.to_owned()
        };
        let secrets = [
            either("boot.key", BOOT_URI),
            either(UPDATE_KEY, UPDATE_URI),
            UPDATE_PUBLIC.to_owned(),
        ];
        for file in certificates.chain(secrets) {
            if !dir.join(&file).is_file() {
                return Err(Error::Incomplete { dir, file });
            }
        }
        Ok(Self { dir })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The certificate of a role, PEM.
    pub fn certificate(&self, role: Role) -> PathBuf {
        self.dir.join(format!("{}.crt", role.as_str()))
    }

    /// What a firmware in setup mode is told to know the certificate of a role.
    pub fn enrolment(&self, role: Role) -> PathBuf {
        self.dir.join(format!("{}.auth", role.as_str()))
    }

    /// The private key that signs boot loader and kernel images.
    pub fn boot_key(&self) -> Result<BootKey> {
        Ok(match self.uri(BOOT_URI)? {
            Some(uri) => BootKey::Token(uri),
            None => BootKey::File(self.dir.join("boot.key")),
        })
    }

    /// The key that signs update manifests.
    pub fn update_key(&self) -> Result<UpdateKey> {
        if let Some(uri) = self.uri(UPDATE_URI)? {
            return self.update_token(&uri);
        }
        let path = self.dir.join(UPDATE_KEY);
        let text = fs::read_to_string(&path).at("read", &path)?;
        let key = SigningKey::from_pkcs8_pem(&text).map_err(|error| Error::Malformed {
            path,
            reason: format!("no Ed25519 key in PKCS#8 PEM: {error}"),
        })?;
        Ok(UpdateKey::Here(key))
    }

    fn update_token(&self, uri: &Uri) -> Result<UpdateKey> {
        let path = self.dir.join(UPDATE_PUBLIC);
        let text = fs::read_to_string(&path).at("read", &path)?;
        let malformed = |reason: String| Error::Malformed {
            path: path.clone(),
            reason,
        };
        let public = VerifyingKey::from_public_key_pem(&text)
            .map_err(|error| malformed(format!("no Ed25519 key in PEM: {error}")))?;
        let key = TokenKey::open(uri)?;
        if key.ed25519_public()? != public.to_bytes() {
            return Err(malformed(format!("it is not the public half of {uri}")));
        }
        Ok(UpdateKey::Token { key, public })
    }

    /// The URI in a file of the set, if there is one.
    fn uri(&self, name: &str) -> Result<Option<Uri>> {
        match fs::read_to_string(self.dir.join(name)) {
            Ok(text) => Ok(Some(text.parse()?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at("read", &self.dir.join(name)),
        }
    }

    /// The public keys, SPKI PEM, whose updates an image accepts: our own and any other in the folder.
    pub fn update_publics(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).at("read", &self.dir)? {
            let path = entry.at("read", &self.dir)?.path();
            found
                .extend(Some(path).filter(|path| path.extension().is_some_and(|ext| ext == "pub")));
        }
        found.sort();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_new_set_is_whole_and_ours_alone() {
        let place = tempfile::tempdir().unwrap();
        let keys = Keys::make(&place.path().join("set"), &Tokens::default()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(keys.dir()), 0o700);
        let files: Vec<_> = fs::read_dir(keys.dir()).unwrap().flatten().collect();
        assert_eq!(files.len(), 11);
        for file in &files {
            assert_eq!(mode(&file.path()), 0o600, "{}", file.path().display());
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);

        let text = fs::read_to_string(&keys.update_publics().unwrap()[0]).unwrap();
        let public = VerifyingKey::from_public_key_pem(&text).unwrap();
        assert_eq!(keys.update_key().unwrap().public(), public);
        assert!(matches!(
            Keys::make(keys.dir(), &Tokens::default()),
            Err(Error::Place { .. })
        ));
    }

    #[test]
    fn half_a_set_is_refused_by_the_name_of_what_is_missing() {
        let place = tempfile::tempdir().unwrap();
        let keys = Keys::make(&place.path().join("set"), &Tokens::default()).unwrap();
        // These two may be kept elsewhere.
        fs::remove_file(keys.dir().join("platform.key")).unwrap();
        fs::remove_file(keys.dir().join("exchange.key")).unwrap();
        assert!(Keys::open(keys.dir()).is_ok());
        fs::remove_file(keys.dir().join("boot.auth")).unwrap();
        let error = Keys::open(keys.dir()).unwrap_err().to_string();
        assert!(error.contains("boot.auth is missing"), "{error}");
    }

    #[test]
    fn no_keys_in_the_repository() {
        let error =
            Keys::make(&paths::workspace().join("target-keys"), &Tokens::default()).unwrap_err();
        assert!(error.to_string().contains("repository"), "{error}");
    }
}
