//! A process that does nothing but write into a store, for a test that kills it.
//!
//! Each of its writers changes two values of its own together, again and again, and each change that
//! the store acknowledged is a line on standard output: number of the writer, number of the change.

use anyhow::Result;
use basalt_store::{SqliteStore, Store, Transaction};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// So many write at the same time.
pub const WRITERS: usize = 4;

/// The two keys of a writer.
pub fn keys(writer: usize) -> [String; 2] {
    ["left", "right"].map(|side| format!("{side}/{writer}"))
}

/// The last change of a writer that a store has, of both its keys.
pub fn found(store: &Arc<dyn Store>, writer: usize) -> Result<[u64; 2]> {
    let [left, right] = keys(writer);
    let read = |key: &str| {
        let stored = store.read::<u64>(key)?;
        Ok::<_, basalt_store::Error>(stored.map_or(0, |stored| stored.value))
    };
    Ok([read(&left)?, read(&right)?])
}

/// Writes until the process is killed, from where the store is.
pub async fn run(path: &Path) -> Result<()> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path)?);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(Arc::clone(&store), writer));
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok(())
}

async fn write(store: Arc<dyn Store>, writer: usize) -> Result<()> {
    let [left, right] = keys(writer);
    let mut number = found(&store, writer)?[0];
    loop {
        number += 1;
        let change = Transaction::new().put(&left, &number)?;
        store.commit(change.put(&right, &number)?).await?;
        // One write for the line, so that a kill leaves all of it or nothing.
        let line = format!("{writer} {number}\n");
        std::io::stdout().write_all(line.as_bytes())?;
    }
}
