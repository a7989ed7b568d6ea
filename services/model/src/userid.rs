//! Who calls: a user of a realm (`root@pam`), or one of that user's API tokens
//! (`root@pam!backup`).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a user or token id was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UseridError {
    /// There is no `@`.
    #[error("a user id has the form name@realm")]
    NoRealm,
    /// The name before the `@` is empty, too long or has a forbidden character.
    #[error("a user name has 1 to 60 characters, none of them space, colon, slash or control")]
    Name,
    /// The realm is empty or has a forbidden character.
    #[error("a realm starts with a letter and has at most 32 letters, digits, '.', '-' and '_'")]
    Realm,
    /// The token name is empty or has a forbidden character.
    #[error("a token name starts with a letter and has letters, digits, '.', '-' and '_'")]
    Token,
}

/// A user of a realm, `name@realm`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Userid {
    text: String,
    at: usize,
}

impl Userid {
    /// The superuser, `root@pam`.
    pub fn root() -> Self {
        Self {
            text: "root@pam".into(),
            at: 4,
        }
    }

    /// Whoever did not log in, `nobody@none`: a realm that never exists.
    pub fn nobody() -> Self {
        Self {
            text: "nobody@none".into(),
            at: 6,
        }
    }

    /// The name before the realm.
    pub fn name(&self) -> &str {
        &self.text[..self.at]
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The whole id, `name@realm`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is the superuser.
    pub fn is_root(&self) -> bool {
        self.text == "root@pam"
    }
}

impl FromStr for Userid {
    type Err = UseridError;

    fn from_str(text: &str) -> Result<Self, UseridError> {
        let at = text.rfind('@').ok_or(UseridError::NoRealm)?;
        let (name, realm) = (&text[..at], &text[at + 1..]);
        let bad = |c: char| c.is_whitespace() || c.is_control() || ":/!".contains(c);
        if name.is_empty() || name.chars().count() > 60 || name.contains(bad) {
            return Err(UseridError::Name);
        }
        if !is_identifier(realm, 32) {
            return Err(UseridError::Realm);
        }
        Ok(Self {
            text: text.into(),
            at,
        })
    }
}

/// A user, or one of the user's API tokens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Authid {
    /// The user.
    pub user: Userid,
    /// The name of the token, when one is used.
    pub token: Option<String>,
}

impl Authid {
    /// Whether this is the superuser itself, not one of its tokens.
    pub fn is_root(&self) -> bool {
        self.token.is_none() && self.user.is_root()
    }
}

impl FromStr for Authid {
    type Err = UseridError;

    fn from_str(text: &str) -> Result<Self, UseridError> {
        let Some((user, token)) = text.split_once('!') else {
            return Ok(Self {
                user: text.parse()?,
                token: None,
            });
        };
        if !is_identifier(token, 128) {
            return Err(UseridError::Token);
        }
        Ok(Self {
            user: user.parse()?,
            token: Some(token.into()),
        })
    }
}

impl From<Userid> for Authid {
    fn from(user: Userid) -> Self {
        Self { user, token: None }
    }
}

impl fmt::Display for Userid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Authid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.user.fmt(f)?;
        match &self.token {
            Some(token) => write!(f, "!{token}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Userid {
    type Error = UseridError;

    fn try_from(text: String) -> Result<Self, UseridError> {
        text.parse()
    }
}

impl From<Userid> for String {
    fn from(id: Userid) -> String {
        id.text
    }
}

impl TryFrom<String> for Authid {
    type Error = UseridError;

    fn try_from(text: String) -> Result<Self, UseridError> {
        text.parse()
    }
}

impl From<Authid> for String {
    fn from(id: Authid) -> String {
        id.to_string()
    }
}

/// Whether `text` starts with a letter and goes on with letters, digits, `.`, `-` and `_`.
pub fn is_identifier(text: &str, longest: usize) -> bool {
    text.len() <= longest
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
}

macro_rules! string_schema {
    ($type:ty, $name:literal, $description:literal) => {
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $description })
            }
        }
    };
}

string_schema!(Userid, "Userid", "A user, name@realm.");
string_schema!(
    Authid,
    "Authid",
    "A user or API token, name@realm or name@realm!token."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_token_ids_parse_and_print() {
        let id: Authid = "jo@example.org@pve!ci".parse().unwrap();
        assert_eq!(id.user.name(), "jo@example.org");
        assert_eq!(id.user.realm(), "pve");
        assert_eq!(id.token.as_deref(), Some("ci"));
        assert_eq!(id.to_string(), "jo@example.org@pve!ci");
        assert!("root@pam".parse::<Authid>().unwrap().is_root());
        assert!(!"root@pam!t".parse::<Authid>().unwrap().is_root());
    }

    #[test]
    fn bad_ids_are_refused() {
        assert_eq!("root".parse::<Userid>(), Err(UseridError::NoRealm));
        assert_eq!("@pam".parse::<Userid>(), Err(UseridError::Name));
        assert_eq!("a b@pam".parse::<Userid>(), Err(UseridError::Name));
        assert_eq!("a@".parse::<Userid>(), Err(UseridError::Realm));
        assert_eq!("a@pam!".parse::<Authid>(), Err(UseridError::Token));
    }
}
