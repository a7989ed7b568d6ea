//! A realm whose users log in at an OpenID Connect provider: its settings, and who a user is by
//! what the provider says.

use super::settings::{refuse, wanted};
use crate::config::{AccessConfig, Group, User};
use basalt_api::methods::realms::RealmFields;
use basalt_api::methods::users::UserFields;
use basalt_api::{Error, Result};
use basalt_model::userid::{Userid, is_identifier};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::PathBuf;

const SCOPES: &str = "email profile";

/// How a provider is asked, and what is made of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenId {
    /// Address of the provider, by https.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// Claim with the user's name; the subject if none.
    pub username: Option<String>,
    /// Whether who is new gets an account.
    pub autocreate: bool,
    /// What is asked for besides `openid`, separated by spaces.
    pub scopes: String,
    /// Whether and what the provider asks the user.
    pub prompt: Option<String>,
    /// What kinds of login are wanted of the provider.
    pub acr_values: Option<String>,
    /// Whether userinfo is asked for more claims.
    pub userinfo: bool,
    /// What becomes of groups.
    pub groups: Option<Groups>,
    /// File of the authorities that are believed, if not the host's.
    pub capath: Option<PathBuf>,
}

/// What becomes of the groups that a provider names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Claim with their names.
    pub claim: String,
    /// Whether those that are not here are made.
    pub autocreate: bool,
    /// Whether the user leaves all others.
    pub overwrite: bool,
}

/// Who a provider says that somebody is.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Who.
    pub user: Userid,
    /// What describes the user.
    fields: UserFields,
    /// Names of groups as they are here; none if the provider says nothing about groups.
    groups: Option<BTreeSet<String>>,
}

impl OpenId {
    /// Takes the settings out of what the API says.
    pub(super) fn new(fields: &mut RealmFields) -> Result<Self> {
        let issuer = wanted("issuer-url", fields.issuer_url.take())?;
        let plain = |text: &str| !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if !issuer.starts_with("https://") || issuer.contains(['?', '#']) || !plain(&issuer) {
            return Err(Error::param("issuer-url", "must be like https://host/path"));
        }
        let (autocreate, overwrite) = (
            fields.groups_autocreate.take(),
            fields.groups_overwrite.take(),
        );
        let groups = match fields.groups_claim.take() {
            Some(claim) => Some(Groups {
                claim: claim_name("groups-claim", claim)?,
                autocreate: autocreate.unwrap_or(false),
                overwrite: overwrite.unwrap_or(false),
            }),
            None => {
                let given = [
                    ("groups-autocreate", autocreate),
                    ("groups-overwrite", overwrite),
                ];
                if let Some((name, _)) = given.iter().find(|(_, given)| *given == Some(true)) {
                    return Err(Error::param(*name, "needs groups-claim"));
                }
                None
            }
        };
        let capath = fields.capath.take().map(PathBuf::from);
        if capath.as_ref().is_some_and(|path| !path.is_absolute()) {
            return Err(Error::param(
                "capath",
                "must be the absolute path of a file",
            ));
        }
        let username = fields.username_claim.take();
        let words = |name, text: Option<String>| match text {
            Some(text) if text.contains(char::is_control) => {
                Err(Error::param(name, "must be words"))
            }
            text => Ok(text.filter(|text| !text.trim().is_empty())),
        };
        Ok(Self {
            issuer,
            client_id: wanted("client-id", fields.client_id.take())?,
            username: username
                .map(|claim| claim_name("username-claim", claim))
                .transpose()?,
            autocreate: fields.autocreate.take().unwrap_or(false),
            scopes: words("scopes", fields.scopes.take())?.unwrap_or(SCOPES.into()),
            prompt: words("prompt", fields.prompt.take())?,
            acr_values: words("acr-values", fields.acr_values.take())?,
            userinfo: fields.query_userinfo.take().unwrap_or(true),
            groups,
            capath,
        })
    }

    /// Refuses settings that only these realms have.
    pub(super) fn refuse(fields: &RealmFields) -> Result<()> {
        let given = [
            ("issuer-url", fields.issuer_url.is_some()),
            ("client-id", fields.client_id.is_some()),
            ("username-claim", fields.username_claim.is_some()),
            ("autocreate", fields.autocreate.is_some()),
            ("scopes", fields.scopes.is_some()),
            ("prompt", fields.prompt.is_some()),
            ("acr-values", fields.acr_values.is_some()),
            ("query-userinfo", fields.query_userinfo.is_some()),
            ("groups-claim", fields.groups_claim.is_some()),
            ("groups-autocreate", fields.groups_autocreate.is_some()),
            ("groups-overwrite", fields.groups_overwrite.is_some()),
        ];
        given
            .into_iter()
            .try_for_each(|(name, given)| refuse(name, given))
    }

