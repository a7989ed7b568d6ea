//! Asks an OpenID Connect provider who somebody is: the authorization code flow (OpenID Connect Core
//! 1.0, section 3.1) with PKCE (RFC 7636).
//!
//! Start at [`Client`]. Everything here blocks, so it belongs on a thread for that. The provider is
//! reached by https alone, whose certificate must be valid; what it says is believed only as far as
//! its signature reaches, every answer has a limit and a time, and no redirection is followed.

mod token;
mod web;

use basalt_access::realms::OpenId;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use web::Web;

/// What is not encoded in a form or an address (RFC 3986, section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a provider says about somebody.
pub type Claims = Map<String, Value>;

/// Why a provider does not say who somebody is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, or its certificate is not believed.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// Address.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The authorities to believe cannot be read.
    #[error("no certificate of an authority in {0}")]
    Authorities(String),
    /// It answers something else than it should.
    #[error("{url}: {reason}")]
    Answer {
        /// Address.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// It refuses the code.
    #[error("the provider refuses: {0}")]
    Refused(String),
    /// What it says about the user is not to be believed.
    #[error("the provider's token is not valid: {0}")]
    Token(String),
}

/// What a provider says about itself (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// The answer of the token endpoint.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: String,
}

/// A login that came back from the provider.
pub struct Return<'a> {
    /// Code that the provider gave.
    pub code: &'a str,
    /// Where it sent the browser.
    pub redirect: &'a str,
    /// The secret of the challenge (PKCE) that the login began with.
    pub verifier: &'a str,
    /// The nonce that it began with.
    pub nonce: &'a str,
}

/// Asks one provider.
pub struct Client {
    settings: OpenId,
    /// Secret of the client.
    secret: Option<String>,
    web: Web,
}

impl Client {
    /// A client with these settings, which proves itself by `secret`, if it has one.
    ///
    /// # Errors
    /// When the authorities that `capath` names cannot be read.
    pub fn new(settings: OpenId, secret: Option<String>) -> Result<Self, Error> {
        let web = Web::new(settings.capath.as_deref())?;
        Ok(Self {
            settings,
            secret,
            web,
        })
    }

    /// Where a browser goes to log in; it comes back to `redirect` with `state` and a code.
    pub fn login_url(
        &self,
        redirect: &str,
        state: &str,
        nonce: &str,
        verifier: &str,
    ) -> Result<String, Error> {
        let discovery = self.discover()?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let scope = format!("openid {}", self.settings.scopes);
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", redirect),
            ("scope", scope.trim_end()),
            ("state", state),
            ("nonce", nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        query.extend(self.settings.prompt.as_deref().map(|text| ("prompt", text)));
        let acr = self.settings.acr_values.as_deref();
        query.extend(acr.map(|text| ("acr_values", text)));
        let endpoint = discovery.authorization_endpoint;
        if !endpoint.starts_with("https://") || endpoint.contains('#') {
            return Err(Error::Answer {
                url: self.discovery_url(),
                reason: "authorization_endpoint is no https address".into(),
            });
        }
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        Ok(format!("{endpoint}{separator}{}", form(&query)))
    }

    /// What the provider says about who logged in there.
    pub fn claims(&self, login: &Return<'_>) -> Result<Claims, Error> {
        let discovery = self.discover()?;
        let tokens = self.tokens(&discovery, login)?;
        let keys = self.web.json(&discovery.jwks_uri, None)?;
        let expected = token::Expected {
            issuer: &discovery.issuer,
            client: &self.settings.client_id,
            nonce: login.nonce,
            now: token::now(),
        };
        let mut claims = token::claims(&tokens.id_token, &keys, &expected)?;
        let Some(url) = discovery
            .userinfo_endpoint
            .filter(|_| self.settings.userinfo)
        else {
            return Ok(claims);
        };
        let more = self.web.json(&url, Some(&tokens.access_token))?;
        let Value::Object(more) = more else {
            let reason = "no JSON object".to_owned();
            return Err(Error::Answer { url, reason });
        };
        // Somebody else's answer must not be taken for this user's (Core, section 5.3.2).
        if more.get("sub") != claims.get("sub") {
            return Err(Error::Token("userinfo is about somebody else".into()));
        }
        for (name, value) in more {
            claims.entry(name).or_insert(value);
        }
        Ok(claims)
    }

    fn discovery_url(&self) -> String {
        let issuer = self.settings.issuer.trim_end_matches('/');
        format!("{issuer}/.well-known/openid-configuration")
    }

    fn discover(&self) -> Result<Discovery, Error> {
        let url = self.discovery_url();
        let answer = self.web.json(&url, None)?;
        let found: Result<Discovery, _> = serde_json::from_value(answer);
        let found = found.map_err(|error| Error::Answer {
            url: url.clone(),
            reason: error.to_string(),
        })?;
        let wanted = self.settings.issuer.trim_end_matches('/');
        if found.issuer.trim_end_matches('/') != wanted {
            let reason = format!("it is issuer '{}'", found.issuer);
            return Err(Error::Answer { url, reason });
        }
        Ok(found)
    }

    fn tokens(&self, discovery: &Discovery, login: &Return<'_>) -> Result<Tokens, Error> {
        let client = self.settings.client_id.as_str();
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", login.code),
            ("redirect_uri", login.redirect),
            ("code_verifier", login.verifier),
        ];
        // Without a word about it, `client_secret_basic` is the way (Discovery, section 3).
        let ways = discovery.token_endpoint_auth_methods_supported.as_deref();
        let basic = ways.is_none_or(|ways| ways.iter().any(|way| way == "client_secret_basic"));
        let mut authorization = None;
        match self.secret.as_deref() {
            Some(secret) if basic => {
                let pair = format!("{}:{}", encode(client), encode(secret));
                authorization = Some(format!("Basic {}", STANDARD.encode(pair)));
            }
            Some(secret) => fields.extend([("client_id", client), ("client_secret", secret)]),
            None => fields.push(("client_id", client)),
        }
        let url = &discovery.token_endpoint;
        let answer = self
            .web
            .post(url, &form(&fields), authorization.as_deref())?;
        serde_json::from_value(answer).map_err(|error| Error::Answer {
            url: url.clone(),
            reason: error.to_string(),
        })
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

fn form(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}
