//! Asking a web server for files and for stretches of files.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::Error;

/// The certificate authorities of the image.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// So long connecting may take.
const CONNECT: Duration = Duration::from_secs(15);

/// So long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// A web client.
pub struct Web {
    agent: Agent,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// Asking again would be no better.
    Final(Error),
    /// The line broke, or the server is in trouble: another time it may work.
    Lost(String),
}

/// What a server gives.
pub struct Answer {
    /// The bytes, from `start` on.
    pub body: Box<dyn Read>,
    /// Position of the first byte in the file: 0 when the server knows no stretches.
    pub start: u64,
}

impl Web {
    /// A client that trusts the image's authorities, and those of the user in `more` (PEM).
    pub fn new(more: &str) -> Self {
        let mut trusted = authorities();
        trusted.extend(certificates(more.as_bytes()));
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(trusted)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(SILENCE))
            .user_agent(concat!("basalt-update/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.into(),
        }
    }
}

/// Without the file there are none, and every server with TLS is refused.
fn authorities() -> Vec<Certificate<'static>> {
    let text = std::fs::read(AUTHORITIES).unwrap_or_else(|error| {
        tracing::warn!(%error, "{AUTHORITIES} cannot be read");
        Vec::new()
    });
    certificates(&text).collect()
}

fn certificates(pem: &[u8]) -> impl Iterator<Item = Certificate<'static>> {
    parse_pem(pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    })
}

/// Checks what a user gives as certificates of authorities.
///
/// # Errors
/// When it is not one or more certificates in PEM and nothing else.
pub fn check_authorities(pem: &str) -> Result<(), String> {
    let mut count = 0;
    for item in parse_pem(pem.as_bytes()) {
        let certificate = match item {
            Ok(PemItem::Certificate(certificate)) => certificate,
            Ok(_) => return Err("holds something else than certificates".to_owned()),
            Err(error) => return Err(format!("is damaged: {error}")),
        };
        let der = CertificateDer::from(certificate.der());
        rustls::RootCertStore::empty()
            .add(der)
            .map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
        count += 1;
    }
    if count == 0 {
        return Err("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(())
}

impl Web {
    /// Reads a small file as a whole.
    pub fn small(&self, url: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let refused = |reason: String| Error::Http {
            url: url.to_owned(),
            reason,
        };
        let response = self.ask(url, None).map_err(|trouble| match trouble {
            Trouble::Final(error) => error,
            Trouble::Lost(reason) => refused(reason),
        })?;
        let mut bytes = Vec::new();
        response
            .into_body()
            .into_reader()
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| refused(error.to_string()))?;
        if bytes.len() as u64 > limit {
            return Err(refused(format!("it has more than {limit} bytes")));
        }
        Ok(bytes)
    }

    /// Asks for a stretch of a file; the server may give all of it instead.
    pub fn stretch(&self, url: &str, range: Range<u64>) -> Result<Answer, Trouble> {
        let wanted = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let response = self.ask(url, Some(&wanted))?;
        let start = if response.status() == StatusCode::PARTIAL_CONTENT {
            let given = response.headers().get(header::CONTENT_RANGE);
            let start = given.and_then(|value| start_of(value.to_str().ok()?));
            if start != Some(range.start) {
                return Err(Trouble::Final(Error::Http {
                    url: url.to_owned(),
                    reason: format!("the server gives {given:?} when asked for {wanted}"),
                }));
            }
            range.start
        } else {
            0
        };
        Ok(Answer {
            body: Box::new(response.into_body().into_reader()),
            start,
        })
    }

    fn ask(&self, url: &str, range: Option<&str>) -> Result<Response<Body>, Trouble> {
        let mut request = self.agent.get(url);
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        let response = request.call().map_err(|error| trouble(url, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let reason = format!("the server answers {status}");
        let passes = status.is_server_error()
            || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
        Err(if passes {
            Trouble::Lost(reason)
        } else {
            Trouble::Final(Error::Http {
                url: url.to_owned(),
                reason,
            })
        })
    }
}

fn trouble(url: &str, error: &ureq::Error) -> Trouble {
    use ureq::Error as Web;
    if let Some(refused) = refused_certificate(error) {
        return Trouble::Final(Error::Untrusted {
            url: url.to_owned(),
            reason: refused.to_string(),
        });
    }
    match error {
        Web::Io(_)
        | Web::Timeout(_)
        | Web::HostNotFound
        | Web::ConnectionFailed
        | Web::Protocol(_) => Trouble::Lost(error.to_string()),
        _ => Trouble::Final(Error::Http {
            url: url.to_owned(),
            reason: error.to_string(),
        }),
    }
}

/// What TLS found wrong with the server's certificate.
fn refused_certificate(error: &ureq::Error) -> Option<&rustls::CertificateError> {
    let tls = match error {
        ureq::Error::Rustls(error) => error,
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref::<rustls::Error>()?,
        _ => return None,
    };
    match tls {
        rustls::Error::InvalidCertificate(error) => Some(error),
        _ => None,
    }
}

/// The first byte in a `Content-Range` header.
fn start_of(value: &str) -> Option<u64> {
    let range = value.strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}
