//! The container's first process, from the moment it is cloned until it becomes init.
//!
//! ```text
//! runtime                                 first process
//! clone3(user, pid, mount, … | cgroup) →  waits
//! writes the id maps
//! makes the cards                         (its network namespace exists already)
//! "go"                                 →  becomes the container's root
//!                                         cgroup namespace, mounts, /dev, host name
//!                                         enters its root, writes its network configuration
//! reads reports until the line closes  ←  seccomp, exec (closes the line)
//! ```

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use basalt_model::container::ContainerSpec;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::setsid;
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use super::init::Init;
use super::mounts::Root;
use super::{devices, guest_files, seccomp};
use crate::first_process::{FirstProcess, Line};
use crate::step::{Step, StepError};
use crate::sys::{self, OwnNamespace};

/// The namespaces a container has of its own. The cgroup namespace follows later: its root is
/// the cgroup its maker is in, and the clone is only on its way there.
const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET;

/// Capabilities without any use inside; systemd leaves out the units that ask for them.
const DROPPED: CapabilitySet = CapabilitySet::SYS_MODULE
    .union(CapabilitySet::SYS_RAWIO)
    .union(CapabilitySet::SYS_TIME)
    .union(CapabilitySet::AUDIT_CONTROL)
    .union(CapabilitySet::AUDIT_READ)
    .union(CapabilitySet::MAC_ADMIN)
    .union(CapabilitySet::MAC_OVERRIDE)
    .union(CapabilitySet::WAKE_ALARM)
    .union(CapabilitySet::BLOCK_SUSPEND);

/// What the first process needs to set the container up.
#[derive(Debug)]
pub struct Inside<'a> {
    /// What to run.
    pub spec: &'a ContainerSpec,
    /// The root file system, shifted and detached.
    pub root: OwnedFd,
    /// The console's terminal, a detached mount.
    pub console: OwnedFd,
    /// What to execute.
    pub init: &'a Init,
    /// Name servers for a container that has none.
    pub nameservers: &'a [String],
}

/// Clones the first process into `cgroup`; it waits for its word.
pub fn clone_into(cgroup: BorrowedFd<'_>, inside: Inside<'_>) -> Result<FirstProcess, StepError> {
    FirstProcess::clone_into(NAMESPACES, Some(cgroup), |line| become_init(line, inside))
}

/// Everything that happens inside; does not return when it succeeds.
fn become_init(line: &Line<'_>, inside: Inside<'_>) -> Result<Infallible, StepError> {
    sys::unshare(OwnNamespace::Cgroup).step("create a cgroup namespace")?;
    let root = Root::attach(inside.root)?;
    root.mount_file_systems()?;
    devices::populate(&root, inside.console.as_fd())?;
    rustix::system::sethostname(inside.spec.hostname.as_bytes()).step("set the host name")?;
    sys::loopback_up().step("bring the loopback interface up")?;
    root.enter()?;

    // From here on, paths are the container's.
    for error in guest_files::write(inside.spec, inside.nameservers) {
        line.warn(&error);
    }
    setsid().step("start a session")?;
    use_console().step("open the console")?;
    drop_capabilities().step("drop capabilities")?;
    sys::install_seccomp(&seccomp::program()).step("install the system call filter")?;
    let error = Command::new(inside.init.path)
        .current_dir("/")
        .env_clear()
        .envs([
            // The word for which systemd leaves out most of what fails without privileges.
            ("container", "lxc"),
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ),
            ("TERM", "xterm-256color"),
        ])
        .exec();
    Err(StepError::new(
        format!("execute {}", inside.init.path),
        error,
    ))
}

fn use_console() -> rustix::io::Result<()> {
    let console = open(
        "/dev/console",
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    rustix::stdio::dup2_stdin(&console)?;
    rustix::stdio::dup2_stdout(&console)?;
    rustix::stdio::dup2_stderr(&console)
}

/// Takes away for good what has no use inside.
pub fn drop_capabilities() -> rustix::io::Result<()> {
    for capability in DROPPED.iter() {
        remove_capability_from_bounding_set(capability)?;
    }
    Ok(())
}
