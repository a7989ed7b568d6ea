//! Certificates from authorities that speak ACME: accounts there, what proves names, and the order
//! of this node's certificate.
//!
//! ```text
//! acme/authorities.pem   authorities that are believed besides the host's, if the file is there
//! acme/hooks/NAME        programs that set records, brought by the administrator
//! ```
//!
//! Start at [`order`]. What is asked of an authority blocks (`basalt-acme`), so it runs on threads
//! for that; the task's request to stop reaches it at every wait.

pub mod accounts;
pub mod hooks;
pub mod order;
pub mod plugins;
mod proofs;
pub mod renewal;

use crate::core::Core;
use basalt_acme::{Client, Web};
use basalt_api::{Error, Result};
use std::path::{Path, PathBuf};

/// Let's Encrypt, which is asked when nothing is said.
pub const DEFAULT_DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// The host's authorities.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Authorities with their directories.
pub const DIRECTORIES: [(&str, &str); 2] = [
    ("Let's Encrypt V2", DEFAULT_DIRECTORY),
    (
        "Let's Encrypt V2 Staging",
        "https://acme-staging-v02.api.letsencrypt.org/directory",
    ),
];

/// The folder of all this.
fn folder(state: &Path) -> PathBuf {
    state.join("acme")
}

/// Begins a conversation with an authority. Blocks.
pub fn connect(core: &Core, directory: &str) -> basalt_acme::Result<Client> {
    let own = folder(&core.settings.state).join("authorities.pem");
    let host = Path::new(AUTHORITIES);
    let mut files: Vec<&Path> = vec![host, &own];
    // A host whose only authority is its owner's own has no others to read.
    files.retain(|file| file.exists());
    if files.is_empty() {
        files.push(host);
    }
    Client::connect(Box::new(Web::new(&files)?), directory)
}

/// An address of a directory that a caller gives.
pub fn checked_directory(text: Option<&str>) -> Result<String> {
    let text = text.unwrap_or(DEFAULT_DIRECTORY);
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    match text.starts_with("https://") && printable {
        true => Ok(text.to_owned()),
        false => Err(Error::param(
            "directory",
            "is no https address: ACME is spoken by https alone",
        )),
    }
}

/// Runs what blocks on a thread for that.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> basalt_acme::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(Error::failed)?.map_err(Error::failed)
}
