//! Accounts at authorities. Their keys are kept apart and never shown.

use super::{blocking, connect};
use crate::core::Core;
use crate::error::IntoApi;
use basalt_acme::{AccountKey, ExternalAccount};
use basalt_api::methods::acme::AcmeAccount;
use basalt_api::{Error, Result};
use basalt_store::{Expect, Transaction};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::sync::Arc;
use zeroize::Zeroizing;

const ACCOUNTS: &str = "acme/account/";
const KEYS: &str = "acme/account-key/";

/// An account that is to be made.
pub struct New {
    /// Its name here.
    pub name: String,
    /// Address of the authority's directory.
    pub directory: String,
    /// Mail addresses.
    pub contact: Vec<String>,
    /// The terms of service that are agreed to.
    pub tos: Option<String>,
    /// Who it belongs to at the authority.
    pub customer: Option<ExternalAccount>,
}

/// Names of all accounts.
pub fn names(core: &Core) -> Vec<String> {
    let entries = core.store.list(ACCOUNTS).into_iter();
    let name = |key: String| key.strip_prefix(ACCOUNTS).map(str::to_owned);
    entries.filter_map(|entry| name(entry.key)).collect()
}

/// An account.
pub fn get(core: &Core, name: &str) -> Result<AcmeAccount> {
    let found = core.store.read::<AcmeAccount>(&format!("{ACCOUNTS}{name}"));
    let found = found.api()?.map(|stored| stored.value);
    found.ok_or_else(|| Error::not_found(format_args!("ACME account '{name}'")))
}

/// Whether an account is at this authority.
pub fn is_known(core: &Core, directory: &str) -> bool {
    let accounts = names(core).into_iter();
    accounts
        .filter_map(|name| get(core, &name).ok())
        .any(|account| account.directory == directory)
}

/// Refuses a name that an account has.
pub fn is_free(core: &Core, name: &str) -> Result<()> {
    match core.store.get(&format!("{ACCOUNTS}{name}")) {
        Some(_) => Err(Error::exists(format_args!("ACME account '{name}'"))),
        None => Ok(()),
    }
}

/// The key of an account.
pub fn key(core: &Core, name: &str) -> Result<AccountKey> {
    let found = core.store.read::<String>(&format!("{KEYS}{name}"));
    let Some(text) = found.api()?.map(|found| Zeroizing::new(found.value)) else {
        return Err(Error::not_found(format_args!(
            "key of ACME account '{name}'"
        )));
    };
    let bytes = STANDARD.decode(text.as_bytes());
    let bytes = Zeroizing::new(bytes.map_err(Error::failed)?);
    AccountKey::from_pkcs8(&bytes).map_err(Error::failed)
}

/// Makes an account at its authority and keeps it; answers its address.
pub async fn register(core: &Arc<Core>, new: New) -> Result<String> {
    is_free(core, &new.name)?;
    let asking = Arc::clone(core);
    let (new, key, made) = blocking(move || {
        let mut client = connect(&asking, &new.directory)?;
        let key = AccountKey::generate()?;
        let (terms, customer) = (new.tos.is_some(), new.customer.as_ref());
        let made = client.register(&key, &new.contact, terms, customer)?;
        Ok((new, key, made))
    })
    .await?;
    let account = AcmeAccount {
        account: object(made.object),
        directory: new.directory,
        location: made.location.clone(),
        tos: new.tos,
    };
    let place = format!("{ACCOUNTS}{}", new.name);
    let secret = Zeroizing::new(STANDARD.encode(key.pkcs8()));
    let change = Transaction::new().expect(&place, Expect::Absent);
    let change = change.put(&place, &account).api()?;
    let change = change.put(format!("{KEYS}{}", new.name), secret.as_str());
    core.store.commit(change.api()?).await.api()?;
    Ok(made.location)
}

/// Sets the mail addresses of an account, or only reads anew what the authority says about it.
pub async fn update(core: &Arc<Core>, name: &str, contact: Option<Vec<String>>) -> Result<()> {
    let (mut account, key) = (get(core, name)?, key(core, name)?);
    let (asking, known) = (Arc::clone(core), account.clone());
    let said = blocking(move || {
        let mut client = connect(&asking, &known.directory)?;
        let mut session = client.session(&key, &known.location);
        match contact {
            Some(contact) => session.set_contact(&contact),
            None => session.refresh(),
        }
    });
    account.account = object(said.await?);
    let place = format!("{ACCOUNTS}{name}");
    let change = Transaction::new().expect(&place, Expect::Present);
    let change = change.put(&place, &account).api()?;
    core.store.commit(change).await.api()?;
    Ok(())
}

/// Ends an account at its authority and forgets it, also when the authority does not know it.
pub async fn deactivate(core: &Arc<Core>, name: &str) -> Result<()> {
    let (account, key) = (get(core, name)?, key(core, name)?);
    let asking = Arc::clone(core);
    blocking(move || {
        let mut client = connect(&asking, &account.directory)?;
        let ended = client.session(&key, &account.location).deactivate();
        match ended {
            Err(basalt_acme::Error::Refused { kind, .. })
                if ["accountDoesNotExist", "unauthorized"].contains(&kind.as_str()) =>
            {
                Ok(())
            }
            other => other,
        }
    })
    .await?;
    let change = Transaction::new().delete(format!("{ACCOUNTS}{name}"));
    let change = change.delete(format!("{KEYS}{name}"));
    core.store.commit(change).await.api()?;
    Ok(())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Mail addresses as a caller writes them.
pub fn contacts(text: &str) -> Result<Vec<String>> {
    let words = text.split([',', ';', ' ']).filter(|word| !word.is_empty());
    // What is said in a mailto address besides the address itself must not come in this way.
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"@.-_+'".contains(&byte);
    let address = |word: &str| match word.split_once('@') {
        Some((name, host)) if !name.is_empty() && !host.is_empty() && word.bytes().all(good) => {
            Ok(word.to_owned())
        }
        _ => Err(Error::param(
            "contact",
            format_args!("'{word}' is no mail address"),
        )),
    };
    let found: Vec<String> = words.map(address).collect::<Result<_>>()?;
    match found.is_empty() {
        true => Err(Error::param("contact", "names no mail address")),
        false => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_mail_addresses_and_nothing_more() {
        let found = contacts("a@example.org, b+x@example.org").unwrap();
        assert_eq!(found, ["a@example.org", "b+x@example.org"]);
        for bad in ["", " ,", "a", "@b", "a@", "a@b?cc=c@d", "a@b%2c"] {
            let error = contacts(bad).unwrap_err();
            assert!(error.errors.contains_key("contact"), "{bad}");
        }
    }
}
