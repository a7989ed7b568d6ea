//! Asking for JSON by https.

use crate::Error;
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::Response;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

/// The host's authorities.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// A provider may take so long for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// No answer is longer than so many bytes.
const LONGEST: u64 = 1 << 20;

/// A web client that believes certain authorities.
pub(crate) struct Web(Agent);

impl Web {
    /// Believes the host's authorities, or those in the file `authorities` alone.
    pub(crate) fn new(authorities: Option<&Path>) -> Result<Self, Error> {
        let place = authorities.unwrap_or(Path::new(AUTHORITIES));
        let none = || Error::Authorities(place.display().to_string());
        let text = std::fs::read(place).map_err(|_| none())?;
        let trusted = parse_pem(&text).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        let trusted: Vec<_> = trusted.collect();
        if trusted.is_empty() {
            return Err(none());
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

    /// Reads JSON, for somebody who has an access token if it takes one.
    pub(crate) fn json(&self, url: &str, token: Option<&str>) -> Result<Value, Error> {
        let mut request = self.0.get(url).header(ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let (status, answer) = body(url, request.call())?;
        match status {
            200 => Ok(answer),
            _ => Err(Error::Answer {
                url: url.to_owned(),
                reason: format!("status {status}"),
            }),
        }
    }

    /// Sends a form; what is refused is told in the provider's words (RFC 6749, section 5.2).
    pub(crate) fn post(
        &self,
        url: &str,
        form: &str,
        authorization: Option<&str>,
    ) -> Result<Value, Error> {
        let request = self.0.post(url).header(ACCEPT, "application/json");
        let mut request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let (status, answer) = body(url, request.send(form))?;
        if status == 200 {
            return Ok(answer);
        }
        let word = |name: &str| answer.get(name).and_then(Value::as_str);
        let code = word("error").unwrap_or("no reason");
        let text = word("error_description").unwrap_or_default();
        let words = format!("{code} {text}");
        let plain = words.trim_end().chars().filter(|c| !c.is_control());
        Err(Error::Refused(plain.take(200).collect()))
    }
}

/// The status and body of an answer; only a failure may have none in JSON.
fn body(url: &str, answer: Result<Response<Body>, ureq::Error>) -> Result<(u16, Value), Error> {
    let unreachable = |reason: String| Error::Unreachable {
        url: url.to_owned(),
        reason,
    };
    let answer = answer.map_err(|error| unreachable(error.to_string()))?;
    let status = answer.status().as_u16();
    let mut bytes = Vec::new();
    let reader = answer.into_body().into_reader();
    let read = reader.take(LONGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| unreachable(error.to_string()))?;
    let wrong = |reason: String| Error::Answer {
        url: url.to_owned(),
        reason,
    };
    if bytes.len() as u64 > LONGEST {
        return Err(wrong(format!("more than {LONGEST} bytes")));
    }
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok((status, value)),
        Err(_) if status != 200 => Ok((status, Value::Null)),
        Err(error) => Err(wrong(error.to_string())),
    }
}
