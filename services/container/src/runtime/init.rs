//! The container's init program: which one it is, and how one talks to it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};

/// Where distributions keep init, in the order tried.
const PLACES: &[&str] = &[
    "/sbin/init",
    "/usr/sbin/init",
    "/lib/systemd/systemd",
    "/init",
];

/// An init program found in a root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// Path to execute, inside the container.
    pub path: &'static str,
    /// What it is.
    pub kind: InitKind,
}

/// The families of init programs, by the signals they understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitKind {
    /// systemd.
    Systemd,
    /// BusyBox's init, as in Alpine.
    Busybox,
    /// Any other, taken to understand what sysvinit does.
    Other,
}

impl InitKind {
    /// Asks it to power off.
    pub fn shutdown_signal(self) -> i32 {
        match self {
            Self::Systemd => libc::SIGRTMIN() + 3,
            Self::Busybox => libc::SIGUSR2,
            Self::Other => libc::SIGPWR,
        }
    }

    /// Asks it to reboot.
    pub fn reboot_signal(self) -> i32 {
        match self {
            Self::Systemd => libc::SIGRTMIN() + 5,
            Self::Busybox => libc::SIGTERM,
            Self::Other => libc::SIGINT,
        }
    }

    fn of_program(name: &str) -> Self {
        match name {
            "systemd" => Self::Systemd,
            "busybox" => Self::Busybox,
            _ => Self::Other,
        }
    }
}

/// Finds init in a root file system; links are followed inside it only.
pub fn find(root: BorrowedFd<'_>) -> io::Result<Option<Init>> {
    for path in PLACES {
        let file = match open_inside(root, path, OFlags::PATH) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let status = fstat(&file)?;
        let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        if !is_file || status.st_mode & 0o111 == 0 {
            continue;
        }
        let target = std::fs::read_link(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        return Ok(Some(Init {
            path,
            kind: InitKind::of_program(&name),
        }));
    }
    Ok(None)
}

/// Whether a root file system has a directory at `path`.
pub fn has_directory(root: BorrowedFd<'_>, path: &str) -> bool {
    open_inside(root, path, OFlags::PATH | OFlags::DIRECTORY).is_ok()
}

/// Opens a path with links followed inside the root only. The kernel asks to try again when
/// anything on the host was mounted or renamed meanwhile, as happens all the time during its boot.
pub fn open_inside(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    loop {
        match openat2(
            root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        ) {
            Err(rustix::io::Errno::AGAIN) => {}
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn found(root: &Path) -> Option<Init> {
        find(fs::File::open(root).unwrap().as_fd()).unwrap()
    }

    #[test]
    fn follows_links_inside_the_root_only() {
        let root = tempfile::tempdir().unwrap();
        program(&root.path().join("usr/lib/systemd/systemd"));
        fs::create_dir_all(root.path().join("usr/sbin")).unwrap();
        symlink("usr/sbin", root.path().join("sbin")).unwrap();
        // Absolute, as Debian has it in places: means the container's root.
        symlink(
            "/usr/lib/systemd/systemd",
            root.path().join("usr/sbin/init"),
        )
        .unwrap();
        let init = found(root.path()).unwrap();
        assert_eq!((init.path, init.kind), ("/sbin/init", InitKind::Systemd));
    }

    #[test]
    fn a_link_to_the_hosts_programs_is_no_init() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sbin")).unwrap();
        symlink("/bin/sh", root.path().join("sbin/init")).unwrap();
        assert_eq!(found(root.path()), None);
    }

    #[test]
    fn tells_busybox() {
        let root = tempfile::tempdir().unwrap();
        program(&root.path().join("bin/busybox"));
        fs::create_dir(root.path().join("sbin")).unwrap();
        symlink("/bin/busybox", root.path().join("sbin/init")).unwrap();
        assert_eq!(found(root.path()).unwrap().kind, InitKind::Busybox);
    }
}
