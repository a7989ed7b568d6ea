//! A small HTTPS client for one appliance: HTTP/1.1, one request a connection, no redirects.
//!
//! An appliance's certificate is self-signed. The client therefore trusts no authority: it learns
//! the certificate's SHA-256 fingerprint, and refuses any other once it has been told one.

use anyhow::{Context, Result, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A TLS stream to the appliance.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Who answers at one address.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    limit: Duration,
    verifier: Arc<Pinned>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Reason phrase, which carries Proxmox's error text.
    pub reason: String,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The decoded body.
    pub body: Vec<u8>,
}

/// A request's body.
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// These bytes.
    Bytes(&'a [u8]),
    /// `.0` bytes read from `.1`.
    Stream(u64, &'a mut dyn Read),
}

impl Client {
    /// A client for the port on the loopback; `limit` bounds every read and write.
    pub fn local(port: u16, limit: Duration) -> Self {
        let verifier = Arc::new(Pinned {
            provider: ring::default_provider(),
            seen: Mutex::default(),
        });
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            limit,
            verifier,
        }
    }

    /// SHA-256 of the certificate seen so far, as upper-case hex pairs with colons.
    pub fn fingerprint(&self) -> Option<String> {
        let seen = self.verifier.seen.lock().ok()?;
        seen.as_ref().map(|digest| {
            digest
                .iter()
                .map(|byte| format!("{byte:02X}"))
                .collect::<Vec<_>>()
                .join(":")
        })
    }

    /// Opens a TLS stream.
    pub fn connect(&self) -> Result<Stream> {
        let tcp = TcpStream::connect_timeout(&self.address, self.limit)?;
        tcp.set_read_timeout(Some(self.limit))?;
        tcp.set_write_timeout(Some(self.limit))?;
        let config = ClientConfig::builder_with_provider(Arc::new(self.verifier.provider.clone()))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier.clone())
            .with_no_client_auth();
        let name = ServerName::try_from("localhost")?;
        Ok(StreamOwned::new(
            ClientConnection::new(Arc::new(config), name)?,
            tcp,
        ))
    }

    /// Sends one request and reads the whole answer.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body<'_>,
    ) -> Result<Response> {
        let mut stream = self.connect()?;
        let length = match &body {
            Body::Empty => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Stream(length, _) => *length,
        };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        head.push_str("Connection: close\r\nAccept: */*\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {length}\r\n\r\n"));
        stream.write_all(head.as_bytes())?;
        let sent = match body {
            Body::Empty => Ok(()),
            Body::Bytes(bytes) => stream.write_all(bytes),
            Body::Stream(length, from) => {
                match std::io::copy(&mut from.take(length), &mut stream) {
                    // Hanging up is all that can be said to a server that waits for the rest.
                    Ok(sent) if sent < length => {
                        bail!("the body ended after {sent} of {length} bytes")
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Other => {
                        return Err(error.into());
                    }
                    sent => sent.map(drop),
                }
            }
        };
        // A server may refuse an upload before it has read all of it: its answer counts then.
        let answer = sent
            .and_then(|()| stream.flush())
            .and(read_all(&mut stream));
        parse(&answer.with_context(|| format!("{method} {path}"))?)
            .with_context(|| format!("{method} {path}"))
    }
}

/// Reads to the end; a peer that closes without TLS's goodbye is at its end too.
fn read_all(stream: &mut Stream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && !bytes.is_empty() => {
            Ok(bytes)
        }
        Err(error) => Err(error),
        Ok(_) => Ok(bytes),
    }
}

fn parse(answer: &[u8]) -> Result<Response> {
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let split = split.context("the answer has no end of headers")?;
    let head = String::from_utf8_lossy(&answer[..split]);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().splitn(3, ' ');
    let status = first.nth(1).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("no status in {head:?}"))?;
    let reason = first.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let raw = &answer[split + 4..];
    let chunked = headers
        .iter()
        .any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { unchunk(raw)? } else { raw.to_vec() };
    if let Some((_, length)) = headers.iter().find(|(name, _)| name == "content-length")
        && length.parse() != Ok(body.len())
    {
        bail!("the answer was cut off: {} of {length} bytes", body.len());
    }
    Ok(Response {
        status,
        reason,
        headers,
        body,
    })
}

fn unchunk(mut raw: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = raw
            .windows(2)
            .position(|window| window == b"\r\n")
            .context("cut off chunk")?;
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..end])?.trim(), 16)?;
        let start = end + 2;
        body.extend(raw.get(start..start + size).context("cut off chunk")?);
        if size == 0 {
            return Ok(body);
        }
        raw = raw.get(start + size + 2..).context("cut off chunk")?;
    }
}

#[derive(Debug)]
struct Pinned {
    provider: CryptoProvider,
    seen: Mutex<Option<[u8; 32]>>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let digest: [u8; 32] = Sha256::digest(certificate).into();
        let Ok(mut seen) = self.seen.lock() else {
            return Err(rustls::Error::General("poisoned".into()));
        };
        if seen.is_some_and(|known| known != digest) {
            return Err(rustls::Error::General(
                "the appliance's certificate has changed".into(),
            ));
        }
        *seen = Some(digest);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
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

    #[test]
    fn reads_status_reason_headers_and_a_chunked_body() {
        let answer = b"HTTP/1.1 500 no such\tthing\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let response = parse(answer).unwrap();
        assert_eq!(
            (response.status, response.reason.as_str()),
            (500, "no such\tthing")
        );
        assert_eq!(response.body, b"abcde");
    }

    #[test]
    fn a_cut_off_answer_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_err());
        assert!(unchunk(b"5\r\nab").is_err());
    }
}
