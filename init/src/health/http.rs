//! Asks the node and the gateway whether they answer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The first number free for a guest: looked up in the store.
const NODE_QUESTION: &str = "/api2/json/cluster/nextid";

/// Where the gateway listens.
const GATEWAY: &str = "127.0.0.1:8006";

/// Longest answer that is read.
const LONGEST: u64 = 16 << 10;

/// The node has to answer a question for which it opens its store. This program is root, so it is
/// taken at its word on the node's socket.
pub async fn node(socket: &Path) -> anyhow::Result<()> {
    let ask = async {
        let stream = UnixStream::connect(socket)
            .await
            .context("does not listen")?;
        get(stream, NODE_QUESTION).await
    };
    let (status, body) = tokio::time::timeout(TIMEOUT, ask)
        .await
        .context("does not answer")??;
    if status == 200 {
        return Ok(());
    }
    bail!(
        "answers {status} {}",
        body.lines().next().unwrap_or_default()
    )
}

/// The gateway has to speak TLS with this host's certificate; any answer will do.
pub async fn gateway(certificate: &Path) -> anyhow::Result<()> {
    let ask = async {
        let own = CertificateDer::from_pem_file(certificate).context("no certificate")?;
        let stream = TcpStream::connect(GATEWAY)
            .await
            .context("does not listen")?;
        let connector = TlsConnector::from(Arc::new(pinned(own)?));
        let name = ServerName::try_from("localhost")?;
        let stream = connector
            .connect(name, stream)
            .await
            .context("does not speak TLS")?;
        get(stream, "/api2/json/version").await
    };
    tokio::time::timeout(TIMEOUT, ask)
        .await
        .context("does not answer")??;
    Ok(())
}

async fn get(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
) -> anyhow::Result<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let read = (&mut stream).take(LONGEST).read_to_end(&mut answer).await;
    // Some servers drop the line without saying good-bye; the answer counts all the same.
    if answer.is_empty() {
        read.context("does not answer")?;
    }
    parse(&answer)
}

fn parse(answer: &[u8]) -> anyhow::Result<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let status = text
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.get(..3)?.parse().ok())
        .context("does not speak HTTP")?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}

/// Trusts exactly this host's certificate.
fn pinned(own: CertificateDer<'static>) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { own, provider }))
        .with_no_client_auth())
}

#[derive(Debug)]
struct Pinned {
    own: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.own {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General(
                "it shows another certificate than this host's".to_owned(),
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_node_is_asked_and_its_words_are_passed_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.sock");
        assert!(
            node(&path)
                .await
                .unwrap_err()
                .to_string()
                .contains("does not listen")
        );
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let server = tokio::spawn(async move {
            for answer in [
                "HTTP/1.1 200 OK\r\n\r\n",
                "HTTP/1.1 503 Service Unavailable\r\n\r\nstore: locked\n",
                "nonsense",
            ] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 512];
                let count = stream.read(&mut request).await.unwrap();
                assert!(
                    request[..count].starts_with(b"GET /api2/json/cluster/nextid HTTP/1.1\r\n")
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        node(&path).await.unwrap();
        let error = node(&path).await.unwrap_err().to_string();
        assert_eq!(error, "answers 503 store: locked");
        assert!(node(&path).await.unwrap_err().to_string().contains("HTTP"));
        server.await.unwrap();
    }
}
