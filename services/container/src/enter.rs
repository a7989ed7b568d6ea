//! A program in a running container, for root on the host: `basalt-container enter`.
//!
//! ```text
//! this process                                  the program's process
//! asks the runtime for init's number
//! joins the container's process ids, clones  →  joins its user, mounts, network, …
//! relays the terminal or the streams         ←  becomes root there, filter and capabilities as init's
//! waits for its end                             executes
//! ```
//!
//! The container never gets a descriptor of the host: on a terminal it gets one of its own `/dev/pts`,
//! otherwise pipes, and this process passes on what goes through. Until the program is executed, nobody
//! inside may look at the process that brings it.

mod relay;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use basalt_model::container::{Request, Response};
use basalt_unit::handover;
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open,
    set_dumpable_behavior, set_parent_process_death_signal, setsid, waitid,
};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::thread::{
    LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space, move_into_thread_name_spaces,
};

use crate::first_process::become_root;
use crate::runtime::{namespaces, seccomp};
use crate::step::{Step, StepError};
use crate::sys;
use relay::Streams;

/// Where the runtimes of containers listen, by number.
const SOCKETS: &str = "/run/basalt/ct";
const CGROUPS: &str = "/sys/fs/cgroup";
/// The namespaces of a container but that of process ids, which only a child joins.
const NAMESPACES: ThreadNameSpaceType = ThreadNameSpaceType::USER
    .union(ThreadNameSpaceType::MOUNT)
    .union(ThreadNameSpaceType::CONTROL_GROUP)
    .union(ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME)
    .union(ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION)
    .union(ThreadNameSpaceType::NETWORK);
/// The shell when the container names none.
const SHELL: &str = "/bin/sh";

/// What to run in which container.
#[derive(Debug)]
pub struct Entry {
    /// The container's number.
    pub vmid: u32,
    /// The program and its arguments; root's shell when empty.
    pub command: Vec<OsString>,
}

/// Runs it; returns its exit code, 128 and the signal's number when it was killed.
pub fn run(entry: &Entry) -> Result<u8, StepError> {
    let init = Init::find(entry.vmid)?;
    // A descriptor that the caller's shell left open would lead out of the container.
    sys::close_on_exec_above_streams().step("close the caller's files")?;
    let on_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let (streams, theirs) = Streams::make(on_terminal).step("make pipes")?;
    let (ours, line) = UnixStream::pair().step("make a socket pair")?;
    let host = std::fs::File::open("/proc/self/ns/pid").step("find the host's processes")?;
    move_into_thread_name_spaces(init.pidfd.as_fd(), ThreadNameSpaceType::PROCESS_ID)
        .step("join the container's processes")?;
    let process = sys::clone_child(0, Some(init.cgroup.as_fd()), || {
        let Err(error) = become_program(&init, entry, theirs.as_ref(), &line);
        // When it cannot be told, our maker is dead and so are we.
        let _dead = handover::send(&line, &Err::<(), _>(error.to_string()), &[]);
        126
    })
    .step("start a process in the container")?;
    // As long as children would be the container's, the kernel lets us have no threads.
    move_into_link_name_space(host.as_fd(), Some(LinkNameSpaceType::ProcessID))
        .step("leave the container's processes")?;
    drop((line, theirs));
    let streams = match streams {
        Streams::Terminal => Streams::Joined(receive_terminal(&ours)?),
        pipes => pipes,
    };
    // The end of the line without a word on it means that the program runs.
    let mut failure = String::new();
    BufReader::new(&ours)
        .read_to_string(&mut failure)
        .step("hear of the program's start")?;
    if let Ok(Err(reason)) = serde_json::from_str::<Result<(), String>>(&failure) {
        return Err(StepError::told(reason));
    }
    let pass = streams.pass(process.pidfd.as_fd());
    pass.step("pass on what the program says")?;
    let status = waitid(WaitId::PidFd(process.pidfd.as_fd()), WaitIdOptions::EXITED)
        .step("wait for the program")?
        .ok_or_else(|| StepError::new("wait for the program", "it has not ended"))?;
    let code = status
        .exit_status()
        .or(status.terminating_signal().map(|signal| 128 + signal));
    Ok(u8::try_from(code.unwrap_or(1)).unwrap_or(u8::MAX))
}

/// The running container's init.
struct Init {
    pidfd: OwnedFd,
    /// The cgroup it is in: only leaves of the container's tree take processes.
    cgroup: OwnedFd,
}

