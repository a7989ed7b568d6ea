//! Login, passwords and what the caller may do.

use crate::audit::Entry as Noted;
use crate::auth::login::{Attempt, Login as Entry};
use crate::auth::{Access, now};
use crate::call::Call;
use crate::router::Router;
use basalt_access::{Snapshot, is_path, password};
use basalt_api::methods::access::{
    Login, PasswordChange, PasswordSet, PermissionList, PermissionsQuery, Ticket, TicketCreate,
    TicketProbe,
};
use basalt_api::methods::acl::AclKind;
use basalt_api::{Error, Result};
use basalt_model::access::Privilege::{self, SysAudit};
use basalt_model::userid::{Authid, Userid};
use std::collections::BTreeMap;

/// What a path of permissions looks like.
pub const PATH: &str = "is / or like /vms/100 or /storage/local";

type Map = BTreeMap<String, BTreeMap<String, bool>>;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<TicketProbe, _, _, _>(async |_, _| Ok(()));
    router.on::<TicketCreate, _, _, _>(async |call, params| login(&call, params).await);
    router.on::<PermissionList, _, _, _>(async |call, params| permissions(&call, params));
    router.on::<PasswordSet, _, _, _>(async |call, params| set_password(&call, params).await);
}

async fn login(call: &Call, login: Login) -> Result<Ticket> {
    let full = match &login.realm {
        Some(realm) if !login.username.contains('@') => format!("{}@{realm}", login.username),
        None if !login.username.contains('@') => format!("{}@pam", login.username),
        Some(_) | None => login.username.clone(),
    };
    let user: Userid = full.parse().map_err(|e| Error::param("username", e))?;
    let access = &call.core.access;
    let attempt = Attempt {
        user: &user,
        secret: &login.password,
        code: login.otp.as_deref(),
        challenge: login.tfa_challenge.as_deref(),
        from: call.from,
        page: call.page.as_ref(),
    };
    let answer = access.login(attempt).await;
    note_login(call, user, &answer);
    let entry = answer?;
    if let Entry::Done(user) = &entry {
        verify(&access.snapshot(), user, &login)?;
    }
    Ok(ticket(access, entry))
}

/// Notes how a login went.
pub(super) fn note_login(call: &Call, user: Userid, answer: &Result<Entry>) {
    let what = match answer {
        Ok(Entry::Due(..)) => "login: the second factor is due",
        Ok(Entry::Done(_)) | Err(_) => "login",
    };
    let entry = Noted::new(&user.into(), call.from, what, answer.as_ref().err());
    call.core.audit.note(&entry);
}

/// What somebody is given who got so far.
pub(super) fn ticket(access: &Access, entry: Entry) -> Ticket {
    let (now, key) = (now(), access.key());
    match entry {
        Entry::Done(user) => Ticket {
            ticket: key.ticket(&user, now),
            csrf_prevention_token: Some(key.csrf(&user, now)),
            need_tfa: None,
            cap: capabilities(&access.snapshot(), &user.clone().into()),
            username: user,
        },
        Entry::Due(user, challenge) => Ticket {
            ticket: key.challenge(&user, &challenge, now),
            csrf_prevention_token: None,
            need_tfa: Some(true),
            cap: Map::new(),
            username: user,
        },
    }
}

/// Refuses a login that asks for privileges on a path which the user lacks.
fn verify(snapshot: &Snapshot, user: &Userid, login: &Login) -> Result<()> {
    let (path, names) = match (&login.path, &login.privs) {
        (None, None) => return Ok(()),
        (Some(path), Some(names)) if is_path(path) => (path, names),
        (Some(_), Some(_)) => return Err(Error::param("path", PATH)),
        (Some(_), None) => return Err(Error::param("privs", "goes with path")),
        (None, Some(_)) => return Err(Error::param("path", "goes with privs")),
    };
    for name in names.split([',', ';', ' ']).filter(|name| !name.is_empty()) {
        let privilege: Privilege = name.parse().map_err(|e| Error::param("privs", e))?;
        if !snapshot.allows(&user.clone().into(), path, &[privilege]) {
            return Err(Error::forbidden(format_args!("{path}, {name}")));
        }
    }
    Ok(())
}

