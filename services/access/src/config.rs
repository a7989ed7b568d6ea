//! What is stored about users, groups, roles and permissions.

use crate::stored::Stored;
use basalt_api::methods::acl::{AclEntry, AclKind};
use basalt_api::methods::users::{TokenInfo, UserFields};
use basalt_model::access::{Privilege, built_in_role, built_in_role_has};
use basalt_model::userid::{Authid, Userid};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Users, groups, own roles and permissions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct AccessConfig {
    /// Users; `root@pam` is always among them.
    pub users: BTreeMap<Userid, User>,
    /// Groups.
    pub groups: BTreeMap<String, Group>,
    /// Roles that are not built in.
    pub roles: BTreeMap<String, BTreeSet<Privilege>>,
    /// Who has which role on what.
    pub acl: Vec<AclEntry>,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            users: BTreeMap::from([(Userid::root(), User::default())]),
            groups: BTreeMap::new(),
            roles: BTreeMap::new(),
            acl: Vec::new(),
        }
    }
}

/// A user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// What describes the user.
    #[serde(flatten)]
    pub fields: UserFields,
    /// Hash of the password, for the realm that keeps passwords here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// API tokens by name.
    #[serde(default)]
    pub tokens: BTreeMap<String, Token>,
}

impl User {
    /// Whether the account can be used at `now`.
    pub fn is_active(&self, now: u64) -> bool {
        let expire = self.fields.expire.unwrap_or(0);
        self.fields.enable.unwrap_or(true) && (expire == 0 || expire > now)
    }
}

/// An API token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// What describes the token.
    #[serde(flatten)]
    pub info: TokenInfo,
    /// Hash of the secret.
    pub secret: String,
}

/// A group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Members.
    pub members: BTreeSet<Userid>,
}

impl AccessConfig {
    /// The privileges of a role, built in or not.
    pub fn role(&self, name: &str) -> Option<BTreeSet<Privilege>> {
        let built_in = built_in_role(name).map(|privileges| privileges.into_iter().collect());
        built_in.or_else(|| self.roles.get(name).cloned())
    }

    /// Whether a role, built in or not, has a privilege.
    pub fn role_has(&self, name: &str, privilege: Privilege) -> bool {
        let own = || {
            let role = self.roles.get(name);
            role.is_some_and(|role| role.contains(&privilege))
        };
        built_in_role_has(name, privilege).unwrap_or_else(own)
    }

    /// Whether a user, group or token exists.
    pub fn exists(&self, kind: AclKind, id: &str) -> bool {
        match kind {
            AclKind::User => id
                .parse()
                .is_ok_and(|user: Userid| self.users.contains_key(&user)),
            AclKind::Group => self.groups.contains_key(id),
            AclKind::Token => id
                .parse()
                .is_ok_and(|auth: Authid| self.token(&auth).is_some()),
        }
    }

    /// The token that an id names.
    pub fn token(&self, auth: &Authid) -> Option<&Token> {
        self.users.get(&auth.user)?.tokens.get(auth.token.as_ref()?)
    }

    /// The groups of a user.
    pub fn groups_of<'a>(&'a self, user: &'a Userid) -> impl Iterator<Item = &'a str> {
        let member = move |group: &&'a Group| group.members.contains(user);
        self.groups
            .iter()
            .filter(move |(_, g)| member(g))
            .map(|(name, _)| name.as_str())
    }

    /// Removes every permission on a path and on what lies below it.
    pub fn forget_path(&mut self, path: &str) {
        let below = format!("{path}/");
        self.acl
            .retain(|entry| entry.path != path && !entry.path.starts_with(&below));
    }

    /// Removes every permission of a user, group or token.
    pub fn forget(&mut self, kind: AclKind, id: &str) {
        self.acl
            .retain(|entry| entry.kind != kind || entry.ugid != id);
    }

    /// The user of an id; without regard to case, the one whose name differs in it alone.
    pub fn named(&self, id: &Userid, case_sensitive: bool) -> Option<&Userid> {
        if let Some((exact, _)) = self.users.get_key_value(id) {
            return Some(exact);
        }
        let name = id.name().to_lowercase();
        let same =
            |other: &&Userid| other.realm() == id.realm() && other.name().to_lowercase() == name;
        self.users
            .keys()
            .find(|other| !case_sensitive && same(other))
    }

    /// Removes every permission of a user and of the user's API tokens.
    pub fn forget_user_permissions(&mut self, id: &Userid) {
        let user = self.users.get(id);
        let tokens = user.into_iter().flat_map(|user| user.tokens.keys());
        let tokens: Vec<String> = tokens.map(|name| format!("{id}!{name}")).collect();
        for token in tokens {
            self.forget(AclKind::Token, &token);
        }
        self.forget(AclKind::User, id.as_str());
    }

    /// Removes a user with tokens, permissions and memberships; whether there was one.
    pub fn remove_user(&mut self, id: &Userid) -> bool {
        self.forget_user_permissions(id);
        for group in self.groups.values_mut() {
            group.members.remove(id);
        }
        self.users.remove(id).is_some()
    }
}
