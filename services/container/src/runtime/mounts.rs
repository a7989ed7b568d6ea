//! The container's mounts, made by its first process before it leaves the host's tree.
//!
//! Every place is looked up inside the new root, so that a symbolic link in an untrusted root
//! file system leads nowhere else, and mounted by descriptor. Nothing lies over parts of `/proc`
//! or `/sys`: the files there that would harm the host belong to the host's root, which is no one
//! in the container's user namespace, and the kernel lets services inside mount a `/proc` of
//! their own only as long as the first one is fully visible.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, mkdirat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, UnmountFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, unmount,
};
use rustix::process::{fchdir, pivot_root};

use super::idmap::{STAGE, attach, open_directory};
use super::init::open_inside;
use crate::step::{Step, StepError};
use crate::sys::{self, MountAttributes};

/// A file system to make and where it goes.
struct FileSystem {
    place: &'static str,
    kind: &'static str,
    options: &'static [(&'static str, &'static str)],
    attributes: MountAttrFlags,
    /// A container works without it (an old kernel may lack it).
    optional: bool,
}

const SAFE: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// In the order they are mounted. A read-only `/sys` tells systemd to leave devices alone.
const FILE_SYSTEMS: &[FileSystem] = &[
    FileSystem {
        place: "proc",
        kind: "proc",
        options: &[],
        attributes: SAFE,
        optional: false,
    },
    FileSystem {
        place: "sys",
        kind: "sysfs",
        options: &[],
        attributes: SAFE.union(MountAttrFlags::MOUNT_ATTR_RDONLY),
        optional: false,
    },
    FileSystem {
        place: "sys/fs/cgroup",
        kind: "cgroup2",
        options: &[],
        attributes: SAFE,
        optional: false,
    },
    FileSystem {
        place: "dev",
        kind: "tmpfs",
        options: &[("mode", "0755"), ("size", "1m")],
        attributes: MountAttrFlags::MOUNT_ATTR_NOSUID,
        optional: false,
    },
    FileSystem {
        place: "dev/pts",
        kind: "devpts",
        options: &[("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")],
        attributes: MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NOEXEC),
        optional: false,
    },
    FileSystem {
        place: "dev/shm",
        kind: "tmpfs",
        options: &[("mode", "1777")],
        attributes: MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV),
        optional: false,
    },
    FileSystem {
        place: "dev/mqueue",
        kind: "mqueue",
        options: &[],
        attributes: SAFE,
        optional: true,
    },
    FileSystem {
        place: "run",
        kind: "tmpfs",
        options: &[("mode", "0755")],
        attributes: MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV),
        optional: false,
    },
];

/// A root file system attached in this mount namespace.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// Attaches a detached mount, in a mount namespace that shares nothing with the host's.
    pub fn attach(detached: OwnedFd) -> Result<Self, StepError> {
        let host = open_directory("/").step("open the host's root")?;
        sys::mount_setattr(
            host.as_fd(),
            MountAttributes {
                propagation: libc::MS_PRIVATE,
                recursive: true,
                ..MountAttributes::default()
            },
        )
        .step("detach mount propagation")?;
        let stage = open_directory(STAGE).step("open the staging directory")?;
        attach(detached.as_fd(), stage.as_fd()).step("attach the root file system")?;
        Ok(Self(detached))
    }

    /// Mounts every file system a container has.
    pub fn mount_file_systems(&self) -> Result<(), StepError> {
        for wanted in FILE_SYSTEMS {
            match self.mount(wanted) {
                Err(error) if wanted.optional => tracing::info!(%error, "mount left out"),
                result => {
                    result.step_with(|| format!("mount {} on /{}", wanted.kind, wanted.place))?
                }
            }
        }
        Ok(())
    }

    fn mount(&self, wanted: &FileSystem) -> io::Result<()> {
        let mount = file_system(wanted.kind, wanted.options, wanted.attributes)?;
        let place = self.directory(wanted.place)?;
        Ok(attach(mount.as_fd(), place.as_fd())?)
    }

    /// Opens a directory of the container, made when it is missing.
    pub fn directory(&self, path: &str) -> io::Result<OwnedFd> {
        let open = || open_inside(self.0.as_fd(), path, OFlags::PATH | OFlags::DIRECTORY);
        match open() {
            Err(rustix::io::Errno::NOENT) => {
                let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
                let parent = if parent.is_empty() {
                    self.0.try_clone()?
                } else {
                    self.directory(parent)?
                };
                mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
                Ok(open()?)
            }
            result => Ok(result?),
        }
    }

    /// Makes this root the root of the calling process, and the host's tree vanish.
    pub fn enter(self) -> Result<(), StepError> {
        fchdir(&self.0).step("enter the root file system")?;
        pivot_root(".", ".").step("change the root")?;
        unmount(".", UnmountFlags::DETACH).step("leave the host's tree")?;
        rustix::process::chdir("/").step("enter the new root")
    }
}

/// Makes a file system, mounted nowhere yet.
pub fn file_system(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", kind)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, *value)?;
    }
    fsconfig_create(&context)?;
    Ok(fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        attributes,
    )?)
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
