//! A certificate that the administrator brings or orders, in the place of the host's own.
//!
//! ```text
//! tls/cert.pem, tls/key.pem          what the gateway shows
//! tls/own/cert.pem, tls/own/key.pem  the host's own, while there is another
//! tls/acme                           name of the ACME account that ordered it, if one did
//! ```
//!
//! The folder is made anew beside the old one and takes its place in one step, so that certificate
//! and key belong together at any instant. What is taken here is what the host's set-up accepts at
//! the next boot: it would replace any other by one of its own.

use basalt_api::{Error, Result};
use basalt_update::files::sync_folder;
use rcgen::{KeyPair, PublicKeyData};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use x509_parser::pem::Pem;

/// One change at a time.
static CHANGING: Mutex<()> = Mutex::new(());

const FOLDER: &str = "tls";
const NEW: &str = "tls.new";
/// The host's own certificate, below the folder.
const OWN: &str = "own";
/// The account that ordered, below the folder.
const ACCOUNT: &str = "acme";
const FILES: [(&str, u32); 2] = [("cert.pem", 0o644), ("key.pem", 0o600)];

/// Whether there is another certificate than the host's own.
pub fn is_brought(state: &Path) -> bool {
    state.join(FOLDER).join(OWN).is_dir()
}

/// The ACME account that ordered the certificate, if one did.
pub fn account(state: &Path) -> Option<String> {
    fs::read_to_string(state.join(FOLDER).join(ACCOUNT)).ok()
}

/// Puts a certificate with its chain and key in place; without a key, the present one must be its
/// key. `account` is the ACME account that ordered it. One that was brought before is replaced only
/// with `force`.
pub fn install(
    state: &Path,
    chain: &str,
    key: Option<&str>,
    account: Option<&str>,
    force: bool,
) -> Result<()> {
    let _one_at_a_time = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = state.join(FOLDER);
    let brought = is_brought(state);
    if brought && !force {
        return Err(Error::param(
            "force",
            "must be set to replace the certificate that was brought before",
        ));
    }
    let key = match key {
        Some(key) => key.to_owned(),
        None => fs::read_to_string(folder.join("key.pem")).map_err(Error::failed)?,
    };
    check(chain, &key)?;
    let own = if brought { folder.join(OWN) } else { folder };
    exchange(state, |new| {
        fs::create_dir(new.join(OWN))?;
        for (name, mode) in FILES {
            let text = fs::read(own.join(name))?;
            write(&new.join(OWN).join(name), &text, mode)?;
        }
        sync_folder(&new.join(OWN))?;
        write(&new.join("cert.pem"), chain.as_bytes(), FILES[0].1)?;
        write(&new.join("key.pem"), key.as_bytes(), FILES[1].1)?;
        match account {
            Some(name) => write(&new.join(ACCOUNT), name.as_bytes(), 0o600),
            None => Ok(()),
        }
    })
}

/// Goes back to the host's own certificate.
pub fn remove(state: &Path) -> Result<()> {
    let _one_at_a_time = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let own = state.join(FOLDER).join(OWN);
    if !own.is_dir() {
        return Err(Error::failed("the certificate is the host's own already"));
    }
    exchange(state, |new| {
        FILES
            .iter()
            .try_for_each(|(name, mode)| write(&new.join(name), &fs::read(own.join(name))?, *mode))
    })
}

