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
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use basalt_model::container::ContainerSpec;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Signal, set_parent_process_death_signal, setsid};
use rustix::thread::{
    CapabilitySet, remove_capability_from_bounding_set, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};
use serde::{Deserialize, Serialize};

use super::init::Init;
use super::mounts::Root;
use super::{devices, guest_files, seccomp};
use crate::step::{Step, StepError};
use crate::sys::{self, ChildProcess, OwnNamespace};

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

/// What the first process reports, one JSON line each.
#[derive(Debug, Serialize, Deserialize)]
enum Report {
    /// Something a container can live without.
    Warning(String),
    /// The set-up ended here.
    Failed(String),
}

/// A cloned first process that waits for its word.
#[derive(Debug)]
pub struct Cloned {
    /// The process.
    pub process: ChildProcess,
    line: UnixStream,
}

/// Clones the first process into `cgroup`; it waits until [`Cloned::go`].
pub fn clone_into(cgroup: BorrowedFd<'_>, inside: Inside<'_>) -> Result<Cloned, StepError> {
    let (ours, theirs) = UnixStream::pair().step("make a socket pair")?;
    let process = sys::clone_child(NAMESPACES, Some(cgroup), || {
        let Err(error) = become_init(&theirs, inside);
        report(&theirs, &Report::Failed(error.to_string()));
        1
    })
    .step("create the container's namespaces")?;
    Ok(Cloned {
        process,
        line: ours,
    })
}

impl Cloned {
    /// Lets the first process go on, and waits until it is init or has failed.
    pub fn go(mut self) -> Result<ChildProcess, StepError> {
        self.line.write_all(b"g").step("start the set-up inside")?;
        for line in BufReader::new(&self.line).lines() {
            let line = line.step("read the set-up's report")?;
            match serde_json::from_str(&line).step("read the set-up's report")? {
                Report::Warning(text) => tracing::warn!("{text}"),
                Report::Failed(text) => return Err(StepError::told(text)),
            }
        }
        Ok(self.process)
    }
}

/// Everything that happens inside; does not return when it succeeds.
fn become_init(line: &UnixStream, inside: Inside<'_>) -> Result<Infallible, StepError> {
    await_word(line)?;
    become_root().step("become the container's root")?;
    // Changing the user took the death signal back.
    set_parent_process_death_signal(Some(Signal::KILL)).step("follow the runtime's end")?;
    sys::unshare(OwnNamespace::Cgroup).step("create a cgroup namespace")?;

    let root = Root::attach(inside.root)?;
    root.mount_file_systems()?;
    devices::populate(&root, inside.console.as_fd())?;
    rustix::system::sethostname(inside.spec.hostname.as_bytes()).step("set the host name")?;
    sys::loopback_up().step("bring the loopback interface up")?;
    root.enter()?;

    // From here on, paths are the container's.
    for error in guest_files::write(inside.spec, inside.nameservers) {
        report(line, &Report::Warning(error.to_string()));
    }
    setsid().step("start a session")?;
    use_console().step("open the console")?;
    drop_capabilities().step("drop capabilities")?;
    sys::install_seccomp(&seccomp::program()).step("install the system call filter")?;
    let error = Command::new(inside.init.path)
        .current_dir("/")
        .env_clear()
        .envs([
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

fn await_word(mut line: &UnixStream) -> Result<(), StepError> {
    set_parent_process_death_signal(Some(Signal::KILL)).step("follow the runtime's end")?;
    line.read_exact(&mut [0]).step("wait for the runtime")
}

/// The clone has the host root's ids, which are nobody's in its user namespace.
fn become_root() -> rustix::io::Result<()> {
    let gid = rustix::fs::Gid::ROOT;
    let uid = rustix::fs::Uid::ROOT;
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
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

fn drop_capabilities() -> rustix::io::Result<()> {
    for capability in DROPPED.iter() {
        remove_capability_from_bounding_set(capability)?;
    }
    Ok(())
}

/// Tells the runtime something. When it cannot be told it is dead, and we are about to be.
fn report(mut line: &UnixStream, report: &Report) {
    if let Ok(mut text) = serde_json::to_vec(report) {
        text.push(b'\n');
        let _dead = line.write_all(&text);
    }
}
