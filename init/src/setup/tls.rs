//! The certificate the web interface answers with, until the administrator brings a better one.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::Context;
use basalt_model::host::{Addressing, HostConfig};
use basalt_update::files::write_atomic;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SanType,
};
use time::{Duration, OffsetDateTime};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{GeneralName, X509Certificate};

use crate::paths::Paths;

/// Organization in the certificates we make; any other certificate is the administrator's.
const ORGANIZATION: &str = "Basalt self-signed";
/// How long a new certificate is good for.
const LIFE: Duration = Duration::days(10 * 365);
/// When a certificate is replaced before it ends.
const MARGIN: Duration = Duration::days(30);

/// Makes a certificate if there is none that can be used.
pub fn ensure(paths: &Paths, config: &HostConfig) -> anyhow::Result<()> {
    let folder = paths.state("tls");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| folder.display().to_string())?;
    let now = OffsetDateTime::now_utc();
    match check(&folder, config, now) {
        Ok(()) => Ok(()),
        Err(reason) => {
            tracing::info!(%reason, "making a new TLS certificate");
            make(&folder, config, now)
        }
    }
}

/// Says why the certificate in this folder cannot be used.
fn check(folder: &Path, config: &HostConfig, now: OffsetDateTime) -> anyhow::Result<()> {
    let key = fs::read_to_string(folder.join("key.pem")).context("no key")?;
    let key = KeyPair::from_pem(&key).context("the key cannot be read")?;
    let certificate = fs::read(folder.join("cert.pem")).context("no certificate")?;
    let (_, pem) = parse_x509_pem(&certificate).context("the certificate cannot be read")?;
    let certificate = pem.parse_x509().context("the certificate cannot be read")?;
    use rcgen::PublicKeyData;
    anyhow::ensure!(
        certificate.public_key().raw == key.subject_public_key_info(),
        "key and certificate do not belong together"
    );
    let is_ours = certificate
        .issuer()
        .iter_organization()
        .any(|name| name.as_str().is_ok_and(|name| name == ORGANIZATION));
    if !is_ours {
        return Ok(());
    }
    let end = certificate.validity().not_after.to_datetime();
    anyhow::ensure!(now + MARGIN < end, "the certificate ends soon");
    let host = config.hostname.as_str();
    anyhow::ensure!(
        names(&certificate).contains(&host),
        "the host has another name now"
    );
    Ok(())
}

fn names<'a>(certificate: &'a X509Certificate<'_>) -> Vec<&'a str> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        })
        .collect()
}

fn make(folder: &Path, config: &HostConfig, now: OffsetDateTime) -> anyhow::Result<()> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("no key")?;
    let host = config.hostname.as_str();
    let mut host_names = vec![host.to_owned(), "localhost".to_owned()];
    if config.hostname.short() != host {
        host_names.push(config.hostname.short().to_owned());
    }
    let mut params = CertificateParams::new(host_names).context("names")?;
    let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    if let Addressing::Static { address, .. } = &config.network.addressing {
        addresses.push(address.address());
    }
    params
        .subject_alt_names
        .extend(addresses.into_iter().map(SanType::IpAddress));
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, ORGANIZATION);
    name.push(DnType::CommonName, host);
    params.distinguished_name = name;
    // Clocks of clients and of fresh machines differ.
    params.not_before = now - Duration::days(1);
    params.not_after = now + LIFE;
    let certificate = params.self_signed(&key).context("signing")?;
    // A certificate without its key is replaced at the next boot; the other way round too.
    write_atomic(
        &folder.join("key.pem"),
        key.serialize_pem().as_bytes(),
        0o600,
    )
    .context("key.pem")?;
    write_atomic(
        &folder.join("cert.pem"),
        certificate.pem().as_bytes(),
        0o644,
    )
    .context("cert.pem")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(folder: &Path) -> String {
        fs::read_to_string(folder.join("tls/cert.pem")).unwrap()
    }

    #[test]
    fn a_certificate_is_made_once_and_replaced_only_for_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("var/lib/basalt");
        let paths = Paths::below(dir.path());
        let mut config = HostConfig::fallback();
        ensure(&paths, &config).unwrap();
        let first = certificate(&state);
        ensure(&paths, &config).unwrap();
        assert_eq!(certificate(&state), first);

        config.hostname = "other".parse().unwrap();
        ensure(&paths, &config).unwrap();
        let second = certificate(&state);
        assert_ne!(second, first);

        fs::write(state.join("tls/cert.pem"), &first).unwrap();
        ensure(&paths, &config).unwrap();
        assert_ne!(certificate(&state), first);

        fs::write(state.join("tls/key.pem"), "cut off").unwrap();
        ensure(&paths, &config).unwrap();
        check(&state.join("tls"), &config, OffsetDateTime::now_utc()).unwrap();
        let late = OffsetDateTime::now_utc() + LIFE - MARGIN;
        assert!(check(&state.join("tls"), &config, late).is_err());
    }

    #[test]
    fn the_administrators_certificate_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        let folder = dir.path().join("var/lib/basalt/tls");
        fs::create_dir_all(&folder).unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let params = CertificateParams::new(vec!["web.example.org".to_owned()]).unwrap();
        let own = params.self_signed(&key).unwrap().pem();
        fs::write(folder.join("cert.pem"), &own).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        ensure(&paths, &HostConfig::fallback()).unwrap();
        assert_eq!(fs::read_to_string(folder.join("cert.pem")).unwrap(), own);
    }
}
