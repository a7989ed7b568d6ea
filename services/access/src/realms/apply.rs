//! Brings what a directory has into the configuration.

use super::SyncOptions;
use crate::config::{AccessConfig, Group, User};
use basalt_api::methods::acl::AclKind;
use basalt_api::methods::users::UserFields;
use basalt_model::userid::{Userid, is_identifier};
use std::collections::{BTreeMap, BTreeSet};

/// A user as the directory has it.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundUser {
    /// Name without the realm.
    pub name: String,
    /// Distinguished name of the entry.
    pub dn: String,
    /// What describes it.
    pub fields: UserFields,
}

/// A group as the directory has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundGroup {
    /// Name without the realm.
    pub name: String,
    /// Distinguished names, or plain names, of its members.
    pub members: Vec<String>,
}

/// What a directory has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Its users.
    pub users: Vec<FoundUser>,
    /// Its groups; none when only users were asked for.
    pub groups: Vec<FoundGroup>,
}

/// Which realm is synchronised, and how.
struct Sync<'a> {
    config: &'a mut AccessConfig,
    realm: &'a str,
    case_sensitive: bool,
    options: SyncOptions,
    log: Vec<String>,
}

/// Changes the configuration so that it has what was found, and says line by line what it did.
/// `others` are the names of all realms: a group `x-a-b` belongs to the realm `a-b`, not to `b`.
pub fn apply<'a>(
    config: &mut AccessConfig,
    (realm, case_sensitive): (&str, bool),
    options: SyncOptions,
    found: &Found,
    others: impl Iterator<Item = &'a String>,
) -> Vec<String> {
    let mut sync = Sync {
        config,
        realm,
        case_sensitive,
        options,
        log: Vec::new(),
    };
    let ids = sync.ids(found);
    if options.users() {
        sync.users(found, &ids);
    }
    if options.groups() {
        let others: Vec<String> = others.map(|name| format!("-{name}")).collect();
        sync.groups(found, &ids, &others);
    }
    sync.log
}

/// A DN in a form in which two spellings of it are the same.
fn same_dn(dn: &str) -> String {
    let parts = dn.split(',').map(|part| match part.split_once('=') {
        Some((name, value)) => format!("{}={}", name.trim(), value.trim()),
        None => part.trim().to_owned(),
    });
    parts.collect::<Vec<_>>().join(",").to_lowercase()
}