/// Refuses what the gateway could not show, naming the parameter.
fn check(chain: &str, key: &str) -> Result<()> {
    let key = KeyPair::from_pem(key).map_err(|error| {
        let text = format!(
            "is no private key in PKCS #8 (BEGIN PRIVATE KEY): {error}; \
             openssl pkcs8 -topk8 -nocrypt turns others into one"
        );
        Error::param("key", text)
    })?;
    let wrong = |text: String| Error::param("certificates", text);
    let mut count = 0;
    for block in Pem::iter_from_buffer(chain.as_bytes()) {
        let block = block.map_err(|error| wrong(format!("is no PEM: {error}")))?;
        if block.label != "CERTIFICATE" {
            return Err(wrong(format!("has a {} in it", block.label)));
        }
        let found = block.parse_x509();
        let found = found.map_err(|error| wrong(format!("cannot be read: {error}")))?;
        if count == 0 && found.public_key().raw != key.subject_public_key_info() {
            return Err(wrong(
                "does not belong to the key; it must come first".to_owned(),
            ));
        }
        if !found.validity().is_valid() {
            return Err(wrong(format!("{} is not valid now", found.subject())));
        }
        count += 1;
    }
    match count {
        0 => Err(wrong("has no certificate in it".to_owned())),
        _ => Ok(()),
    }
}

/// Fills a new folder and lets it take the place of the old one.
fn exchange(state: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    let (folder, new) = (state.join(FOLDER), state.join(NEW));
    let exchanged = || -> io::Result<()> {
        // What an interrupted change has left.
        remove_folder(&new)?;
        fs::create_dir(&new)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o700))?;
        fill(&new)?;
        sync_folder(&new)?;
        renameat_with(CWD, &new, CWD, &folder, RenameFlags::EXCHANGE)?;
        sync_folder(state)?;
        remove_folder(&new)
    };
    exchanged().map_err(|error| Error::failed(format_args!("{}: {error}", folder.display())))
}

fn write(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn host() -> (tempfile::TempDir, String) {
        let state = tempfile::tempdir().unwrap();
        let (cert, key) = pair("n1");
        fs::create_dir(state.path().join(FOLDER)).unwrap();
        fs::write(state.path().join("tls/cert.pem"), &cert).unwrap();
        fs::write(state.path().join("tls/key.pem"), key).unwrap();
        (state, cert)
    }

    fn shown(state: &Path) -> String {
        fs::read_to_string(state.join("tls/cert.pem")).unwrap()
    }

    #[test]
    fn a_certificate_comes_and_goes_with_its_key() {
        let (state, own) = host();
        let state = state.path();
        let ((first, first_key), (second, second_key)) = (pair("a"), pair("b"));
        install(state, &first, Some(&first_key), None, false).unwrap();
        assert_eq!(shown(state), first);
        assert_eq!(
            super::super::read(state).unwrap().filename,
            "pveproxy-ssl.pem"
        );
        let refused = install(state, &second, Some(&second_key), None, false).unwrap_err();
        assert!(refused.errors.contains_key("force"));
        install(state, &second, Some(&second_key), Some("le"), true).unwrap();
        assert_eq!(shown(state), second);
        assert_eq!(account(state).as_deref(), Some("le"));
        // The key is there: the same certificate needs none.
        install(state, &second, None, None, true).unwrap();
        assert_eq!(account(state), None);
        remove(state).unwrap();
        assert_eq!(shown(state), own);
        assert_eq!(super::super::read(state).unwrap().filename, "pve-ssl.pem");
        assert!(remove(state).is_err() && !state.join(NEW).exists());
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let (state, own) = host();
        let ((cert, key), (other, _)) = (pair("a"), pair("b"));
        for (chain, key, field) in [
            (other.as_str(), key.as_str(), "certificates"),
            ("", key.as_str(), "certificates"),
            (key.as_str(), key.as_str(), "certificates"),
            (cert.as_str(), "no key", "key"),
        ] {
            let error = install(state.path(), chain, Some(key), None, true).unwrap_err();
            assert!(error.errors.contains_key(field), "{field}: {error:?}");
        }
        assert_eq!(shown(state.path()), own);
    }

    #[test]
    fn an_interrupted_change_is_no_obstacle() {
        let (state, _) = host();
        fs::create_dir_all(state.path().join(NEW).join(OWN)).unwrap();
        let (cert, key) = pair("a");
        install(state.path(), &cert, Some(&key), None, false).unwrap();
        assert_eq!(shown(state.path()), cert);
    }
}