/// What an interface should offer: privileges on any path, by kind of object.
fn capabilities(snapshot: &Snapshot, auth: &Authid) -> Map {
    let roots = [
        (
            "access",
            "/access",
            &["Permissions.", "User.", "Group.", "Realm."][..],
        ),
        ("dc", "/", &["Sys.", "SDN."]),
        ("mapping", "/mapping", &["Mapping."]),
        ("nodes", "/nodes", &["Sys."]),
        ("sdn", "/sdn", &["SDN."]),
        ("storage", "/storage", &["Datastore."]),
        ("vms", "/vms", &["VM."]),
    ];
    let wanted = |privilege: &Privilege, prefixes: &[&str]| {
        let shared = *privilege == Privilege::PermissionsModify;
        shared
            || prefixes
                .iter()
                .any(|prefix| privilege.name().starts_with(prefix))
    };
    let known = snapshot.known_paths();
    let of = |(name, root, prefixes): (&str, &str, &[&str])| {
        let below = known.iter().filter(|path| path.starts_with(root));
        let paths = below.map(String::as_str).chain([root]);
        let all = paths.flat_map(|path| snapshot.privileges(auth, path).into_keys());
        let kept = all.filter(|privilege| wanted(privilege, prefixes));
        (
            name.to_owned(),
            kept.map(|p| (p.name().to_owned(), true)).collect(),
        )
    };
    roots.map(of).into()
}

fn permissions(call: &Call, query: PermissionsQuery) -> Result<Map> {
    let auth = query.userid.unwrap_or_else(|| call.auth().clone());
    let own = auth == *call.auth()
        || (auth.user == call.auth().user && call.access.acts_as_user(call.auth()));
    if !own {
        call.require("/access", &[SysAudit])?;
    }
    let kind = match auth.token {
        Some(_) => AclKind::Token,
        None => AclKind::User,
    };
    if !call.access.config.exists(kind, &auth.to_string()) {
        let what = match kind {
            AclKind::Token => "token",
            AclKind::User | AclKind::Group => "user",
        };
        return Err(Error::not_found(format_args!("{what} '{auth}'")));
    }
    let of = |path: &str| -> BTreeMap<String, bool> {
        let has = call.access.privileges(&auth, path).into_iter();
        has.map(|(privilege, below)| (privilege.name().into(), below))
            .collect()
    };
    match query.path {
        Some(path) if is_path(&path) => Ok([(path.clone(), of(&path))].into()),
        Some(_) => Err(Error::param("path", PATH)),
        None => {
            let all = call.access.known_paths().into_iter();
            let all = all.map(|path| (path.clone(), of(&path)));
            Ok(all.filter(|(_, has)| !has.is_empty()).collect())
        }
    }
}

async fn set_password(call: &Call, change: PasswordChange) -> Result<()> {
    if call.auth().token.is_some() {
        return Err(Error::forbidden("not with an API token"));
    }
    let user = change.userid;
    if user.realm() != "pve" {
        let text = "only passwords of the realm pve can be changed here";
        return Err(Error::param("userid", text));
    }
    let access = &call.core.access;
    if user == call.auth().user && call.caller.proof != basalt_access::Proof::Local {
        let present = change.confirmation_password.unwrap_or_default();
        if access.confirm(&user, &present, call.from).await.is_err() {
            return Err(Error::param(
                "confirmation-password",
                "is not the present password",
            ));
        }
    }
    let text = change.password;
    let hash = tokio::task::spawn_blocking(move || password::hash(&text)).await;
    let hash = hash.map_err(Error::failed)?.map_err(Error::failed)?;
    access
        .change(|config| {
            let found = config.users.get_mut(&user);
            let found = found.ok_or_else(|| Error::not_found(format_args!("user '{user}'")))?;
            found.password = Some(hash);
            Ok(())
        })
        .await?;
    Ok(())
}
