//! A realm as the API and the store say it: flat settings, each checked and printed back.

use super::{
    Attributes, Common, Directory, Domain, Entries, GroupSearch, Kind, Naming, OpenId, Realm,
    SyncOptions, Totp, UserSearch,
};
use basalt_api::methods::realms::{DirectoryMode, RealmFields, RealmType};
use basalt_api::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// [`Realm`] as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    #[serde(rename = "type")]
    kind: RealmType,
    #[serde(flatten)]
    fields: RealmFields,
}

impl TryFrom<Stored> for Realm {
    type Error = Error;
    fn try_from(stored: Stored) -> Result<Self> {
        Self::new(stored.kind, stored.fields)
    }
}

impl From<Realm> for Stored {
    fn from(realm: Realm) -> Self {
        Self {
            kind: realm.kind(),
            fields: realm.fields(),
        }
    }
}

const USER_CLASSES: &str = "inetorgperson, posixaccount, person, user";
const GROUP_CLASSES: &str = "groupOfNames, group, univentionGroup, ipausergroup";
const AD_USER_ATTR: &str = "sAMAccountName";

impl Realm {
    /// A realm of what the API says; the error names the wrong settings.
    pub fn new(kind: RealmType, mut fields: RealmFields) -> Result<Self> {
        let common = Common {
            comment: fields.comment.take(),
            default: fields.default.take().unwrap_or(false),
            second: fields.tfa.take().map(|text| second(&text)).transpose()?,
        };
        let kind = match kind {
            RealmType::Pam => no_other(&fields).map(|()| Kind::Pam)?,
            RealmType::Pve => no_other(&fields).map(|()| Kind::Pve)?,
            RealmType::Ldap => {
                let entries = Entries {
                    base_dn: wanted("base_dn", fields.base_dn.take())?,
                    user_attr: attribute(
                        "user_attr",
                        wanted("user_attr", fields.user_attr.take())?,
                    )?,
                };
                refuse("domain", fields.domain.is_some())?;
                Kind::Directory(Box::new(directory(Naming::Entries(entries), fields)?))
            }
            RealmType::Ad => {
                let user_attr = fields.user_attr.take();
                let domain = Domain {
                    name: wanted("domain", fields.domain.take())?,
                    base_dn: fields.base_dn.take(),
                    user_attr: attribute("user_attr", user_attr.unwrap_or(AD_USER_ATTR.into()))?,
                };
                Kind::Directory(Box::new(directory(Naming::Domain(domain), fields)?))
            }
            RealmType::Openid => {
                let openid = OpenId::new(&mut fields)?;
                no_other(&fields).map(|()| Kind::OpenId(Box::new(openid)))?
            }
        };
        Ok(Self { common, kind })
    }

    /// The kind by the API's name.
    pub fn kind(&self) -> RealmType {
        match &self.kind {
            Kind::Pam => RealmType::Pam,
            Kind::Pve => RealmType::Pve,
            Kind::Directory(directory) => match directory.naming {
                Naming::Entries(_) => RealmType::Ldap,
                Naming::Domain(_) => RealmType::Ad,
            },
            Kind::OpenId(_) => RealmType::Openid,
        }
    }

    /// The directory behind it, if there is one.
    pub fn directory(&self) -> Option<&Directory> {
        match &self.kind {
            Kind::Pam | Kind::Pve | Kind::OpenId(_) => None,
            Kind::Directory(directory) => Some(directory),
        }
    }

    /// The provider behind it, if there is one.
    pub fn openid(&self) -> Option<&OpenId> {
        match &self.kind {
            Kind::Pam | Kind::Pve | Kind::Directory(_) => None,
            Kind::OpenId(openid) => Some(openid),
        }
    }

    /// What is configured, as the API says it: defaults are left out.
    pub fn fields(&self) -> RealmFields {
        let fields = RealmFields {
            comment: self.common.comment.clone(),
            default: self.common.default.then_some(true),
            tfa: self.common.second.map(|totp| totp.to_string()),
            ..RealmFields::default()
        };
        match &self.kind {
            Kind::Pam | Kind::Pve => fields,
            Kind::Directory(directory) => directory.fields(fields),
            Kind::OpenId(openid) => openid.fields(fields),
        }
    }
}

