//! Realms as they are configured and stored.
//!
//! A realm is stored as its kind and the same settings that the API has, so that a release older
//! or newer skips what it does not know. Kinds that this release does not know must not lie under
//! the same key. Secrets are never part of it.

use basalt_api::methods::realms::{DirectoryMode, RealmFields};
use basalt_api::{Error, Result};
use basalt_model::userid::is_identifier;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

mod apply;
mod openid;
mod settings;
mod sync;

pub use apply::{Found, FoundGroup, FoundUser, apply};
pub use openid::{Groups, Identity, OpenId};
use settings::Stored;
pub use sync::{Attributes, SyncOptions, Vanished};

/// Every realm by its name; `pam` and `pve` are always among them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, Realm>")]
pub struct Realms(BTreeMap<String, Realm>);

impl From<BTreeMap<String, Realm>> for Realms {
    fn from(mut stored: BTreeMap<String, Realm>) -> Self {
        for (name, realm) in Self::default().0 {
            stored.entry(name).or_insert(realm);
        }
        Self(stored)
    }
}

impl Default for Realms {
    fn default() -> Self {
        let realm = |comment: &str, default: bool, kind| Realm {
            common: Common {
                comment: Some(comment.into()),
                default,
                second: None,
            },
            kind,
        };
        Self(BTreeMap::from([
            (
                "pam".into(),
                realm("Linux PAM standard authentication", true, Kind::Pam),
            ),
            (
                "pve".into(),
                realm("Accounts of this system", false, Kind::Pve),
            ),
        ]))
    }
}

/// A realm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Realm {
    /// What every realm has.
    pub common: Common,
    /// How its users prove who they are.
    pub kind: Kind,
}

/// What every realm has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Common {
    /// Description.
    pub comment: Option<String>,
    /// Whether a login page should choose it first.
    pub default: bool,
    /// The second factor that every user must have.
    pub second: Option<Totp>,
}

/// Time-based codes as a realm demands them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totp {
    /// Digits of a code, 6 to 8.
    pub digits: u32,
    /// A code is valid for so many seconds, 10 to 120.
    pub step: u64,
}

/// How the users of a realm prove who they are.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// With a password of the host's accounts.
    Pam,
    /// With a password kept here.
    Pve,
    /// By binding to a directory.
    Directory(Box<Directory>),
    /// By logging in at a provider.
    OpenId(Box<OpenId>),
}

/// Who users are in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// LDAP: the entry that has their name.
    Entries(Entries),
    /// Active Directory: name@domain.
    Domain(Domain),
}

/// How a directory is reached, and what is read from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Directory {
    /// Who users are.
    pub naming: Naming,
    /// Servers in the order they are tried.
    pub servers: Vec<String>,
    /// Port, if it is another than the mode's own.
    pub port: Option<u16>,
    /// Whether and how TLS is used.
    pub mode: DirectoryMode,
    /// Whether the server's certificate is verified.
    pub verify: bool,
    /// File or folder of authorities.
    pub capath: Option<PathBuf>,
    /// Whether upper and lower case differ in user names.
    pub case_sensitive: bool,
    /// Who searches.
    pub bind_dn: Option<String>,
    /// What a synchronisation reads.
    pub users: UserSearch,
    /// What a synchronisation reads.
    pub groups: GroupSearch,
    /// What a synchronisation does unless told.
    pub sync: SyncOptions,
}

/// Which entries are users, and what describes them.
#[derive(Debug, Clone, PartialEq)]
pub struct UserSearch {
    /// Filter that they must pass besides.
    pub filter: Option<String>,
    /// Their object classes.
    pub classes: Vec<String>,
    /// What comes from which attribute.
    pub attributes: Attributes,
}

/// Which entries are groups.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSearch {
    /// Where they are, if not where users are.
    pub base: Option<String>,
    /// Filter that they must pass besides.
    pub filter: Option<String>,
    /// Attribute with the name; else the first part of the DN is.
    pub name_attr: Option<String>,
    /// Their object classes.
    pub classes: Vec<String>,
}

