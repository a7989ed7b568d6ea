//! Says who a request comes from, by its headers.

use crate::{Snapshot, password};
use basalt_api::bag::decode;
use basalt_model::userid::{Authid, Userid};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

/// Name of the cookie that carries a ticket.
pub const COOKIE_NAME: &str = "PVEAuthCookie";
/// Name of the header that carries the CSRF token.
pub const CSRF_HEADER: &str = "CSRFPreventionToken";

/// How a caller proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A ticket.
    Ticket,
    /// The secret of an API token.
    Token,
    /// A process of the superuser on the node itself.
    Local,
    /// Not at all: the method is open to the world.
    Nobody,
}

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// User or token.
    pub auth: Authid,
    /// How that was proven.
    pub proof: Proof,
}

impl Caller {
    /// The superuser on the node itself.
    pub fn local() -> Self {
        Self {
            auth: Userid::root().into(),
            proof: Proof::Local,
        }
    }

    /// Somebody who did not log in. The name is no user's: the realm does not exist.
    pub fn nobody() -> Self {
        Self {
            auth: Userid::nobody().into(),
            proof: Proof::Nobody,
        }
    }
}

/// Why a request comes from nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It carries no credentials.
    #[error("No ticket")]
    Nothing,
    /// The ticket is not valid, or too old. Clients log in again when they read these words.
    #[error("permission denied - invalid PVE ticket")]
    Ticket(#[from] crate::TicketError),
    /// The call changes something and has no valid CSRF token.
    #[error("Permission denied - invalid csrf token")]
    Csrf,
    /// There is no such token, or the secret is wrong, or it expired.
    #[error("invalid token value")]
    Token,
    /// There is no such user any more, or the account is disabled or expired.
    #[error("user '{0}' cannot log in")]
    User(Userid),
}

impl Snapshot {
    /// Says who a request comes from. `changes` is whether its verb is another than GET and it
    /// is no upload: then a ticket needs its CSRF token.
    pub fn authenticate(
        &self,
        headers: &HeaderMap,
        changes: bool,
        now: u64,
    ) -> Result<Caller, Refused> {
        let authorization = headers
            .get(AUTHORIZATION)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("");
        if let Some(token) = authorization.strip_prefix("PVEAPIToken=") {
            return self.by_token(token.trim(), now);
        }
        let ticket = authorization
            .strip_prefix("PVEAuthCookie=")
            .map(str::to_owned);
        let ticket = ticket.or_else(|| cookie(headers)).ok_or(Refused::Nothing)?;
        let ticket = decode(&ticket).ok_or(crate::TicketError::Malformed)?;
        let user = self.verifier.ticket(&ticket, now)?;
        if changes {
            let csrf = headers
                .get(CSRF_HEADER)
                .and_then(|v| v.to_str().ok())
                .unwrap_or("");
            self.verifier
                .csrf(csrf, &user, now)
                .map_err(|_| Refused::Csrf)?;
        }
        self.active(&user, now)?;
        Ok(Caller {
            auth: user.into(),
            proof: Proof::Ticket,
        })
    }

    /// Whether a user and the realm exist and the account can be used.
    pub fn active(&self, user: &Userid, now: u64) -> Result<(), Refused> {
        match self.config.users.get(user) {
            Some(found) if found.is_active(now) && self.realms.contains(user.realm()) => Ok(()),
            Some(_) | None => Err(Refused::User(user.clone())),
        }
    }

    /// `user@realm!name=secret`.
    fn by_token(&self, text: &str, now: u64) -> Result<Caller, Refused> {
        let text = decode(text).ok_or(Refused::Token)?;
        let (id, secret) = text.split_once('=').ok_or(Refused::Token)?;
        let auth: Authid = id.parse().map_err(|_| Refused::Token)?;
        let token = self.config.token(&auth).ok_or(Refused::Token)?;
        let alive = token.info.expire == 0 || token.info.expire > now;
        if !password::verify_secret(secret, &token.secret) || !alive {
            return Err(Refused::Token);
        }
        self.active(&auth.user, now)?;
        Ok(Caller {
            auth,
            proof: Proof::Token,
        })
    }
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let lines = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok());
    let pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.split_once('='));
    let found = pairs
        .filter(|(name, _)| name.trim() == COOKIE_NAME)
        .map(|(_, value)| value);
    found
        .map(|value| value.trim().trim_matches('"').to_owned())
        .find(|value| !value.is_empty())
}
