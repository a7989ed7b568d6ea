//! Who gets mail.

use crate::userid::Userid;
use serde_json::json;
use std::fmt;
use std::str::FromStr;

/// An address for mail, of ASCII letters only: other ones need an extension that many servers lack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MailAddress(String);

impl MailAddress {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MailAddress {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{}' is no address for mail: write it like admin@example.org",
                text.escape_debug()
            )
        };
        // RFC 5321, section 4.5.3.1, and atoms of RFC 5322, section 3.2.3.
        let (name, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
        let atom =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
        let dots = !name.starts_with('.') && !name.ends_with('.') && !name.contains("..");
        let local = (1..=64).contains(&name.len()) && name.bytes().all(atom) && dots;
        let label = |label: &str| {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            let ends = !label.starts_with('-') && !label.ends_with('-');
            (1..=63).contains(&label.len()) && label.bytes().all(good) && ends
        };
        match local && text.len() <= 254 && domain.split('.').all(label) {
            true => Ok(Self(text.to_owned())),
            false => Err(wrong()),
        }
    }
}

crate::text_field!(
    MailAddress,
    "MailAddress",
    json!({"type": "string", "format": "email", "maxLength": 254})
);

/// An address for mail, or a user of the host whose address is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailTo {
    /// The address.
    Address(MailAddress),
    /// The user, of realm `pam`; written without the realm.
    User(Userid),
}

impl fmt::Display for MailTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.write_str(address.as_str()),
            Self::User(user) => f.write_str(user.name()),
        }
    }
}

impl FromStr for MailTo {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('@') {
            return text.parse().map(Self::Address);
        }
        let user: Result<Userid, _> = format!("{text}@pam").parse();
        user.map(Self::User).map_err(|error| error.to_string())
    }
}

crate::text_field!(
    MailTo,
    "MailTo",
    json!({"type": "string", "format": "email-or-username", "maxLength": 254})
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_can_stand_in_a_mail_and_nothing_else_can() {
        for good in ["a@b", "admin+host@mail.example.org", "o'neil@x.de"] {
            assert_eq!(good.parse::<MailAddress>().unwrap().as_str(), good);
        }
        for wrong in [
            "a",
            "@b",
            "a@",
            "a b@c",
            "a@b\r\nRCPT TO:<x@y>",
            "<a>@b",
            "a..b@c",
            "jörg@x.de",
            "a@-b",
            "a@b>",
            "a,b@c",
            "\"a\"@b",
        ] {
            assert!(wrong.parse::<MailAddress>().is_err(), "{wrong:?}");
        }
        assert_eq!("root".parse(), Ok(MailTo::User(Userid::root())));
        assert!(matches!("a@b".parse(), Ok(MailTo::Address(_))));
    }
}
