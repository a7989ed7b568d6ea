//! The walls around the process, closed before the first byte of a kernel is read.
//!
//! Order: [`descriptors::close_all_but`] (only what the starter gave stays open), [`landlock`]
//! (no path, no network port), then [`seccomp`] (a list of system calls for each class of
//! thread; anything else kills the process). Threads start under the main thread's list and
//! narrow it to their own, so no thread ever has more than the main one.

pub mod descriptors;
pub mod landlock;
pub mod seccomp;

pub use seccomp::{ThreadClass, enter};

/// Why the sandbox could not be closed; the process must not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A filter could not be compiled or installed.
    #[error("cannot install the system call filter: {0}")]
    Seccomp(String),
    /// The kernel has Landlock but refuses the rules.
    #[error("cannot install the Landlock rules: {0}")]
    Landlock(String),
    /// Descriptors could not be closed.
    #[error("cannot close descriptors: {0}")]
    Descriptors(std::io::Error),
}
