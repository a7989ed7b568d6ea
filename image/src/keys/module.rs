//! Signatures of kernel modules (the kernel's `Documentation/admin-guide/module-signing.rst`): a
//! PKCS#7 message without content or certificate behind the module, then a fixed record and a mark.
//!
//! With Secure Boot the kernel trusts the certificates that the firmware trusts, so the boot key's
//! signature is enough. No time is in it, so that equal inputs give equal bits.

use super::authenticode::{
    INTEGER, OBJECT, OCTETS, RSA, SEQUENCE, SET, SHA256, SIGNED_DATA, TAGGED, value,
};
use super::{Error, Result};
use std::path::Path;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What the kernel finds a signature by, at the very end.
const MARK: &[u8] = b"~Module signature appended~\n";
/// `struct module_signature`: the signature is PKCS#7; everything else is said in that.
const PKCS7: u8 = 2;
/// PKCS#7's content of no particular kind.
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];

/// Signs a module. `key` makes an RSA signature (PKCS#1 1.5, SHA-256) by the key of the certificate
/// `der`, which came from `path`.
pub fn sign(
    module: &[u8],
    path: &Path,
    der: &[u8],
    key: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| Error::Malformed {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    let message = message(&certificate, &key(module)?);
    // No RSA signature comes near to 4 GiB.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let record = [0, 0, PKCS7, 0, 0, 0, 0, 0];
    Ok([module, &message, &record, &length.to_be_bytes(), MARK].concat())
}

fn message(certificate: &X509Certificate<'_>, signature: &[u8]) -> Vec<u8> {
    let algorithm = |id| value(SEQUENCE, &[&value(OBJECT, &[id]), &[0x05, 0x00]]);
    let serial = value(INTEGER, &[certificate.raw_serial()]);
    let signer = value(
        SEQUENCE,
        &[
            &value(INTEGER, &[&[1]]),
            &value(SEQUENCE, &[certificate.issuer().as_raw(), &serial]),
            &algorithm(SHA256),
            &algorithm(RSA),
            &value(OCTETS, &[signature]),
        ],
    );
    let data = value(
        SEQUENCE,
        &[
            &value(INTEGER, &[&[1]]),
            &value(SET, &[&algorithm(SHA256)]),
            &value(SEQUENCE, &[&value(OBJECT, &[DATA])]),
            &value(SET, &[&signer]),
        ],
    );
    let id = value(OBJECT, &[SIGNED_DATA]);
    value(SEQUENCE, &[&id, &value(TAGGED, &[&data])])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Keys, Role, Tokens};
    use std::fs;
    use std::process::Command;
    use x509_parser::pem::parse_x509_pem;

    #[test]
    fn openssl_finds_the_signature_good_for_this_module_alone() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::make(&dir.path().join("keys"), &Tokens::default()).unwrap();
        let certificate = keys.certificate(Role::Boot);
        let (_, pem) = parse_x509_pem(&fs::read(&certificate).unwrap()).unwrap();
        let key = keys.boot_key().unwrap();
        let signed = sign(b"module", &certificate, &pem.contents, |bytes| {
            key.sign(bytes)
        })
        .unwrap();
        let again = sign(b"module", &certificate, &pem.contents, |bytes| {
            key.sign(bytes)
        })
        .unwrap();
        assert_eq!(signed, again);
        let body = signed.strip_suffix(MARK).unwrap();
        let (body, length) = body.split_at(body.len() - 4);
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let (body, record) = body.split_at(body.len() - 8);
        assert_eq!(record, [0, 0, 2, 0, 0, 0, 0, 0]);
        let (module, message) = body.split_at(body.len() - length);
        assert_eq!(module, b"module");
        let (content, signature) = (dir.path().join("content"), dir.path().join("signature"));
        fs::write(&signature, message).unwrap();
        let verify = |text: &str| {
            fs::write(&content, text).unwrap();
            let mut openssl = Command::new("openssl");
            openssl.args(["smime", "-verify", "-binary", "-inform", "DER", "-noverify"]);
            openssl.arg("-certfile").arg(&certificate);
            openssl
                .arg("-content")
                .arg(&content)
                .arg("-in")
                .arg(&signature);
            openssl.output().unwrap().status.success()
        };
        assert!(verify("module"));
        assert!(!verify("modulf"));
    }
}
