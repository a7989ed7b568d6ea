//! Making a set of keys, by the host's `openssl`.

use super::token::{Certifier, TokenKey, Uri};
use super::{
    At, BOOT_URI, Error, Result, Role, Tokens, UPDATE_KEY, UPDATE_PUBLIC, UPDATE_URI, variable,
};
use crate::tools::{self, Tool};
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::EncodePublicKey;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use time::OffsetDateTime;
use uuid::Uuid;

/// Firmware does not look at a certificate's dates; people replace keys, not calendars.
const DAYS: &str = "7300";

/// Makes the set `dir`, of certificates whose names begin with `name`. It appears whole or not at all.
pub(super) fn set(dir: &Path, name: &str, tokens: &Tokens) -> Result<()> {
    tools::ensure(&[Tool::Openssl]).map_err(|error| Error::Missing(format!("{error:#}")))?;
    let parent = dir.parent().unwrap_or(dir);
    let partial = tempfile::Builder::new()
        .prefix(".keys-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .at("make a folder in", parent)?;
    fill(partial.path(), name, tokens)?;
    seal(partial.path())?;
    fs::rename(partial.path(), dir).at("make", dir)?;
    // The folder has moved; there is nothing left to remove.
    let _ = partial.keep();
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .at("write", parent)
}

fn fill(dir: &Path, name: &str, tokens: &Tokens) -> Result<()> {
    let owner = Uuid::new_v4();
    let now = OffsetDateTime::now_utc();
    let mut signer = Role::Platform;
    for role in Role::ALL {
        let name = format!("{name} {} key", role.as_str());
        match &tokens.boot {
            Some(uri) if role == Role::Boot => certify(dir, &name, uri)?,
            _ => make_pair(dir, &name, role)?,
        }
        let list = variable::certificate_list(&der(dir, role)?, owner);
        let update = variable::Update {
            variable: role.variable(),
            time: now,
            content: &list,
        };
        let signature = sign(dir, signer, &update.signed_bytes())?;
        let path = dir.join(file(role, "auth"));
        fs::write(&path, update.with_signature(&signature)).at("write", &path)?;
        signer = role;
    }
    if let Some(uri) = &tokens.update {
        return export(dir, uri);
    }
    run(openssl(dir, &["genpkey", "-algorithm", "ed25519"]).args(["-out", UPDATE_KEY]))?;
    run(openssl(dir, &["pkey", "-in", UPDATE_KEY, "-pubout"]).args(["-out", UPDATE_PUBLIC]))?;
    Ok(())
}

/// Makes a key and its certificate.
fn make_pair(dir: &Path, name: &str, role: Role) -> Result<()> {
    // Every UEFI firmware knows RSA with 2048 bits and SHA-256; the specification asks no more.
    let arguments = [
        "req", "-new", "-x509", "-newkey", "rsa:2048", "-noenc", "-sha256", "-days", DAYS,
    ];
    let mut request = openssl(dir, &arguments);
    request.args(["-subj", &format!("/CN={name}")]);
    request.args(["-addext", "basicConstraints=critical,CA:TRUE"]);
    request.args(["-addext", "subjectKeyIdentifier=hash"]);
    request.args(["-keyout", &file(role, "key"), "-out", &file(role, "crt")]);
    run(&mut request).map(drop)
}

/// Makes the certificate of a boot key that is in a token.
fn certify(dir: &Path, name: &str, uri: &Uri) -> Result<()> {
    let failed = |error: rcgen::Error| Error::Token {
        uri: uri.to_string(),
        reason: format!("no certificate: {error}"),
    };
    let key = Certifier::new(TokenKey::open(uri)?)?;
    let mut params = CertificateParams::new(Vec::<String>::new()).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).map_err(failed)?;
    put(dir, &file(Role::Boot, "crt"), &certificate.pem())?;
    put(dir, BOOT_URI, &uri.to_string())
}

/// Notes where the update key is, and its public half.
fn export(dir: &Path, uri: &Uri) -> Result<()> {
    let failed = |reason: String| Error::Token {
        uri: uri.to_string(),
        reason,
    };
    let public = TokenKey::open(uri)?.ed25519_public()?;
    let public = VerifyingKey::from_bytes(&public).map_err(|e| failed(e.to_string()))?;
    let pem = public.to_public_key_pem(Default::default());
    put(dir, UPDATE_PUBLIC, &pem.map_err(|e| failed(e.to_string()))?)?;
    put(dir, UPDATE_URI, &uri.to_string())
}

fn put(dir: &Path, name: &str, text: &str) -> Result<()> {
    let path = dir.join(name);
    fs::write(&path, text).at("write", &path)
}

fn file(role: Role, suffix: &str) -> String {
    format!("{}.{suffix}", role.as_str())
}

/// The certificate of a role in DER.
fn der(dir: &Path, role: Role) -> Result<Vec<u8>> {
    let certificate = file(role, "crt");
    run(&mut openssl(
        dir,
        &["x509", "-in", &certificate, "-outform", "DER"],
    ))
}

/// A detached PKCS#7 signature without attributes, as firmware wants it.
fn sign(dir: &Path, signer: Role, bytes: &[u8]) -> Result<Vec<u8>> {
    let message = tempfile::NamedTempFile::new_in(dir).at("make a file in", dir)?;
    fs::write(message.path(), bytes).at("write", message.path())?;
    let mut sign = openssl(dir, &["smime", "-sign", "-binary", "-noattr"]);
    sign.args(["-md", "sha256", "-outform", "DER"]);
    sign.args(["-signer", &file(signer, "crt")]);
    sign.args(["-inkey", &file(signer, "key")]);
    sign.arg("-in").arg(message.path());
    run(&mut sign)
}

/// Makes every file its owner's alone, and safe on the disk.
fn seal(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).at("read", dir)? {
        let path: PathBuf = entry.at("read", dir)?.path();
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&path, private).at("set the mode of", &path)?;
        File::open(&path)
            .and_then(|file| file.sync_all())
            .at("write", &path)?;
    }
    Ok(())
}

fn openssl(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments).current_dir(dir);
    // A user's own configuration must not change what is made.
    command.env("OPENSSL_CONF", "/dev/null");
    command
}

fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .at("start", Path::new("openssl"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let arguments: Vec<_> = command
        .get_args()
        .map(|argument| argument.to_string_lossy())
        .collect();
    Err(Error::Openssl {
        command: arguments.join(" "),
        status: output.status,
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