impl Init {
    fn find(vmid: u32) -> Result<Self, StepError> {
        let socket = Path::new(SOCKETS)
            .join(vmid.to_string())
            .join("control.sock");
        let stream = UnixStream::connect(&socket)
            .map_err(|error| StepError::told(format!("container {vmid} does not run ({error})")))?;
        let number = ask(&stream)?;
        let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| StepError::new("find init", "it has no number"))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).step("find init")?;
        let names = std::fs::read_to_string(format!("/proc/{number}/cgroup"))
            .step("find the container's cgroup")?;
        // Asked again, the same number is still the same process.
        if ask(&stream)? != number {
            return Err(StepError::new(
                "find init",
                "the container was just rebooted",
            ));
        }
        let name = names.lines().find_map(|line| line.strip_prefix("0::/"));
        let name = name.ok_or_else(|| StepError::new("find the container's cgroup", "none"))?;
        let cgroup = std::fs::File::open(Path::new(CGROUPS).join(name))
            .step("open the container's cgroup")?;
        let cgroup = cgroup.into();
        Ok(Self { pidfd, cgroup })
    }
}

/// The process id of init, told by the container's runtime.
fn ask(mut stream: &UnixStream) -> Result<u32, StepError> {
    let mut line = serde_json::to_string(&Request::Status).step("ask the runtime")?;
    line.push('\n');
    stream.write_all(line.as_bytes()).step("ask the runtime")?;
    let mut answer = String::new();
    BufReader::new(stream.take(64 * 1024))
        .read_line(&mut answer)
        .step("ask the runtime")?;
    match serde_json::from_str(&answer).step("ask the runtime")? {
        Response::Status(status) => Ok(status.init_pid),
        Response::Error(reason) => Err(StepError::told(reason)),
        Response::Ok => Err(StepError::new("ask the runtime", "unexpected answer")),
    }
}

/// The container's side of the terminal, which the program's process has opened there.
fn receive_terminal(line: &UnixStream) -> Result<OwnedFd, StepError> {
    match handover::receive::<Result<(), String>>(line) {
        Ok((Ok(()), mut fds)) if fds.len() == 1 => Ok(fds.remove(0)),
        Ok((Err(reason), _)) => Err(StepError::told(reason)),
        Ok(_) => Err(StepError::new("open a terminal", "no descriptor came")),
        Err(error) => Err(StepError::new("open a terminal in the container", error)),
    }
}

/// Everything that happens inside; does not return when it succeeds.
fn become_program(
    init: &Init,
    entry: &Entry,
    pipes: Option<&relay::Ends>,
    line: &UnixStream,
) -> Result<std::convert::Infallible, StepError> {
    // Root inside may look at processes there, and this one still has the host's memory.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).step("hide from the container")?;
    move_into_thread_name_spaces(init.pidfd.as_fd(), NAMESPACES).step("join the container")?;
    become_root().step("become the container's root")?;
    set_parent_process_death_signal(Some(Signal::KILL)).step("follow the caller's end")?;
    setsid().step("start a session")?;
    match pipes {
        Some(ends) => ends.use_as_streams().step("use the pipes")?,
        None => open_terminal(line)?,
    }
    namespaces::drop_capabilities().step("drop capabilities")?;
    sys::install_seccomp(&seccomp::program()).step("install the system call filter")?;
    let (program, arguments, shell) = match entry.command.split_first() {
        Some((program, arguments)) => (program.clone(), arguments, root_shell()),
        None => (root_shell().into_os_string(), &[][..], root_shell()),
    };
    let terminal = std::env::var_os("TERM").unwrap_or_else(|| "xterm-256color".into());
    let home = if Path::new("/root").is_dir() {
        "/root"
    } else {
        "/"
    };
    let error = Command::new(&program)
        .args(arguments)
        .current_dir(home)
        .env_clear()
        .envs([
            ("container", "lxc"),
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ),
            ("HOME", home),
            ("USER", "root"),
            ("LOGNAME", "root"),
        ])
        .env("TERM", terminal)
        .env("SHELL", shell)
        .exec();
    let name = String::from_utf8_lossy(program.as_bytes()).into_owned();
    Err(StepError::new(format!("execute {name}"), error))
}

/// Opens a terminal of the container's own and hands its other side to our maker.
fn open_terminal(line: &UnixStream) -> Result<(), StepError> {
    let opened = || -> std::io::Result<(OwnedFd, OwnedFd)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let path = ptsname(&ours, Vec::new())?;
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let theirs = rustix::fs::open(path, flags, rustix::fs::Mode::empty())?;
        Ok((ours, theirs))
    };
    let (ours, theirs) = opened().step("open a terminal in the container")?;
    handover::send(line, &Ok::<(), String>(()), &[ours.as_fd()]).step("hand the terminal over")?;
    rustix::process::ioctl_tiocsctty(&theirs).step("take the terminal")?;
    rustix::stdio::dup2_stdin(&theirs)
        .and_then(|()| rustix::stdio::dup2_stdout(&theirs))
        .and_then(|()| rustix::stdio::dup2_stderr(&theirs))
        .step("use the terminal")
}

/// Root's shell by the container's own list, if it is there.
fn root_shell() -> PathBuf {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let named = fields.find_map(|user| match user[..] {
        [_, _, "0", .., shell] => Some(PathBuf::from(shell)),
        _ => None,
    });
    named
        .filter(|shell| shell.is_absolute() && shell.is_file())
        .unwrap_or_else(|| SHELL.into())
}
