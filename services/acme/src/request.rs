//! What a certificate is asked for with (RFC 2986).

use crate::{Error, Result};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

/// A request for a certificate, and the new key that it is for.
pub struct CertificateRequest {
    /// The request in DER.
    pub der: Vec<u8>,
    /// The private key in PEM (PKCS #8).
    pub key: String,
}

impl CertificateRequest {
    /// A request for these names with a new key: ECDSA on P-256, which every client knows.
    ///
    /// # Errors
    /// [`Error::Key`], also for a name that cannot stand in a certificate.
    pub fn new(domains: &[String]) -> Result<Self> {
        let wrong = |error: rcgen::Error| Error::Key(error.to_string());
        let key = KeyPair::generate().map_err(wrong)?;
        let mut params = CertificateParams::new(domains.to_vec()).map_err(wrong)?;
        // The names are in the extension; a subject would only be one more thing to refuse.
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(wrong)?;
        Ok(Self {
            der: request.der().to_vec(),
            key: key.serialize_pem(),
        })
    }
}
