//! The certificate that the gateway shows.

pub mod custom;

use basalt_api::methods::certificates::Certificate;
use basalt_api::{Error, Result};
use basalt_unit::{ServiceOrder, UnitError, Units};
use sha2::{Digest, Sha256};
use std::path::Path;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

/// Its file below the folder of the store.
pub const FILE: &str = "tls/cert.pem";
/// The names that clients know it by: the node's own, and one that was brought.
const OWN: &str = "pve-ssl.pem";
const BROUGHT: &str = "pveproxy-ssl.pem";

/// Shows the certificate; reloaded, it does so to new connections and keeps the old ones.
const GATEWAY: &str = "basalt-gateway.service";

/// Lets the gateway show the certificate that is in place now.
pub async fn reload(units: &Units) -> std::result::Result<(), UnitError> {
    units.order(GATEWAY, ServiceOrder::Reload).await
}

/// SHA-256 of a certificate as clients compare it: `AB:CD:…`.
pub fn fingerprint(der: &[u8]) -> String {
    let bytes: Vec<String> = Sha256::digest(der)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    bytes.join(":")
}

/// The fingerprint of the certificate in a node's folder; none when there is none.
pub fn fingerprint_in(state: &Path) -> Option<String> {
    let pem = std::fs::read(state.join(FILE)).ok()?;
    Some(fingerprint(&parse_x509_pem(&pem).ok()?.1.contents))
}

/// What the certificate in a node's folder says.
pub fn read(state: &Path) -> Result<Certificate> {
    let path = state.join(FILE);
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|error| Error::failed(format_args!("{}: {error}", path.display())))?;
    let name = if custom::is_brought(state) {
        BROUGHT
    } else {
        OWN
    };
    describe(name, text)
}

fn describe(name: &str, pem: String) -> Result<Certificate> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::failed(format_args!("the certificate cannot be read: {error}"))
    };
    let (_, block) = parse_x509_pem(pem.as_bytes()).map_err(|e| wrong(&e))?;
    let found = block.parse_x509().map_err(|e| wrong(&e))?;
    let (kind, bits) = match found.public_key().parsed().map_err(|e| wrong(&e))? {
        PublicKey::RSA(key) => ("rsaEncryption", key.key_size()),
        PublicKey::EC(key) => ("id-ecPublicKey", key.key_size()),
        _ => ("unknown", 0),
    };
    let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
    Ok(Certificate {
        filename: name.to_owned(),
        fingerprint: fingerprint(&block.contents),
        subject: found.subject().to_string(),
        issuer: found.issuer().to_string(),
        notbefore: seconds(found.validity().not_before.timestamp()),
        notafter: seconds(found.validity().not_after.timestamp()),
        san: names(&found),
        public_key_type: kind.to_owned(),
        public_key_bits: u32::try_from(bits).unwrap_or(0),
        pem: pem.clone(),
    })
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            bytes => {
                let bytes: [u8; 16] = bytes.try_into().ok()?;
                Some(std::net::Ipv6Addr::from(bytes).to_string())
            }
        },
        _ => None,
    };
    let names = extension.value.general_names.iter();
    names.filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_tells_its_names_and_its_end() {
        let names = ["n1.example.org".to_owned(), "192.0.2.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let found = describe(OWN, made.cert.pem()).unwrap();
        assert_eq!(found.san, ["n1.example.org", "192.0.2.1"]);
        assert_eq!(found.fingerprint, fingerprint(made.cert.der()));
        assert_eq!(found.fingerprint.len(), 95);
        assert!(found.notafter > found.notbefore);
        assert_eq!(
            (found.public_key_type.as_str(), found.public_key_bits),
            ("id-ecPublicKey", 256)
        );
        assert!(describe(OWN, "no certificate".to_owned()).is_err());
    }
}