impl Sync<'_> {
    /// The id of each user that was found, by DN and by name.
    fn ids(&mut self, found: &Found) -> BTreeMap<String, Userid> {
        let mut ids = BTreeMap::new();
        for user in &found.users {
            match format!("{}@{}", user.name, self.realm).parse::<Userid>() {
                Ok(id) => {
                    let id = self.known(&id).unwrap_or(id);
                    ids.insert(same_dn(&user.dn), id.clone());
                    ids.insert(user.name.clone(), id);
                }
                Err(error) => self.log.push(format!("skipping '{}': {error}", user.dn)),
            }
        }
        ids
    }

    /// The user of that name who is here already.
    fn known(&self, id: &Userid) -> Option<Userid> {
        self.config.named(id, self.case_sensitive).cloned()
    }

    fn users(&mut self, found: &Found, ids: &BTreeMap<String, Userid>) {
        for user in &found.users {
            if let Some(id) = ids.get(&same_dn(&user.dn)) {
                self.user(id, &user.fields);
            }
        }
        let here: BTreeSet<&Userid> = ids.values().collect();
        let gone = self.config.users.keys();
        let gone = gone.filter(|id| id.realm() == self.realm && !here.contains(id));
        for id in gone.cloned().collect::<Vec<_>>() {
            self.user_gone(&id);
        }
    }

    fn user(&mut self, id: &Userid, new: &UserFields) {
        let Some(user) = self.config.users.get_mut(id) else {
            let fields = UserFields {
                enable: Some(new.enable.unwrap_or(self.options.enable_new)),
                ..new.clone()
            };
            let user = User {
                fields,
                ..User::default()
            };
            self.config.users.insert(id.clone(), user);
            self.log.push(format!("adding user '{id}'"));
            return;
        };
        let before = user.fields.clone();
        let replace = self.options.vanished.properties;
        let merge = |old: &mut Option<String>, new: &Option<String>| {
            if replace || new.is_some() {
                old.clone_from(new);
            }
        };
        merge(&mut user.fields.firstname, &new.firstname);
        merge(&mut user.fields.lastname, &new.lastname);
        merge(&mut user.fields.email, &new.email);
        merge(&mut user.fields.comment, &new.comment);
        user.fields.enable = new.enable.or(user.fields.enable);
        if user.fields != before {
            self.log.push(format!("updating user '{id}'"));
        }
    }

    fn user_gone(&mut self, id: &Userid) {
        if self.options.vanished.acl {
            self.log
                .push(format!("removing permissions of user '{id}'"));
            self.config.forget_user_permissions(id);
        }
        if self.options.vanished.entry {
            self.log.push(format!("removing user '{id}'"));
            self.config.remove_user(id);
        }
    }

    fn groups(&mut self, found: &Found, ids: &BTreeMap<String, Userid>, realms: &[String]) {
        let mut here = BTreeSet::new();
        for group in &found.groups {
            let name = format!("{}-{}", group.name, self.realm);
            if !is_identifier(&name, 128) {
                self.log.push(format!(
                    "skipping group '{}': no name for a group here",
                    group.name
                ));
                continue;
            }
            let of = |member: &String| ids.get(&same_dn(member)).or_else(|| ids.get(member));
            let users = &self.config.users;
            let members = group.members.iter().filter_map(of);
            let members = members
                .filter(|id| users.contains_key(*id))
                .cloned()
                .collect();
            self.group(&name, members);
            here.insert(name);
        }
        let own = format!("-{}", self.realm);
        let longer = |name: &str| {
            let mut realms = realms.iter();
            realms.any(|other| other.len() > own.len() && name.ends_with(other.as_str()))
        };
        let gone = self.config.groups.keys();
        let gone = gone.filter(|n| n.ends_with(&own) && !longer(n) && !here.contains(*n));
        for name in gone.cloned().collect::<Vec<_>>() {
            self.group_gone(&name);
        }
    }

    /// Members from other realms stay.
    fn group(&mut self, name: &str, members: BTreeSet<Userid>) {
        match self.config.groups.get_mut(name) {
            Some(group) => {
                let before = group.members.clone();
                group.members.retain(|id| id.realm() != self.realm);
                group.members.extend(members);
                if group.members != before {
                    self.log.push(format!("updating group '{name}'"));
                }
            }
            None => {
                let group = Group {
                    comment: None,
                    members,
                };
                self.config.groups.insert(name.to_owned(), group);
                self.log.push(format!("adding group '{name}'"));
            }
        }
    }

    fn group_gone(&mut self, name: &str) {
        if self.options.vanished.acl {
            self.log
                .push(format!("removing permissions of group '{name}'"));
            self.config.forget(AclKind::Group, name);
        }
        if self.options.vanished.entry {
            self.log.push(format!("removing group '{name}'"));
            self.config.groups.remove(name);
            self.config.forget(AclKind::Group, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Vanished;
    use super::*;
    use basalt_api::methods::acl::AclEntry;
    use basalt_api::methods::realms::SyncScope;

    fn found() -> Found {
        let user = |name: &str, email: Option<&str>| FoundUser {
            name: name.into(),
            dn: format!("uid={name}, OU=People,dc=example"),
            fields: UserFields {
                email: email.map(str::to_owned),
                ..UserFields::default()
            },
        };
        let group = FoundGroup {
            name: "ops".into(),
            members: vec![
                "UID=ann,ou=people,dc=example".into(),
                "bob".into(),
                "uid=eve,dc=elsewhere".into(),
            ],
        };
        Found {
            users: vec![
                user("ann", Some("a@x")),
                user("bob", None),
                user("b:d", None),
            ],
            groups: vec![group],
        }
    }

    fn run(config: &mut AccessConfig, vanished: Vanished) -> Vec<String> {
        let options = SyncOptions {
            scope: Some(SyncScope::Both),
            vanished,
            enable_new: false,
        };
        let realms = ["pam", "corp", "big-corp"].map(String::from);
        apply(config, ("corp", false), options, &found(), realms.iter())
    }

    fn id(text: &str) -> Userid {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_new_comes_and_what_is_here_is_kept() {
        let mut config = AccessConfig::default();
        let mut ann = User::default();
        ann.fields.comment = Some("by hand".into());
        config.users.insert(id("Ann@corp"), ann);
        config.users.insert(id("old@corp"), User::default());
        let log = run(&mut config, Vanished::default());
        let expected = [
            "skipping 'uid=b:d, OU=People,dc=example': a user name has 1 to 60 characters, none of \
             them space, colon, slash or control",
            "updating user 'Ann@corp'",
            "adding user 'bob@corp'",
            "adding group 'ops-corp'",
        ];
        assert_eq!(log, expected);
        let ann = &config.users[&id("Ann@corp")].fields;
        assert_eq!(
            (ann.email.as_deref(), ann.comment.as_deref()),
            (Some("a@x"), Some("by hand"))
        );
        assert_eq!(config.users[&id("bob@corp")].fields.enable, Some(false));
        assert_eq!(
            config.groups["ops-corp"].members,
            [id("Ann@corp"), id("bob@corp")].into()
        );
        assert!(config.users.contains_key(&id("old@corp")));
        let again = run(&mut config, Vanished::default());
        assert_eq!(again.len(), 1, "{again:?}");
    }

    #[test]
    fn what_is_gone_goes_only_when_told_and_only_of_its_realm() {
        let mut config = AccessConfig::default();
        for user in ["old@corp", "old@pve"] {
            config.users.insert(id(user), User::default());
        }
        for group in ["gone-corp", "x-big-corp", "ops-corp", "hand"] {
            let members = [id("old@corp"), id("old@pve")].into();
            let comment = None;
            config
                .groups
                .insert(group.into(), Group { comment, members });
        }
        config.acl.push(AclEntry {
            path: "/".into(),
            kind: AclKind::User,
            ugid: "old@corp".into(),
            roleid: "PVEAdmin".into(),
            propagate: true,
        });
        let acl = Vanished {
            acl: true,
            ..Vanished::default()
        };
        run(&mut config, acl);
        assert!(config.acl.is_empty() && config.users.contains_key(&id("old@corp")));
        let entry = Vanished {
            entry: true,
            ..Vanished::default()
        };
        run(&mut config, entry);
        assert!(!config.users.contains_key(&id("old@corp")));
        assert!(config.users.contains_key(&id("old@pve")));
        let left: Vec<&str> = config.groups.keys().map(String::as_str).collect();
        assert_eq!(left, ["hand", "ops-corp", "x-big-corp"]);
        assert!(config.groups["ops-corp"].members.contains(&id("old@pve")));
        assert_eq!(config.groups["hand"].members, [id("old@pve")].into());
    }
}
