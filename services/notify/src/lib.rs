//! Tells people elsewhere of what happens on the host: by mail, Gotify and webhooks.
//!
//! Start at [`Notifier`]: whoever has something to tell makes an [`Event`] and emits it, which never
//! waits. [`matcher`] decides which targets are told; each has a worker, which asks [`delivery`] what
//! to send ([`template`] fills in what people wrote, [`mime`] makes a mail), and sends it by [`web`]
//! or [`smtp`]. This crate knows no store: settings and users' addresses come from a [`Source`].

mod authorities;
mod check;
pub mod delivery;
mod event;
pub mod matcher;
pub mod mime;
mod notifier;
pub mod smtp;
pub mod template;
pub mod web;

pub use check::{check_gotify, check_matcher, check_sendmail, check_smtp, check_webhook};
pub use event::Event;
pub use notifier::{Configured, Network, Notifier, Source};

/// Why somebody was not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no target of this name.
    #[error("target '{0}' does not exist")]
    NoTarget(String),
    /// The settings do not say enough, or something that cannot be.
    #[error("{0}")]
    Settings(String),
    /// The server cannot be reached, or does not say what servers say.
    #[error("{server}: {reason}")]
    Unreachable {
        /// The server.
        server: String,
        /// Why.
        reason: String,
    },
    /// The server refuses, for now.
    #[error("{server} is not ready: {reason}")]
    NotNow {
        /// The server.
        server: String,
        /// What it says.
        reason: String,
    },
    /// The server refuses.
    #[error("{server} refuses: {reason}")]
    Refused {
        /// The server.
        server: String,
        /// What it says.
        reason: String,
    },
}

impl Error {
    /// Whether it may go well later without anybody's doing.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::NoTarget(_) | Self::Settings(_) | Self::Refused { .. } => false,
            Self::Unreachable { .. } | Self::NotNow { .. } => true,
        }
    }
}

/// Result of telling somebody.
pub type Result<T> = std::result::Result<T, Error>;
