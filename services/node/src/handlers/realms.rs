//! Realms, and what is brought here from directories.

use crate::auth::{Access, Parts};
use crate::call::Call;
use crate::core::Core;
use crate::router::Router;
use basalt_access::Realms;
use basalt_access::realms::{self as stored, Directory, Found, Realm as StoredRealm, SyncOptions};
use basalt_api::methods::realms::{
    DomainCreate, DomainDelete, DomainGet, DomainList, DomainSync, DomainUpdate, Realm,
    RealmChange, RealmInfo, RealmNew, RealmPath, RealmSync,
};
use basalt_api::{Error, Result};
use basalt_directory::Client;
use basalt_model::upid::Upid;
use basalt_model::userid::Authid;
use basalt_store::Transaction;
use basalt_tasks::{NewTask, TaskContext};
use std::sync::Arc;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<DomainList, _, _, _>(async |call, _| Ok(list(&call)));
    router.on::<DomainGet, _, _, _>(async |call, params| get(&call, &params));
    router.on::<DomainCreate, _, _, _>(async |call, params| create(&call, params).await);
    router.on::<DomainUpdate, _, _, _>(async |call, params| update(&call, params).await);
    router.on::<DomainDelete, _, _, _>(async |call, params| delete(&call, params).await);
    router.on::<DomainSync, _, _, _>(async |call, params| {
        start_sync(&call.core, call.auth(), params)
    });
}

fn list(call: &Call) -> Vec<Realm> {
    let realm = |(name, realm): (&String, &StoredRealm)| Realm {
        realm: name.clone(),
        kind: realm.kind(),
        comment: realm.common.comment.clone(),
        default: realm.common.default.then_some(true),
        tfa: realm.common.second.map(|_| "oath".to_owned()),
    };
    call.access.realms.iter().map(realm).collect()
}

/// Changes with every change of a realm.
fn digest(realms: &Realms) -> Result<String> {
    let text = serde_json::to_string(realms).map_err(Error::failed)?;
    Ok(basalt_store::digest(&text))
}

fn get(call: &Call, path: &RealmPath) -> Result<RealmInfo> {
    let realm = call.access.realms.get(&path.realm)?;
    Ok(RealmInfo {
        kind: realm.kind(),
        digest: digest(&call.access.realms)?,
        fields: realm.fields(),
    })
}

/// Whoever searches needs a password, or would search as nobody without being told.
fn has_password(directory: &Directory, password: Option<&String>) -> Result<()> {
    match (&directory.bind_dn, password) {
        (Some(_), None) => Err(Error::param("password", "bind_dn needs its password")),
        (None, Some(_)) => Err(Error::param(
            "bind_dn",
            "is missing: password is its password",
        )),
        (Some(_), Some(_)) | (None, None) => Ok(()),
    }
}

/// The secret that a call gives, by the name that realms of this kind have for it.
fn given<'a>(
    realm: &StoredRealm,
    password: Option<&'a String>,
    key: Option<&'a String>,
) -> Result<Option<&'a String>> {
    let (secret, name, other) = match realm.openid() {
        Some(_) => (key, "password", password),
        None => (password, "client-key", key),
    };
    match other {
        Some(_) => Err(Error::param(name, "is not for realms of this type")),
        None => Ok(secret),
    }
}

/// Refuses what cannot work: a password without an account, or the other way round, and a server
/// that does not answer if that is to be checked.
async fn usable(realm: &StoredRealm, password: Option<&String>, connect: bool) -> Result<()> {
    let Some(directory) = realm.directory() else {
        let secret = password.is_some() && realm.openid().is_none();
        if secret || connect {
            let name = if connect {
                "check-connection"
            } else {
                "password"
            };
            return Err(Error::param(name, "is for realms of type ldap and ad"));
        }
        return Ok(());
    };
    has_password(directory, password)?;
    if connect {
        let client = Client::new(directory.clone(), password.cloned());
        let checked = client.check().await;
        checked.map_err(|error| Error::param("check-connection", error))?;
    }
    Ok(())
}

async fn create(call: &Call, new: RealmNew) -> Result<()> {
    let name = new.realm;
    let realm = StoredRealm::new(new.kind, new.fields)?;
    let secret = given(&realm, new.password.as_ref(), new.client_key.as_ref())?;
    // What does not depend on the server is refused before it is asked.
    call.access.realms.clone().create(&name, realm.clone())?;
    let connect = new.check_connection.unwrap_or(false);
    usable(&realm, secret, connect).await?;
    let access = &call.core.access;
    let done = access.change_parts(Transaction::new(), |parts| {
        parts.realms.create(&name, realm)?;
        // Nothing may be left of an earlier realm of this name.
        parts.vault.0.remove(&name);
        if let Some(secret) = secret {
            parts.vault.0.insert(name.clone(), secret.clone());
        }
        Ok(())
    });
    done.await?;
    Ok(())
}

