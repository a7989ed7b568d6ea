//! Signatures of EFI programs and kernel modules for UEFI Secure Boot, and the public keys that the
//! image carries.
//!
//! A signature holds the time at which it was made. Signing under a clock that stands at the image's
//! own date makes equal signatures from equal inputs.

use super::command;
use super::error::{At, Error, Result};
use super::stage::Stage;
use super::stamp::{Hash, sha256_file};
use super::tree;
use crate::keys::token::{TokenKey, Uri};
use crate::keys::{BootKey, Role, authenticode, module};
use std::fs;
use std::path::{Path, PathBuf};
use x509_parser::pem::parse_x509_pem;

/// Where the image carries the public keys: `boot/` and `update/`.
const PUBLIC: &str = "usr/lib/basalt/keys";
/// Where systemd-boot looks for what it tells a firmware in setup mode; it acts by itself only on
/// this name.
const ENROLMENT: &str = "loader/keys/auto";
/// The signer inside the toolbox.
const SBSIGN: &str = "/usr/lib/systemd/systemd-sbsign";

/// Writes the EFI program `unsigned`, signed with the boot key, to `signed`.
pub(super) fn sign(stage: &Stage, unsigned: &Path, signed: &Path) -> Result<()> {
    tree::remove(signed)?;
    match stage.keys.boot_key()? {
        BootKey::File(key) => sign_by_file(stage, &key, unsigned, signed)?,
        BootKey::Token(uri) => sign_by_token(stage, &uri, unsigned, signed)?,
    }
    tree::set_mode(signed, 0o644)
}

fn sign_by_token(stage: &Stage, uri: &Uri, unsigned: &Path, signed: &Path) -> Result<()> {
    let (_, der) = certificate(stage)?;
    let image = fs::read(unsigned).at("read", unsigned)?;
    let key = TokenKey::open(uri)?;
    let image = authenticode::sign(unsigned, &image, &der, |bytes| key.sign_rsa(bytes))?;
    fs::write(signed, image).at("write", signed)
}

/// The boot key's certificate: its file, and its content in DER.
fn certificate(stage: &Stage) -> Result<(PathBuf, Vec<u8>)> {
    let path = stage.keys.certificate(Role::Boot);
    let pem = fs::read(&path).at("read", &path)?;
    let (_, pem) = parse_x509_pem(&pem)
        .map_err(|error| Error::Invalid(format!("{}: {error}", path.display())))?;
    Ok((path, pem.contents))
}

/// Writes the kernel module `unsigned`, signed with the boot key, to `signed`.
pub(super) fn sign_module(stage: &Stage, unsigned: &Path, signed: &Path) -> Result<()> {
    let (path, der) = certificate(stage)?;
    let key = stage.keys.boot_key()?;
    let content = fs::read(unsigned).at("read", unsigned)?;
    let content = module::sign(&content, &path, &der, |bytes| key.sign(bytes))?;
    fs::write(signed, content).at("write", signed)?;
    tree::set_mode(signed, 0o644)
}

fn sign_by_file(stage: &Stage, key: &Path, unsigned: &Path, signed: &Path) -> Result<()> {
    let dirs = [stage.keys.dir(), &stage.out];
    let mut sign = stage.toolbox.command(&dirs, "faketime");
    sign.env("FAKETIME_FMT", "%s");
    sign.arg("-f").arg(stage.epoch.to_string());
    let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
    sign.args([SBSIGN, "sign"])
        .arg(option("private-key", key))
        .arg(option("certificate", &stage.keys.certificate(Role::Boot)))
        .arg(option("output", signed))
        .arg(unsigned);
    command::run(&mut sign)
}

/// Feeds what decides a signature into a step's key.
pub(super) fn add_to(stage: &Stage, key: &mut Hash) -> Result<()> {
    key.text(&stage.epoch.to_string());
    match stage.keys.boot_key()? {
        BootKey::File(file) => key.file(&file)?,
        BootKey::Token(uri) => key.text(&uri.to_string()),
    }
    key.file(&stage.keys.certificate(Role::Boot))
}

/// Feeds the public keys that the image carries into a step's key.
pub(super) fn add_public_to(stage: &Stage, key: &mut Hash) -> Result<()> {
    for (source, name) in public_files(stage)? {
        key.text(&name.to_string_lossy());
        key.file(&source)?;
    }
    Ok(())
}

/// Copies the public keys into the image's layer.
pub(super) fn lay_public(stage: &Stage, layer: &Path) -> Result<()> {
    for (source, name) in public_files(stage)? {
        let target = layer.join(PUBLIC).join(name);
        tree::copy(&source, &target)?;
    }
    Ok(())
}

/// The public key files, and what they are called in the image.
fn public_files(stage: &Stage) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut files = Vec::new();
    for role in Role::ALL {
        let name = role.as_str();
        files.push((
            stage.keys.certificate(role),
            format!("boot/{name}.crt").into(),
        ));
        files.push((
            stage.keys.enrolment(role),
            format!("boot/{name}.auth").into(),
        ));
    }
    for source in stage.keys.update_publics()? {
        // Named by its content: a key keeps its name however its folder is called.
        let name = format!("update/{}.pub", &sha256_file(&source)?[..16]);
        files.push((source, name.into()));
    }
    Ok(files)
}

/// Puts what a firmware in setup mode is told onto the EFI system partition `esp`.
pub(super) fn lay_enrolment(stage: &Stage, esp: &Path) -> Result<()> {
    for role in Role::ALL {
        let name = format!("{}.auth", role.variable().name);
        tree::copy(&stage.keys.enrolment(role), &esp.join(ENROLMENT).join(name))?;
    }
    Ok(())
}
