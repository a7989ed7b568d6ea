//! A container's life, and the runtime that enters it.

mod control;
mod manager;
mod runtime;
mod step;
mod sys;

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, open};

pub use control::{Control, ControlError};
pub use manager::{ContainerError, Containers, EXECUTABLE, NicUsage};
use step::Step;
pub use step::StepError;

/// `basalt-container run`.
pub fn run_from_stdin() -> Result<(), StepError> {
    runtime::run(take_stdin()?)
}

/// Takes standard input and leaves `/dev/null` in its place.
fn take_stdin() -> Result<OwnedFd, StepError> {
    let socket = rustix::stdio::stdin()
        .as_fd()
        .try_clone_to_owned()
        .step("take standard input")?;
    let null =
        open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).step("open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).step("replace standard input")?;
    Ok(socket)
}
