//! Says what a caller may do.
//!
//! Permissions are given on paths such as `/vms/100`. What is given on a path replaces what would
//! come down from above; what is given to a user replaces, on the same path, what the user's
//! groups are given. What is given on a pool is added for everything in it. A token with privileges of
//! its own has at most those of its user.

use crate::Snapshot;
use basalt_api::Error;
use basalt_api::bag::{Bag, plain};
use basalt_api::methods::acl::{AclEntry, AclKind};
use basalt_api::permission::{Permission, delegating};
use basalt_model::access::Privilege;
use basalt_model::pool::PoolId;
use basalt_model::userid::{Authid, Userid};
use std::collections::{BTreeMap, BTreeSet};

/// Privileges with whether they hold for what lies below, too.
pub type Privileges = BTreeMap<Privilege, bool>;

impl Snapshot {
    /// Whether a caller has what a method declares; `params` fills the templates of its paths.
    pub fn authorize(&self, auth: &Authid, wanted: &Permission, params: &Bag) -> Result<(), Error> {
        if self.holds(auth, wanted, params) {
            return Ok(());
        }
        let refusal = lacking(wanted, params).unwrap_or_else(|| wanted.describe());
        Err(Error::forbidden(refusal))
    }

    fn holds(&self, auth: &Authid, wanted: &Permission, params: &Bag) -> bool {
        match wanted {
            Permission::World | Permission::AnyUser => true,
            Permission::Root => auth.is_root(),
            Permission::Perm { path, privileges } => {
                fill(path, params).is_some_and(|path| self.allows(auth, &path, privileges))
            }
            Permission::Own(name) => {
                let named = params.get(*name).and_then(plain);
                self.acts_as_user(auth) && named.is_some_and(|id| id == auth.user.as_str())
            }
            Permission::UserGroup(privileges) => self.commands_user(auth, privileges, params),
            Permission::Delegate => fill("{path}", params).is_some_and(|path| {
                self.allows(auth, &path, &[Privilege::PermissionsModify])
                    || self.allows(auth, &path, delegating(&path))
            }),
            Permission::All(parts) => parts.iter().all(|part| self.holds(auth, part, params)),
            Permission::Any(parts) => parts.iter().any(|part| self.holds(auth, part, params)),
        }
    }

    /// Whether a caller is a user, or a token that has all of its user's privileges.
    pub fn acts_as_user(&self, auth: &Authid) -> bool {
        auth.token.is_none() || self.config.token(auth).is_some_and(|t| !t.info.privsep)
    }

    /// Whether a caller has at least one of `privileges` over a user: on all groups, or on a group
    /// of that user; a user to be made has those of the parameter `groups`.
    fn commands_user(&self, auth: &Authid, privileges: &[Privilege], params: &Bag) -> bool {
        let Some(Ok(user)) = params.get("userid").and_then(plain).map(|id| id.parse()) else {
            return false;
        };
        let given = params.get("groups").and_then(plain).unwrap_or_default();
        let given: Vec<&str> = list(&given).collect();
        let on = |group: &str| self.allows(auth, &format!("/access/groups/{group}"), privileges);
        let over = self.allows(auth, "/access/groups", privileges)
            || match self.config.users.contains_key(&user) {
                true => self.config.groups_of(&user).any(on),
                false => !given.is_empty(),
            };
        over && given.into_iter().all(on)
    }

    /// Whether a caller has at least one of `privileges` on `path`: what [`Self::privileges`] says,
    /// without listing the others, because long lists ask for each of their entries.
    pub fn allows(&self, auth: &Authid, path: &str, privileges: &[Privilege]) -> bool {
        let is_whole = self.acts_as_user(auth);
        if auth.token.is_some() && !is_whole && self.config.token(auth).is_none() {
            return false;
        }
        let groups: BTreeSet<&str> = self.config.groups_of(&auth.user).collect();
        let by_user = |privilege| {
            auth.user.is_root()
                || self.grants(path, privilege, |here| of_user(here, &auth.user, &groups))
        };
        let by_token = |privilege| {
            is_whole || {
                let id = auth.to_string();
                self.grants(path, privilege, |here| given(here, AclKind::Token, &id))
            }
        };
        let mut wanted = privileges.iter();
        wanted.any(|privilege| by_user(*privilege) && by_token(*privilege))
    }

