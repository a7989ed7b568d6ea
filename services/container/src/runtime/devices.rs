//! What a container finds in `/dev`.
//!
//! A user namespace may make no device nodes, so the harmless ones are the host's, bound one by
//! one onto empty files.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat, symlinkat};
use rustix::mount::{OpenTreeFlags, open_tree};

use super::idmap::attach;
use super::mounts::Root;
use crate::step::{Step, StepError};

const NODES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: &[(&str, &str)] = &[
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
];

/// Fills the fresh `/dev` of `root`; `console` is a detached mount of the console's terminal.
pub fn populate(root: &Root, console: BorrowedFd<'_>) -> Result<(), StepError> {
    let dev = root.directory("dev").step("open /dev")?;
    for name in NODES {
        bind_host_node(dev.as_fd(), name).step_with(|| format!("provide /dev/{name}"))?;
    }
    place_node(dev.as_fd(), "console", console).step("provide /dev/console")?;
    for (name, target) in LINKS {
        symlinkat(*target, &dev, *name).step_with(|| format!("link /dev/{name}"))?;
    }
    Ok(())
}

fn bind_host_node(dev: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let node = clone_file(CWD, &format!("/dev/{name}"))?;
    place_node(dev, name, node.as_fd())
}

fn place_node(dev: BorrowedFd<'_>, name: &str, node: BorrowedFd<'_>) -> io::Result<()> {
    let place = openat(
        dev,
        name,
        OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o644),
    )?;
    Ok(attach(node, place.as_fd())?)
}

/// A detached mount of one file.
pub fn clone_file(directory: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    Ok(open_tree(
        directory,
        path,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )?)
}
