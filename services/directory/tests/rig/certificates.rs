//! An authority and the certificate of one server.

use std::path::Path;

/// Writes `ca.pem`, and `server.pem` with `server.key` for an address, into a folder.
pub fn write(folder: &Path, address: &str) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    write("ca.pem", &authority.self_signed(&key).unwrap().pem());
    let issuer = rcgen::Issuer::new(authority, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut server = rcgen::CertificateParams::new(vec![address.to_owned()]).unwrap();
    let name = rcgen::DnType::CommonName;
    server.distinguished_name.push(name, address);
    let server = server.signed_by(&key, &issuer).unwrap();
    write("server.pem", &server.pem());
    write("server.key", &key.serialize_pem());
}