    /// Whether what is given along `path`, or on a pool it is in, has a privilege.
    fn grants<'a>(
        &'a self,
        path: &str,
        privilege: Privilege,
        pick: impl Fn(&[&'a AclEntry]) -> Vec<&'a AclEntry>,
    ) -> bool {
        let has = |entries: &[&AclEntry]| {
            let mut roles = entries.iter().map(|entry| entry.roleid.as_str());
            roles.any(|role| self.config.role_has(role, privilege))
        };
        let own = self.along(path, &pick);
        if denies(&own) {
            return false;
        }
        let mut granted = has(&own);
        for pool in self.pools.of_path(path) {
            let there = self.along(&pool.acl_path(), &pick);
            if denies(&there) {
                return false;
            }
            granted |= has(&there);
        }
        granted
    }

    /// All that a caller may do on `path`.
    pub fn privileges(&self, auth: &Authid, path: &str) -> Privileges {
        let of_user = self.of_user(&auth.user, path);
        if auth.token.is_none() {
            return of_user;
        }
        let Some(token) = self.config.token(auth) else {
            return Privileges::new();
        };
        if !token.info.privsep {
            return of_user;
        }
        let id = auth.to_string();
        let own = self.collect(path, |here| given(here, AclKind::Token, &id));
        own.into_iter()
            .filter(|(privilege, _)| of_user.contains_key(privilege))
            .collect()
    }

    fn of_user(&self, user: &Userid, path: &str) -> Privileges {
        if user.is_root() {
            return Privilege::ALL
                .iter()
                .map(|privilege| (*privilege, true))
                .collect();
        }
        let groups: BTreeSet<&str> = self.config.groups_of(user).collect();
        self.collect(path, |here| of_user(here, user, &groups))
    }

    /// The privileges on `path`: those given along it, and those on the pools it is in, which hold
    /// for nothing below.
    fn collect<'a>(
        &'a self,
        path: &str,
        pick: impl Fn(&[&'a AclEntry]) -> Vec<&'a AclEntry>,
    ) -> Privileges {
        let own = self.along(path, &pick);
        let mut privileges = self.of_entries(&own);
        if denies(&own) {
            return privileges;
        }
        for pool in self.pools.of_path(path) {
            let there = self.along(&pool.acl_path(), &pick);
            if denies(&there) {
                return Privileges::new();
            }
            for privilege in self.of_entries(&there).into_keys() {
                privileges.entry(privilege).or_insert(false);
            }
        }
        privileges
    }

    /// Walks from `/` down to `path`; entries on the way hold only if they propagate.
    fn along<'a>(
        &'a self,
        path: &str,
        pick: &impl Fn(&[&'a AclEntry]) -> Vec<&'a AclEntry>,
    ) -> Vec<&'a AclEntry> {
        let mut nearest = Vec::new();
        for prefix in prefixes(path) {
            let last = prefix == path || path == "/";
            let acl = self.config.acl.iter();
            let here: Vec<&AclEntry> = acl.filter(|e| e.path == prefix).collect();
            let mut picked = pick(&here);
            picked.retain(|entry| last || entry.propagate);
            if !picked.is_empty() {
                nearest = picked;
            }
        }
        nearest
    }

    fn of_entries(&self, entries: &[&AclEntry]) -> Privileges {
        let mut privileges = Privileges::new();
        if denies(entries) {
            return privileges;
        }
        for entry in entries {
            for privilege in self.config.role(&entry.roleid).unwrap_or_default() {
                *privileges.entry(privilege).or_insert(false) |= entry.propagate;
            }
        }
        privileges
    }

    /// Every path that permissions are given on, and the roots of what there is.
    pub fn known_paths(&self) -> BTreeSet<String> {
        let fixed = [
            "/",
            "/access",
            "/access/groups",
            "/nodes",
            "/pool",
            "/sdn",
            "/storage",
            "/vms",
        ];
        let given = self.config.acl.iter().map(|entry| entry.path.clone());
        let fixed = fixed.into_iter().map(str::to_owned);
        fixed.chain(given).chain(self.pools.paths()).collect()
    }
}

/// What a caller lacks, as far as the parameters say on what.
fn lacking(wanted: &Permission, params: &Bag) -> Option<String> {
    let join = |parts: &[Permission], word: &str| {
        let parts = parts.iter().filter_map(|part| lacking(part, params));
        let parts: Vec<String> = parts.collect();
        (!parts.is_empty()).then(|| parts.join(word))
    };
    match wanted {
        Permission::Perm { path, privileges } => {
            let names: Vec<&str> = privileges.iter().map(|p| p.name()).collect();
            let path = fill(path, params)?;
            Some(format!("{path}, {}", names.join("|")))
        }
        Permission::Any(parts) => join(parts, " or "),
        Permission::All(parts) => join(parts, " and "),
        other => Some(other.describe()),
    }
}

/// `NoAccess` takes everything away, whatever else is given beside it.
fn denies(entries: &[&AclEntry]) -> bool {
    entries.iter().any(|entry| entry.roleid == "NoAccess")
}

/// The words of a list as clients write it.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', ' ']).filter(|word| !word.is_empty())
}

fn given<'a>(here: &[&'a AclEntry], kind: AclKind, id: &str) -> Vec<&'a AclEntry> {
    here.iter()
        .filter(|entry| entry.kind == kind && entry.ugid == id)
        .copied()
        .collect()
}

