//! The helper process that unpacks.

use std::convert::Infallible;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use basalt_model::container::IdMap;
use basalt_model::machine::Slot;
use basalt_unit::handover;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use serde::{Deserialize, Serialize};

use super::format::Format;
use super::{ArchiveFault, ExtractReport, outcome, view};
use crate::first_process::FirstProcess;
use crate::runtime::idmap::{self, PrivateMounts};
use crate::runtime::spec::{Descriptors, check_ids};
use crate::runtime::{init, seccomp};
use crate::step::{Step, StepError};
use crate::sys;

/// What [`super::extract`] orders.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The archive.
    pub archive: Slot,
    /// Where it goes.
    pub root: Slot,
    /// The container's ids.
    pub id_map: IdMap,
}

/// Everything from tar's standard error beyond this is dropped.
const MAX_STDERR: usize = 1 << 20;

const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET;

/// Serves the one order that comes through `starter`.
pub fn run(starter: OwnedFd) -> Result<(), StepError> {
    let starter = UnixStream::from(starter);
    let answer = serve(&starter);
    let failure = answer.as_ref().err().map(ToString::to_string);
    handover::send(&starter, &answer, &[]).step("answer")?;
    failure.map_or(Ok(()), |text| Err(StepError::told(text)))
}

impl From<StepError> for ArchiveFault {
    fn from(error: StepError) -> Self {
        Self::Setup(error.to_string())
    }
}

fn serve(starter: &UnixStream) -> Result<ExtractReport, ArchiveFault> {
    let (order, fds): (Order, _) = handover::receive(starter).step("read the order")?;
    check_ids(order.id_map).map_err(|reason| StepError::new("use the order", reason))?;
    let mut fds = Descriptors::new(fds);
    let archive = fds.take(order.archive, "archive")?;
    let format = Format::detect(archive.as_fd())
        .step("read the archive")?
        .ok_or(ArchiveFault::UnknownFormat)?;
    let mounts = PrivateMounts::stage(fds.take(order.root, "root")?)?;
    let report = unpack(archive, format, &mounts, order.id_map, starter)?;
    match missing(&mounts)? {
        Some(missing) => Err(ArchiveFault::NotARoot {
            missing: missing.into(),
        }),
        None => Ok(report),
    }
}

/// What the unpacked tree lacks to be a root file system.
fn missing(mounts: &PrivateMounts) -> Result<Option<&'static str>, StepError> {
    if !init::has_directory(mounts.root(), "/etc") {
        return Ok(Some("/etc directory"));
    }
    let init = init::find(mounts.root()).step("look for init")?;
    Ok(init
        .is_none()
        .then_some("init program (/sbin/init or systemd)"))
}

fn unpack(
    archive: OwnedFd,
    format: Format,
    mounts: &PrivateMounts,
    id_map: IdMap,
    starter: &UnixStream,
) -> Result<ExtractReport, ArchiveFault> {
    let namespace = idmap::user_namespace(id_map)?;
    let target = mounts.shifted(namespace.as_fd())?;
    let (stderr, child_stderr) = io::pipe().step("make a pipe")?;
    let first = FirstProcess::clone_into(NAMESPACES, None, |_| {
        view::enter(target)?;
        become_tar(&archive, &child_stderr.into(), format)
    })?;
    drop(archive);
    idmap::write_maps(first.process.pid, id_map).step("map user and group ids")?;
    let process = first.go()?;
    let said = read_some(stderr, starter).step("read what tar says")?;
    let status = waitid(WaitId::PidFd(process.pidfd.as_fd()), WaitIdOptions::EXITED)
        .step("wait for tar")?
        .and_then(|status| status.exit_status());
    outcome::judge(status, &said)
}

/// Becomes tar; does not return when it succeeds.
fn become_tar(
    archive: &OwnedFd,
    stderr: &OwnedFd,
    format: Format,
) -> Result<Infallible, StepError> {
    rustix::stdio::dup2_stdin(archive).step("use the archive")?;
    rustix::stdio::dup2_stderr(stderr).step("use the pipe")?;
    sys::install_seccomp(&seccomp::program()).step("install the system call filter")?;
    let error = Command::new("/usr/bin/tar")
        .arg0("tar")
        .args(["--extract", "--file=-", "--directory", view::TARGET])
        .args(format.option())
        .args([
            "--numeric-owner",
            "--same-owner",
            "--preserve-permissions",
            "--acls",
            "--xattrs",
            "--xattrs-include=user.*",
            "--xattrs-include=security.capability",
            // A container gets its /dev at start.
            "--anchored",
            "--exclude=./dev/*",
            "--exclude=dev/*",
        ])
        .env_clear()
        .envs([("PATH", "/usr/bin:/usr/sbin"), ("LC_ALL", "C")])
        .exec();
    Err(StepError::new("execute tar", error))
}

/// Reads to the end, keeping the beginning and the end of what is too long; fails when nobody waits for
/// it any more. tar ends with this process.
fn read_some(mut pipe: PipeReader, starter: &UnixStream) -> io::Result<String> {
    let mut kept = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let mut ready = [
            PollFd::new(&pipe, PollFlags::IN),
            PollFd::new(starter, PollFlags::RDHUP),
        ];
        poll(&mut ready, None)?;
        if !ready[1].revents().is_empty() {
            return Err(io::Error::other("whoever asked for it is gone"));
        }
        let count = pipe.read(&mut chunk)?;
        if count == 0 {
            return Ok(String::from_utf8_lossy(&kept).into_owned());
        }
        if kept.len() > MAX_STDERR {
            kept.drain(MAX_STDERR / 2..);
        }
        kept.extend_from_slice(&chunk[..count]);
    }
}
