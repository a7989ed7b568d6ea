//! Private keys in a token: a smart card, a security module, or one made of files. They are named by
//! PKCS#11 URIs (RFC 7512) and never leave it; start at [`TokenKey::open`].

use super::authenticode::value;
use super::{At, Error, Result};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    text: String,
    token: String,
    object: String,
    module: PathBuf,
    pin: Option<PathBuf>,
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Uri {
    type Err = Error;

    /// Reads `pkcs11:token=…;object=…?module-path=…&pin-source=file:…`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |reason: String| Error::Uri {
            uri: text.split('?').next().unwrap_or_default().to_owned(),
            reason,
        };
        let rest = text
            .trim()
            .strip_prefix("pkcs11:")
            .ok_or_else(|| wrong("it does not begin with `pkcs11:`".to_owned()))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut known: BTreeMap<&str, String> = BTreeMap::new();
        for pair in path
            .split(';')
            .chain(query.split('&'))
            .filter(|p| !p.is_empty())
        {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "token" | "object" | "module-path" | "pin-source" | "type" => {}
                "pin-value" => {
                    return Err(wrong(
                        "a PIN in it could be read by others: use `pin-source`".into(),
                    ));
                }
                other => return Err(wrong(format!("`{other}` is not understood"))),
            }
            let value = decoded(value).ok_or_else(|| wrong(format!("`{key}` is badly encoded")))?;
            known.insert(key, value);
        }
        let mut need = |key: &str| {
            let value = known.remove(key).filter(|value| !value.is_empty());
            value.ok_or_else(|| wrong(format!("`{key}=` is missing")))
        };
        let (token, object) = (need("token")?, need("object")?);
        let module = PathBuf::from(need("module-path")?);
        let pin = need("pin-source").ok();
        Ok(Self {
            text: text.trim().to_owned(),
            token,
            object,
            module,
            pin: pin.map(|source| source.strip_prefix("file:").unwrap_or(&source).into()),
        })
    }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

/// A key of a token that is open.
pub struct TokenKey {
    uri: Uri,
    session: Session,
    private: ObjectHandle,
    public: ObjectHandle,
}

