//! What a synchronisation with a directory does.

use basalt_api::methods::realms::{RealmSync, SyncScope};
use basalt_api::methods::users::UserFields;
use basalt_api::{Error, Result};
use basalt_model::field::Field;
use basalt_model::propstring;
use std::collections::BTreeMap;

/// Which attribute of an entry describes what of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(BTreeMap<String, String>);

/// What of a user can come from a directory.
const DESCRIBING: [&str; 5] = ["comment", "email", "enable", "firstname", "lastname"];

impl Attributes {
    /// Reads `email=mail,firstname=givenName`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |text: String| Error::param("sync_attributes", text);
        let pairs = propstring::split(text, None).map_err(wrong)?;
        for (key, value) in &pairs {
            if !DESCRIBING.contains(&key.as_str()) {
                let known = DESCRIBING.join(", ");
                return Err(wrong(format!("'{key}' is none of: {known}")));
            }
            super::settings::attribute("sync_attributes", value.clone())?;
        }
        Ok(Self(pairs.into_iter().collect()))
    }

    pub(super) fn print(&self) -> Option<String> {
        let pairs = self.0.iter().map(|(key, value)| format!("{key}={value}"));
        Some(pairs.collect::<Vec<_>>().join(",")).filter(|text| !text.is_empty())
    }

    /// The attributes that are read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }

    /// What describes a user, by the values of its attributes.
    pub fn describe(&self, value: impl Fn(&str) -> Option<String>) -> UserFields {
        let of = |key: &str| value(self.0.get(key)?);
        UserFields {
            enable: of("enable").and_then(|text| bool::parse(&text).ok()),
            expire: None,
            firstname: of("firstname"),
            lastname: of("lastname"),
            email: of("email"),
            comment: of("comment"),
        }
    }
}

/// What is removed when the directory no longer has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vanished {
    /// Permissions of users and groups that are gone.
    pub acl: bool,
    /// Users and groups that are gone.
    pub entry: bool,
    /// What describes a user and has no value any more.
    pub properties: bool,
}

impl Vanished {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut vanished = Self::default();
        for word in text.split([';', ',']).map(str::trim) {
            match word {
                "acl" => vanished.acl = true,
                "entry" => vanished.entry = true,
                "properties" => vanished.properties = true,
                "none" if text.trim() == "none" => {}
                _ => {
                    return Err(format!(
                        "'{word}' is none of: acl, entry, properties; or none"
                    ));
                }
            }
        }
        Ok(vanished)
    }

    fn print(self) -> Option<String> {
        let words = [
            (self.acl, "acl"),
            (self.entry, "entry"),
            (self.properties, "properties"),
        ];
        let words = words.iter().filter(|(on, _)| *on).map(|(_, word)| *word);
        Some(words.collect::<Vec<_>>().join(";")).filter(|text| !text.is_empty())
    }
}

/// What a synchronisation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncOptions {
    /// What it is about; must be said somewhere.
    pub scope: Option<SyncScope>,
    /// What it removes.
    pub vanished: Vanished,
    /// Whether new users can log in.
    pub enable_new: bool,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            scope: None,
            vanished: Vanished::default(),
            enable_new: true,
        }
    }
}

impl SyncOptions {
    /// Reads `scope=both,remove-vanished=acl;entry,enable-new=0`, with the older spellings.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |text: String| Error::param("sync-defaults-options", text);
        let mut options = Self::default();
        for (key, value) in propstring::split(text, None).map_err(wrong)? {
            let on = || bool::parse(&value).map_err(|e| wrong(format!("{key}: {e}")));
            match key.as_str() {
                "scope" => options.scope = Some(scope(&value).map_err(wrong)?),
                "enable-new" => options.enable_new = on()?,
                "full" => {
                    options.vanished.entry |= on()?;
                    options.vanished.properties |= on()?;
                }
                "purge" => options.vanished.acl |= on()?,
                "remove-vanished" => {
                    options.vanished = Vanished::parse(&value).map_err(wrong)?;
                }
                _ => {
                    let known = "scope, remove-vanished, enable-new, full, purge";
                    return Err(wrong(format!("'{key}' is none of: {known}")));
                }
            }
        }
        Ok(options)
    }

    pub(super) fn print(&self) -> Option<String> {
        let scope = self.scope.map(|scope| match scope {
            SyncScope::Users => "scope=users",
            SyncScope::Groups => "scope=groups",
            SyncScope::Both => "scope=both",
        });
        let vanished = self
            .vanished
            .print()
            .map(|text| format!("remove-vanished={text}"));
        let enable = (!self.enable_new).then(|| "enable-new=0".to_owned());
        let parts: Vec<String> = [scope.map(str::to_owned), vanished, enable]
            .into_iter()
            .flatten()
            .collect();
        Some(parts.join(",")).filter(|text| !text.is_empty())
    }

    /// The realm's options with what a call says besides.
    pub fn with(mut self, call: &RealmSync) -> Result<Self> {
        if let Some(text) = &call.remove_vanished {
            let read = Vanished::parse(text);
            self.vanished = read.map_err(|e| Error::param("remove-vanished", e))?;
        }
        if let Some(full) = call.full {
            (self.vanished.entry, self.vanished.properties) = (full, full);
        }
        self.vanished.acl = call.purge.unwrap_or(self.vanished.acl);
        self.enable_new = call.enable_new.unwrap_or(self.enable_new);
        self.scope = call.scope.or(self.scope);
        if self.scope.is_none() {
            let text = "must be said here or in the realm's sync-defaults-options";
            return Err(Error::param("scope", text));
        }
        Ok(self)
    }

    /// Whether users are synchronised.
    pub fn users(&self) -> bool {
        matches!(self.scope, Some(SyncScope::Users | SyncScope::Both))
    }

    /// Whether groups are synchronised.
    pub fn groups(&self) -> bool {
        matches!(self.scope, Some(SyncScope::Groups | SyncScope::Both))
    }
}

fn scope(text: &str) -> std::result::Result<SyncScope, String> {
    match text {
        "users" => Ok(SyncScope::Users),
        "groups" => Ok(SyncScope::Groups),
        "both" => Ok(SyncScope::Both),
        _ => Err(format!("scope: '{text}' is none of: users, groups, both")),
    }
}
