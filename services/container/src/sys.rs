//! The system calls that no crate of ours wraps safely: `clone3`, `mount_setattr`, `seccomp` and
//! one interface `ioctl`. All `unsafe` of this crate is here.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::io::unix::AsyncFd;

/// A child process, referred to by descriptor.
#[derive(Debug)]
pub struct ChildProcess {
    /// Its number in our process id namespace.
    pub pid: u32,
    /// Becomes readable when it ended.
    pub pidfd: OwnedFd,
}

/// `CLONE_INTO_CGROUP` of `linux/sched.h`; libc's constant is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks this process into new namespaces (`CLONE_NEW…` flags), optionally straight into a
/// cgroup, and runs `child` there; its result is the exit code, 101 when it panics.
///
/// Refused unless this process has a single thread: a child of several would own whatever locks
/// the others held.
pub fn clone_child(
    namespaces: libc::c_int,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> u8,
) -> io::Result<ChildProcess> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("the process has several threads"));
    }
    let mut pidfd: libc::c_int = -1;
    let mut flags = namespaces as u64 | libc::CLONE_PIDFD as u64;
    let mut cgroup_fd = 0;
    if let Some(cgroup) = cgroup {
        flags |= CLONE_INTO_CGROUP;
        cgroup_fd = cgroup.as_raw_fd() as u64;
    }
    let arguments = libc::clone_args {
        flags,
        pidfd: &raw mut pidfd as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup_fd,
    };
    // SAFETY: the structure lives through the call and has the size given. Without CLONE_VM and
    // with no stack the call behaves as fork: the child runs on a copy of everything, and as this
    // process has one thread (checked above), that copy is consistent.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<libc::clone_args>(),
        )
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = catch_unwind(AssertUnwindSafe(child)).unwrap_or(101);
            // SAFETY: ends the child without running the exit handlers it copied from its parent.
            unsafe { libc::_exit(i32::from(code)) }
        }
        pid => Ok(ChildProcess {
            pid: pid as u32,
            // SAFETY: the kernel stored a new descriptor here that nobody else owns.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
    }
}

/// A namespace that a process moves into by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnNamespace {
    /// Mounts.
    Mount,
    /// The view of the cgroup tree.
    Cgroup,
}

/// Moves this process into a new namespace.
pub fn unshare(namespace: OwnNamespace) -> io::Result<()> {
    let flag = match namespace {
        OwnNamespace::Mount => libc::CLONE_NEWNS,
        OwnNamespace::Cgroup => libc::CLONE_NEWCGROUP,
    };
    // SAFETY: these two flags touch no memory and no descriptor of the process.
    check(unsafe { libc::unshare(flag) }.into())
}

/// Sends a signal by number, real-time ones included.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: plain numbers and a null siginfo, which the call allows.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    check(result)
}

/// What `mount_setattr` changes.
#[derive(Debug, Default, Clone, Copy)]
pub struct MountAttributes<'a> {
    /// `MOUNT_ATTR_…` bits to set.
    pub set: u64,
    /// Propagation type, e.g. `MS_PRIVATE`; zero leaves it.
    pub propagation: u64,
    /// User namespace whose mapping the mount gets.
    pub idmap: Option<BorrowedFd<'a>>,
    /// Apply to every mount below as well.
    pub recursive: bool,
}

/// Changes the mount that `mount` refers to.
pub fn mount_setattr(mount: BorrowedFd<'_>, change: MountAttributes<'_>) -> io::Result<()> {
    let mut attributes = libc::mount_attr {
        attr_set: change.set,
        attr_clr: 0,
        propagation: change.propagation,
        userns_fd: 0,
    };
    if let Some(namespace) = change.idmap {
        attributes.attr_set |= libc::MOUNT_ATTR_IDMAP;
        attributes.userns_fd = namespace.as_raw_fd() as u64;
    }
    let mut flags = libc::AT_EMPTY_PATH;
    if change.recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is a valid empty C string, the structure lives through the call and has
    // the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result)
}

/// Installs a seccomp filter without `no_new_privs`; needs `CAP_SYS_ADMIN` in the process's user
/// namespace.
pub fn install_seccomp(program: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel only reads the program, which lives through the call, and checks it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    check(result)
}

/// Brings the loopback interface of this network namespace up.
pub fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short,
        },
    };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which lives through the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    check(result.into())
}

/// Marks every descriptor but the standard streams to be closed when a program is executed.
pub fn close_on_exec_above_streams() -> io::Result<()> {
    // SAFETY: plain numbers; the flag closes nothing that this process still uses.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3_u32,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    check(result)
}

/// A descriptor that becomes readable when this terminal's window changed. Reading takes it back.
pub fn window_changes() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset before it is used, and lives through both calls,
    // which only read it; signalfd makes a new descriptor that nobody else owns.
    unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        let mut set = set.assume_init();
        libc::sigaddset(&raw mut set, libc::SIGWINCH);
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())?;
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        check(fd.into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Lets the event loop watch a descriptor.
pub fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd keeps the same open descriptor for as long as it lives.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}
