//! What can go wrong with an update, in words for the person in front of the console.

use std::io;
use std::path::Path;

use basalt_layout::Version;

/// Why nothing was installed, or nothing could be said.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("{path}: {reason}")]
    Io {
        /// Where.
        path: String,
        /// Why.
        reason: io::Error,
    },
    /// A disk tool failed.
    #[error("{program}: {reason}")]
    Tool {
        /// Which one.
        program: String,
        /// What it said.
        reason: String,
    },
    /// The running system is not an installed Basalt.
    #[error("this is not an installed Basalt: {reason}")]
    NotInstalled {
        /// What is missing.
        reason: String,
    },
    /// The file is no update bundle, or a damaged one.
    #[error("the bundle cannot be used: {0}")]
    Bundle(String),
    /// The bundle is for something else.
    #[error("the bundle is for {what} `{found}`, this host is `{expected}`")]
    WrongTarget {
        /// Product or architecture.
        what: &'static str,
        /// What the bundle says.
        found: String,
        /// What this host is.
        expected: &'static str,
    },
    /// The bundle's version is the one that runs.
    #[error("version {0} is already running")]
    AlreadyRunning(Version),
    /// The bundle is older than what runs.
    #[error("version {offered} is older than the running {running}; --allow-downgrade installs it")]
    Older {
        /// The bundle's version.
        offered: Version,
        /// The running version.
        running: Version,
    },
    /// A part does not fit its place.
    #[error("{what} needs {needed} bytes, but {place} has room for {room}")]
    TooLarge {
        /// The part.
        what: &'static str,
        /// Its size.
        needed: u64,
        /// Where it should go.
        place: String,
        /// The room there.
        room: u64,
    },
    /// There is nothing to go back to.
    #[error("there is no other version to go back to: {0}")]
    NothingToRollBack(String),
    /// Somebody else is at it.
    #[error("another update is in progress")]
    Busy,
    /// The firmware's variables cannot be used.
    #[error("the firmware's boot variables cannot be used: {0}")]
    Firmware(String),
}

impl Error {
    /// An I/O error with its path.
    pub fn io(path: &Path, reason: io::Error) -> Self {
        Self::Io {
            path: path.display().to_string(),
            reason,
        }
    }
}
