//! The whole configuration as one file, and back.
//!
//! The file is JSON: the store's format and every value under its key. It holds what the store holds,
//! hashes of passwords included.

use crate::{Error, Result, Store, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The formats of the values, as the store counts them.
const NEWEST: u32 = basalt_layout::store::NEWEST_FORMAT;
const WRITTEN: u32 = basalt_layout::store::WRITTEN_FORMAT;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Export {
    format: u32,
    entries: BTreeMap<String, Value>,
}

/// The text of the file.
pub fn export(store: &dyn Store) -> Result<String> {
    let mut entries = BTreeMap::new();
    for entry in store.list("") {
        let value = entry.parse::<Value>()?;
        entries.insert(entry.key, value);
    }
    let whole = Export {
        format: WRITTEN,
        entries,
    };
    serde_json::to_string_pretty(&whole).map_err(|e| Error::Import(e.to_string()))
}

/// What makes a store hold what the file has, and nothing else.
pub fn import(store: &dyn Store, text: &str) -> Result<Transaction> {
    let whole: Export = serde_json::from_str(text).map_err(|e| Error::Import(e.to_string()))?;
    if !(1..=NEWEST).contains(&whole.format) {
        let text = format!(
            "it has format {}; this version reads up to {NEWEST}",
            whole.format
        );
        return Err(Error::Import(text));
    }
    let mut change = Transaction::new();
    for entry in store.list("") {
        if !whole.entries.contains_key(&entry.key) {
            change = change.delete(entry.key);
        }
    }
    for (key, value) in &whole.entries {
        change = change.put(key, value)?;
    }
    Ok(change)
}
