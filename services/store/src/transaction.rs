//! Changes that happen together, and what must hold for them to happen.

use crate::{Error, Result, Stored};
use serde::Serialize;

/// What must hold for a transaction to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// There is no value.
    Absent,
    /// There is some value.
    Present,
    /// The value has this digest.
    Digest(String),
}

impl Expect {
    /// Nobody changed what was read, or made what was not there.
    pub fn unchanged<T>(read: &Option<Stored<T>>) -> Self {
        read.as_ref()
            .map_or(Self::Absent, |stored| Self::Digest(stored.digest.clone()))
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a value.
    Put {
        /// Its key.
        key: String,
        /// JSON.
        value: String,
    },
    /// Removes a value, if it is there.
    Delete {
        /// Its key.
        key: String,
    },
}

/// Changes that happen together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    pub(crate) expectations: Vec<(String, Expect)>,
    pub(crate) writes: Vec<Write>,
}

impl Transaction {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds something that must hold.
    pub fn expect(mut self, key: impl Into<String>, expect: Expect) -> Self {
        self.expectations.push((key.into(), expect));
        self
    }

    /// Sets a value.
    pub fn put<T: Serialize + ?Sized>(mut self, key: impl Into<String>, value: &T) -> Result<Self> {
        let key = key.into();
        let value = serde_json::to_string(value).map_err(|e| Error::Value {
            key: key.clone(),
            reason: e.to_string(),
        })?;
        self.writes.push(Write::Put { key, value });
        Ok(self)
    }

    /// Removes a value, if it is there.
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.writes.push(Write::Delete { key: key.into() });
        self
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}
