//! The engine of a single node: one SQLite file in WAL mode with `synchronous=FULL`.
//!
//! FULL and not NORMAL: a power cut must not lose a change that was acknowledged. All values are
//! held in memory as well, for reads; a change reaches memory only after it is on the disk.

use crate::{Entry, Error, Expect, Result, Store, Transaction, Write, digest};
use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;

/// The newest format that is opened. Which formats there are, and in which release one may begin,
/// is written down beside the disk layout: both slots share the store.
const NEWEST: i64 = basalt_layout::store::NEWEST_FORMAT as i64;

/// The configuration in one SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    connection: Mutex<Connection>,
    entries: RwLock<BTreeMap<String, Entry>>,
    revision: watch::Sender<u64>,
}

impl SqliteStore {
    /// Opens the file, or makes it; a damaged one is an error and stays as it is.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let fail = |e: rusqlite::Error| engine(&path, &e);
        let mut connection = Connection::open(&path).map_err(fail)?;
        prepare(&mut connection, &path)?;
        let entries = load(&connection).map_err(fail)?;
        let revision: i64 = connection
            .query_row("SELECT revision FROM state", [], |row| row.get(0))
            .map_err(fail)?;
        tracing::info!(path = %path.display(), revision, entries = entries.len(), "store open");
        let (sender, _) = watch::channel(revision as u64);
        let inner = Inner {
            path,
            connection: Mutex::new(connection),
            entries: RwLock::new(entries),
            revision: sender,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Opens the file with at most so many pages of 4 KiB: more is like a full disk.
    pub fn open_limited(path: impl Into<PathBuf>, pages: u32) -> Result<Self> {
        let store = Self::open(path)?;
        let connection = store
            .inner
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connection
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| {
                row.get::<_, i64>(0)
            })
            .map_err(|e| engine(&store.inner.path, &e))?;
        drop(connection);
        Ok(store)
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn get(&self, key: &str) -> Option<Entry> {
        self.inner
            .entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    fn list(&self, prefix: &str) -> Vec<Entry> {
        let entries = self
            .inner
            .entries
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let from = entries.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(|(key, _)| key.starts_with(prefix))
            .map(|(_, e)| e.clone())
            .collect()
    }

    fn revision(&self) -> u64 {
        *self.inner.revision.borrow()
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.inner.revision.subscribe()
    }

    async fn commit(&self, transaction: Transaction) -> Result<u64> {
        let inner = Arc::clone(&self.inner);
        let work = tokio::task::spawn_blocking(move || inner.commit(transaction));
        work.await.map_err(|e| Error::Engine(e.to_string()))?
    }
}

impl Inner {
    fn commit(&self, transaction: Transaction) -> Result<u64> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let fail = |e: rusqlite::Error| engine(&self.path, &e);
        let sql = connection.transaction().map_err(fail)?;
        for (key, expect) in &transaction.expectations {
            let found: Option<String> = sql
                .prepare_cached("SELECT value FROM entries WHERE key = ?1")
                .and_then(|mut s| s.query_row([key], |row| row.get(0)).optional())
                .map_err(fail)?;
            let holds = match (expect, &found) {
                (Expect::Absent, None) | (Expect::Present, Some(_)) => true,
                (Expect::Digest(wanted), Some(value)) => digest(value) == *wanted,
                (Expect::Absent, Some(_)) | (Expect::Present | Expect::Digest(_), None) => false,
            };
            if !holds {
                return Err(Error::Conflict { key: key.clone() });
            }
        }
        let revision = write(&sql, &transaction.writes).map_err(fail)?;
        sql.commit().map_err(fail)?;
        self.publish(transaction.writes, revision);
        Ok(revision)
    }

    fn publish(&self, writes: Vec<Write>, revision: u64) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        for write in writes {
            match write {
                Write::Put { key, value } => {
                    let entry = Entry {
                        key: key.clone(),
                        value: value.into(),
                        revision,
                    };
                    entries.insert(key, entry);
                }
                Write::Delete { key } => {
                    entries.remove(&key);
                }
            }
        }
        drop(entries);
        self.revision.send_replace(revision);
    }
}

fn write(sql: &rusqlite::Transaction<'_>, writes: &[Write]) -> rusqlite::Result<u64> {
    let revision: i64 = sql.query_row(
        "UPDATE state SET revision = revision + 1 RETURNING revision",
        [],
        |row| row.get(0),
    )?;
    for write in writes {
        match write {
            Write::Put { key, value } => {
                let mut statement = sql.prepare_cached(
                    "INSERT INTO entries (key, value, revision) VALUES (?1, ?2, ?3)
                     ON CONFLICT (key) DO UPDATE SET value = ?2, revision = ?3",
                )?;
                statement.execute(params![key, value, revision])?;
            }
            Write::Delete { key } => {
                sql.prepare_cached("DELETE FROM entries WHERE key = ?1")?
                    .execute([key])?;
            }
        }
    }
    Ok(revision as u64)
}

/// Sets the modes that durability needs, checks the file and makes the tables of a new one.
fn prepare(connection: &mut Connection, path: &Path) -> Result<()> {
    let fail = |e: rusqlite::Error| engine(path, &e);
    connection
        .busy_timeout(std::time::Duration::from_secs(5))
        .map_err(fail)?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(fail)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(Error::Engine(format!(
            "no write-ahead log on this file system: {mode}"
        )));
    }
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(fail)?;
    let check: String = connection
        .query_row("PRAGMA quick_check", [], |row| row.get(0))
        .map_err(fail)?;
    if check != "ok" {
        return Err(Error::Corrupt {
            path: path.into(),
            reason: check,
        });
    }
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(fail)?;
    if found > NEWEST {
        return Err(Error::TooNew {
            path: path.into(),
            found,
            known: NEWEST,
        });
    }
    if found == 0 {
        let sql = connection.transaction().map_err(fail)?;
        sql.execute_batch(
            "CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;
             CREATE TABLE state (revision INTEGER NOT NULL);
             INSERT INTO state VALUES (0);
             PRAGMA user_version = 1;",
        )
        .and_then(|()| sql.commit())
        .map_err(fail)?;
        // The updater reads the format from the head of the file itself.
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(fail)?;
    }
    Ok(())
}

fn load(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Entry>> {
    let mut statement = connection.prepare("SELECT key, value, revision FROM entries")?;
    let rows = statement.query_map([], |row| {
        let (key, value): (String, String) = (row.get(0)?, row.get(1)?);
        let revision: i64 = row.get(2)?;
        Ok((
            key.clone(),
            Entry {
                key,
                value: value.into(),
                revision: revision as u64,
            },
        ))
    })?;
    rows.collect()
}

fn engine(path: &Path, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt {
            path: path.into(),
            reason: error.to_string(),
        },
        Some(ErrorCode::DiskFull) => Error::Full,
        _ => Error::Engine(error.to_string()),
    }
}
