//! What can go wrong between us and the service manager.

/// Why a unit could not be started, stopped or asked about.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// The system bus or systemd did not answer.
    #[error("service manager: {0}")]
    Bus(#[from] zbus::Error),
    /// A unit of this name exists already.
    #[error("unit {0} exists already")]
    Exists(String),
    /// There is no unit of this name.
    #[error("unit {0} does not exist")]
    NotFound(String),
    /// systemd took the job, and it failed.
    #[error("job for unit {unit} ended with \"{result}\"")]
    Job {
        /// The unit.
        unit: String,
        /// systemd's word: `failed`, `canceled`, `timeout`, `dependency`, `skipped`.
        result: String,
    },
    /// The bus connection ended while we waited.
    #[error("the system bus connection ended while waiting for unit {0}")]
    Disconnected(String),
}

impl From<zbus::fdo::Error> for UnitError {
    fn from(error: zbus::fdo::Error) -> Self {
        Self::Bus(error.into())
    }
}
