//! Logins at OpenID Connect providers.
//!
//! Nothing is kept between a login's beginning and its end: the state that comes back is known by
//! its signature, and what only we know of the login is made of it again.

use super::login::{Login, failed};
use super::{Access, now};
use basalt_access::nonce::Secret;
use basalt_access::realms::{Identity, OpenId};
use basalt_access::second::webauthn::Origin;
use basalt_api::Error;
use basalt_model::userid::Userid;
use basalt_openid::{Claims, Client, Return};
use basalt_store::Transaction;
use std::net::IpAddr;

/// A login that came back from a provider.
pub struct Back<'a> {
    /// Code that the provider gave.
    pub code: &'a str,
    /// State that the login had.
    pub state: &'a str,
    /// Where the browser came back to.
    pub redirect: &'a str,
    /// Where it comes from.
    pub from: Option<IpAddr>,
    /// The page that it comes from.
    pub page: Option<&'a Origin>,
}

/// Somebody whom a provider named.
struct Identified {
    realm: String,
    /// What the provider was asked with.
    settings: OpenId,
    identity: Identity,
}

impl Access {
    /// Where a browser goes to log in at the provider of a realm.
    pub async fn openid_begin(&self, realm: &str, redirect: &str) -> Result<String, Error> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '#';
        let web = redirect.starts_with("https://") || redirect.starts_with("http://");
        if !web || redirect.contains(odd) {
            return Err(Error::param(
                "redirect-url",
                "must be like https://host:8006/",
            ));
        }
        let settings = self.provider(realm)?;
        let state = self.key().login_state(realm, redirect, now());
        let nonce = self.key().login_secret(Secret::Nonce, &state);
        let verifier = self.key().login_secret(Secret::Verifier, &state);
        let redirect = redirect.to_owned();
        let asked = self.ask(realm, settings, move |client| {
            client.login_url(&redirect, &state, &nonce, &verifier)
        });
        asked.await
    }

    /// Logs in who comes back from a provider, or says what else is needed; and who it is, which is
    /// nobody as long as the provider did not say.
    pub async fn openid_end(&self, back: Back<'_>) -> (Userid, Result<Login, Error>) {
        match self.identified(&back).await {
            Ok(known) => {
                let user = known.identity.user.clone();
                (user, self.admitted(known, &back).await)
            }
            Err(error) => (Userid::nobody(), Err(error)),
        }
    }

    /// Who the provider says it is.
    async fn identified(&self, back: &Back<'_>) -> Result<Identified, Error> {
        self.may_try(&Userid::nobody(), back.from)?;
        let snapshot = self.snapshot();
        let checked = snapshot
            .verifier
            .login_state(back.state, back.redirect, now());
        let Ok(realm) = checked else {
            return Err(self.nobody(back.from).await);
        };
        let settings = self.provider(realm)?;
        let claims = self.claims(realm, settings.clone(), back).await;
        let identity = claims.and_then(|claims| {
            let found = settings.identity(realm, &claims);
            found.map_err(|error| {
                tracing::warn!(realm, error, "login at a provider");
                Error::unauthenticated("the provider names nobody who can be a user here")
            })
        });
        let identity = identity.inspect_err(|_| self.lockout.failed(None, back.from))?;
        Ok(Identified {
            realm: realm.to_owned(),
            settings,
            identity,
        })
    }

    /// Lets somebody in whom the provider named, if they have an account.
    async fn admitted(&self, known: Identified, back: &Back<'_>) -> Result<Login, Error> {
        let Identified {
            realm,
            settings,
            identity,
        } = known;
        let admitted = self.change_parts(Transaction::new(), |parts| {
            // The realm may have changed while its provider was asked.
            let same = parts.realms.get(&realm)?.openid() == Some(&settings);
            Ok(match same {
                true => settings.admit(&mut parts.config, &identity),
                false => None,
            })
        });
        let user = &identity.user;
        if admitted.await?.is_none() {
            return Err(Error::unauthenticated("you have no account here"));
        }
        if self.snapshot().active(user, now()).is_err() {
            return Err(failed().await);
        }
        self.passed(user, None, back.from, back.page).await
    }

    fn provider(&self, realm: &str) -> Result<OpenId, Error> {
        let snapshot = self.snapshot();
        let settings = snapshot.realms.get(realm)?.openid().cloned();
        settings.ok_or_else(|| Error::param("realm", "must be a realm of type openid"))
    }

    async fn claims(
        &self,
        realm: &str,
        settings: OpenId,
        back: &Back<'_>,
    ) -> Result<Claims, Error> {
        let nonce = self.key().login_secret(Secret::Nonce, back.state);
        let verifier = self.key().login_secret(Secret::Verifier, back.state);
        let (code, redirect) = (back.code.to_owned(), back.redirect.to_owned());
        let asked = self.ask(realm, settings, move |client| {
            client.claims(&Return {
                code: &code,
                redirect: &redirect,
                verifier: &verifier,
                nonce: &nonce,
            })
        });
        asked.await
    }

    /// Asks a provider. Whoever logs in is not told more of a failure than whose it is.
    async fn ask<T: Send + 'static>(
        &self,
        realm: &str,
        settings: OpenId,
        question: impl FnOnce(&Client) -> Result<T, basalt_openid::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let secret = self.secret_of(realm).map_err(Error::failed)?;
        let Ok(_permit) = self.questions.acquire().await else {
            return Err(Error::failed("the node is stopping"));
        };
        let asking = move || question(&Client::new(settings, secret)?);
        let asked = tokio::task::spawn_blocking(asking).await;
        asked.map_err(Error::failed)?.map_err(|error| {
            tracing::warn!(realm, %error, "login at a provider");
            let ours = matches!(
                error,
                basalt_openid::Error::Refused(_) | basalt_openid::Error::Token(_)
            );
            match ours {
                true => Error::unauthenticated("the provider does not confirm the login"),
                false => Error::failed(format_args!(
                    "the provider of realm '{realm}' cannot be asked: the journal says why"
                )),
            }
        })
    }

    async fn nobody(&self, from: Option<IpAddr>) -> Error {
        self.lockout.failed(None, from);
        failed().await
    }
}
