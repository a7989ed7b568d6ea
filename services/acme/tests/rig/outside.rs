//! What the server has to do with the world: its certificate, and looking for proofs.

use rcgen::{CertificateParams, Issuer, KeyPair};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate of the authority for the server itself.
pub fn acceptor(issuer: &Issuer<'_, KeyPair>) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let provider = Arc::new(default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// The page that a host shows for a token, without its head.
pub async fn page(port: u16, token: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else {
        return "nobody".to_owned();
    };
    let request = format!("GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    match head.starts_with("HTTP/1.1 200 ") {
        true => body.to_owned(),
        false => head.lines().next().unwrap().to_owned(),
    }
}

/// The texts of a name's record.
pub fn record(zone: &Path, name: &str) -> String {
    let zone = std::fs::read_to_string(zone).unwrap_or_default();
    let wanted = format!("_acme-challenge.{name} ");
    let texts = zone.lines().filter_map(|line| line.strip_prefix(&wanted));
    texts.collect::<Vec<_>>().join("\n")
}
