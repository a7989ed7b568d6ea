//! What tar sees: the target, a read-only `/usr`, nothing else.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat, symlinkat};
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use crate::runtime::idmap::attach;
use crate::runtime::mounts::{Root, file_system};
use crate::step::{Step, StepError};
use crate::sys::{self, MountAttributes};

/// Where the target is.
pub const TARGET: &str = "/target";

/// Enters the view, with `target` (shifted, detached) in it.
pub fn enter(target: OwnedFd) -> Result<(), StepError> {
    let base = file_system("tmpfs", &[("mode", "0755"), ("size", "1m")], SAFE)
        .step("make an empty root")?;
    let root = Root::attach(base)?;
    let usr = root.directory("usr").step("make /usr")?;
    attach(read_only("/usr").step("clone /usr")?.as_fd(), usr.as_fd()).step("provide /usr")?;
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlinkat(format!("usr/{name}"), &root, name).step_with(|| format!("link /{name}"))?;
    }
    let dev = root.directory("dev").step("make /dev")?;
    let null = openat(
        &dev,
        "null",
        OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o644),
    )
    .step("make /dev/null")?;
    let host_null =
        crate::runtime::devices::clone_file(CWD, "/dev/null").step("clone /dev/null")?;
    attach(host_null.as_fd(), null.as_fd()).step("provide /dev/null")?;
    let place = root.directory("target").step("make the target's place")?;
    attach(target.as_fd(), place.as_fd()).step("attach the target")?;
    root.enter()
}

const SAFE: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);

/// A detached read-only clone of a host directory with all that is mounted below.
fn read_only(path: &str) -> std::io::Result<OwnedFd> {
    let clone = open_tree(
        CWD,
        path,
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE,
    )?;
    sys::mount_setattr(
        clone.as_fd(),
        MountAttributes {
            set: u64::from((SAFE | MountAttrFlags::MOUNT_ATTR_RDONLY).bits()),
            recursive: true,
            ..MountAttributes::default()
        },
    )?;
    Ok(clone)
}