/// What a change makes of the realms and their passwords.
fn changed(parts: &mut Parts, change: &RealmChange) -> Result<()> {
    let name = &change.realm;
    if let Some(known) = &change.digest
        && *known != digest(&parts.realms)?
    {
        let text = "the configuration was changed meanwhile: read it again";
        return Err(Error::param("digest", text));
    }
    let words = change.delete.as_deref().unwrap_or_default();
    let words = words.split([',', ';', ' ']).filter(|word| !word.is_empty());
    let (secret, delete): (Vec<&str>, Vec<&str>) =
        words.partition(|word| ["password", "client-key"].contains(word));
    let before = parts.realms.get(name)?.clone();
    parts.realms.update(name, &change.fields, &delete)?;
    if !secret.is_empty() || delete.contains(&"bind_dn") {
        parts.vault.0.remove(name);
    }
    let realm = parts.realms.get(name)?;
    let new = given(realm, change.password.as_ref(), change.client_key.as_ref())?;
    let kept = new.is_none() && parts.vault.0.contains_key(name);
    if kept && realm.tells_others(&before) {
        let text = "is needed again: the server, or how it is reached or believed, changes";
        let secret = match realm.openid() {
            Some(_) => "client-key",
            None => "password",
        };
        return Err(Error::param(secret, text));
    }
    if let Some(secret) = new {
        parts.vault.0.insert(name.clone(), secret.clone());
    }
    Ok(())
}

async fn update(call: &Call, change: RealmChange) -> Result<()> {
    let access = &call.core.access;
    // What the change would make of it is asked of the server before it is made.
    let mut tried = access.parts().map_err(Error::failed)?;
    changed(&mut tried, &change)?;
    let realm = tried.realms.get(&change.realm)?;
    let connect = change.check_connection.unwrap_or(false);
    usable(realm, tried.vault.0.get(&change.realm), connect).await?;
    let done = access.change_parts(Transaction::new(), |parts| {
        changed(parts, &change)?;
        if let Some(directory) = parts.realms.get(&change.realm)?.directory() {
            has_password(directory, parts.vault.0.get(&change.realm))?;
        }
        Ok(())
    });
    done.await?;
    Ok(())
}

async fn delete(call: &Call, path: RealmPath) -> Result<()> {
    let access = &call.core.access;
    let done = access.change_parts(Transaction::new(), |parts| {
        parts.realms.remove(&path.realm)?;
        parts.vault.0.remove(&path.realm);
        Ok(())
    });
    done.await?;
    Ok(())
}

/// A synchronisation that was asked for.
struct Sync {
    realm: String,
    directory: Directory,
    options: SyncOptions,
    dry_run: bool,
}

/// The directory that a synchronisation reads, and what it does. Refuses one that cannot be done.
pub fn check_sync(realms: &Realms, params: &RealmSync) -> Result<(Directory, SyncOptions)> {
    let realm = realms.get(&params.realm)?;
    let directory = realm.directory().ok_or_else(|| {
        Error::param(
            "realm",
            "only realms of type ldap and ad can be synchronised",
        )
    })?;
    Ok((directory.clone(), directory.sync.with(params)?))
}

/// Begins the task that synchronises a realm.
pub fn start_sync(core: &Arc<Core>, user: &Authid, params: RealmSync) -> Result<Upid> {
    let (directory, options) = check_sync(&core.access.snapshot().realms, &params)?;
    let sync = Sync {
        options,
        directory,
        dry_run: params.dry_run.unwrap_or(false),
        realm: params.realm,
    };
    let task = NewTask {
        kind: "auth-realm-sync",
        id: sync.realm.clone(),
        user,
        lock: None,
    };
    let tasks = core.tasks.clone();
    let core = Arc::clone(core);
    let spawned = tasks.spawn(task, |context| async move {
        let secret = core.access.secret_of(&sync.realm).map_err(Error::failed)?;
        let client = Client::new(sync.directory.clone(), secret);
        context.log(format_args!(
            "reading the directory of realm '{}'",
            sync.realm
        ));
        let found = client
            .read(sync.options.groups())
            .await
            .map_err(Error::failed)?;
        let (users, groups) = (found.users.len(), found.groups.len());
        context.log(format_args!("found {users} users and {groups} groups"));
        sync.bring(&core.access, &found, &context).await
    });
    spawned.map_err(Error::failed)
}

impl Sync {
    async fn bring(&self, access: &Access, found: &Found, context: &TaskContext) -> Result<()> {
        let vanished = self.options.vanished;
        if found.users.is_empty() && (vanished.acl || vanished.entry) {
            let text = "the directory shows no user at all: nothing is removed for that";
            return Err(Error::failed(text));
        }
        let lines = if self.dry_run {
            let mut parts = access.parts().map_err(Error::failed)?;
            self.apply(&mut parts, found)?
        } else {
            let change = |parts: &mut Parts| self.apply(parts, found);
            access.change_parts(Transaction::new(), change).await?
        };
        for line in &lines {
            match line.starts_with("skipping") {
                true => context.warn(line),
                false => context.log(line),
            }
        }
        match (self.dry_run, lines.is_empty()) {
            (true, _) => context.log("this was a preview: nothing was changed"),
            (false, true) => context.log("nothing had to be changed"),
            (false, false) => {}
        }
        Ok(())
    }

    fn apply(&self, parts: &mut Parts, found: &Found) -> Result<Vec<String>> {
        // It may be gone since the task began.
        parts.realms.get(&self.realm)?;
        let realm = (self.realm.as_str(), self.directory.case_sensitive);
        let names = parts.realms.iter().map(|(name, _)| name);
        Ok(stored::apply(
            &mut parts.config,
            realm,
            self.options,
            found,
            names,
        ))
    }
}
