//! The certificate of one installation, made in memory.

use std::sync::Arc;

use anyhow::Context;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

/// Name in the certificate; addresses come and go.
const NAME: &str = "basalt-installer";

/// Who this installer is to a browser.
pub struct Identity {
    /// Speaks TLS with the certificate.
    pub acceptor: TlsAcceptor,
    /// SHA-256 of the certificate, as browsers show it.
    pub fingerprint: String,
}

impl Identity {
    /// Makes a key and its certificate.
    pub fn make() -> anyhow::Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("no key")?;
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).context("names")?;
        params.distinguished_name.push(DnType::CommonName, NAME);
        let certificate = params.self_signed(&key).context("signing")?;
        let digest = Sha256::digest(certificate.der());
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .context("TLS")?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .context("TLS")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            fingerprint: pairs.join(":"),
        })
    }
}