impl Directory {
    /// Below which entry users are.
    pub fn base_dn(&self) -> Option<&str> {
        match &self.naming {
            Naming::Entries(entries) => Some(&entries.base_dn),
            Naming::Domain(domain) => domain.base_dn.as_deref(),
        }
    }

    /// Attribute with a user's name.
    pub fn user_attr(&self) -> &str {
        match &self.naming {
            Naming::Entries(entries) => &entries.user_attr,
            Naming::Domain(domain) => &domain.user_attr,
        }
    }

    fn fields(&self, mut fields: RealmFields) -> RealmFields {
        fields.base_dn = self.base_dn().map(str::to_owned);
        fields.user_attr = Some(self.user_attr().to_owned());
        if let Naming::Domain(domain) = &self.naming {
            fields.domain = Some(domain.name.clone());
            fields.user_attr.take_if(|name| *name == AD_USER_ATTR);
        }
        let words =
            |words: &[String], default: &str| Some(words.join(", ")).filter(|text| text != default);
        RealmFields {
            server1: self.servers.first().cloned(),
            server2: self.servers.get(1).cloned(),
            port: self.port,
            mode: Some(self.mode).filter(|mode| *mode != DirectoryMode::Ldap),
            verify: self.verify.then_some(true),
            capath: self.capath.as_ref().map(|path| path.display().to_string()),
            case_sensitive: (!self.case_sensitive).then_some(false),
            bind_dn: self.bind_dn.clone(),
            filter: self.users.filter.clone(),
            user_classes: words(&self.users.classes, USER_CLASSES),
            sync_attributes: self.users.attributes.print(),
            group_dn: self.groups.base.clone(),
            group_filter: self.groups.filter.clone(),
            group_name_attr: self.groups.name_attr.clone(),
            group_classes: words(&self.groups.classes, GROUP_CLASSES),
            sync_defaults_options: self.sync.print(),
            ..fields
        }
    }
}

impl Totp {
    const DEFAULT: Self = Self {
        digits: 6,
        step: 30,
    };
}

impl std::fmt::Display for Totp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("type=oath")?;
        if self.digits != Self::DEFAULT.digits {
            write!(f, ",digits={}", self.digits)?;
        }
        if self.step != Self::DEFAULT.step {
            write!(f, ",step={}", self.step)?;
        }
        Ok(())
    }
}

fn second(text: &str) -> Result<Totp> {
    let wrong = |text: String| Error::param("tfa", text);
    let pairs = basalt_model::propstring::split(text, Some("type")).map_err(wrong)?;
    let (mut kind, mut totp) = (None, Totp::DEFAULT);
    for (key, value) in pairs {
        let number = value.parse::<u32>().ok();
        match (key.as_str(), number) {
            ("type", _) => kind = Some(value),
            ("digits", Some(digits @ 6..=8)) => totp.digits = digits,
            ("digits", _) => return Err(wrong("digits: must be 6 to 8".into())),
            ("step", Some(step @ 10..=120)) => totp.step = step.into(),
            ("step", _) => return Err(wrong("step: must be 10 to 120 seconds".into())),
            _ => return Err(wrong(format!("'{key}' is none of: type, digits, step"))),
        }
    }
    match kind.as_deref() {
        Some("oath") => Ok(totp),
        _ => Err(wrong("type must be oath".into())),
    }
}

/// Refuses what realms of another type have.
fn no_other(fields: &RealmFields) -> Result<()> {
    let value = serde_json::to_value(fields).map_err(Error::failed)?;
    let given = value.as_object().into_iter().flatten();
    let wrong = given
        .filter(|(_, value)| !value.is_null())
        .map(|(name, _)| (name.clone(), "is not for realms of this type".to_owned()));
    let wrong: BTreeMap<String, String> = wrong.collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::params(wrong))
}

