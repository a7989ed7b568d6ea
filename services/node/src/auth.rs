//! Logins on this node, and changes of who may what.
//!
//! [`Access`] keeps the current [`Snapshot`] in step with the store. A password is checked with
//! the realm's own means: PAM for the host's accounts, a stored hash for the realm `pve`.
//! Whoever fails waits: three seconds each time, and longer after several failures.

use crate::pam;
use anyhow::{Context, Result};
use basalt_access::config::{AccessConfig, User};
use basalt_access::{Pools, Snapshot, TicketKey, password};
use basalt_api::Error;
use basalt_model::userid::Userid;
use basalt_store::{Expect, Store, Transaction};
use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, watch};
use zeroize::Zeroizing;

const KEY: &str = "access";
/// Pools lie apart, so that the release before, which has none, keeps them.
const POOLS: &str = "pools";
/// Every failed login takes so long.
const FAILURE_DELAY: Duration = Duration::from_secs(3);
/// After so many failures in a row a user has to wait longer and longer.
const FREE_FAILURES: u32 = 5;
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// So many users' failures are remembered; names that do not exist are not.
const REMEMBERED: usize = 1000;
/// So many passwords are checked at the same time.
const PARALLEL_CHECKS: usize = 4;

/// Who may what, and how they prove who they are.
pub struct Access {
    store: Arc<dyn Store>,
    key: TicketKey,
    current: watch::Sender<Arc<Snapshot>>,
    changing: tokio::sync::Mutex<()>,
    failures: Mutex<HashMap<Userid, (u32, Instant)>>,
    checks: Semaphore,
}

impl Access {
    /// Reads the stored configuration and the key of tickets; makes the key at the first start.
    pub fn open(store: Arc<dyn Store>, state: &Path) -> Result<Self> {
        let key = open_key(&state.join("access"))?;
        let stored = store.read::<AccessConfig>(KEY)?;
        let mut config = stored.map(|stored| stored.value).unwrap_or_default();
        config.users.entry(Userid::root()).or_default();
        let pools = store.read::<Pools>(POOLS)?;
        let snapshot = Snapshot {
            revision: store.revision(),
            config,
            pools: pools.map(|stored| stored.value).unwrap_or_default(),
            verifier: key.verifier(),
        };
        let (current, _) = watch::channel(Arc::new(snapshot));
        Ok(Self {
            store,
            key,
            current,
            changing: tokio::sync::Mutex::default(),
            failures: Mutex::default(),
            checks: Semaphore::new(PARALLEL_CHECKS),
        })
    }

