//! Which certificate a node orders from an authority that speaks ACME.

use crate::field::FieldErrors;
use crate::propstring;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The plugin that proves names by a page on port 80; it is always there.
pub const STANDALONE: &str = "standalone";
/// The account that is meant when none is named.
pub const DEFAULT_ACCOUNT: &str = "default";

/// The name of an account or a plugin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigId(String);

impl ConfigId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConfigId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ConfigId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        if begins && (2..=64).contains(&text.len()) && text.bytes().all(good) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' is no name: use 2 to 64 letters, digits, '-' and '_', a letter first"
        ))
    }
}

crate::text_field!(
    ConfigId,
    "ConfigId",
    json!({"type": "string", "minLength": 2, "maxLength": 64})
);

/// Whether a text is labels of a name in the domain name system; `_` may be in those of an alias.
fn is_dns_name(text: &str, underscore: bool) -> bool {
    let good =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || (underscore && byte == b'_');
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(good)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// A name that a certificate is for; `*.` before it stands for every name just below.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

impl Domain {
    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for every name below.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let is_address = text.parse::<std::net::IpAddr>().is_ok();
        if is_dns_name(text.strip_prefix("*.").unwrap_or(text), false) && !is_address {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(format!(
            "'{text}' is no DNS name: write it host.example.org, or *.example.org"
        ))
    }
}

crate::text_field!(
    Domain,
    "Domain",
    json!({"type": "string", "format": "acme-domain", "maxLength": 255})
);

/// The name whose `_acme-challenge` record is set instead, because the domain's is a CNAME to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias(String);

impl Alias {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Alias {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match is_dns_name(text, true) {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(format!("'{text}' is no DNS name")),
        }
    }
}

crate::text_field!(
    Alias,
    "Alias",
    json!({"type": "string", "format": "acme-alias", "maxLength": 253})
);

crate::propstring! {
    /// A name of the certificate, and how it is proved.
    pub struct AcmeDomain {
        /// The name.
        default domain "domain": Domain,
        /// Where its record is set instead.
        alias "alias": Alias,
        /// What shows the proof (default `standalone`).
        plugin "plugin": ConfigId,
    }
}

/// Who orders the certificate, and names that are proved by a page on port 80:
/// `account=default,domains=a.example.org;b.example.org`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AcmeOrder {
    /// The account (default `default`).
    pub account: Option<ConfigId>,
    /// Names that are proved by a page on port 80.
    pub domains: Vec<Domain>,
}

impl FromStr for AcmeOrder {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut pairs = propstring::split(text, None)?;
        let account = propstring::take(&mut pairs, "account")?;
        let domains: Option<String> = propstring::take(&mut pairs, "domains")?;
        propstring::refuse_rest(&pairs, &["account", "domains"])?;
        let domains = domains.unwrap_or_default();
        let words = domains.split([';', ' ']).filter(|word| !word.is_empty());
        let domains = words.map(|word| word.parse().map_err(|text| format!("domains: {text}")));
        Ok(Self {
            account,
            domains: domains.collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Display for AcmeOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = self.account.iter().map(|name| format!("account={name}"));
        let names: Vec<&str> = self.domains.iter().map(Domain::as_str).collect();
        let domains = (!names.is_empty()).then(|| format!("domains={}", names.join(";")));
        let parts: Vec<String> = account.chain(domains).collect();
        f.write_str(&parts.join(","))
    }
}

crate::text_field!(
    AcmeOrder,
    "AcmeOrder",
    json!({
        "type": "string",
        "x-typetext": "[account=<name>][,domains=<domain>[;<domain>…]]",
    })
);

crate::config! {
    /// The certificate that a node orders.
    pub struct NodeAcme {
        /// Who orders the node's certificate, and names that are proved by a page on port 80.
        acme "acme": AcmeOrder,
    }
    numbered {
        /// A name of the node's certificate, and which plugin proves it.
        domains "acmedomain" ..= 5: AcmeDomain,
    }
}

impl NodeAcme {
    /// The account that orders.
    pub fn account(&self) -> String {
        let named = self.acme.as_ref().and_then(|acme| acme.account.as_ref());
        named.map_or(DEFAULT_ACCOUNT.to_owned(), ConfigId::to_string)
    }

    /// Every name, with how it is proved.
    ///
    /// # Errors
    /// When a name stands there twice, or a page is to prove what only a record can.
    pub fn names(&self) -> Result<Vec<AcmeDomain>, FieldErrors> {
        let plain = self.acme.iter().flat_map(|acme| &acme.domains);
        let plain = plain.map(|name| ("acme".to_owned(), AcmeDomain::new(name.clone())));
        let numbered = self.domains.iter();
        let numbered = numbered.map(|(n, one)| (format!("acmedomain{n}"), one.clone()));
        let mut errors = FieldErrors::default();
        let mut known = BTreeSet::new();
        let mut names = Vec::new();
        for (field, name) in plain.chain(numbered) {
            if !known.insert(name.domain.clone()) {
                errors.add(&field, format!("{} is there twice", name.domain));
            }
            let page = name.plugin.as_ref();
            let page = page.is_none_or(|plugin| plugin.as_str() == STANDALONE);
            if page && (name.domain.is_wildcard() || name.alias.is_some()) {
                let text = "only a record in DNS can prove it: name a plugin of type dns";
                errors.add(&field, format!("{}: {text}", name.domain));
            }
            names.push(name);
        }
        errors.or(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ordered_is_read_and_printed() {
        let order: AcmeOrder = "account=le,domains=A.example;b.example".parse().unwrap();
        assert_eq!(order.to_string(), "account=le,domains=a.example;b.example");
        assert_eq!("".parse::<AcmeOrder>().unwrap(), AcmeOrder::default());
        let one: AcmeDomain = "*.example.org,plugin=cf,alias=_x.example.net"
            .parse()
            .unwrap();
        assert_eq!(
            one.to_string(),
            "*.example.org,alias=_x.example.net,plugin=cf"
        );
        for bad in [
            "domains=a_b.example",
            "domains=-a.example",
            "domains=192.0.2.1",
            "domains=*.*.example",
            "account=1",
            "a.example",
            "domains=a..b",
        ] {
            assert!(bad.parse::<AcmeOrder>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_name_is_there_once_and_can_be_proved() {
        let config = |settings: serde_json::Value| {
            let map = settings.as_object().unwrap();
            NodeAcme::from_map(map).unwrap()
        };
        let good = config(json!({
            "acme": "domains=a.example",
            "acmedomain5": "*.a.example,plugin=dns",
        }));
        assert_eq!(good.account(), "default");
        let names: Vec<String> = good
            .names()
            .unwrap()
            .iter()
            .map(|n| n.to_string())
            .collect();
        assert_eq!(names, ["a.example", "*.a.example,plugin=dns"]);
        let bad = config(json!({
            "acme": "account=le,domains=a.example",
            "acmedomain0": "a.example,plugin=dns",
            "acmedomain1": "*.b.example",
            "acmedomain2": "c.example,alias=d.example,plugin=standalone",
        }));
        let errors = bad.names().unwrap_err().0;
        let fields: Vec<&String> = errors.keys().collect();
        assert_eq!(fields, ["acmedomain0", "acmedomain1", "acmedomain2"]);
        assert!(NodeAcme::knows("acmedomain5") && !NodeAcme::knows("acmedomain6"));
    }
}
