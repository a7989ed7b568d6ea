//! Unpacking an untrusted root file system archive.
//!
//! # How it is called
//!
//! [`extract`] runs `basalt-container extract` with a socket as its standard input, sends one
//! JSON line ([`worker::Order`]) with the archive and the root attached, and reads one line back.
//! Dropping the future kills the helper, and with it the unpacking.
//!
//! # What an archive can do
//!
//! GNU tar runs as root of a user namespace in which the target is mounted shifted, so what it
//! writes is owned on disk by the ids the container sees. It has no network, no other processes
//! in sight, and besides the target only a read-only `/usr`: an archive that fools tar harms
//! nothing but the volume that was made for it. Device nodes cannot be made there; those of
//! `./dev` are left out, others are counted.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;

use basalt_model::container::IdMap;
use basalt_model::machine::Slot;
use basalt_unit::handover::{Handover, HandoverError};
use serde::{Deserialize, Serialize};

use crate::manager::EXECUTABLE;

mod format;
mod outcome;
mod view;
pub(crate) mod worker;

/// What came of an archive that could be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractReport {
    /// Device nodes outside `./dev` that were left out.
    pub skipped_devices: u64,
    /// Other remarks of tar, the first few.
    pub warnings: Vec<String>,
}

/// Why an archive could not be used; what was unpacked so far is left in place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ArchiveFault {
    /// Neither plain nor gzip, xz or zstd compressed tar.
    #[error("the file is no tar archive (plain, or compressed with gzip, xz or zstd)")]
    UnknownFormat,
    /// tar gave up.
    #[error("the archive cannot be unpacked: {0}")]
    Damaged(String),
    /// It unpacked, but no container can start from it.
    #[error("the archive is no root file system: it has no {missing}")]
    NotARoot {
        /// What a root file system has and this has not.
        missing: String,
    },
    /// The surroundings failed, not the archive.
    #[error("{0}")]
    Setup(String),
}

/// Why [`extract`] failed.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The archive, or the set-up for it.
    #[error(transparent)]
    Fault(#[from] ArchiveFault),
    /// The helper could not be run.
    #[error("cannot run the unpacking helper: {0}")]
    Helper(#[from] std::io::Error),
    /// The helper went away.
    #[error(transparent)]
    Handover(#[from] HandoverError),
}

/// Unpacks `archive`, read from its current position, into `root`: a directory, or a detached
/// mount, which is used up by it (mount the volume again to start the container).
pub async fn extract(
    archive: OwnedFd,
    root: OwnedFd,
    id_map: IdMap,
) -> Result<ExtractReport, ExtractError> {
    extract_with(Path::new(EXECUTABLE), archive, root, id_map).await
}

/// As [`extract`], with another path of the helper.
pub async fn extract_with(
    executable: &Path,
    archive: OwnedFd,
    root: OwnedFd,
    id_map: IdMap,
) -> Result<ExtractReport, ExtractError> {
    let (ours, theirs) = Handover::pair()?;
    let mut helper = tokio::process::Command::new(executable)
        .arg("extract")
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let order = worker::Order {
        archive: Slot(0),
        root: Slot(1),
        id_map,
    };
    let answer: Result<ExtractReport, ArchiveFault> = ours
        .exchange(&order, &[archive.as_fd(), root.as_fd()])
        .await?;
    // Its mounts go with it; a caller may unmount the volume after we return.
    helper.wait().await?;
    Ok(answer?)
}