impl TokenKey {
    /// Opens the token and finds the key, both halves of which have the URI's name.
    pub fn open(uri: &Uri) -> Result<Self> {
        let failed = |reason: String| Error::Token {
            uri: uri.to_string(),
            reason,
        };
        let said = |error: Pkcs11Error| failed(error.to_string());
        let module = module(uri)?;
        let mut slots = module.get_slots_with_token().map_err(said)?;
        slots.retain(|slot| {
            let info = module.get_token_info(*slot);
            info.is_ok_and(|info| info.label().trim_end() == uri.token)
        });
        let [slot] = slots[..] else {
            return Err(failed(format!("{} tokens have this name", slots.len())));
        };
        let session = module.open_ro_session(slot).map_err(said)?;
        match session.login(UserType::User, Some(&pin(uri)?)) {
            Ok(()) => {}
            // By another key of the same token: who is logged in is so for the whole program.
            Err(Pkcs11Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(said(error)),
        }
        let find = |class, what: &str| {
            let wanted = [
                Attribute::Class(class),
                Attribute::Label(uri.object.clone().into_bytes()),
            ];
            let found = session.find_objects(&wanted).map_err(said)?;
            match found[..] {
                [one] => Ok(one),
                _ => Err(failed(format!(
                    "{} {what} keys have this name",
                    found.len()
                ))),
            }
        };
        Ok(Self {
            private: find(ObjectClass::PRIVATE_KEY, "private")?,
            public: find(ObjectClass::PUBLIC_KEY, "public")?,
            uri: uri.clone(),
            session,
        })
    }

    fn failed(&self, reason: impl fmt::Display) -> Error {
        Error::Token {
            uri: self.uri.to_string(),
            reason: reason.to_string(),
        }
    }

    fn sign(&self, mechanism: &Mechanism<'_>, bytes: &[u8]) -> Result<Vec<u8>> {
        let signature = self.session.sign(mechanism, self.private, bytes);
        signature.map_err(|error| self.failed(error))
    }

    /// A signature by RSA (PKCS#1 1.5) with SHA-256.
    pub fn sign_rsa(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.sign(&Mechanism::Sha256RsaPkcs, bytes)
    }

    /// A signature by Ed25519.
    pub fn sign_ed25519(&self, bytes: &[u8]) -> Result<[u8; 64]> {
        let pure = EddsaParams::new(EddsaSignatureScheme::Pure);
        let signature = self.sign(&Mechanism::Eddsa(pure), bytes)?;
        let length = signature.len();
        let whole = signature.try_into();
        whole.map_err(|_| self.failed(format!("a signature of {length} bytes is not by Ed25519")))
    }

    fn attributes(&self, wanted: &[AttributeType]) -> Result<Vec<Attribute>> {
        let found = self.session.get_attributes(self.public, wanted);
        found.map_err(|error| self.failed(error))
    }

    /// The public half of an RSA key, as PKCS#1 says.
    pub fn rsa_public(&self) -> Result<Vec<u8>> {
        let found = self.attributes(&[AttributeType::Modulus, AttributeType::PublicExponent])?;
        match &found[..] {
            [
                Attribute::Modulus(modulus),
                Attribute::PublicExponent(exponent),
            ] => Ok(value(0x30, &[&positive(modulus), &positive(exponent)])),
            _ => Err(self.failed("it is no RSA key")),
        }
    }

    /// The public half of an Ed25519 key.
    pub fn ed25519_public(&self) -> Result<[u8; 32]> {
        let found = self.attributes(&[AttributeType::EcPoint])?;
        let point = match &found[..] {
            // Most tokens wrap the point in an octet string, as the specification says.
            [Attribute::EcPoint(point)] => point.strip_prefix(&[0x04, 0x20]).unwrap_or(point),
            _ => &[],
        };
        let key = point.try_into();
        key.map_err(|_| self.failed("it is no Ed25519 key"))
    }
}

/// An integer in DER; without the zero in front, one with its first bit set would be negative.
fn positive(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = &bytes[zeros..];
    let sign: &[u8] = match bytes.first() {
        Some(1..0x80) => &[],
        _ => &[0],
    };
    value(0x02, &[sign, bytes])
}

/// The module, which is loaded and begun once.
fn module(uri: &Uri) -> Result<Pkcs11> {
    static LOADED: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = loaded.get(&uri.module) {
        return Ok(module.clone());
    }
    let failed = |error: Pkcs11Error| Error::Token {
        uri: uri.to_string(),
        reason: format!("{}: {error}", uri.module.display()),
    };
    let module = Pkcs11::new(&uri.module).map_err(failed)?;
    let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    module.initialize(arguments).map_err(failed)?;
    loaded.insert(uri.module.clone(), module.clone());
    Ok(module)
}

/// The PIN of a token, from the file that the URI names or from the terminal; asked for once.
fn pin(uri: &Uri) -> Result<AuthPin> {
    static KNOWN: Mutex<BTreeMap<String, AuthPin>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pin) = known.get(&uri.token) {
        return Ok(pin.clone());
    }
    let text = match &uri.pin {
        Some(file) => fs::read_to_string(file).at("read", file)?,
        None => ask(uri).map_err(|error| Error::Token {
            uri: uri.to_string(),
            reason: format!("no terminal to ask for the PIN ({error}): give `pin-source=file:…`"),
        })?,
    };
    let pin = AuthPin::new(text.trim_end_matches(['\r', '\n']).into());
    known.insert(uri.token.clone(), pin.clone());
    Ok(pin)
}

fn ask(uri: &Uri) -> std::io::Result<String> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    write!(terminal, "PIN of the token {}: ", uri.token)?;
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let mut line = String::new();
    let read = BufReader::new(&terminal).read_line(&mut line);
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    writeln!(terminal)?;
    read.map(|_| line)
}

/// Signs its own certificate.
pub struct Certifier {
    key: TokenKey,
    public: Vec<u8>,
}

impl Certifier {
    /// The RSA key of a token.
    pub fn new(key: TokenKey) -> Result<Self> {
        let public = key.rsa_public()?;
        Ok(Self { key, public })
    }
}

impl PublicKeyData for Certifier {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl SigningKey for Certifier {
    fn sign(&self, bytes: &[u8]) -> std::result::Result<Vec<u8>, rcgen::Error> {
        self.key
            .sign_rsa(bytes)
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
