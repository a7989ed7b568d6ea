//! Login, realms, passwords and what the caller may do.

use crate::auth::now;
use crate::call::Call;
use crate::router::Router;
use basalt_access::{Snapshot, password};
use basalt_api::methods::access::{
    DomainList, Login, PasswordChange, PasswordSet, PermissionList, PermissionsQuery, Realm,
    Ticket, TicketCreate, TicketProbe,
};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege::{self, SysAudit};
use basalt_model::userid::{Authid, Userid};
use std::collections::BTreeMap;

/// The realms there are: name, kind, description.
pub const REALMS: [(&str, &str, &str); 2] = [
    ("pam", "pam", "Linux PAM standard authentication"),
    ("pve", "pve", "Accounts of this system"),
];

type Map = BTreeMap<String, BTreeMap<String, bool>>;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<TicketProbe, _, _, _>(async |_, _| Ok(()));
    router.on::<TicketCreate, _, _, _>(async |call, params| login(&call, params).await);
    router.on::<DomainList, _, _, _>(async |_, _| Ok(realms()));
    router.on::<PermissionList, _, _, _>(async |call, params| permissions(&call, params));
    router.on::<PasswordSet, _, _, _>(async |call, params| set_password(&call, params).await);
}

fn realms() -> Vec<Realm> {
    let realm = |(realm, kind, comment): (&str, &str, &str)| Realm {
        realm: realm.into(),
        kind: kind.into(),
        comment: Some(comment.into()),
        default: (realm == "pam").then_some(true),
    };
    REALMS.map(realm).into()
}

async fn login(call: &Call, login: Login) -> Result<Ticket> {
    let full = match &login.realm {
        Some(realm) if !login.username.contains('@') => format!("{}@{realm}", login.username),
        None if !login.username.contains('@') => format!("{}@pam", login.username),
        Some(_) | None => login.username.clone(),
    };
    let user: Userid = full.parse().map_err(|e| Error::param("username", e))?;
    let access = &call.core.access;
    access.login(&user, &login.password).await?;
    let (now, snapshot) = (now(), access.snapshot());
    Ok(Ticket {
        ticket: access.key().ticket(&user, now),
        csrf_prevention_token: access.key().csrf(&user, now),
        cap: capabilities(&snapshot, &user.clone().into()),
        username: user,
    })
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
    if auth.user != call.auth().user {
        call.require("/access", &[SysAudit])?;
    }
    let paths = match query.path {
        Some(path) => [path].into(),
        None => call.access.known_paths(),
    };
    let of = |path: String| {
        let has = call.access.privileges(&auth, &path);
        let has: BTreeMap<String, bool> = has
            .into_iter()
            .map(|(privilege, below)| (privilege.name().into(), below))
            .collect();
        (path, has)
    };
    Ok(paths
        .into_iter()
        .map(of)
        .filter(|(_, has)| !has.is_empty())
        .collect())
}

async fn set_password(call: &Call, change: PasswordChange) -> Result<()> {
    let user = change.userid;
    if user.realm() != "pve" {
        let text = "only passwords of the realm pve can be changed here";
        return Err(Error::param("userid", text));
    }
    let access = &call.core.access;
    if user == call.auth().user && call.caller.proof != basalt_access::Proof::Local {
        let present = change.confirmation_password.unwrap_or_default();
        if access.login(&user, &present).await.is_err() {
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
    tracing::info!(target: "audit", by = %call.auth(), user = %user, "password changed");
    Ok(())
}
