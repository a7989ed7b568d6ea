//! The configuration store: one trait, and SQLite behind it.
//!
//! Keys are paths such as `guests/100`; values are JSON. Reads come from memory and never wait.
//! A [`Transaction`] is durable when [`Store::commit`] returns, or nothing of it happened. What
//! was read can be guarded by its digest, so that nobody overwrites a change unseen. Start at
//! [`Store`]; [`sqlite::SqliteStore`] is the engine of a single node. [`export`] and [`import`] turn
//! the whole into one file and back.
//!
//! ```ignore
//! let found = store.read::<Vm>("guests/100")?;
//! let change = Transaction::new().expect("guests/100", Expect::unchanged(&found)).put("guests/100", &vm)?;
//! store.commit(change).await?;
//! ```
//!
//! `store.update(key, change)` does that for one value, and anew when it must.

pub mod conformance;
mod export;
pub mod sqlite;
mod transaction;

pub use export::{export, import};
pub use sqlite::SqliteStore;
pub use transaction::{Expect, Transaction, Write};

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// Why the store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The value changed since it was read, or is there though it should not be.
    #[error("'{key}' was changed by somebody else meanwhile: read it again")]
    Conflict {
        /// Which value.
        key: String,
    },
    /// A value is not what its reader expects.
    #[error("the stored value of '{key}' cannot be read: {reason}")]
    Value {
        /// Which value.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is damaged.
    #[error("the configuration store {path} is damaged: {reason}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file was written by a later version.
    #[error("the configuration store {path} has format {found}; this version reads up to {known}")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The latest format that is known here.
        known: i64,
    },
    /// A file cannot be taken as the configuration; nothing was changed.
    #[error("this is no exported configuration: {0}")]
    Import(String),
    /// There is no space left; nothing was changed.
    #[error("the disk is full: nothing was changed")]
    Full,
    /// Anything else that the engine says.
    #[error("the configuration store failed: {0}")]
    Engine(String),
}

/// Result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// JSON.
    pub value: Arc<str>,
    /// Revision of the store that wrote it.
    pub revision: u64,
}

impl Entry {
    /// Changes whenever the value does.
    pub fn digest(&self) -> String {
        digest(&self.value)
    }

    /// The value as a type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.value).map_err(|e| Error::Value {
            key: self.key.clone(),
            reason: e.to_string(),
        })
    }
}

/// The digest of a value's JSON: SHA-256 in hexadecimal.
pub fn digest(value: &str) -> String {
    hex::encode(Sha256::digest(value.as_bytes()))
}

/// A typed value with the digest of what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// Its key.
    pub key: String,
    /// The value.
    pub value: T,
    /// Its digest, to guard a change with.
    pub digest: String,
}

/// Keeps the configuration.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads one value.
    fn get(&self, key: &str) -> Option<Entry>;

    /// Reads every value whose key starts with `prefix`, in the order of keys.
    fn list(&self, prefix: &str) -> Vec<Entry>;

    /// Number of the last transaction.
    fn revision(&self) -> u64;

    /// Tells the number of the last transaction whenever there is one.
    fn watch(&self) -> watch::Receiver<u64>;

    /// Makes all changes of a transaction durable, or none; answers its number.
    async fn commit(&self, transaction: Transaction) -> Result<u64>;
}

impl dyn Store {
    /// Reads one value as a type.
    pub fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Stored<T>>> {
        self.get(key).map(stored).transpose()
    }

    /// Reads every value whose key starts with `prefix` as a type.
    pub fn read_all<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<Stored<T>>> {
        self.list(prefix).into_iter().map(stored).collect()
    }
}

impl dyn Store {
    /// Stores what `change` makes of a value, or of none. It is asked again when somebody else stores another
    /// value meanwhile, so that neither change is lost and neither is refused.
    ///
    /// # Errors
    /// The inner ones are `change`'s own; nothing is stored then.
    pub async fn update<T: Serialize + DeserializeOwned, E>(
        &self,
        key: &str,
        mut change: impl FnMut(Option<Stored<T>>) -> std::result::Result<T, E>,
    ) -> Result<std::result::Result<(), E>> {
        loop {
            let stored = self.read::<T>(key)?;
            let expect = Expect::unchanged(&stored);
            let transaction = match change(stored) {
                Ok(value) => Transaction::new().expect(key, expect).put(key, &value)?,
                Err(error) => return Ok(Err(error)),
            };
            match self.commit(transaction).await {
                // It is another's that was stored: this goes on until nobody is quicker.
                Err(Error::Conflict { .. }) => {}
                done => return done.map(|_| Ok(())),
            }
        }
    }
}

fn stored<T: DeserializeOwned>(entry: Entry) -> Result<Stored<T>> {
    Ok(Stored {
        value: entry.parse()?,
        digest: entry.digest(),
        key: entry.key,
    })
}
