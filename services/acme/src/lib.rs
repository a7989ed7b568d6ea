//! Gets certificates from an authority that speaks ACME (RFC 8555).
//!
//! Start at [`Client`], which is one conversation with a server; [`Session`] is such a conversation
//! in the name of an account, and [`Session::obtain`] an order from its beginning to the
//! certificate. The caller shows the proofs ([`Solver`]) and says how long to wait, or to stop
//! ([`Progress`]); [`http01`] answers for proofs by http. The protocol knows HTTP only through
//! [`Transport`]; [`Web`] is the real one, by https alone.
//!
//! Everything but [`http01`] blocks, so it belongs on a thread for that.
//!
//! Why not `instant-acme`, the well-kept client that exists: it brings a second web client into
//! the image (hyper-rustls beside `ureq`), hides the texts that servers send with refusals, and
//! its loop of polling cannot be stopped between two questions. What remains of the protocol is
//! these few files on `ring` and `ureq`, which are there anyway.

mod account;
mod client;
pub mod http01;
mod key;
mod messages;
mod order;
mod request;
mod web;

pub use account::{Account, ExternalAccount};
pub use client::{Client, Session};
pub use key::AccountKey;
pub use messages::Meta;
pub use order::{Challenge, Kind, Progress, Solver, Stopped, dns_record};
pub use request::CertificateRequest;
pub use web::{Call, Response, Transport, Web};

use std::time::Duration;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server cannot be reached, or its certificate is not believed.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// Address.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The authorities to believe cannot be read.
    #[error("no certificate of an authority in {0}")]
    Authorities(String),
    /// The server answers something else than it should.
    #[error("{url}: {reason}")]
    Answer {
        /// Address.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The server refuses, in its own words (RFC 8555, section 6.7).
    #[error("the server refuses: {detail} ({kind}){}", later(.retry))]
    Refused {
        /// Kind of the problem, without `urn:ietf:params:acme:error:`.
        kind: String,
        /// What it says, with what it says of single names.
        detail: String,
        /// When it is worth another try, if the server says so.
        retry: Option<Duration>,
    },
    /// The server did not find its proof.
    #[error("the server does not believe that {domain} is here: {detail}")]
    Proof {
        /// Name that was to be proved.
        domain: String,
        /// What the server says.
        detail: String,
    },
    /// The server offers no proof of the wanted kind.
    #[error("{domain} cannot be proved by {wanted}: the server offers {offered}")]
    NoChallenge {
        /// Name that was to be proved.
        domain: String,
        /// Kind of proof.
        wanted: Kind,
        /// Kinds that the server offers.
        offered: String,
    },
    /// The proof could not be shown.
    #[error("the proof for {domain} cannot be shown: {reason}")]
    Show {
        /// Name that was to be proved.
        domain: String,
        /// Why not.
        reason: String,
    },
    /// The order failed after everything was proved.
    #[error("the order failed: {0}")]
    Order(String),
    /// The server did not come to an end.
    #[error("the server has not come to an end after {} minutes: {url}", .patience.as_secs() / 60)]
    Late {
        /// What it was asked about.
        url: String,
        /// How long.
        patience: Duration,
    },
    /// The server wants to know who its customer is.
    #[error(
        "the server takes only accounts that belong to one of its customers: eab-kid and \
         eab-hmac-key are needed"
    )]
    ExternalAccountRequired,
    /// The terms of service have not been agreed to.
    #[error("the terms of service must be agreed to first: {0}")]
    Terms(String),
    /// A key cannot be used.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// Somebody stopped the work.
    #[error("stopped by request")]
    Stopped,
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl From<Stopped> for Error {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

fn later(retry: &Option<Duration>) -> String {
    match retry {
        Some(wait) => format!("; try again in {} minutes", wait.as_secs().div_ceil(60)),
        None => String::new(),
    }
}
