//! What can go wrong in a build, said so that the reader knows what to do next.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Result of a build step.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed build step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read, written or made.
    #[error("{action} {path}: {source}")]
    File {
        /// What was tried, as a verb: "read", "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("cannot start `{command}`: {source}")]
    Start {
        /// The whole command line.
        command: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A program ended with an error.
    #[error("`{command}` failed ({status}):\n{output}")]
    Command {
        /// The whole command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines it printed.
        output: String,
    },
    /// Host programs are missing and may not be installed from here.
    #[error("missing on this machine: {missing}; install with: {command}")]
    Tools {
        /// The programs.
        missing: String,
        /// The one command that installs them.
        command: String,
    },
    /// The lock file does not read.
    #[error("{path}:{line}: {reason}")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The package list and the lock file do not fit together.
    #[error("the lock file was made from another package list; run `cargo image lock`")]
    LockStale,
    /// The mirror no longer has a locked package.
    #[error(
        "{name} {version} is no longer on the mirror{newer}; run `cargo image lock` to move the lock to what it has now"
    )]
    Gone {
        /// The package.
        name: String,
        /// The locked version.
        version: String,
        /// ` (it has 1.2-3 now)`, or nothing when unknown.
        newer: String,
    },
    /// A release was asked for with another compiler than the pinned one.
    #[error(
        "this is Rust {found}, but releases are made with {pinned}; \
         run `rustup toolchain install {pinned}`, then `cargo +{pinned} image build --release`"
    )]
    Toolchain {
        /// The compiler's version.
        found: String,
        /// The version in `image/toolchain.toml`.
        pinned: String,
    },
    /// No Debian mirror is known on this machine.
    #[error("no Debian mirror in this machine's apt sources; set BASALT_MIRROR to one")]
    NoMirror,
    /// There are no keys to sign with.
    #[error(transparent)]
    Keys(#[from] crate::keys::Error),
    /// An input or an intermediate result is not what it must be.
    #[error("{0}")]
    Invalid(String),
}

/// Gives an I/O error its file and verb.
pub(crate) trait At<T> {
    /// `File::open(p).at("open", p)?`
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::File {
            action,
            path: path.as_ref().to_owned(),
            source,
        })
    }
}
