//! Users, their API tokens, and groups.

use crate::call::Call;
use crate::router::Router;
use basalt_access::config::{AccessConfig, Group as StoredGroup, Token, User as StoredUser};
use basalt_access::password;
use basalt_api::methods::acl::AclKind;
use basalt_api::methods::users::{
    Group, GroupChange, GroupCreate, GroupDelete, GroupEntry, GroupGet, GroupList, GroupPath,
    GroupUpdate, TokenChange, TokenCreate, TokenDelete, TokenEntry, TokenGet, TokenInfo, TokenList,
    TokenNew, TokenPath, TokenSecret, TokenUpdate, User, UserChange, UserCreate, UserDelete,
    UserEntry, UserFields, UserGet, UserList, UserNew, UserPath, UserQuery, UserUpdate,
};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege::{GroupAllocate, SysAudit, UserModify};
use basalt_model::userid::{Authid, Userid, is_identifier};
use std::collections::BTreeSet;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<UserList, _, _, _>(async |call, params| Ok(list(&call, &params)));
    router.on::<UserGet, _, _, _>(async |call, params| get(&call, &params));
    router.on::<UserCreate, _, _, _>(async |call, params| create(&call, params).await);
    router.on::<UserUpdate, _, _, _>(async |call, params| update(&call, params).await);
    router.on::<UserDelete, _, _, _>(async |call, params| delete(&call, params).await);
    router.on::<TokenList, _, _, _>(async |call, params| tokens(&call, &params));
    router.on::<TokenGet, _, _, _>(async |call, params| token(&call, &params));
    router.on::<TokenCreate, _, _, _>(async |call, params| token_create(&call, params).await);
    router.on::<TokenUpdate, _, _, _>(async |call, params| token_update(&call, params).await);
    router.on::<TokenDelete, _, _, _>(async |call, params| token_delete(&call, params).await);
    router.on::<GroupList, _, _, _>(async |call, _| Ok(groups(&call)));
    router.on::<GroupGet, _, _, _>(async |call, params| group(&call, &params));
    router.on::<GroupCreate, _, _, _>(async |call, params| group_create(&call, params).await);
    router.on::<GroupUpdate, _, _, _>(async |call, params| group_update(&call, params).await);
    router.on::<GroupDelete, _, _, _>(async |call, params| group_delete(&call, params).await);
}

/// The words of a list as clients write it.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', ' ']).filter(|word| !word.is_empty())
}

fn no_user(user: &Userid) -> Error {
    Error::not_found(format_args!("user '{user}'"))
}

fn no_group(group: &str) -> Error {
    Error::not_found(format_args!("group '{group}'"))
}

fn find<'a>(config: &'a AccessConfig, user: &Userid) -> Result<&'a StoredUser> {
    config.users.get(user).ok_or_else(|| no_user(user))
}

fn find_mut<'a>(config: &'a mut AccessConfig, user: &Userid) -> Result<&'a mut StoredUser> {
    config.users.get_mut(user).ok_or_else(|| no_user(user))
}

fn token_entries(user: &StoredUser) -> Vec<TokenEntry> {
    let entry = |(name, token): (&String, &Token)| TokenEntry {
        tokenid: name.clone(),
        info: token.info.clone(),
    };
    user.tokens.iter().map(entry).collect()
}

fn list(call: &Call, query: &UserQuery) -> Vec<UserEntry> {
    let look = [UserModify, SysAudit];
    let all = call.allows("/access/groups", &look);
    let full = query.full.unwrap_or(false);
    let config = &call.access.config;
    let commanded = |id: &Userid| {
        let mut groups = config.groups_of(id);
        groups.any(|group| call.allows(&format!("/access/groups/{group}"), &look))
    };
    let visible = config.users.iter().filter(|(id, user)| {
        let enabled = user.fields.enable.unwrap_or(true);
        (all || **id == call.auth().user || commanded(id))
            && query.enabled.is_none_or(|wanted| wanted == enabled)
    });
    let entry = |(id, user): (&Userid, &StoredUser)| UserEntry {
        userid: id.clone(),
        realm_type: call
            .access
            .realms
            .get(id.realm())
            .ok()
            .map(|realm| realm.kind()),
        groups: full.then(|| config.groups_of(id).collect::<Vec<_>>().join(",")),
        tokens: full.then(|| token_entries(user)),
        fields: with_defaults(&user.fields),
    };
    visible.map(entry).collect()
}