/// Where users are in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries {
    /// Below this entry.
    pub base_dn: String,
    /// Attribute with the name.
    pub user_attr: String,
}

/// A domain of Active Directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// DNS name.
    pub name: String,
    /// Where users are; without, they cannot be synchronised.
    pub base_dn: Option<String>,
    /// Attribute with the name.
    pub user_attr: String,
}

impl Realm {
    /// Whether the secret that is kept for `before` could reach somebody else by these settings:
    /// whoever may configure a realm need not know its secret, and must not learn it.
    pub fn tells_others(&self, before: &Self) -> bool {
        let (new, old) = match (&self.kind, &before.kind) {
            (Kind::Directory(new), Kind::Directory(old)) => (new, old),
            (Kind::OpenId(new), Kind::OpenId(old)) => {
                return (&new.issuer, &new.capath) != (&old.issuer, &old.capath);
            }
            (new, old) => return new != old,
        };
        let same_way = (new.port, new.mode, &new.capath) == (old.port, old.mode, &old.capath);
        let known = new.servers.iter().all(|name| old.servers.contains(name));
        !same_way || !known || (old.verify && !new.verify)
    }
}

impl Realms {
    /// Every realm.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Realm)> {
        self.0.iter()
    }

    /// The realm of a name.
    pub fn get(&self, name: &str) -> Result<&Realm> {
        self.0
            .get(name)
            .ok_or_else(|| Error::not_found(format_args!("realm '{name}'")))
    }

    /// Whether there is such a realm.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Adds a realm.
    pub fn create(&mut self, name: &str, realm: Realm) -> Result<()> {
        if !is_identifier(name, 32) || name == "none" {
            let text = "must start with a letter, then letters, digits, '.', '-' and '_'";
            return Err(Error::param("realm", text));
        }
        if matches!(realm.kind, Kind::Pam | Kind::Pve) && !self.contains(name) {
            return Err(Error::param(
                "type",
                "there is one realm pam and one realm pve",
            ));
        }
        if self.contains(name) {
            return Err(Error::exists(format_args!("realm '{name}'")));
        }
        self.put(name, realm);
        Ok(())
    }

    /// Changes a realm: `fields` are set, those that `delete` names are put back.
    pub fn update(&mut self, name: &str, fields: &RealmFields, delete: &[&str]) -> Result<()> {
        let realm = self.get(name)?;
        let old = serde_json::to_value(realm.fields()).map_err(Error::failed)?;
        let new = serde_json::to_value(fields).map_err(Error::failed)?;
        let (serde_json::Value::Object(mut merged), serde_json::Value::Object(new)) = (old, new)
        else {
            return Err(Error::failed("the settings of a realm are no object"));
        };
        // The newest word counts, in either spelling of how to reach the server.
        if fields.secure.is_some() {
            merged.remove("mode");
        }
        for (key, value) in new {
            if !value.is_null() {
                merged.insert(key, value);
            }
        }
        for name in delete {
            if merged.remove(*name).is_none() {
                let text = format!("'{name}' is no setting of a realm");
                return Err(Error::param("delete", text));
            }
        }
        let merged = serde_json::from_value(merged.into()).map_err(Error::failed)?;
        let before = realm.kind.clone();
        let realm = Realm::new(realm.kind(), merged)?;
        if let (Kind::OpenId(new), Kind::OpenId(old)) = (&realm.kind, &before)
            && new.username != old.username
        {
            let text = "cannot be changed: names would become those of others";
            return Err(Error::param("username-claim", text));
        }
        self.put(name, realm);
        Ok(())
    }

    /// Removes a realm.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        if matches!(self.get(name)?.kind, Kind::Pam | Kind::Pve) {
            return Err(Error::param("realm", "pam and pve cannot be deleted"));
        }
        self.0.remove(name);
        Ok(())
    }

    /// Puts a realm; one is the default at most.
    fn put(&mut self, name: &str, realm: Realm) {
        if realm.common.default {
            for other in self.0.values_mut() {
                other.common.default = false;
            }
        }
        self.0.insert(name.to_owned(), realm);
    }
}

#[cfg(test)]
mod tests;