    /// The settings as the API says them: defaults are left out.
    pub(super) fn fields(&self, fields: RealmFields) -> RealmFields {
        let groups = self.groups.as_ref();
        RealmFields {
            issuer_url: Some(self.issuer.clone()),
            client_id: Some(self.client_id.clone()),
            username_claim: self.username.clone(),
            autocreate: self.autocreate.then_some(true),
            scopes: Some(self.scopes.clone()).filter(|text| text != SCOPES),
            prompt: self.prompt.clone(),
            acr_values: self.acr_values.clone(),
            query_userinfo: (!self.userinfo).then_some(false),
            groups_claim: groups.map(|groups| groups.claim.clone()),
            groups_autocreate: groups.and_then(|groups| groups.autocreate.then_some(true)),
            groups_overwrite: groups.and_then(|groups| groups.overwrite.then_some(true)),
            capath: self.capath.as_ref().map(|path| path.display().to_string()),
            ..fields
        }
    }

    /// Who `claims` say that somebody is in `realm`.
    ///
    /// # Errors
    /// When they name nobody who can be a user here, in words for the log.
    pub fn identity(
        &self,
        realm: &str,
        claims: &Map<String, Value>,
    ) -> std::result::Result<Identity, String> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let claim = match self.username.as_deref() {
            None | Some("subject") => "sub",
            Some("username") => "preferred_username",
            Some(other) => other,
        };
        let name = text(claim).ok_or_else(|| format!("there is no claim '{claim}'"))?;
        // Who may choose an address for themselves could choose somebody else's.
        if claim == "email" && claims.get("email_verified") == Some(&Value::Bool(false)) {
            return Err("the provider has not verified the e-mail address".into());
        }
        let user: Userid = format!("{name}@{realm}")
            .parse()
            .map_err(|error| format!("claim '{claim}': {error}"))?;
        let described = |name: &str| text(name).map(str::to_owned);
        Ok(Identity {
            user,
            fields: UserFields {
                firstname: described("given_name"),
                lastname: described("family_name"),
                email: described("email"),
                ..UserFields::default()
            },
            groups: self.groups_of(realm, claims),
        })
    }

    /// Groups of a realm are called as a synchronisation calls them: `name-realm`.
    fn groups_of(&self, realm: &str, claims: &Map<String, Value>) -> Option<BTreeSet<String>> {
        let named = match claims.get(&self.groups.as_ref()?.claim)? {
            Value::String(one) => vec![one.as_str()],
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        let here = named.iter().map(|name| format!("{name}-{realm}"));
        Some(here.filter(|name| is_identifier(name, 128)).collect())
    }

    /// Makes the account of who logs in if that is new and wanted, and puts it into its groups;
    /// the id of the account, if there is one now.
    pub fn admit(&self, config: &mut AccessConfig, identity: &Identity) -> Option<Userid> {
        let user = &identity.user;
        if !config.users.contains_key(user) {
            if !self.autocreate {
                return None;
            }
            let account = User {
                fields: UserFields {
                    enable: Some(true),
                    ..identity.fields.clone()
                },
                ..User::default()
            };
            config.users.insert(user.clone(), account);
        }
        let (Some(groups), Some(named)) = (&self.groups, &identity.groups) else {
            return Some(user.clone());
        };
        for name in named {
            if groups.autocreate && !config.groups.contains_key(name) {
                config.groups.insert(name.clone(), Group::default());
            }
        }
        for (name, group) in &mut config.groups {
            if named.contains(name) {
                group.members.insert(user.clone());
            } else if groups.overwrite {
                group.members.remove(user);
            }
        }
        Some(user.clone())
    }
}

