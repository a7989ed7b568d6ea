//! Long work: UPIDs, logs, progress, cancel, restart-safe.
//!
//! [`TaskManager::spawn`] starts a task and answers its [`Upid`] at once. What the task says goes
//! line by line into a log file; how it ended goes into an index. A task that ran when the
//! process died is found at the next start and ends with a reason. Work on one guest holds that
//! guest's [`GuestLock`]; a second operation is refused, or waits a moment for the first.
//!
//! Files below the manager's folder: `active/<UPID>` while a task runs, `<digit>/<UPID>` its log,
//! `index` one line for each task that ended.

mod context;
mod files;
mod index;
mod locks;
mod manager;

pub use context::{Cancelled, TaskContext};
pub use index::{Filter, Page, Source};
pub use locks::GuestLock;
pub use manager::{NewTask, TaskManager};

use basalt_model::upid::Upid;
use std::path::PathBuf;

/// Why a task could not be started, found or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Other work holds the guest.
    #[error("{guest} is locked ({holder})")]
    Locked {
        /// The guest, e.g. `VM 100`.
        guest: String,
        /// What holds it.
        holder: String,
    },
    /// There is no such task.
    #[error("no such task")]
    NoSuchTask,
    /// A log or the index cannot be read or written.
    #[error("task files in {folder}: {source}")]
    Files {
        /// Where.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Ok,
    /// Well, with so many warnings in its log.
    Warnings(u32),
    /// Not; the reason is one line.
    Failed(String),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ok => f.write_str("OK"),
            Self::Warnings(n) => write!(f, "WARNINGS: {n}"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

impl Outcome {
    /// Reads what was printed.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("WARNINGS: ").and_then(|n| n.parse().ok()) {
            Some(n) => Self::Warnings(n),
            None if text == "OK" => Self::Ok,
            None => Self::Failed(text.to_owned()),
        }
    }
}

/// A task that runs or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub upid: Upid,
    /// When it ended, in seconds since 1970, and how; none while it runs.
    pub end: Option<(u64, Outcome)>,
    /// How far it is, from 0 to 100, when that is known.
    pub progress: Option<u8>,
}
