//! HTTP as the protocol sees it, and the web client behind it.

use crate::{Error, Result};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use ureq::http::header::{ACCEPT, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

/// A server may take so long for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// No answer is longer than so many bytes.
const LONGEST: u64 = 1 << 20;

/// What is asked of an address.
#[derive(Debug, Clone, Copy)]
pub enum Call<'a> {
    /// Its headers alone.
    Head,
    /// What is there.
    Get,
    /// Something signed (RFC 8555, section 6.2).
    Post {
        /// The JSON of the signature.
        body: &'a str,
        /// Type of the answer that is wanted.
        accept: &'a str,
    },
}

/// An answer with the headers that the protocol looks at.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// `Replay-Nonce` (RFC 8555, section 6.5).
    pub nonce: Option<String>,
    /// `Location`.
    pub location: Option<String>,
    /// `Retry-After`, as it stands there.
    pub retry_after: Option<String>,
    /// Body.
    pub body: Vec<u8>,
}

impl Response {
    /// How long to wait before the next question: seconds or a date (RFC 9110, section 10.2.3).
    pub(crate) fn wait(&self) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

/// Carries questions to a server.
pub trait Transport: Send {
    /// Asks, whatever the status of the answer is.
    ///
    /// # Errors
    /// [`Error::Unreachable`] and [`Error::Answer`].
    fn ask(&self, url: &str, call: Call<'_>) -> Result<Response>;
}

/// A web client that believes certain authorities, and follows no redirection.
pub struct Web(Agent);

impl Web {
    /// Believes the authorities in all of these files.
    ///
    /// # Errors
    /// [`Error::Authorities`] names the file that has none.
    pub fn new(files: &[&Path]) -> Result<Self> {
        let mut trusted = Vec::new();
        for file in files {
            let none = || Error::Authorities(file.display().to_string());
            let text = std::fs::read(file).map_err(|_| none())?;
            let before = trusted.len();
            trusted.extend(parse_pem(&text).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            }));
            if trusted.len() == before {
                return Err(none());
            }
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(trusted)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE))
            .user_agent(concat!("basalt/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self(config.into()))
    }
}

impl Transport for Web {
    fn ask(&self, url: &str, call: Call<'_>) -> Result<Response> {
        let answer = match call {
            Call::Head => self.0.head(url).call(),
            Call::Get => self.0.get(url).header(ACCEPT, "application/json").call(),
            Call::Post { body, accept } => {
                let request = self.0.post(url).header(ACCEPT, accept);
                let request = request.header(CONTENT_TYPE, "application/jose+json");
                request.send(body)
            }
        };
        let unreachable = |reason: String| Error::Unreachable {
            url: url.to_owned(),
            reason,
        };
        let answer = answer.map_err(|error| unreachable(error.to_string()))?;
        let mut response = headers(&answer);
        let reader = answer.into_body().into_reader();
        let read = reader.take(LONGEST + 1).read_to_end(&mut response.body);
        read.map_err(|error| unreachable(error.to_string()))?;
        if response.body.len() as u64 > LONGEST {
            return Err(Error::Answer {
                url: url.to_owned(),
                reason: format!("more than {LONGEST} bytes"),
            });
        }
        Ok(response)
    }
}

fn headers(answer: &ureq::http::Response<Body>) -> Response {
    let text = |value: Option<&ureq::http::HeaderValue>| {
        let value = value.and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let headers = answer.headers();
    Response {
        status: answer.status().as_u16(),
        nonce: text(headers.get("replay-nonce")),
        location: text(headers.get(LOCATION)),
        retry_after: text(headers.get(RETRY_AFTER)),
        body: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let wait = |text: &str| {
            let response = Response {
                retry_after: Some(text.to_owned()),
                ..Response::default()
            };
            response.wait()
        };
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        let past = "Fri, 31 Dec 1999 23:59:59 GMT";
        assert_eq!(wait(past), Some(Duration::ZERO));
        let hour = SystemTime::now() + Duration::from_secs(3600);
        let found = wait(&httpdate::fmt_http_date(hour)).unwrap().as_secs();
        assert!((3590..=3600).contains(&found), "{found}");
        assert_eq!(wait("soon"), None);
    }
}
