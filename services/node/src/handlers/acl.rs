//! Roles, and who has which role on what.

use super::access::PATH;
use crate::call::Call;
use crate::router::Router;
use basalt_access::{AccessConfig, is_path};
use basalt_api::methods::acl::{
    AclChange, AclEntry, AclKind, AclList, AclUpdate, RoleChange, RoleCreate, RoleDelete,
    RoleEntry, RoleGet, RoleList, RoleNew, RolePath, RoleUpdate,
};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege::{self, PermissionsModify, SysAudit};
use basalt_model::access::{BUILT_IN_ROLES, built_in_role};
use basalt_model::userid::is_identifier;
use std::collections::{BTreeMap, BTreeSet};

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<RoleList, _, _, _>(async |call, _| Ok(roles(&call)));
    router.on::<RoleGet, _, _, _>(async |call, params| role(&call, &params));
    router.on::<RoleCreate, _, _, _>(async |call, params| create(&call, params).await);
    router.on::<RoleUpdate, _, _, _>(async |call, params| update(&call, params).await);
    router.on::<RoleDelete, _, _, _>(async |call, params| delete(&call, params).await);
    router.on::<AclList, _, _, _>(async |call, _| Ok(list(&call)));
    router.on::<AclUpdate, _, _, _>(async |call, params| change(&call, params).await);
}

fn no_role(name: &str) -> Error {
    Error::not_found(format_args!("role '{name}'"))
}

fn roles(call: &Call) -> Vec<RoleEntry> {
    let own = call
        .access
        .config
        .roles
        .keys()
        .map(|name| (name.as_str(), false));
    let all = BUILT_IN_ROLES.iter().map(|name| (*name, true)).chain(own);
    let entry = |(name, special): (&str, bool)| {
        let privileges = call.access.config.role(name).unwrap_or_default();
        let names: Vec<&str> = privileges.into_iter().map(Privilege::name).collect();
        RoleEntry {
            roleid: name.into(),
            privs: names.join(","),
            special,
        }
    };
    all.map(entry).collect()
}

fn role(call: &Call, path: &RolePath) -> Result<BTreeMap<String, bool>> {
    let found = call
        .access
        .config
        .role(&path.roleid)
        .ok_or_else(|| no_role(&path.roleid))?;
    Ok(found
        .into_iter()
        .map(|privilege| (privilege.name().to_owned(), true))
        .collect())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', ' ']).filter(|word| !word.is_empty())
}

fn privileges(text: Option<&str>) -> Result<BTreeSet<Privilege>> {
    let parsed = words(text.unwrap_or("")).map(str::parse::<Privilege>);
    parsed
        .map(|p| p.map_err(|e| Error::param("privs", e)))
        .collect()
}

async fn create(call: &Call, new: RoleNew) -> Result<()> {
    let privileges = privileges(new.privs.as_deref())?;
    let name = new.roleid;
    let plain = is_identifier(&name, 64);
    if !plain || name.starts_with("PVE") {
        let text = "starts with a letter, but not with PVE, and has letters, digits, '.-_'";
        return Err(Error::param("roleid", text));
    }
    let done = call.core.access.change(move |config| {
        if config.role(&name).is_some() {
            return Err(Error::exists(format_args!("role '{name}'")));
        }
        config.roles.insert(name, privileges);
        Ok(())
    });
    done.await
}

/// An own role; a built-in one is refused.
fn own<'a>(config: &'a mut AccessConfig, name: &str) -> Result<&'a mut BTreeSet<Privilege>> {
    if built_in_role(name).is_some() {
        return Err(Error::failed(format_args!(
            "auto-generated role '{name}' cannot be modified"
        )));
    }
    config.roles.get_mut(name).ok_or_else(|| no_role(name))
}

async fn update(call: &Call, change: RoleChange) -> Result<()> {
    let mut new = privileges(change.privs.as_deref())?;
    let done = call.core.access.change(move |config| {
        let role = own(config, &change.roleid)?;
        if change.append.unwrap_or(false) {
            role.append(&mut new);
        } else {
            *role = new;
        }
        Ok(())
    });
    done.await
}

async fn delete(call: &Call, path: RolePath) -> Result<()> {
    let done = call.core.access.change(move |config| {
        own(config, &path.roleid)?;
        config.roles.remove(&path.roleid);
        config.acl.retain(|entry| entry.roleid != path.roleid);
        Ok(())
    });
    done.await
}

/// All entries for auditors; otherwise those on paths where the caller may change them.
fn list(call: &Call) -> Vec<AclEntry> {
    let all = call.allows("/access", &[SysAudit]);
    let visible = |entry: &&AclEntry| all || call.allows(&entry.path, &[PermissionsModify]);
    call.access
        .config
        .acl
        .iter()
        .filter(visible)
        .cloned()
        .collect()
}

async fn change(call: &Call, change: AclChange) -> Result<()> {
    if !is_path(&change.path) {
        return Err(Error::param("path", PATH));
    }
    may_give(call, &change)?;
    let subjects: Vec<(AclKind, String)> = [
        (AclKind::User, &change.users),
        (AclKind::Group, &change.groups),
        (AclKind::Token, &change.tokens),
    ]
    .into_iter()
    .flat_map(|(kind, text)| {
        let text = text.as_deref().unwrap_or("");
        words(text)
            .map(move |id| (kind, id.to_owned()))
            .collect::<Vec<_>>()
    })
    .collect();
    if subjects.is_empty() {
        return Err(Error::param(
            "users",
            "name at least one of users, groups and tokens",
        ));
    }
    call.core
        .access
        .change(move |config| apply(config, &change, &subjects))
        .await
}

/// Who may not change permissions on the path gives and takes only what the caller has there
/// itself, and lets it propagate only as far.
fn may_give(call: &Call, change: &AclChange) -> Result<()> {
    if call.allows(&change.path, &[PermissionsModify]) {
        return Ok(());
    }
    let own = call.access.privileges(call.auth(), &change.path);
    let propagates = change.propagate.unwrap_or(true);
    for role in words(&change.roles) {
        let given = call.access.config.role(role).unwrap_or_default();
        let enough = |p: &Privilege| own.get(p).is_some_and(|below| *below || !propagates);
        if let Some(lacking) = given.iter().find(|privilege| !enough(privilege)) {
            let (path, name) = (&change.path, lacking.name());
            return Err(Error::forbidden(format_args!(
                "{path}, Permissions.Modify or {name} for role {role}"
            )));
        }
    }
    Ok(())
}

fn apply(
    config: &mut AccessConfig,
    change: &AclChange,
    subjects: &[(AclKind, String)],
) -> Result<()> {
    let delete = change.delete.unwrap_or(false);
    for role in words(&change.roles) {
        if config.role(role).is_none() {
            return Err(Error::param(
                "roles",
                format_args!("role '{role}' does not exist"),
            ));
        }
        for (kind, id) in subjects {
            if !delete && !config.exists(*kind, id) {
                let name = match kind {
                    AclKind::User => "users",
                    AclKind::Group => "groups",
                    AclKind::Token => "tokens",
                };
                return Err(Error::param(name, format_args!("'{id}' does not exist")));
            }
            config.acl.retain(|entry| {
                let same = entry.path == change.path && entry.kind == *kind && entry.ugid == *id;
                !same || entry.roleid != role
            });
            if !delete {
                config.acl.push(AclEntry {
                    path: change.path.clone(),
                    kind: *kind,
                    ugid: id.clone(),
                    roleid: role.to_owned(),
                    propagate: change.propagate.unwrap_or(true),
                });
            }
        }
    }
    Ok(())
}
