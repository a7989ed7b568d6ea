//! How somebody gets in: password, then a second factor if there is one.
//!
//! A password is checked with the realm's own means: PAM for the host's accounts, a stored hash for
//! the realm `pve`, a bind for a directory; a provider is asked elsewhere. Failures say the same whatever was wrong, and take
//! three seconds each; [`super::lockout`] makes them take longer.

use super::{Access, now};
use crate::pam;
use basalt_access::nonce::Purpose;
use basalt_access::password;
use basalt_access::realms::Kind;
use basalt_access::second::webauthn::Origin;
use basalt_access::second::{Answer, Challenge};
use basalt_api::Error;
use basalt_directory::Client;
use basalt_model::userid::Userid;
use basalt_store::Transaction;
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroizing;

/// Every failed login takes so long.
const FAILURE_DELAY: Duration = Duration::from_secs(3);

/// An attempt to log in.
pub struct Attempt<'a> {
    /// Who it is said to be.
    pub user: &'a Userid,
    /// Password, valid ticket, or the answer to `challenge`.
    pub secret: &'a str,
    /// Time-based code that was sent along with the password.
    pub code: Option<&'a str>,
    /// What an earlier attempt with the right password was given.
    pub challenge: Option<&'a str>,
    /// Where it comes from.
    pub from: Option<IpAddr>,
    /// The page that it comes from, which security keys are bound to.
    pub page: Option<&'a Origin>,
}

/// How far an attempt got.
pub enum Login {
    /// This user is logged in.
    Done(Userid),
    /// The password is right; a second factor is due.
    Due(Userid, Challenge),
}

/// Whether a password is right.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checked {
    Right,
    Wrong,
    /// Nobody could say.
    Unknown,
}

impl Access {
    /// Logs somebody in, or says what else is needed.
    pub async fn login(&self, attempt: Attempt<'_>) -> Result<Login, Error> {
        let snapshot = self.snapshot();
        let user = match snapshot.realms.get(attempt.user.realm()) {
            Ok(realm) => {
                let exact = realm.directory().is_none_or(|found| found.case_sensitive);
                snapshot
                    .config
                    .named(attempt.user, exact)
                    .unwrap_or(attempt.user)
            }
            Err(_) => attempt.user,
        };
        if let Some(challenge) = attempt.challenge {
            self.may_try(user, attempt.from)?;
            return self.answered(user, challenge, &attempt).await;
        }
        if attempt.secret.starts_with("PVE:") {
            let owner = snapshot.verifier.ticket(attempt.secret, now());
            return match owner {
                Ok(owner) if owner == *user && snapshot.active(user, now()).is_ok() => {
                    Ok(Login::Done(owner))
                }
                Ok(_) | Err(_) => Err(failed().await),
            };
        }
        self.password(user, attempt.secret, attempt.from).await?;
        self.passed(user, attempt.code, attempt.from, attempt.page)
            .await
    }

    /// What is due of a user who proved the first factor.
    pub(super) async fn passed(
        &self,
        user: &Userid,
        code: Option<&str>,
        from: Option<IpAddr>,
        page: Option<&Origin>,
    ) -> Result<Login, Error> {
        let snapshot = self.snapshot();
        let factors = self.factors().map_err(Error::failed)?;
        let factors = factors.of(user);
        let host = page.map(Origin::host);
        let nonce = || self.key().key_challenge(Purpose::Login, user, now());
        let due = factors.and_then(|factors| factors.challenge(host, nonce));
        let realm = snapshot.realms.get(user.realm())?;
        if realm.common.second.is_some() && !factors.is_some_and(|found| found.has_real()) {
            let text = "the realm demands a second factor, and this account has none";
            return Err(Error::unauthenticated(text));
        }
        match (due, code) {
            (None, _) => Ok(self.done(user)),
            (Some(_), Some(code)) => {
                let answer = Answer::Totp(code.trim().to_owned());
                self.second(user, &answer, from).await
            }
            (Some(due), None) => Ok(Login::Due(user.clone(), due)),
        }
    }

    /// Checks the password of somebody who is logged in, before something that a stolen ticket
    /// must not be enough for.
    pub async fn confirm(
        &self,
        user: &Userid,
        secret: &str,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        self.password(user, secret, from).await
    }

    fn done(&self, user: &Userid) -> Login {
        self.lockout.succeeded(user);
        Login::Done(user.clone())
    }

    pub(super) fn may_try(&self, user: &Userid, from: Option<IpAddr>) -> Result<(), Error> {
        let Some(wait) = self.lockout.wait(user, from) else {
            return Ok(());
        };
        let seconds = wait.as_secs() + 1;
        let text = format!("too many failed logins: wait {seconds} seconds");
        Err(Error::unauthenticated(text))
    }

