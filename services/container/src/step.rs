//! Errors that name the step that failed.

use std::error::Error;
use std::fmt;

/// A step of a set-up that failed, and why.
#[derive(Debug)]
pub struct StepError(String);

impl StepError {
    /// `step` as in "cannot {step}".
    pub fn new(step: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(format!("cannot {}: {}", step.into(), source.into()))
    }

    /// An error that another process already put into words.
    pub fn told(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for StepError {}

/// Names the step of a result.
pub trait Step<T> {
    /// `what` as in "cannot {what}".
    fn step(self, what: &str) -> Result<T, StepError>;
    /// As [`Step::step`], for a text that has to be made.
    fn step_with(self, what: impl FnOnce() -> String) -> Result<T, StepError>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Step<T> for Result<T, E> {
    fn step(self, what: &str) -> Result<T, StepError> {
        self.map_err(|error| StepError::new(what, error))
    }

    fn step_with(self, what: impl FnOnce() -> String) -> Result<T, StepError> {
        self.map_err(|error| StepError::new(what(), error))
    }
}
