//! What is the same for targets of all kinds and for matchers.

use crate::call::Call;
use crate::notifications::Notifications;
use basalt_api::methods::NoParams;
use basalt_api::methods::notifications::{NotifyChange, NotifyEntry, NotifyPath, NotifyShown};
use basalt_api::{Error, Result};
use basalt_model::acme::ConfigId;
use basalt_model::notify::{
    DEFAULT_MATCHER, Gotify, MAIL_TO_ROOT, Matcher, NotifyConfig, NotifySecrets, Sendmail, Smtp,
    Webhook,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// A kind of target, or matchers.
pub trait Section: Clone + Serialize + DeserializeOwned + Send + 'static {
    /// What one is, in messages.
    const WHAT: &'static str;
    /// The settings that can be put back.
    const OPTIONAL: &'static [&'static str];

    /// All of them, by name.
    fn all(config: &mut NotifyConfig) -> &mut BTreeMap<String, Self>;

    /// Forgets the secrets of one.
    fn forget(_: &mut NotifySecrets, _: &str) {}
}

impl Section for Gotify {
    const WHAT: &'static str = "gotify target";
    const OPTIONAL: &'static [&'static str] = &["comment", "disable"];

    fn all(config: &mut NotifyConfig) -> &mut BTreeMap<String, Self> {
        &mut config.gotify
    }

    fn forget(secrets: &mut NotifySecrets, name: &str) {
        secrets.gotify.remove(name);
    }
}

impl Section for Sendmail {
    const WHAT: &'static str = "sendmail target";
    const OPTIONAL: &'static [&'static str] = &[
        "comment",
        "disable",
        "author",
        "from-address",
        "mailto",
        "mailto-user",
        "relay",
    ];

    fn all(config: &mut NotifyConfig) -> &mut BTreeMap<String, Self> {
        &mut config.sendmail
    }
}

impl Section for Smtp {
    const WHAT: &'static str = "smtp target";
    const OPTIONAL: &'static [&'static str] = &[
        "comment",
        "disable",
        "author",
        "mailto",
        "mailto-user",
        "mode",
        "port",
        "username",
    ];

    fn all(config: &mut NotifyConfig) -> &mut BTreeMap<String, Self> {
        &mut config.smtp
    }

    fn forget(secrets: &mut NotifySecrets, name: &str) {
        secrets.smtp.remove(name);
    }
}

impl Section for Webhook {
    const WHAT: &'static str = "webhook target";
    const OPTIONAL: &'static [&'static str] = &["body", "comment", "disable", "header", "secret"];

    fn all(config: &mut NotifyConfig) -> &mut BTreeMap<String, Self> {
        &mut config.webhook
    }

    fn forget(secrets: &mut NotifySecrets, name: &str) {
        secrets.webhook.remove(name);
    }
}

impl Section for Matcher {
    const WHAT: &'static str = "matcher";
    const OPTIONAL: &'static [&'static str] = Matcher::NAMES;

    fn all(config: &mut NotifyConfig) -> &mut BTreeMap<String, Self> {
        &mut config.matcher
    }
}

fn none<T: Section>(name: &str) -> Error {
    Error::not_found(format_args!("{} '{name}'", T::WHAT))
}

/// Lists all of a kind.
pub async fn list<T: Section>(call: Call, _: NoParams) -> Result<Vec<NotifyEntry<T>>> {
    let config = Notifications::read(&call.node.store)?.config;
    let all = std::mem::take(T::all(&mut config.clone()));
    let entry = |(name, settings): (String, T)| NotifyEntry {
        origin: config.origin(&name),
        name,
        settings,
    };
    Ok(all.into_iter().map(entry).collect())
}

/// Shows one.
pub async fn show<T: Section>(call: Call, path: NotifyPath) -> Result<NotifyShown<T>> {
    let mut all = Notifications::read(&call.node.store)?;
    let found = T::all(&mut all.config).remove(&path.name);
    Ok(NotifyShown {
        settings: found.ok_or_else(|| none::<T>(&path.name))?,
        digest: all.digest(),
        name: path.name,
    })
}

/// Removes one that nothing needs; what is there from the beginning is put back to what it was.
pub async fn delete<T: Section>(call: Call, path: NotifyPath) -> Result<()> {
    let mut all = Notifications::read(&call.node.store)?;
    let name = &path.name;
    if T::all(&mut all.config).remove(name).is_none() {
        return Err(none::<T>(name));
    }
    if ![MAIL_TO_ROOT, DEFAULT_MATCHER].contains(&name.as_str()) {
        let users: Vec<&str> = all.config.users_of(name).collect();
        if !users.is_empty() {
            let users = users.join("', '");
            let text = format!("'{name}' is in use: take it out of '{users}' first");
            return Err(Error::param("name", text));
        }
    }
    T::forget(&mut all.secrets, name);
    all.store(&call.node.store).await
}

/// Refuses a name that is none, or that something has.
pub fn new_name(config: &NotifyConfig, name: &str) -> Result<()> {
    let id: std::result::Result<ConfigId, String> = name.parse();
    id.map_err(|text| Error::param("name", text))?;
    if config.has_target(name) {
        return Err(Error::exists(format_args!("target '{name}'")));
    }
    match config.matcher.contains_key(name) {
        true => Err(Error::exists(format_args!("matcher '{name}'"))),
        false => Ok(()),
    }
}

/// What a change makes of one. `change` has the settings to set, by their names, and `secrets` are
/// names that can be put back besides.
pub fn merged<T: Section>(
    all: &mut Notifications,
    name: &str,
    how: &NotifyChange,
    change: &impl Serialize,
    secrets: &[&str],
) -> Result<T> {
    let before = T::all(&mut all.config).get(name);
    let before = before.cloned().ok_or_else(|| none::<T>(name))?;
    if how.digest.is_some() && how.digest != Some(all.digest()) {
        let text = "the settings were changed meanwhile: read them again";
        return Err(Error::param("digest", text));
    }
    let mut members = serde_json::to_value(before).map_err(Error::failed)?;
    for name in deleted(how) {
        if !T::OPTIONAL.contains(&name) && !secrets.contains(&name) {
            let text = format!("there is no setting '{name}' that could be put back");
            return Err(Error::param("delete", text));
        }
        if let Value::Object(members) = &mut members {
            members.remove(name);
        }
    }
    let set = serde_json::to_value(change).map_err(Error::failed)?;
    if let (Value::Object(members), Value::Object(set)) = (&mut members, set) {
        members.extend(set.into_iter().filter(|(_, value)| !value.is_null()));
    }
    serde_json::from_value(members).map_err(Error::failed)
}

/// The names of the settings to put back; clients also write them in one, separated by commas.
pub fn deleted(how: &NotifyChange) -> impl Iterator<Item = &str> {
    let names = how.delete.iter().flatten();
    let names = names.flat_map(|names| names.split([',', ';', ' ']));
    names.filter(|name| !name.is_empty())
}