    /// The answer to a challenge, which proves that the password was right.
    async fn answered(
        &self,
        user: &Userid,
        challenge: &str,
        attempt: &Attempt<'_>,
    ) -> Result<Login, Error> {
        let snapshot = self.snapshot();
        let valid = snapshot.verifier.challenge(challenge, user, now()).is_ok();
        if !valid || snapshot.active(user, now()).is_err() {
            return Err(failed().await);
        }
        let text = "must be like totp:123456, recovery:CODE or webauthn:JSON";
        let answer = Answer::parse(attempt.secret).ok_or_else(|| Error::param("password", text))?;
        if let Answer::Webauthn(assertion) = &answer {
            let (asked, purpose) = (assertion.challenge(), Purpose::Login);
            if let Err(error) = snapshot.verifier.key_challenge(asked, purpose, user, now()) {
                tracing::warn!(%user, %error, "answer of a security key");
                self.lockout.failed(Some(user), attempt.from);
                return Err(failed().await);
            }
        }
        self.second(user, &answer, attempt.from).await
    }

    /// What the answer used up is durable before it opens anything, so that it never does twice.
    async fn second(
        &self,
        user: &Userid,
        answer: &Answer,
        from: Option<IpAddr>,
    ) -> Result<Login, Error> {
        let checked = self.change_parts(Transaction::new(), |parts| {
            let factors = parts.factors.of_mut(user);
            let right = factors.verify(answer, now());
            Ok((right, factors.totp_locked()))
        });
        let (right, locked) = checked.await?;
        if right {
            return Ok(self.done(user));
        }
        if locked {
            tracing::warn!(%user, "time-based codes are locked");
        }
        self.lockout.failed(Some(user), from);
        Err(failed().await)
    }

    async fn password(
        &self,
        user: &Userid,
        secret: &str,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        self.may_try(user, from)?;
        let snapshot = self.snapshot();
        let realm = snapshot.realms.get(user.realm()).ok();
        let gate = match realm.and_then(|realm| realm.directory()) {
            Some(_) => &self.questions,
            None => &self.checks,
        };
        let Ok(permit) = gate.acquire().await else {
            return Err(Error::failed("the node is stopping"));
        };
        // Those that waited with it may have failed meanwhile.
        self.may_try(user, from)?;
        let known = self.snapshot().config.users.contains_key(user);
        let checked = self.check(user, secret).await;
        let active = self.snapshot().active(user, now()).is_ok();
        if checked == Checked::Right && active {
            return Ok(());
        }
        if checked != Checked::Unknown {
            self.lockout.failed(known.then_some(user), from);
        }
        drop(permit);
        Err(failed().await)
    }

    async fn check(&self, user: &Userid, secret: &str) -> Checked {
        let snapshot = self.snapshot();
        let found = snapshot.config.users.get(user);
        let name = user.name().to_owned();
        let Ok(realm) = snapshot.realms.get(user.realm()) else {
            return Checked::Wrong;
        };
        let right = match &realm.kind {
            Kind::Directory(directory) if found.is_some() => {
                let bind = match self.secret_of(user.realm()) {
                    Ok(bind) => bind,
                    Err(error) => {
                        tracing::error!(realm = user.realm(), %error, "secret of a realm");
                        return Checked::Unknown;
                    }
                };
                let client = Client::new(directory.as_ref().clone(), bind);
                match client.authenticate(&name, secret).await {
                    Ok(right) => right,
                    Err(error) => {
                        tracing::warn!(realm = user.realm(), %error, "directory");
                        return Checked::Unknown;
                    }
                }
            }
            Kind::Directory(_) | Kind::OpenId(_) => false,
            Kind::Pam if found.is_none() => false,
            Kind::Pam => {
                let secret = Zeroizing::new(secret.to_owned());
                blocking(move || pam::authenticate(&name, &secret)).await
            }
            Kind::Pve => {
                let hash = found.and_then(|user| user.password.clone());
                let secret = Zeroizing::new(secret.to_owned());
                blocking(move || password::verify(&secret, hash.as_deref())).await
            }
        };
        match right {
            true => Checked::Right,
            false => Checked::Wrong,
        }
    }
}

async fn blocking(check: impl FnOnce() -> bool + Send + 'static) -> bool {
    tokio::task::spawn_blocking(check).await.unwrap_or(false)
}

pub(super) async fn failed() -> Error {
    // Time itself is meant: guessing passwords shall take long.
    tokio::time::sleep(FAILURE_DELAY).await;
    Error::new(401, "authentication failure")
}
