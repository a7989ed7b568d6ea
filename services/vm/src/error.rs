//! Why a virtual machine could not be started, stopped or asked.

use crate::agent::AgentError;
use basalt_model::field::FieldErrors;
use basalt_model::vmid::Vmid;
use basalt_network::NetworkError;
use basalt_storage::StorageError;
use basalt_unit::UnitError;
use basalt_unit::handover::HandoverError;
use std::io;

/// Result of work on a virtual machine.
pub type Result<T> = std::result::Result<T, VmError>;

/// Why a virtual machine could not be started, stopped or asked.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// The configuration cannot be run as it is.
    #[error("{}", one_line(.0))]
    Config(FieldErrors),
    /// A volume is not there or in use.
    #[error("{field}: {source}")]
    Volume {
        /// The setting that names it.
        field: String,
        /// Why.
        source: StorageError,
    },
    /// A network card could not be connected.
    #[error("{field}: {source}")]
    Network {
        /// The setting that names it.
        field: String,
        /// Why.
        source: NetworkError,
    },
    /// The service manager refused.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// The monitor could not be given its specification.
    #[error("VM {vmid}: {source}")]
    Handover {
        /// The machine.
        vmid: Vmid,
        /// Why.
        source: HandoverError,
    },
    /// The monitor could not start the machine, and says why.
    #[error("VM {vmid} does not start: {reason}")]
    Start {
        /// The machine.
        vmid: Vmid,
        /// The monitor's reason.
        reason: String,
    },
    /// The monitor said nothing for too long.
    #[error("VM {0} does not start: no answer from its monitor")]
    Silent(Vmid),
    /// The machine does not run.
    #[error("VM {0} not running")]
    NotRunning(Vmid),
    /// The machine did not power off in time.
    #[error("VM {vmid} did not shut down within {seconds} s")]
    StillUp {
        /// The machine.
        vmid: Vmid,
        /// How long we waited.
        seconds: u64,
    },
    /// The guest's agent did not do something.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The monitor refused a request, or its connection failed.
    #[error("control socket: {0}")]
    Control(String),
    /// The host has too few huge pages and cannot make as many.
    #[error(
        "hugepages: {missing} pages of {mib} MiB{node} are missing: free memory of the host, or {fix}"
    )]
    TooFewPages {
        /// How many more there would have to be.
        missing: u64,
        /// Their size.
        mib: u64,
        /// On which of the host's nodes, if that matters.
        node: String,
        /// What else may do.
        fix: &'static str,
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

fn one_line(errors: &FieldErrors) -> String {
    errors.to_string().replace('\n', "; ")
}

/// Says what was tried when the operating system refuses.
pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> VmError {
    let what = what.into();
    move |source| VmError::Io { what, source }
}
