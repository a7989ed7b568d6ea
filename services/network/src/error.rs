//! Why the network could not be set up.

use basalt_model::network::InterfaceName;
use std::io;

/// Result of network work.
pub type Result<T> = std::result::Result<T, NetworkError>;

/// Why the network could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No bridge has this name.
    #[error("bridge '{0}' does not exist")]
    NoBridge(InterfaceName),
    /// The interface of this name is something else.
    #[error("'{0}' is not a bridge")]
    NotABridge(InterfaceName),
    /// The interface exists already: its guest still runs.
    #[error("interface '{0}' is in use")]
    Busy(InterfaceName),
    /// The kernel refused a change.
    #[error("network: {what}: {source}")]
    Netlink {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: Box<rtnetlink::Error>,
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
