//! The error of an API method: status, message and the wrong parameters by name.

use basalt_model::field::FieldErrors;
use std::collections::BTreeMap;
use std::fmt::Display;

/// Result of an API method.
pub type Result<T> = std::result::Result<T, Error>;

/// Message of an error about parameters; clients compare it.
pub const PARAMETER_MESSAGE: &str = "Parameter verification failed.";

/// Why a call failed, as the caller sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", details(.errors))]
pub struct Error {
    /// HTTP status.
    pub status: u16,
    /// Its first line becomes the reason phrase of the status line.
    pub message: String,
    /// What is wrong with each parameter.
    pub errors: BTreeMap<String, String>,
}

fn details(errors: &BTreeMap<String, String>) -> String {
    errors
        .iter()
        .map(|(name, text)| format!("\n{name}: {text}"))
        .collect()
}

impl Error {
    /// An error with any status.
    pub fn new(status: u16, message: impl Display) -> Self {
        Self {
            status,
            message: message.to_string(),
            errors: BTreeMap::new(),
        }
    }

    /// One wrong parameter: what is wrong with it and what it should be.
    pub fn param(name: impl Into<String>, text: impl Display) -> Self {
        Self::params(BTreeMap::from([(name.into(), text.to_string())]))
    }

    /// Several wrong parameters.
    pub fn params(errors: BTreeMap<String, String>) -> Self {
        Self {
            status: 400,
            message: PARAMETER_MESSAGE.into(),
            errors,
        }
    }

    /// Something named in the call does not exist, e.g. `not_found("VM 100")`. Clients look for
    /// the words and expect status 500.
    pub fn not_found(what: impl Display) -> Self {
        Self::new(500, format_args!("{what} does not exist"))
    }

    /// Something to be made exists, e.g. `exists("VM 100")`.
    pub fn exists(what: impl Display) -> Self {
        Self::new(500, format_args!("{what} already exists"))
    }

    /// The caller may not, e.g. `forbidden("/vms/100, VM.PowerMgmt")`.
    pub fn forbidden(what: impl Display) -> Self {
        Self::new(403, format_args!("Permission check failed ({what})"))
    }

    /// Nobody is logged in, or the login is no longer valid.
    pub fn unauthenticated(why: impl Display) -> Self {
        Self::new(401, format_args!("authentication failure: {why}"))
    }

    /// There is no such method.
    pub fn no_such_method(verb: impl Display, path: impl Display) -> Self {
        Self::new(501, format_args!("Method '{verb} {path}' not implemented"))
    }

    /// Clients know the method, but it is not there yet.
    pub fn not_yet(verb: impl Display, path: impl Display) -> Self {
        Self::new(
            501,
            format_args!("Method '{verb} {path}' not implemented: it is not there yet in Basalt"),
        )
    }

    /// The work itself failed.
    pub fn failed(why: impl Display) -> Self {
        Self::new(500, why)
    }

    /// The message with every wrong parameter, in one line: for a log or a task's end.
    pub fn one_line(&self) -> String {
        self.to_string().replace('\n', "; ")
    }
}

impl From<FieldErrors> for Error {
    fn from(errors: FieldErrors) -> Self {
        Self::params(errors.0)
    }
}
