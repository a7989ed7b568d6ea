//! Why a storage could not do it.

use basalt_model::storage::{ContentKind, SnapshotName, StorageId, VolumeId};
use std::io;

/// Result of a storage's work.
pub type Result<T> = std::result::Result<T, StorageError>;

/// Why a storage could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// No storage has this name.
    #[error("storage '{0}' does not exist")]
    NoStorage(StorageId),
    /// The administrator switched the storage off.
    #[error("storage '{0}' is disabled")]
    Disabled(StorageId),
    /// The storage is not meant for this kind of content.
    #[error("storage '{storage}' does not hold '{content}'")]
    WrongContent {
        /// The storage.
        storage: StorageId,
        /// What it should have held.
        content: ContentKind,
    },
    /// No volume has this name.
    #[error("volume '{0}' does not exist")]
    NoVolume(VolumeId),
    /// A volume has this name already.
    #[error("volume '{0}' already exists")]
    Exists(VolumeId),
    /// Somebody has the volume open.
    #[error("volume '{0}' is in use")]
    InUse(VolumeId),
    /// The volume's name or content is not what is needed.
    #[error("volume '{volume}': {reason}")]
    Unfit {
        /// The volume.
        volume: VolumeId,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A file's name is not one that its kind of content has.
    #[error("file name '{name}' is wrong for '{content}': {reason}")]
    FileName {
        /// The name.
        name: String,
        /// The kind of content.
        content: ContentKind,
        /// What would be right.
        reason: String,
    },
    /// An upload is not what its checksum says.
    #[error("checksum of the upload is {found}, not {expected}: the file is damaged")]
    Checksum {
        /// What the file has.
        found: String,
        /// What it should have.
        expected: String,
    },
    /// The storage holds plain disks only.
    #[error("this storage holds raw disks only: leave format out")]
    RawOnly,
    /// The storage's pool is not there, or not active.
    #[error("storage '{storage}': there is no active thin pool {pool}")]
    NoPool {
        /// The storage.
        storage: StorageId,
        /// The pool with its group.
        pool: String,
    },
    /// The storage's driver keeps no snapshots.
    #[error("storage '{0}' keeps no snapshots")]
    NoSnapshots(StorageId),
    /// The volume has no snapshot of this name.
    #[error("volume '{volume}' has no snapshot '{snapshot}'")]
    NoSnapshot {
        /// The volume.
        volume: VolumeId,
        /// The name.
        snapshot: SnapshotName,
    },
    /// The work was stopped on request.
    #[error("stopped on request")]
    Cancelled,
    /// A tool failed.
    #[error("{tool} failed: {text}")]
    Tool {
        /// Which.
        tool: &'static str,
        /// What it printed.
        text: String,
    },
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Says what was tried when the operating system refuses.
pub(crate) trait Context<T> {
    /// The result with `what` before the system's reason.
    fn context(self, what: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| StorageError::Io {
            what: what.into(),
            source: source.into(),
        })
    }
}
