//! Whose certificates are believed.

use crate::Error;
use basalt_access::realms::Directory;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the host's authorities are.
const AUTHORITIES: &str = "/etc/ssl/certs";
/// The file there that has all of them.
const BUNDLE: &str = "ca-certificates.crt";

/// How TLS is spoken with a server of a directory: 1.2 or 1.3, and whom it believes.
pub(crate) fn config(directory: &Directory, server: &str) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Answer(e.to_string()))?;
    let verifier: Arc<dyn ServerCertVerifier> = match directory.verify {
        true => {
            let place = directory.capath.as_deref();
            let roots = Arc::new(authorities(place.unwrap_or(Path::new(AUTHORITIES)))?);
            WebPkiServerVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|e| Error::Answer(e.to_string()))?
        }
        false => Arc::new(Anybody(provider)),
    };
    let address = server.parse::<Ipv6Addr>().ok();
    let verifier = match address {
        Some(address) => Arc::new(At {
            address: address.into(),
            verifier,
        }),
        None => verifier,
    };
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // Servers are told names, never addresses (RFC 6066 §3).
    config.enable_sni = address.is_none();
    Ok(Arc::new(config))
}

/// The authorities in a file, or in all files of a folder. What is no certificate is skipped.
fn authorities(place: &Path) -> Result<RootCertStore, Error> {
    let none = || Error::Authorities(place.display().to_string());
    let files: Vec<PathBuf> = if place.is_dir() {
        let bundle = place.join(BUNDLE);
        match bundle.is_file() {
            true => vec![bundle],
            false => {
                let entries = std::fs::read_dir(place).map_err(|_| none())?;
                entries.flatten().map(|entry| entry.path()).collect()
            }
        }
    } else {
        vec![place.to_owned()]
    };
    let mut roots = RootCertStore::empty();
    for file in files {
        let Ok(certificates) = CertificateDer::pem_file_iter(&file) else {
            continue;
        };
        roots.add_parsable_certificates(certificates.flatten());
    }
    if roots.is_empty() {
        return Err(none());
    }
    Ok(roots)
}

/// Believes what another one does of a certificate for an address, whatever the server is called in the
/// URL: the LDAP crate has no name for IPv6 addresses that a certificate could have.
#[derive(Debug)]
struct At {
    address: ServerName<'static>,
    verifier: Arc<dyn ServerCertVerifier>,
}

impl ServerCertVerifier for At {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = &self.address;
        self.verifier
            .verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Believes every certificate, for realms without `verify`; only its key must be the server's.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
