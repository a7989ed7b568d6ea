//! Accounts at an authority (RFC 8555, section 7.3).

use crate::client::Client;
use crate::key::{AccountKey, Signer};
use crate::messages::json;
use crate::{Error, Result, Session};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// An account as the server knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Its address, which is also its name.
    pub location: String,
    /// What the server says about it.
    pub object: Value,
}

/// Who the account belongs to at the authority (RFC 8555, section 7.3.4).
pub struct ExternalAccount {
    /// Name of the key.
    pub kid: String,
    /// The key itself.
    pub(crate) key: Zeroizing<Vec<u8>>,
}

impl ExternalAccount {
    /// Reads the key as authorities give it: in base64 for addresses, with or without padding.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn new(kid: &str, key: &str) -> Result<Self> {
        let text = key.trim().trim_end_matches('=');
        let text = Zeroizing::new(text.replace('+', "-").replace('/', "_"));
        let key = URL_SAFE_NO_PAD.decode(text.as_bytes());
        let key = key.map_err(|_| Error::Key("it is no base64".to_owned()))?;
        if key.is_empty() {
            return Err(Error::Key("it is empty".to_owned()));
        }
        Ok(Self {
            kid: kid.to_owned(),
            key: Zeroizing::new(key),
        })
    }
}

impl Client {
    /// Makes an account of a key, or finds the one that it has. `contact` are mail addresses;
    /// `terms` says that the terms of service were agreed to.
    ///
    /// # Errors
    /// [`Error::Terms`] and [`Error::ExternalAccountRequired`] when the server wants more than is
    /// given; else what the server or the way to it says.
    pub fn register(
        &mut self,
        key: &AccountKey,
        contact: &[String],
        terms: bool,
        customer: Option<&ExternalAccount>,
    ) -> Result<Account> {
        let meta = self.meta();
        if meta.external_account_required.unwrap_or(false) && customer.is_none() {
            return Err(Error::ExternalAccountRequired);
        }
        if let Some(url) = meta.terms_of_service.as_ref().filter(|_| !terms) {
            return Err(Error::Terms(url.clone()));
        }
        let url = self.directory.new_account.clone();
        let mut payload = json!({"contact": mailto(contact)});
        if terms {
            payload["termsOfServiceAgreed"] = true.into();
        }
        if let Some(customer) = customer {
            payload["externalAccountBinding"] = key.bind(customer, &url);
        }
        let answer = self.post(key, Signer::Key, &url, Some(&payload))?;
        let location = answer.location.clone().ok_or_else(|| Error::Answer {
            url: url.clone(),
            reason: "the account has no address".to_owned(),
        })?;
        let object = json(&url, &answer)?;
        Ok(Account { location, object })
    }
}

impl Session<'_> {
    /// Sets the mail addresses of the account (section 7.3.2); answers what it is now.
    pub fn set_contact(&mut self, contact: &[String]) -> Result<Value> {
        self.change(&json!({"contact": mailto(contact)}))
    }

    /// What the account is now (section 7.3.2: a change of nothing).
    pub fn refresh(&mut self) -> Result<Value> {
        self.change(&json!({}))
    }

    /// Ends the account for ever (section 7.3.6).
    pub fn deactivate(&mut self) -> Result<()> {
        self.change(&json!({"status": "deactivated"})).map(|_| ())
    }

    fn change(&mut self, payload: &Value) -> Result<Value> {
        let url = self.account.to_owned();
        let answer = self.post(&url, Some(payload))?;
        json(&url, &answer)
    }
}

/// Addresses as the protocol wants them (RFC 6068).
fn mailto(contact: &[String]) -> Vec<String> {
    let address = |text: &String| format!("mailto:{text}");
    contact.iter().map(address).collect()
}
