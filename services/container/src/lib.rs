//! A container's life, and the runtime that enters it.
//!
//! Two sides share this crate. The manager's side runs inside the node: [`Containers`] starts a
//! container as a systemd unit of its own and finds it again, [`Control`] speaks to a running one,
//! [`Containers::unpack`] unpacks the archive it is made from. The other side is the program
//! `basalt-container` that those units and the unpacking run: [`run_from_stdin`] and
//! [`extract_from_stdin`]; its modules begin at `runtime` and `extract::worker`. Root on the host runs
//! it as well, to [`enter`] a container.
//!
//! A container is unprivileged: its root is an ordinary user of the host, chosen by the
//! specification's id map, and its files lie on disk unshifted.

mod control;
mod enter;
mod extract;
mod first_process;
mod manager;
mod runtime;
mod step;
mod sys;

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, open};

pub use control::{Control, ControlError};
pub use enter::Entry;
pub use extract::{ArchiveFault, ExtractError, ExtractReport, extract_with};
pub use manager::{ContainerError, Containers, EXECUTABLE, NicUsage, ProcessorTime};
use step::Step;
pub use step::StepError;

/// `basalt-container run`.
pub fn run_from_stdin() -> Result<(), StepError> {
    runtime::run(take_stdin()?)
}

/// `basalt-container enter`; returns the program's exit code.
pub fn enter(entry: &Entry) -> Result<u8, StepError> {
    enter::run(entry)
}

/// `basalt-container extract`.
pub fn extract_from_stdin() -> Result<(), StepError> {
    extract::worker::run(take_stdin()?)
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
