//! What a running task has in hand.

use crate::files::LogFile;
use basalt_model::upid::Upid;
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use tokio_util::sync::CancellationToken;

const UNKNOWN: u8 = u8::MAX;

/// Somebody stopped the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped by request")]
pub struct Cancelled;

/// Given to a task: its id, its log, and whether it should stop.
#[derive(Debug, Clone)]
pub struct TaskContext {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) upid: Upid,
    pub(crate) log: LogFile,
    pub(crate) cancel: CancellationToken,
    pub(crate) ended: CancellationToken,
    warnings: AtomicU32,
    progress: AtomicU8,
}

impl Shared {
    pub(crate) fn new(upid: Upid, log: LogFile) -> Self {
        Self {
            upid,
            log,
            cancel: CancellationToken::new(),
            ended: CancellationToken::new(),
            warnings: AtomicU32::new(0),
            progress: AtomicU8::new(UNKNOWN),
        }
    }

    pub(crate) fn warnings(&self) -> u32 {
        self.warnings.load(Ordering::Relaxed)
    }

    pub(crate) fn progress(&self) -> Option<u8> {
        Some(self.progress.load(Ordering::Relaxed)).filter(|percent| *percent != UNKNOWN)
    }
}

impl TaskContext {
    /// The id of the task.
    pub fn upid(&self) -> &Upid {
        &self.shared.upid
    }

    /// Writes to the log; several lines are several entries.
    pub fn log(&self, text: impl Display) {
        self.shared.log.write(&text.to_string());
    }

    /// Writes a warning to the log; the task then ends with `WARNINGS` instead of `OK`.
    pub fn warn(&self, text: impl Display) {
        self.shared.warnings.fetch_add(1, Ordering::Relaxed);
        self.shared.log.write(&format!("WARN: {text}"));
    }

    /// Says how far the task is, from 0 to 100.
    pub fn progress(&self, percent: u8) {
        self.shared
            .progress
            .store(percent.min(100), Ordering::Relaxed);
    }

    /// Whether the task should stop.
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancel.is_cancelled()
    }

    /// Waits until the task should stop.
    pub async fn cancelled(&self) {
        self.shared.cancel.cancelled().await;
    }

    /// A token of the same request to stop, to hand on.
    pub fn token(&self) -> CancellationToken {
        self.shared.cancel.clone()
    }

    /// Runs `work`, which may be dropped at any of its waits, until it ends or the task should
    /// stop.
    pub async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, Cancelled> {
        self.shared
            .cancel
            .run_until_cancelled(work)
            .await
            .ok_or(Cancelled)
    }
}
