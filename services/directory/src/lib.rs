//! Asks a directory that speaks LDAP (RFC 4511): whether a password is somebody's, and who is there.
//!
//! Start at [`Client`]. What a server sends is not trusted: everything has a time limit, a number
//! of entries that is still believed, and runs in a task of its own, whose end by a broken answer
//! is an error of the call.

mod connect;
mod search;
mod tls;

use basalt_access::realms::{Directory, Found, Naming};
use ldap3::{Ldap, LdapError};

/// The result codes of RFC 4511, appendix A, that are told apart.
const SUCCESS: u32 = 0;
const INVALID_CREDENTIALS: u32 = 49;

/// Why a directory did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server could be reached, or its certificate is not believed.
    #[error("cannot reach {0}")]
    Unreachable(String),
    /// The authorities to believe cannot be read.
    #[error("no certificate of an authority in {0}")]
    Authorities(String),
    /// The account that searches was refused.
    #[error("the server refuses '{who}': {why}")]
    Refused {
        /// Distinguished name.
        who: String,
        /// What the server said.
        why: String,
    },
    /// The account that searches has no password here.
    #[error("the password of bind_dn is not set")]
    NoPassword,
    /// The server's answer cannot be used.
    #[error("{0}")]
    Answer(String),
}

impl From<LdapError> for Error {
    fn from(error: LdapError) -> Self {
        Self::Answer(error.to_string())
    }
}

/// Asks one directory.
#[derive(Clone)]
pub struct Client {
    directory: Directory,
    /// Password of `bind_dn`.
    secret: Option<String>,
}

impl Client {
    /// A client of `directory`, whose `bind_dn` has the password `secret`.
    pub fn new(directory: Directory, secret: Option<String>) -> Self {
        Self { directory, secret }
    }

    /// Whether the user `name` exists there and has this password.
    pub async fn authenticate(&self, name: &str, password: &str) -> Result<bool, Error> {
        // To bind with a name and no password is anonymous, and always succeeds (RFC 4513, 5.1.2).
        if password.is_empty() {
            return Ok(false);
        }
        let (client, name, password) = (self.clone(), name.to_owned(), password.to_owned());
        guarded(async move {
            let mut ldap = client.connect().await?;
            let who = match &client.directory.naming {
                Naming::Domain(domain) => Some(format!("{name}@{}", domain.name)),
                Naming::Entries(entries) => {
                    client.bind(&mut ldap).await?;
                    client.entry_of(&mut ldap, entries, &name).await?
                }
            };
            let Some(who) = who else { return Ok(false) };
            let answer = limited(&mut ldap).simple_bind(&who, &password).await?;
            if answer.rc != SUCCESS && answer.rc != INVALID_CREDENTIALS {
                tracing::warn!(
                    who,
                    code = answer.rc,
                    text = answer.text,
                    "the directory refuses"
                );
            }
            let _ = ldap.unbind().await;
            Ok(answer.rc == SUCCESS)
        })
        .await
    }

    /// Whether the directory can be reached and takes `bind_dn`.
    pub async fn check(&self) -> Result<(), Error> {
        let client = self.clone();
        guarded(async move {
            let mut ldap = client.connect().await?;
            client.bind(&mut ldap).await?;
            let _ = ldap.unbind().await;
            Ok(())
        })
        .await
    }

    /// The users that are there, and the groups if they are wanted.
    pub async fn read(&self, groups: bool) -> Result<Found, Error> {
        let client = self.clone();
        guarded(async move {
            let mut ldap = client.connect().await?;
            client.bind(&mut ldap).await?;
            let base = client.base(&mut ldap).await?;
            let users = client.users(&mut ldap, &base).await?;
            let groups = match groups {
                true => client.groups(&mut ldap, &base).await?,
                false => Vec::new(),
            };
            let _ = ldap.unbind().await;
            Ok(Found { users, groups })
        })
        .await
    }

    /// Binds as who searches; without a `bind_dn` the connection stays anonymous.
    async fn bind(&self, ldap: &mut Ldap) -> Result<(), Error> {
        let Some(who) = &self.directory.bind_dn else {
            return Ok(());
        };
        let secret = self.secret.as_deref().filter(|secret| !secret.is_empty());
        let secret = secret.ok_or(Error::NoPassword)?;
        let answer = limited(ldap).simple_bind(who, secret).await?;
        if answer.rc == SUCCESS {
            return Ok(());
        }
        Err(Error::Refused {
            who: who.clone(),
            why: answer.to_string(),
        })
    }
}

/// The same connection with a limit on how long its next answer may take.
fn limited(ldap: &mut Ldap) -> &mut Ldap {
    ldap.with_timeout(connect::PATIENCE)
}

/// Runs work in a task of its own: an answer that the decoder chokes on ends that task alone.
async fn guarded<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|_| Err(Error::Answer("the server's answer is broken".into())))
}
