//! Asks a server over HTTP.

use crate::{Error, Network, Result, authorities};
use basalt_model::notify::WebhookMethod;
use std::sync::Arc;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, RequestBuilder};

/// A request.
pub struct Request {
    /// What is done.
    pub method: WebhookMethod,
    /// Address.
    pub url: String,
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// What may stand in no message about it.
    pub secrets: Vec<String>,
}

impl Request {
    /// Sends it, and looks at the status of the answer alone. Blocks for a bounded time.
    ///
    /// # Errors
    /// When the server cannot be reached, takes too long or refuses.
    pub fn send(&self, network: &Network) -> Result<()> {
        let agent = self.agent(network)?;
        let answer = match self.method {
            WebhookMethod::Get if self.body.is_empty() => self.head(agent.get(&self.url)).call(),
            WebhookMethod::Get => {
                let request = agent.get(&self.url).force_send_body();
                self.head(request).send(&self.body)
            }
            WebhookMethod::Post => self.head(agent.post(&self.url)).send(&self.body),
            WebhookMethod::Put => self.head(agent.put(&self.url)).send(&self.body),
        };
        let server = self.server();
        let answer = answer.map_err(|error| self.error(error))?;
        let status = answer.status();
        let reason = format!("it answers with status {}", status.as_u16());
        match status.as_u16() {
            200..300 => Ok(()),
            408 | 425 | 429 | 500.. => Err(Error::NotNow { server, reason }),
            _ => Err(Error::Refused { server, reason }),
        }
    }

    fn head<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        let headers = self.headers.iter();
        headers.fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }

    fn agent(&self, network: &Network) -> Result<Agent> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
        if self.url.starts_with("https:") {
            let trusted = authorities::read(&network.authorities)?;
            tls = tls.root_certs(RootCerts::Specific(Arc::new(trusted)));
        }
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(network.web_patience))
            .user_agent(concat!("basalt/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(config.into())
    }

    /// Scheme and server, for messages: the rest of an address may be secret.
    fn server(&self) -> String {
        let begins = self.url.find("://").map_or(0, |at| at + 3);
        let rest = &self.url[begins..];
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let host = authority.rsplit('@').next().unwrap_or_default();
        self.told(&format!("{}{host}", &self.url[..begins]))
    }

    fn error(&self, error: ureq::Error) -> Error {
        let server = self.server();
        match error {
            // It would show the whole address.
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Error::Settings(format!(
                "what the settings make of this event is no request that could be sent to {server}"
            )),
            other => Error::Unreachable {
                reason: self.told(&other.to_string()),
                server,
            },
        }
    }

    /// A text without what is secret.
    fn told(&self, text: &str) -> String {
        let secrets = self.secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}
