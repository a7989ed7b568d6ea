//! User namespaces and the mounts that are shifted by them.
//!
//! A container's files lie on disk under the ids its own processes see (0 is root). The mount it
//! gets maps those to the unprivileged host ids its user namespace uses, so nothing on disk ever
//! has to be shifted.

use std::fs;
use std::io;
use std::io::Read;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use basalt_model::container::IdMap;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::process::{Signal, WaitId, WaitIdOptions, set_parent_process_death_signal, waitid};

use crate::step::{Step, StepError};
use crate::sys::{self, MountAttributes, OwnNamespace};

/// Writes the id mappings of a process that was just cloned into a user namespace.
pub fn write_maps(pid: u32, map: IdMap) -> io::Result<()> {
    let line = format!("0 {} {}\n", map.host, map.count);
    fs::write(format!("/proc/{pid}/uid_map"), &line)?;
    fs::write(format!("/proc/{pid}/gid_map"), &line)
}

/// A user namespace with `map` and no process in it.
pub fn user_namespace(map: IdMap) -> Result<OwnedFd, StepError> {
    let (parent, child) = UnixStream::pair().step("make a socket pair")?;
    let holder = sys::clone_child(libc::CLONE_NEWUSER, None, || {
        let mut end = [0];
        let lived = set_parent_process_death_signal(Some(Signal::KILL)).is_ok()
            && (&child).read(&mut end).is_ok();
        u8::from(!lived)
    })
    .step("create a user namespace")?;
    let namespace = write_maps(holder.pid, map)
        .step("map user and group ids")
        .and_then(|()| {
            fs::File::open(format!("/proc/{}/ns/user", holder.pid)).step("open the user namespace")
        });
    parent
        .shutdown(Shutdown::Both)
        .step("dismiss the user namespace's holder")?;
    waitid(WaitId::PidFd(holder.pidfd.as_fd()), WaitIdOptions::EXITED)
        .step("wait for the user namespace's holder")?;
    namespace.map(OwnedFd::from)
}

/// Directory that a root file system is attached over, in a mount namespace of our own. Any that
/// every host has and we do not use would do.
pub const STAGE: &str = "/tmp";

/// The container's root file system, attached in a mount namespace that only this process has.
///
/// A mount can be shifted only before it is attached and only once, but a container that reboots
/// needs a fresh one each time: so the unshifted root is attached here and cloned from.
#[derive(Debug)]
pub struct PrivateMounts {
    root: OwnedFd,
}

impl PrivateMounts {
    /// Moves this process into its own mount namespace and attaches `root` there: a directory of
    /// an attached mount, or the top of a detached one.
    pub fn stage(root: OwnedFd) -> Result<Self, StepError> {
        // A directory belongs to the mount namespace we are about to leave, so it is cloned
        // before; the kernel refuses that for a detached mount, which can be attached as it is.
        let detached = match open_tree(
            &root,
            "",
            OpenTreeFlags::AT_EMPTY_PATH
                | OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC,
        ) {
            Ok(clone) => clone,
            Err(rustix::io::Errno::INVAL) => root,
            Err(error) => return Err(StepError::new("open the root file system", error)),
        };
        sys::unshare(OwnNamespace::Mount).step("create a mount namespace")?;
        let host = open_directory("/").step("open the host's root")?;
        // As followers, our copies of the host's mounts go away when the host's do.
        sys::mount_setattr(
            host.as_fd(),
            MountAttributes {
                propagation: libc::MS_SLAVE,
                recursive: true,
                ..MountAttributes::default()
            },
        )
        .step("detach mount propagation")?;
        sys::mount_setattr(
            detached.as_fd(),
            MountAttributes {
                propagation: libc::MS_PRIVATE,
                ..MountAttributes::default()
            },
        )
        .step("make the root file system private")?;
        attach(
            detached.as_fd(),
            open_directory(STAGE)
                .step("open the staging directory")?
                .as_fd(),
        )
        .step("attach the root file system")?;
        let root = open_directory(STAGE).step("open the attached root file system")?;
        Ok(Self { root })
    }

    /// The root as it lies on disk, ids unshifted.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// A detached clone of the root, shifted by a user namespace.
    pub fn shifted(&self, namespace: BorrowedFd<'_>) -> Result<OwnedFd, StepError> {
        let clone = open_tree(
            &self.root,
            "",
            OpenTreeFlags::AT_EMPTY_PATH
                | OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC,
        )
        .step("clone the root file system's mount")?;
        sys::mount_setattr(
            clone.as_fd(),
            MountAttributes {
                // A clone stays in its origin's peer group; what the container mounts must not
                // travel back.
                propagation: libc::MS_PRIVATE,
                idmap: Some(namespace),
                ..MountAttributes::default()
            },
        )
        .step("map the root file system's ids")?;
        Ok(clone)
    }
}

/// Opens a directory as a place, not for reading.
pub fn open_directory(path: &str) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags, open};
    open(
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Attaches a detached mount on the directory or file that `place` refers to.
pub fn attach(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> rustix::io::Result<()> {
    move_mount(
        mount,
        "",
        place,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
}