fn with_defaults(fields: &UserFields) -> UserFields {
    let (enable, expire) = (fields.enable.unwrap_or(true), fields.expire.unwrap_or(0));
    UserFields {
        enable: Some(enable),
        expire: Some(expire),
        ..fields.clone()
    }
}

fn get(call: &Call, path: &UserPath) -> Result<User> {
    let config = &call.access.config;
    let user = find(config, &path.userid)?;
    Ok(User {
        groups: config.groups_of(&path.userid).map(str::to_owned).collect(),
        tokens: token_entries(user)
            .into_iter()
            .map(|t| (t.tokenid, t.info))
            .collect(),
        fields: with_defaults(&user.fields),
    })
}

async fn create(call: &Call, new: UserNew) -> Result<()> {
    let id = new.userid;
    if !call.access.realms.contains(id.realm()) {
        let text = format!("realm '{}' does not exist", id.realm());
        return Err(Error::param("userid", text));
    }
    let password = match new.password {
        Some(_) if id.realm() != "pve" => {
            return Err(Error::param(
                "password",
                "only the realm pve keeps passwords here",
            ));
        }
        Some(text) => {
            let hash = tokio::task::spawn_blocking(move || password::hash(&text)).await;
            Some(hash.map_err(Error::failed)?.map_err(Error::failed)?)
        }
        None => None,
    };
    let user = StoredUser {
        fields: new.fields,
        password,
        ..StoredUser::default()
    };
    let (groups, key) = (new.groups, id.clone());
    let change = call.core.access.change(move |config| {
        if config.users.contains_key(&key) {
            return Err(Error::exists(format_args!("user '{key}'")));
        }
        config.users.insert(key.clone(), user);
        groups.map_or(Ok(()), |groups| set_groups(config, &key, &groups, false))
    });
    change.await
}

async fn update(call: &Call, change: UserChange) -> Result<()> {
    let id = change.userid.clone();
    if id.is_root() && change.fields.enable == Some(false) {
        return Err(Error::param("enable", "the superuser cannot be disabled"));
    }
    let done = call.core.access.change(move |config| {
        let fields = &mut find_mut(config, &change.userid)?.fields;
        let new = change.fields;
        fields.enable = new.enable.or(fields.enable);
        fields.expire = new.expire.or(fields.expire);
        fields.firstname = new.firstname.or(fields.firstname.take());
        fields.lastname = new.lastname.or(fields.lastname.take());
        fields.email = new.email.or(fields.email.take());
        fields.comment = new.comment.or(fields.comment.take());
        let append = change.append.unwrap_or(false);
        let groups = change.groups;
        groups.map_or(Ok(()), |groups| {
            set_groups(config, &change.userid, &groups, append)
        })
    });
    done.await
}

fn set_groups(config: &mut AccessConfig, user: &Userid, groups: &str, append: bool) -> Result<()> {
    let wanted: BTreeSet<&str> = words(groups).collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !config.groups.contains_key(**name))
    {
        return Err(Error::param(
            "groups",
            format_args!("group '{unknown}' does not exist"),
        ));
    }
    for (name, group) in &mut config.groups {
        if wanted.contains(name.as_str()) {
            group.members.insert(user.clone());
        } else if !append {
            group.members.remove(user);
        }
    }
    Ok(())
}

async fn delete(call: &Call, path: UserPath) -> Result<()> {
    let id = path.userid;
    if id.is_root() {
        return Err(Error::param("userid", "the superuser cannot be deleted"));
    }
    let key = id.clone();
    let done = call.core.access.change(move |config| {
        if !config.remove_user(&key) {
            return Err(no_user(&key));
        }
        Ok(())
    });
    done.await
}

fn tokens(call: &Call, path: &UserPath) -> Result<Vec<TokenEntry>> {
    find(&call.access.config, &path.userid).map(token_entries)
}

fn no_token(name: &str) -> Error {
    Error::failed(format_args!("no such token '{name}'"))
}

fn token(call: &Call, path: &TokenPath) -> Result<TokenInfo> {
    let user = find(&call.access.config, &path.userid)?;
    let token = user
        .tokens
        .get(&path.tokenid)
        .ok_or_else(|| no_token(&path.tokenid))?;
    Ok(token.info.clone())
}

