//! Why a boot failed.

use std::path::{Path, PathBuf};

/// Result of a step.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused something.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The answer.
        source: std::io::Error,
    },
    /// The kernel command line names no image.
    #[error("the kernel command line has no valid roothash=")]
    NoRootHash,
    /// The disk did not show in time.
    #[error("no disk with partition {0} appeared")]
    NoRoot(String),
    /// The disk has an image but no state.
    #[error("the disk has no partition {0}")]
    NoData(&'static str),
    /// The data is encrypted, and nothing and nobody opened it.
    #[error("nobody gave the recovery key of the encrypted data")]
    NoKey,
    /// A structure on disk is not what it must be.
    #[error("{path}: {reason}")]
    Malformed {
        /// The device.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Error {
    /// An I/O error with its verb and file.
    pub fn io(
        action: &'static str,
        path: impl AsRef<Path>,
        source: impl Into<std::io::Error>,
    ) -> Self {
        Self::Io {
            action,
            path: path.as_ref().to_owned(),
            source: source.into(),
        }
    }
}

/// Gives a system's answer its verb and file.
pub trait At<T> {
    /// `mount(…).at("mount", "/sysroot")?`
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::io(action, path, source))
    }
}