fn claim_name(name: &str, claim: String) -> Result<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:/".contains(c);
    if claim.is_empty() || claim.len() > 256 || !claim.chars().all(fits) {
        return Err(Error::param(name, "must be the name of a claim"));
    }
    Ok(claim)
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Realm, Realms};
    use super::*;
    use basalt_api::methods::realms::RealmType;
    use serde_json::json;

    fn fields(more: Value) -> RealmFields {
        let mut json = json!({"issuer-url": "https://id.example.org/x", "client-id": "basalt"});
        let all = json.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        serde_json::from_value(json).unwrap()
    }

    fn openid(more: Value) -> OpenId {
        match Realm::new(RealmType::Openid, fields(more)).unwrap().kind {
            Kind::OpenId(openid) => *openid,
            other => panic!("{other:?}"),
        }
    }

    fn claims(json: Value) -> Map<String, Value> {
        json.as_object().unwrap().clone()
    }

    #[test]
    fn settings_are_kept_and_wrong_ones_named() {
        let all = fields(json!({
            "username-claim": "email", "autocreate": true, "scopes": "email", "prompt": "login",
            "acr-values": "gold", "query-userinfo": false, "groups-claim": "groups",
            "groups-autocreate": true, "groups-overwrite": true, "capath": "/etc/ca.pem",
            "tfa": "type=oath",
        }));
        let realm = Realm::new(RealmType::Openid, all.clone()).unwrap();
        assert_eq!(realm.fields(), all);
        let json = serde_json::to_value(&realm).unwrap();
        assert_eq!(serde_json::from_value::<Realm>(json).unwrap(), realm);
        for (name, wrong) in [
            ("issuer-url", json!({"issuer-url": "http://id.example.org"})),
            (
                "issuer-url",
                json!({"issuer-url": "https://id.example.org/?x"}),
            ),
            ("client-id", json!({"client-id": " "})),
            ("username-claim", json!({"username-claim": "a b"})),
            ("groups-overwrite", json!({"groups-overwrite": true})),
            ("server1", json!({"server1": "dc1"})),
            ("capath", json!({"capath": "ca.pem"})),
        ] {
            let error = Realm::new(RealmType::Openid, fields(wrong)).unwrap_err();
            assert!(error.errors.contains_key(name), "{name}: {error}");
        }
    }

    #[test]
    fn the_name_and_the_secret_stay_with_whom_they_are_for() {
        let mut realms = Realms::default();
        let before = Realm::new(RealmType::Openid, fields(json!({}))).unwrap();
        realms.create("sso", before.clone()).unwrap();
        let renamed = serde_json::from_value(json!({"username-claim": "email"})).unwrap();
        let error = realms.update("sso", &renamed, &[]).unwrap_err();
        assert!(error.errors.contains_key("username-claim"), "{error}");
        for change in [
            json!({"issuer-url": "https://evil.example.net"}),
            json!({"capath": "/tmp/evil.pem"}),
        ] {
            let mut realms = realms.clone();
            let change = serde_json::from_value(change).unwrap();
            realms.update("sso", &change, &[]).unwrap();
            assert!(realms.get("sso").unwrap().tells_others(&before));
        }
    }

    #[test]
    fn who_somebody_is_comes_from_the_claim() {
        let ann = claims(json!({
            "sub": "1-2-3", "preferred_username": "ann", "email": "ann@example.org",
            "given_name": "Ann", "upn": "a:b", "number": 5,
        }));
        let name = |claim: &str| {
            let found = openid(json!({"username-claim": claim})).identity("sso", &ann);
            found.map(|identity| identity.user.to_string())
        };
        assert_eq!(name("subject").unwrap(), "1-2-3@sso");
        assert_eq!(name("username").unwrap(), "ann@sso");
        assert_eq!(name("email").unwrap(), "ann@example.org@sso");
        for bad in ["upn", "number", "nothing"] {
            assert!(name(bad).is_err(), "{bad}");
        }
        let mut unverified = ann.clone();
        unverified.insert("email_verified".into(), false.into());
        let by_mail = openid(json!({"username-claim": "email"}));
        assert!(by_mail.identity("sso", &unverified).is_err());
    }

    #[test]
    fn accounts_and_groups_come_only_when_told() {
        let ann = claims(json!({"sub": "ann", "email": "a@x", "groups": ["ops", "new", "b d"]}));
        let user: Userid = "ann@sso".parse().unwrap();
        let mut config = AccessConfig::default();
        let members = |names: &[&Userid]| names.iter().map(|id| (*id).clone()).collect();
        for (name, users) in [("ops-sso", members(&[])), ("other", members(&[&user]))] {
            let group = Group {
                comment: None,
                members: users,
            };
            config.groups.insert(name.into(), group);
        }
        let admit = |settings: Value, config: &mut AccessConfig| {
            let openid = openid(settings);
            let identity = openid.identity("sso", &ann).unwrap();
            openid.admit(config, &identity)
        };
        let before = config.clone();
        assert_eq!(admit(json!({"groups-claim": "groups"}), &mut config), None);
        assert_eq!(config, before);
        let some = json!({"autocreate": true, "groups-claim": "groups"});
        assert_eq!(admit(some, &mut config), Some(user.clone()));
        assert_eq!(config.users[&user].fields.email.as_deref(), Some("a@x"));
        assert!(config.groups["ops-sso"].members.contains(&user));
        assert!(config.groups["other"].members.contains(&user));
        assert!(!config.groups.contains_key("new-sso"));
        let all = json!({
            "groups-claim": "groups", "groups-autocreate": true, "groups-overwrite": true,
        });
        assert_eq!(admit(all, &mut config), Some(user.clone()));
        assert!(config.groups["new-sso"].members.contains(&user));
        assert!(!config.groups["other"].members.contains(&user));
    }
}
