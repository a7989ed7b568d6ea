//! Whom servers' certificates have to be signed by.

use crate::{Error, Result};
use std::path::PathBuf;
use ureq::tls::{Certificate, PemItem, parse_pem};

/// The certificates in files, of which some may not be there.
///
/// # Errors
/// When none of them has any.
pub fn read(files: &[PathBuf]) -> Result<Vec<Certificate<'static>>> {
    let mut trusted = Vec::new();
    for text in files.iter().filter_map(|file| std::fs::read(file).ok()) {
        trusted.extend(parse_pem(&text).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        }));
    }
    if trusted.is_empty() {
        let names: Vec<String> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        return Err(Error::Settings(format!(
            "no authority is known that could vouch for the server: there is none in {}",
            names.join(" or ")
        )));
    }
    Ok(trusted)
}