pub(super) fn refuse(name: &str, given: bool) -> Result<()> {
    if given {
        return Err(Error::param(name, "is not for realms of this type"));
    }
    Ok(())
}

pub(super) fn wanted(name: &str, value: Option<String>) -> Result<String> {
    value
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| Error::param(name, "is needed for realms of this type"))
}

/// The name of an attribute (RFC 4512, section 2.5, without options).
pub(super) fn attribute(name: &str, value: String) -> Result<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if value.is_empty() || !value.chars().all(fits) {
        return Err(Error::param(
            name,
            "an attribute has letters, digits and '-'",
        ));
    }
    Ok(value)
}

fn attributes(name: &str, text: &str) -> Result<Vec<String>> {
    let words = text.split([',', ';', ' ']).filter(|word| !word.is_empty());
    let words = words.map(|word| attribute(name, word.to_owned()));
    words.collect()
}

fn server(name: &str, value: String) -> Result<String> {
    let bare = value.trim_start_matches('[').trim_end_matches(']');
    let host = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if bare.parse::<std::net::IpAddr>().is_ok() || (!value.is_empty() && value.chars().all(host)) {
        return Ok(bare.to_owned());
    }
    Err(Error::param(name, "must be the name or address of a host"))
}

fn directory(naming: Naming, fields: RealmFields) -> Result<Directory> {
    OpenId::refuse(&fields)?;
    let first = server("server1", wanted("server1", fields.server1)?)?;
    let second = fields
        .server2
        .map(|name| server("server2", name))
        .transpose()?;
    let mode = match (fields.mode, fields.secure) {
        (Some(mode), _) => mode,
        (None, Some(true)) => DirectoryMode::Ldaps,
        (None, Some(false) | None) => DirectoryMode::Ldap,
    };
    let verify = fields.verify.unwrap_or(false);
    if verify && mode == DirectoryMode::Ldap {
        return Err(Error::param("verify", "needs mode ldaps or ldap+starttls"));
    }
    let capath = fields.capath.map(PathBuf::from);
    if capath.as_ref().is_some_and(|path| !path.is_absolute()) {
        return Err(Error::param("capath", "must be an absolute path"));
    }
    let classes = |name, text: Option<String>, default: &str| {
        attributes(name, text.as_deref().unwrap_or(default))
    };
    let name_attr = fields.group_name_attr;
    Ok(Directory {
        naming,
        servers: std::iter::once(first).chain(second).collect(),
        port: fields.port,
        mode,
        verify,
        capath,
        case_sensitive: fields.case_sensitive.unwrap_or(true),
        bind_dn: fields.bind_dn.filter(|dn| !dn.trim().is_empty()),
        users: UserSearch {
            filter: filter("filter", fields.filter)?,
            classes: classes("user_classes", fields.user_classes, USER_CLASSES)?,
            attributes: Attributes::parse(fields.sync_attributes.as_deref().unwrap_or_default())?,
        },
        groups: GroupSearch {
            base: fields.group_dn,
            filter: filter("group_filter", fields.group_filter)?,
            name_attr: name_attr
                .map(|name| attribute("group_name_attr", name))
                .transpose()?,
            classes: classes("group_classes", fields.group_classes, GROUP_CLASSES)?,
        },
        sync: SyncOptions::parse(fields.sync_defaults_options.as_deref().unwrap_or_default())?,
    })
}

/// A filter with its parentheses, whether or not they were written.
fn filter(name: &str, text: Option<String>) -> Result<Option<String>> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    let text = text.trim();
    let whole = match text.starts_with('(') {
        true => text.to_owned(),
        false => format!("({text})"),
    };
    let mut depth = 0_i32;
    for (at, c) in whole.char_indices() {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        // One filter, which ends where the text does: nothing of it can escape what is put around.
        if depth < 0 || (depth == 0 && at + c.len_utf8() < whole.len()) {
            return Err(Error::param(
                name,
                "must be one filter, like (objectClass=person)",
            ));
        }
    }
    match depth {
        0 => Ok(Some(whole)),
        _ => Err(Error::param(name, "a parenthesis is not closed")),
    }
}