/// Of what is given on one path, what is a user's: the user's own, or else that of the groups.
fn of_user<'a>(here: &[&'a AclEntry], user: &Userid, groups: &BTreeSet<&str>) -> Vec<&'a AclEntry> {
    let own = given(here, AclKind::User, user.as_str());
    if !own.is_empty() {
        return own;
    }
    let of_group = |e: &&&AclEntry| e.kind == AclKind::Group && groups.contains(e.ugid.as_str());
    here.iter().filter(of_group).copied().collect()
}

/// `/a/b` gives `/`, `/a`, `/a/b`.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.match_indices('/').skip(1).map(|(at, _)| &path[..at]);
    let whole = Some(path).filter(|path| *path != "/");
    std::iter::once("/").chain(inner).chain(whole)
}

/// Fills a path template; none when a parameter is missing or would change the path's shape.
fn fill(template: &str, params: &Bag) -> Option<String> {
    if template == "{path}" {
        let path = params.get("path").and_then(plain)?;
        // What is no path is refused by its method; until then it takes the right on everything.
        return Some(if is_path(&path) { path } else { "/".to_owned() });
    }
    let mut filled = String::new();
    for segment in template.split('/').skip(1) {
        filled.push('/');
        match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
            None => filled.push_str(segment),
            Some("realm(userid)") => {
                let user = params.get("userid").and_then(plain)?;
                filled.push_str(user.parse::<Userid>().ok()?.realm());
            }
            // A pool in a pool has a slash in its name, and its permissions lie below the other's.
            Some(name @ ("pool" | "poolid")) => {
                let value = params.get(name).and_then(plain)?;
                filled.push_str(value.parse::<PoolId>().ok()?.as_str());
            }
            Some(name) => {
                let value = params.get(name).and_then(plain)?;
                if value.is_empty() || value.contains('/') {
                    return None;
                }
                filled.push_str(&value);
            }
        }
    }
    Some(filled)
}

/// Whether permissions can be given on `path`: `/` or like `/vms/100`.
pub fn is_path(path: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b))
    };
    path == "/"
        || path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(plain))
}

#[cfg(test)]
mod tests;