    /// Who may what at present.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.borrow())
    }

    /// Tells of every change.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.current.subscribe()
    }

    /// Signs tickets.
    pub fn key(&self) -> &TicketKey {
        &self.key
    }

    /// Changes users, groups, roles or permissions; durable and in force when it returns.
    pub async fn change<T>(
        &self,
        change: impl FnOnce(&mut AccessConfig) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let done = self.change_with(Transaction::new(), |config, _| change(config));
        Ok(done.await?)
    }

    /// Changes permissions and pools together with something else, or nothing of both.
    pub async fn change_with<T>(
        &self,
        mut together: Transaction,
        change: impl FnOnce(&mut AccessConfig, &mut Pools) -> Result<T, Error>,
    ) -> Result<T, ChangeError> {
        let _one_at_a_time = self.changing.lock().await;
        let before = self.snapshot();
        let (mut config, mut pools) = (before.config.clone(), before.pools.clone());
        let value = change(&mut config, &mut pools)?;
        if config != before.config {
            let stored = self.store.read::<AccessConfig>(KEY)?;
            together = together.expect(KEY, Expect::unchanged(&stored));
            together = together.put(KEY, &config)?;
        }
        if pools != before.pools {
            let stored = self.store.read::<Pools>(POOLS)?;
            together = together.expect(POOLS, Expect::unchanged(&stored));
            together = together.put(POOLS, &pools)?;
        }
        if together.is_empty() {
            return Ok(value);
        }
        let revision = self.store.commit(together).await?;
        let snapshot = Snapshot {
            revision,
            config,
            pools,
            verifier: self.key.verifier(),
        };
        self.current.send_replace(Arc::new(snapshot));
        Ok(value)
    }

    /// Checks a login. Failures say the same whatever was wrong.
    pub async fn login(&self, user: &Userid, secret: &str) -> Result<(), Error> {
        let now = now();
        if secret.starts_with("PVE:") {
            let owner = self.snapshot().verifier.ticket(secret, now);
            return match owner {
                Ok(owner) if owner == *user && self.snapshot().active(user, now).is_ok() => Ok(()),
                Ok(_) | Err(_) => Err(self.failed(user).await),
            };
        }
        if let Some(wait) = self.must_wait(user) {
            tracing::warn!(target: "audit", user = %user, "login refused: too many failures");
            let seconds = wait.as_secs() + 1;
            let text = format!("too many failed logins: wait {seconds} seconds");
            return Err(Error::unauthenticated(text));
        }
        let found = self.snapshot().config.users.get(user).cloned();
        if !self.password_fits(user, found.as_ref(), secret).await
            || self.snapshot().active(user, now).is_err()
        {
            if found.is_some() {
                self.note_failure(user);
            }
            return Err(self.failed(user).await);
        }
        self.failures().remove(user);
        tracing::info!(target: "audit", user = %user, "login");
        Ok(())
    }

    async fn failed(&self, user: &Userid) -> Error {
        tracing::warn!(target: "audit", user = %user, "login failed");
        // Time itself is meant: guessing passwords shall take long.
        tokio::time::sleep(FAILURE_DELAY).await;
        Error::new(401, "authentication failure")
    }

    async fn password_fits(&self, user: &Userid, found: Option<&User>, secret: &str) -> bool {
        let Ok(_permit) = self.checks.acquire().await else {
            return false;
        };
        let (realm, name) = (user.realm().to_owned(), user.name().to_owned());
        let hash = found.and_then(|user| user.password.clone());
        let known = found.is_some();
        let secret = Zeroizing::new(secret.to_owned());
        let check = move || match realm.as_str() {
            "pam" => known && pam::authenticate(&name, &secret),
            "pve" => password::verify(&secret, hash.as_deref()),
            _ => false,
        };
        tokio::task::spawn_blocking(check).await.unwrap_or(false)
    }

    fn must_wait(&self, user: &Userid) -> Option<Duration> {
        let (count, last) = *self.failures().get(user)?;
        let over = count.checked_sub(FREE_FAILURES)?;
        let wait = Duration::from_secs(5 << over.min(6)).min(LONGEST_WAIT);
        wait.checked_sub(last.elapsed())
            .filter(|wait| !wait.is_zero())
    }

    fn note_failure(&self, user: &Userid) {
        let mut failures = self.failures();
        if failures.len() >= REMEMBERED {
            failures.retain(|_, (_, last)| last.elapsed() < LONGEST_WAIT);
        }
        let (count, last) = failures.entry(user.clone()).or_insert((0, Instant::now()));
        if last.elapsed() > 2 * LONGEST_WAIT {
            *count = 0;
        }
        *count += 1;
        *last = Instant::now();
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<Userid, (u32, Instant)>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a change of who may what did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It was refused.
    #[error(transparent)]
    Refused(#[from] Error),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] basalt_store::Error),
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(error) => error,
            ChangeError::Store(error) => Self::failed(error),
        }
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

/// Reads the key of tickets, or makes it: whole, durable and for root only.
fn open_key(folder: &Path) -> Result<TicketKey> {
    let path = folder.join("ticket.key");
    match std::fs::read_to_string(&path) {
        Ok(text) => return Ok(TicketKey::from_pem(&text)?),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
    let make = || -> Result<TicketKey> {
        std::fs::create_dir_all(folder)?;
        let key = TicketKey::generate();
        let new = folder.join("ticket.key.new");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(key.to_pem()?.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        std::fs::File::open(folder)?.sync_all()?;
        Ok(key)
    };
    make().with_context(|| format!("cannot make {}", path.display()))
}
