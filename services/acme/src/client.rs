//! A conversation with a server: its directory, nonces and signed requests (RFC 8555, section 6).

use crate::key::{AccountKey, Signer, encode};
use crate::messages::{Directory, Meta, json, refusal};
use crate::web::{Call, Response, Transport};
use crate::{Error, Result};
use serde_json::{Value, json};

/// A request whose nonce is refused is sent again so many times (section 6.5).
const NONCE_TRIES: u32 = 4;
const JSON: &str = "application/json";
/// Type of a chain of certificates (section 9.1).
const PEM: &str = "application/pem-certificate-chain";

/// A conversation with a server.
pub struct Client {
    transport: Box<dyn Transport>,
    pub(crate) directory: Directory,
    /// The next nonce, from the last answer.
    nonce: Option<String>,
}

/// A conversation in the name of an account.
pub struct Session<'a> {
    client: &'a mut Client,
    pub(crate) key: &'a AccountKey,
    pub(crate) account: &'a str,
}

impl Client {
    /// Reads the server's directory.
    ///
    /// # Errors
    /// When there is none at `url`.
    pub fn connect(transport: Box<dyn Transport>, url: &str) -> Result<Self> {
        let answer = transport.ask(url, Call::Get)?;
        if answer.status != 200 {
            return Err(refusal(url, &answer));
        }
        Ok(Self {
            directory: json(url, &answer)?,
            transport,
            nonce: None,
        })
    }

    /// What the server says about itself.
    pub fn meta(&self) -> &Meta {
        &self.directory.meta
    }

    /// Goes on in the name of the account at an address.
    pub fn session<'a>(&'a mut self, key: &'a AccountKey, account: &'a str) -> Session<'a> {
        Session {
            client: self,
            key,
            account,
        }
    }

    /// Sends a signed request and takes an answer in JSON.
    pub(crate) fn post(
        &mut self,
        key: &AccountKey,
        signer: Signer<'_>,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<Response> {
        self.post_for(JSON, key, signer, url, payload)
    }

    /// The same for an answer of any type. A refused nonce costs another try.
    fn post_for(
        &mut self,
        accept: &str,
        key: &AccountKey,
        signer: Signer<'_>,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<Response> {
        let mut tries = NONCE_TRIES;
        loop {
            let nonce = self.next_nonce()?;
            let body = key.sign(signer, &nonce, url, payload)?;
            let body = body.as_str();
            let mut answer = self.transport.ask(url, Call::Post { body, accept })?;
            self.nonce = answer.nonce.take();
            if (200..300).contains(&answer.status) {
                return Ok(answer);
            }
            tries -= 1;
            match refusal(url, &answer) {
                Error::Refused { kind, .. } if kind == "badNonce" && tries > 0 => {}
                error => return Err(error),
            }
        }
    }

    fn next_nonce(&mut self) -> Result<String> {
        if let Some(nonce) = self.nonce.take() {
            return Ok(nonce);
        }
        let url = &self.directory.new_nonce;
        let answer = self.transport.ask(url, Call::Head)?;
        answer.nonce.ok_or_else(|| Error::Answer {
            url: url.clone(),
            reason: format!("there is no nonce (status {})", answer.status),
        })
    }
}

impl Session<'_> {
    /// Sends a request; without a payload it only reads.
    pub(crate) fn post(&mut self, url: &str, payload: Option<&Value>) -> Result<Response> {
        let signer = Signer::Account(self.account);
        self.client.post(self.key, signer, url, payload)
    }

    /// Where orders are placed.
    pub(crate) fn new_order(&self) -> String {
        self.client.directory.new_order.clone()
    }

    /// A chain of certificates in PEM.
    pub(crate) fn download(&mut self, url: &str) -> Result<String> {
        let signer = Signer::Account(self.account);
        let answer = self.client.post_for(PEM, self.key, signer, url, None)?;
        let text = String::from_utf8(answer.body).ok();
        let text = text.filter(|text| text.contains("BEGIN CERTIFICATE"));
        text.ok_or_else(|| Error::Answer {
            url: url.to_owned(),
            reason: "there is no certificate in PEM".to_owned(),
        })
    }

    /// Takes back a certificate, given in DER (section 7.6).
    ///
    /// # Errors
    /// One that is taken back already is refused with the kind `alreadyRevoked`.
    pub fn revoke(&mut self, certificate: &[u8]) -> Result<()> {
        let url = self.client.directory.revoke_cert.clone();
        let payload = json!({"certificate": encode(certificate)});
        self.post(&url, Some(&payload)).map(|_| ())
    }
}