async fn token_create(call: &Call, new: TokenNew) -> Result<TokenSecret> {
    let full: Authid = format!("{}!{}", new.userid, new.tokenid)
        .parse()
        .map_err(|e| Error::param("tokenid", e))?;
    let info = TokenInfo {
        expire: new.expire.unwrap_or(0),
        privsep: new.privsep.unwrap_or(true),
        comment: new.comment,
    };
    let value = password::new_secret();
    let token = Token {
        info: info.clone(),
        secret: password::hash_secret(&value),
    };
    let id = full.clone();
    let done = call.core.access.change(move |config| {
        let user = find_mut(config, &id.user)?;
        let name = id.token.unwrap_or_default();
        if user.tokens.contains_key(&name) {
            return Err(Error::param("tokenid", "Token already exists."));
        }
        user.tokens.insert(name, token);
        Ok(())
    });
    done.await?;
    Ok(TokenSecret {
        full_tokenid: full.to_string(),
        info,
        value,
    })
}

async fn token_update(call: &Call, change: TokenChange) -> Result<TokenInfo> {
    let new = change.token;
    let delete = change.delete.unwrap_or_default();
    let done = call.core.access.change(move |config| {
        let user = find_mut(config, &new.userid)?;
        let token = user.tokens.get_mut(&new.tokenid);
        let info = &mut token.ok_or_else(|| no_token(&new.tokenid))?.info;
        for name in words(&delete) {
            match name {
                "comment" => info.comment = None,
                "expire" => info.expire = 0,
                "privsep" => info.privsep = true,
                _ => {
                    let text = format!("'{name}' is none of: comment, expire, privsep");
                    return Err(Error::param("delete", text));
                }
            }
        }
        info.expire = new.expire.unwrap_or(info.expire);
        info.privsep = new.privsep.unwrap_or(info.privsep);
        info.comment = new.comment.or(info.comment.take());
        Ok(info.clone())
    });
    done.await
}

async fn token_delete(call: &Call, path: TokenPath) -> Result<()> {
    let full = format!("{}!{}", path.userid, path.tokenid);
    let done = call.core.access.change(move |config| {
        let user = find_mut(config, &path.userid)?;
        user.tokens
            .remove(&path.tokenid)
            .ok_or_else(|| no_token(&path.tokenid))?;
        config.forget(AclKind::Token, &full);
        Ok(())
    });
    done.await
}

fn groups(call: &Call) -> Vec<GroupEntry> {
    let look = [GroupAllocate, SysAudit, UserModify];
    let visible = call.access.config.groups.iter();
    let visible = visible.filter(|(name, group)| {
        group.members.contains(&call.auth().user)
            || call.allows(&format!("/access/groups/{name}"), &look)
    });
    let entry = |(name, group): (&String, &StoredGroup)| GroupEntry {
        groupid: name.clone(),
        users: group
            .members
            .iter()
            .map(Userid::as_str)
            .collect::<Vec<_>>()
            .join(","),
        comment: group.comment.clone(),
    };
    visible.map(entry).collect()
}

fn group(call: &Call, path: &GroupPath) -> Result<Group> {
    let found = call.access.config.groups.get(&path.groupid);
    let found = found.ok_or_else(|| no_group(&path.groupid))?;
    Ok(Group {
        members: found.members.iter().cloned().collect(),
        comment: found.comment.clone(),
    })
}

async fn group_create(call: &Call, new: GroupChange) -> Result<()> {
    if !is_identifier(&new.groupid, 128) {
        let text = "starts with a letter and has letters, digits, '.', '-' and '_'";
        return Err(Error::param("groupid", text));
    }
    let done = call.core.access.change(move |config| {
        if config.groups.contains_key(&new.groupid) {
            return Err(Error::exists(format_args!("group '{}'", new.groupid)));
        }
        let group = StoredGroup {
            comment: new.comment,
            ..StoredGroup::default()
        };
        config.groups.insert(new.groupid, group);
        Ok(())
    });
    done.await
}

async fn group_update(call: &Call, change: GroupChange) -> Result<()> {
    let done = call.core.access.change(move |config| {
        let group = config.groups.get_mut(&change.groupid);
        let group = group.ok_or_else(|| no_group(&change.groupid))?;
        group.comment = change.comment.or(group.comment.take());
        Ok(())
    });
    done.await
}

async fn group_delete(call: &Call, path: GroupPath) -> Result<()> {
    let done = call.core.access.change(move |config| {
        config
            .groups
            .remove(&path.groupid)
            .ok_or_else(|| no_group(&path.groupid))?;
        config.forget(AclKind::Group, &path.groupid);
        config.forget_path(&format!("/access/groups/{}", path.groupid));
        Ok(())
    });
    done.await
}
