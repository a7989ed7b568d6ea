//! Second factors of users.

use crate::auth::now;
use crate::call::Call;
use crate::router::Router;
use basalt_access::Proof;
use basalt_access::nonce::Purpose;
use basalt_access::realms::Realm;
use basalt_access::second::webauthn::{self, Credential, OriginError};
use basalt_access::second::{About, Kind, RECOVERY, Secret, UserFactors as Stored};
use basalt_api::methods::tfa::{
    Factor, FactorChange, FactorMade, FactorNew, FactorPath, FactorRemoval, FactorType,
    FactorTypes, FactorTypesQuery, TfaCreate, TfaDelete, TfaGet, TfaList, TfaTypes, TfaUnlock,
    TfaUpdate, TfaUser, UserFactors,
};
use basalt_api::methods::users::UserPath;
use basalt_api::{Error, Result};
use basalt_model::access::Privilege::{SysAudit, UserModify};
use basalt_model::userid::Userid;
use basalt_store::Transaction;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<TfaList, _, _, _>(async |call, _| list(&call));
    router.on::<TfaUser, _, _, _>(async |call, params: UserPath| factors(&call, &params.userid));
    router.on::<TfaGet, _, _, _>(async |call, params| get(&call, &params));
    router.on::<TfaTypes, _, _, _>(async |call, params| types(&call, &params));
    router.on::<TfaCreate, _, _, _>(async |call, params| create(&call, params).await);
    router.on::<TfaUpdate, _, _, _>(async |call, params| update(&call, params).await);
    router.on::<TfaDelete, _, _, _>(async |call, params| delete(&call, params).await);
    router.on::<TfaUnlock, _, _, _>(async |call, params| unlock(&call, params).await);
}

fn entries(stored: &Stored) -> Vec<Factor> {
    let entry = |(id, kind, about): (&str, Kind, &About)| Factor {
        id: id.to_owned(),
        kind: match kind {
            Kind::Totp => FactorType::Totp,
            Kind::Recovery => FactorType::Recovery,
            Kind::Webauthn => FactorType::Webauthn,
        },
        description: about.description.clone(),
        created: about.created,
        enable: about.enable,
    };
    stored.entries().map(entry).collect()
}

fn list(call: &Call) -> Result<Vec<UserFactors>> {
    let look = [UserModify, SysAudit];
    let config = &call.access.config;
    let all = call.allows("/access/groups", &look);
    let seen = |user: &Userid| {
        let mut groups = config.groups_of(user);
        let own = *user == call.auth().user && call.access.acts_as_user(call.auth());
        all || own || groups.any(|group| call.allows(&format!("/access/groups/{group}"), &look))
    };
    let factors = call.core.access.factors().map_err(Error::failed)?;
    let found = factors.iter().filter(|(user, _)| seen(user));
    let entry = |(user, stored): (&Userid, &Stored)| UserFactors {
        userid: user.clone(),
        entries: entries(stored),
        totp_locked: stored.totp_locked().then_some(true),
    };
    Ok(found.map(entry).collect())
}

fn no_user(user: &Userid) -> Error {
    Error::not_found(format_args!("user '{user}'"))
}

fn no_factor(id: &str) -> Error {
    Error::not_found(format_args!("second factor '{id}'"))
}

fn factors(call: &Call, user: &Userid) -> Result<Vec<Factor>> {
    if !call.access.config.users.contains_key(user) {
        return Err(no_user(user));
    }
    let factors = call.core.access.factors().map_err(Error::failed)?;
    Ok(factors.of(user).map(entries).unwrap_or_default())
}

fn get(call: &Call, path: &FactorPath) -> Result<Factor> {
    let mut all = factors(call, &path.userid)?.into_iter();
    let found = all.find(|factor| factor.id == path.id);
    found.ok_or_else(|| no_factor(&path.id))
}

fn types(call: &Call, query: &FactorTypesQuery) -> Result<FactorTypes> {
    let mut types: Vec<FactorType> = Vec::new();
    for factor in factors(call, &query.userid)? {
        if factor.enable && !types.contains(&factor.kind) {
            types.push(factor.kind);
        }
    }
    let realm = call.access.realms.get(query.userid.realm()).ok();
    let demanded = realm.and_then(|realm| realm.common.second);
    let oath = |has: bool| has.then(|| "oath".to_owned());
    let multiple = query.multiple.unwrap_or(false);
    Ok(FactorTypes {
        realm: oath(demanded.is_some()),
        user: oath(!multiple && types.contains(&FactorType::Totp)),
        types: multiple.then_some(types),
    })
}

/// Whether the caller may change somebody's factors now: nobody but the superuser those of the
/// superuser, no token any, and not with a stolen ticket alone.
async fn may_change(call: &Call, user: &Userid, password: Option<&str>) -> Result<()> {
    if call.auth().token.is_some() {
        return Err(Error::forbidden("not with an API token"));
    }
    if call.caller.proof == Proof::Local || call.auth().is_root() {
        return Ok(());
    }
    if user.is_root() {
        return Err(Error::forbidden("only root@pam changes its second factors"));
    }
    let own = call.access.realms.get(call.auth().user.realm());
    if own.is_ok_and(|realm| realm.openid().is_some()) {
        let text = "your realm has no password to confirm it with: ask an administrator";
        return Err(Error::forbidden(text));
    }
    let password = password.ok_or_else(|| Error::param("password", "your own is needed"))?;
    let confirmed = call
        .core
        .access
        .confirm(&call.auth().user, password, call.from);
    let wrong = |_| Error::param("password", "is not your present password");
    confirmed.await.map_err(wrong)
}

