//! Logins on this node, and changes of who may what.
//!
//! [`Access`] keeps the current [`Snapshot`] in step with the store. What only the node may know,
//! the passwords of realms and second factors, lies apart from it. [`login`] is how somebody gets
//! in, [`openid`] how at a provider, [`lockout`] how guessing ends.

pub mod lockout;
pub mod login;
pub mod openid;

use anyhow::{Context, Result};
use basalt_access::config::AccessConfig;
use basalt_access::second::Factors;
use basalt_access::{Pools, Realms, Snapshot, TicketKey};
use basalt_api::Error;
use basalt_model::userid::Userid;
use basalt_store::{Expect, Store, Transaction};
use lockout::Lockout;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, watch};

const KEY: &str = "access";
// What came later lies apart, so that the release before, which does not know it, keeps it.
const POOLS: &str = "pools";
const REALMS: &str = "realms";
const VAULT: &str = "realm-secrets";
const FACTORS: &str = "tfa";
/// So many passwords are checked at the same time.
const PARALLEL_CHECKS: usize = 4;
/// So many questions are put to directories at the same time. Apart from the others, so that a
/// directory that does not answer keeps nobody else out.
const PARALLEL_QUESTIONS: usize = 32;

/// The secret of each realm: the password of its `bind_dn`, or that of us at its provider.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vault(pub BTreeMap<String, String>);

/// All that is stored about who may what.
#[derive(Clone, PartialEq)]
pub struct Parts {
    /// Users, groups, roles and permissions.
    pub config: AccessConfig,
    /// Pools.
    pub pools: Pools,
    /// Realms.
    pub realms: Realms,
    /// Passwords of realms.
    pub vault: Vault,
    /// Second factors.
    pub factors: Factors,
}

/// Who may what, and how they prove who they are.
pub struct Access {
    store: Arc<dyn Store>,
    key: TicketKey,
    current: watch::Sender<Arc<Snapshot>>,
    changing: Arc<tokio::sync::Mutex<()>>,
    lockout: Lockout,
    checks: Semaphore,
    questions: Semaphore,
}

impl Access {
    /// Reads the stored configuration and the key of tickets; makes the key at the first start.
    pub fn open(store: Arc<dyn Store>, state: &Path) -> Result<Self> {
        let key = open_key(&state.join("access"))?;
        let stored = store.read::<AccessConfig>(KEY)?;
        let mut config = stored.map(|stored| stored.value).unwrap_or_default();
        config.users.entry(Userid::root()).or_default();
        let pools = store.read::<Pools>(POOLS)?;
        let realms = store.read::<Realms>(REALMS)?;
        let snapshot = Snapshot {
            revision: store.revision(),
            config,
            pools: pools.map(|stored| stored.value).unwrap_or_default(),
            realms: realms.map(|stored| stored.value).unwrap_or_default(),
            verifier: key.verifier(),
        };
        let (current, _) = watch::channel(Arc::new(snapshot));
        Ok(Self {
            store,
            key,
            current,
            changing: Arc::default(),
            lockout: Lockout::default(),
            checks: Semaphore::new(PARALLEL_CHECKS),
            questions: Semaphore::new(PARALLEL_QUESTIONS),
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
        together: Transaction,
        change: impl FnOnce(&mut AccessConfig, &mut Pools) -> Result<T, Error>,
    ) -> Result<T, ChangeError> {
        let done = self.change_parts(together, |parts| {
            change(&mut parts.config, &mut parts.pools)
        });
        done.await
    }

    /// Changes anything of who may what, all or nothing; durable and in force when it returns.
    pub async fn change_parts<T>(
        &self,
        mut together: Transaction,
        change: impl FnOnce(&mut Parts) -> Result<T, Error>,
    ) -> Result<T, ChangeError> {
        let one_at_a_time = Arc::clone(&self.changing).lock_owned().await;
        let before = self.parts()?;
        let mut after = before.clone();
        let value = change(&mut after)?;
        let users = &after.config.users;
        after.factors.retain(|user| users.contains_key(user));
        together = self.stage(together, KEY, &before.config, &after.config)?;
        together = self.stage(together, POOLS, &before.pools, &after.pools)?;
        together = self.stage(together, REALMS, &before.realms, &after.realms)?;
        together = self.stage(together, VAULT, &before.vault, &after.vault)?;
        together = self.stage(together, FACTORS, &before.factors, &after.factors)?;
        if together.is_empty() {
            return Ok(value);
        }
        let verifier = self.key.verifier();
        let (store, current) = (Arc::clone(&self.store), self.current.clone());
        // Apart, for whoever waits may stop to wait: what is stored must be in force as well.
        let stored = tokio::spawn(async move {
            let revision = store.commit(together).await?;
            let snapshot = Snapshot {
                revision,
                config: after.config,
                pools: after.pools,
                realms: after.realms,
                verifier,
            };
            current.send_replace(Arc::new(snapshot));
            drop(one_at_a_time);
            Ok::<_, basalt_store::Error>(())
        });
        let stored = stored.await;
        stored.map_err(|e| basalt_store::Error::Engine(e.to_string()))??;
        Ok(value)
    }

    /// All that is stored, secrets included.
    pub fn parts(&self) -> Result<Parts, basalt_store::Error> {
        let now = self.snapshot();
        Ok(Parts {
            config: now.config.clone(),
            pools: now.pools.clone(),
            realms: now.realms.clone(),
            vault: self.read(VAULT)?,
            factors: self.factors()?,
        })
    }

    /// Everybody's second factors.
    pub fn factors(&self) -> Result<Factors, basalt_store::Error> {
        self.read(FACTORS)
    }

    /// The secret of a realm.
    pub fn secret_of(&self, realm: &str) -> Result<Option<String>, basalt_store::Error> {
        Ok(self.read::<Vault>(VAULT)?.0.remove(realm))
    }

    fn read<T: DeserializeOwned + Default>(&self, key: &str) -> Result<T, basalt_store::Error> {
        let stored = self.store.read::<T>(key)?;
        Ok(stored.map(|stored| stored.value).unwrap_or_default())
    }

    /// Adds a value to a transaction if it changed.
    fn stage<T: Serialize + DeserializeOwned + PartialEq>(
        &self,
        together: Transaction,
        key: &str,
        before: &T,
        after: &T,
    ) -> Result<Transaction, basalt_store::Error> {
        if before == after {
            return Ok(together);
        }
        let stored = self.store.read::<T>(key)?;
        together
            .expect(key, Expect::unchanged(&stored))
            .put(key, after)
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