async fn change<T>(
    call: &Call,
    user: &Userid,
    change: impl FnOnce(&mut Stored) -> Result<T>,
) -> Result<T> {
    let done = call.core.access.change_parts(Transaction::new(), |parts| {
        if !parts.config.users.contains_key(user) {
            return Err(no_user(user));
        }
        change(parts.factors.of_mut(user))
    });
    Ok(done.await?)
}

/// The secret of a generator, and the code that proves it.
fn generator(realm: Option<&Realm>, new: &FactorNew) -> Result<(Secret, String)> {
    let wanted = |name: &str| Error::param(name, "is needed for type totp");
    let address = new.totp.as_deref().ok_or_else(|| wanted("totp"))?;
    let code = new.value.as_deref().ok_or_else(|| wanted("value"))?;
    let secret: Secret = address.parse().map_err(|e| Error::param("totp", e))?;
    if let Some(demanded) = realm.and_then(|realm| realm.common.second)
        && (demanded.digits, demanded.step) != (secret.digits(), secret.step())
    {
        let (digits, step) = (demanded.digits, demanded.step);
        let text = format!("the realm demands digits={digits} and period={step}");
        return Err(Error::param("totp", text));
    }
    Ok((secret, code.trim().to_owned()))
}

async fn create(call: &Call, new: FactorNew) -> Result<FactorMade> {
    may_change(call, &new.userid, new.password.as_deref()).await?;
    let about = About {
        description: new.description.clone().unwrap_or_default(),
        created: now(),
        enable: true,
    };
    match new.kind {
        FactorType::Totp => {
            let realm = call.access.realms.get(new.userid.realm()).ok();
            let (secret, code) = generator(realm, &new)?;
            let id = change(call, &new.userid, |stored| {
                let added = stored.add_totp(about, secret, &code);
                added.ok_or_else(|| Error::param("value", "is not the present code"))
            });
            Ok(made(id.await?))
        }
        FactorType::Webauthn => {
            refuse("totp", new.totp.is_some())?;
            security_key(call, &new, about).await
        }
        FactorType::Recovery => {
            refuse("totp", new.totp.is_some())?;
            refuse("value", new.value.is_some())?;
            refuse("challenge", new.challenge.is_some())?;
            let codes = change(call, &new.userid, |stored| {
                let codes = stored.add_recovery(about);
                codes.ok_or_else(|| Error::exists("second factor 'recovery'"))
            });
            Ok(FactorMade {
                recovery: Some(codes.await?),
                ..made(RECOVERY.to_owned())
            })
        }
    }
}

fn made(id: String) -> FactorMade {
    FactorMade {
        id: Some(id),
        challenge: None,
        recovery: None,
    }
}

fn refuse(name: &str, given: bool) -> Result<()> {
    match given {
        true => Err(Error::param(name, "is not for factors of this type")),
        false => Ok(()),
    }
}

/// Asks for a security key, or adds the one that answered.
async fn security_key(call: &Call, new: &FactorNew, about: About) -> Result<FactorMade> {
    let (access, user) = (&call.core.access, &new.userid);
    let page = call.page.as_ref();
    let page = page.ok_or_else(|| Error::param("type", OriginError))?;
    let (challenge, value) = match (&new.challenge, &new.value) {
        (Some(challenge), Some(value)) => (challenge, value),
        (None, Some(_)) => return Err(Error::param("challenge", "goes with value")),
        (Some(_), None) => return Err(Error::param("value", "goes with challenge")),
        (None, None) => {
            if !call.access.config.users.contains_key(user) {
                return Err(no_user(user));
            }
            let factors = access.factors().map_err(Error::failed)?;
            let known = factors.of(user).into_iter().flat_map(Stored::keys);
            let nonce = access
                .key()
                .key_challenge(Purpose::Registration, user, now());
            let options = webauthn::ask_new(page, user, &nonce, known);
            return Ok(FactorMade {
                id: None,
                challenge: Some(options.to_string()),
                recovery: None,
            });
        }
    };
    let verifier = &call.access.verifier;
    let ours = verifier.key_challenge(challenge, Purpose::Registration, user, now());
    ours.map_err(|error| Error::param("challenge", error))?;
    let key = Credential::registered(value, challenge, page);
    let key = key.map_err(|error| Error::param("value", error))?;
    let id = change(call, user, |stored| {
        if !stored.has_room() {
            let text = "there are as many security keys as there can be: remove one first";
            return Err(Error::param("type", text));
        }
        let added = stored.add_key(about, key);
        added.ok_or_else(|| Error::exists("this security key"))
    });
    Ok(made(id.await?))
}

async fn update(call: &Call, new: FactorChange) -> Result<()> {
    may_change(call, &new.userid, new.password.as_deref()).await?;
    change(call, &new.userid, |stored| {
        let about = stored
            .about_mut(&new.id)
            .ok_or_else(|| no_factor(&new.id))?;
        if let Some(description) = new.description {
            about.description = description;
        }
        about.enable = new.enable.unwrap_or(about.enable);
        Ok(())
    })
    .await
}

async fn delete(call: &Call, removal: FactorRemoval) -> Result<()> {
    may_change(call, &removal.userid, removal.password.as_deref()).await?;
    change(call, &removal.userid, |stored| {
        match stored.remove(&removal.id) {
            true => Ok(()),
            false => Err(no_factor(&removal.id)),
        }
    })
    .await
}

async fn unlock(call: &Call, path: UserPath) -> Result<bool> {
    change(call, &path.userid, |stored| Ok(stored.unlock())).await
}
