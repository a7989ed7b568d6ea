//! The system calls each class of thread may make. Everything else kills the process.
//!
//! | class | who | what for |
//! |---|---|---|
//! | `Main` | main thread | sockets given to it, building machines, starting threads |
//! | … `shares` | in a machine that shares directories | besides, what `Share` may |
//! | … `host_devices` | in a machine that has devices of the host | besides, their interrupts, lending them memory |
//! | … `host_nodes` | in a machine whose memory is on certain nodes of the host | besides, saying so |
//! | `Vcpu` | virtual CPUs | running the guest, waking others, keeping its firmware's variables |
//! | … `host_devices` | in a machine that has devices of the host | besides, their registers and interrupts |
//! | `Worker` | devices | the descriptors given to them |
//! | `Share` | shared directories | the same, and handing memory and eventfds to the directory's server |
//! | `Display` | viewers of the screen | the sockets of those who connect |
//! | `Mover` | saving, moving | one file or connection, the dirty log |
//!
//! Devices that are plugged into a running machine come to be as all others do: on the main thread,
//! from descriptors and from rings that were made before the sandbox closed.
//!
//! No class has a call that opens, creates, executes or connects anything.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::Error;
use crate::disk::ring::REGISTER_FILES_UPDATE;
use crate::machine::hyperv;
use crate::vfio::sys as vfio;
use crate::virtio::vhost;

/// Classes of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadClass {
    /// The main thread.
    Main {
        /// Whether the machine has shared directories.
        shares: bool,
        /// Whether it has devices of the host.
        host_devices: bool,
        /// Whether its memory, which comes anew with a reset, is on certain nodes of the host.
        host_nodes: bool,
    },
    /// A virtual CPU.
    Vcpu {
        /// Whether the machine has devices of the host.
        host_devices: bool,
    },
    /// A device.
    Worker,
    /// A shared directory.
    Share,
    /// The server of the screen.
    Display,
    /// What carries a state away.
    Mover,
}

impl ThreadClass {
    fn is_main(self) -> bool {
        matches!(self, Self::Main { .. })
    }
}

/// What the language's and the C library's machinery needs on any thread: memory, locks,
/// signals, time, ending.
const COMMON: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_write,
];

/// The main thread's sockets, its building of machines, and what starting a thread needs.
const MAIN: &[i64] = &[
    libc::SYS_accept4,
    libc::SYS_clone3,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd2,
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_fstat,
    libc::SYS_fsync,
    libc::SYS_io_uring_enter,
    libc::SYS_lseek,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_rseq,
    libc::SYS_seccomp,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_shutdown,
    libc::SYS_statx,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_writev,
];

/// Keeping the firmware's variables, which the guest's writes to flash memory do.
const VCPU: &[i64] = &[libc::SYS_fdatasync, libc::SYS_pwrite64];

/// Reading a device of the host's registers; writing them is writing to a file.
const VCPU_HOST_DEVICES: &[i64] = &[libc::SYS_pread64];

/// A device's input and output.
const WORKER: &[i64] = &[
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    // A ring itself allows only transfers to and from its image: see `disk::ring`.
    libc::SYS_io_uring_enter,
    libc::SYS_lseek,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_timerfd_settime,
    libc::SYS_writev,
];

/// A conversation with the server of a shared directory, each time that the guest's driver starts: it is
/// given the memory and the eventfds of the queues (`SCM_RIGHTS`) over the connection that there is.
const SHARE: &[i64] = &[libc::SYS_recvmsg, libc::SYS_sendmsg];

/// Saying which of the host's nodes memory comes from.
const HOST_NODES: &[i64] = &[libc::SYS_mbind];

/// The screen's viewers.
const DISPLAY: &[i64] = &[
    libc::SYS_accept4,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
];

/// Carrying a state into a file or over a connection.
const MOVER: &[i64] = &[
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_fsync,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_pwrite64,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_statx,
];

const READ: u64 = 2;
const WRITE: u64 = 1;
const KVM: u64 = 0xae;

/// Number of an ioctl, as the kernel's `_IOC` makes it.
const fn ioc(direction: u64, kind: u64, number: u64, size: u64) -> u64 {
    direction << 30 | size << 16 | kind << 8 | number
}

const KVM_RUN: u64 = ioc(0, KVM, 0x80, 0);
const KVM_IRQ_LINE: u64 = ioc(WRITE, KVM, 0x61, 8);
const KVM_SIGNAL_MSI: u64 = ioc(WRITE, KVM, 0xa5, 32);
const KVM_IOEVENTFD: u64 = ioc(WRITE, KVM, 0x79, 64);
const KVM_KVMCLOCK_CTRL: u64 = ioc(0, KVM, 0xad, 0);
const KVM_GET_REGS: u64 = ioc(READ, KVM, 0x81, 144);
/// Flash memory is taken out of the guest's memory while it answers commands.
const KVM_SET_USER_MEMORY_REGION: u64 = ioc(WRITE, KVM, 0x46, 32);
const TUNSETOFFLOAD: u64 = 0x4004_54d0;
const TUNGETIFF: u64 = 0x8004_54d2;
const TUNSETVNETHDRSZ: u64 = 0x4004_54d8;
const FIONBIO: u64 = 0x5421;

/// A network card's interrupts are led past this process, or back.
const KVM_SET_GSI_ROUTING: u64 = ioc(WRITE, KVM, 0x6a, 8);
const KVM_IRQFD: u64 = ioc(WRITE, KVM, 0x76, 32);

const VCPU_IOCTLS: &[u64] = &[
    KVM_SET_GSI_ROUTING,
    KVM_IRQFD,
    KVM_RUN,
    KVM_IRQ_LINE,
    KVM_SIGNAL_MSI,
    KVM_IOEVENTFD,
    KVM_KVMCLOCK_CTRL,
    KVM_GET_REGS,
    KVM_SET_USER_MEMORY_REGION,
];

/// An input device may interrupt the guest from the thread that serves viewers.
const DISPLAY_IOCTLS: &[u64] = &[KVM_IRQ_LINE, KVM_SIGNAL_MSI];

const WORKER_IOCTLS: &[u64] = &[
    KVM_IRQ_LINE,
    KVM_SIGNAL_MSI,
    KVM_SET_GSI_ROUTING,
    KVM_IRQFD,
    TUNSETOFFLOAD,
];

/// Accepting connections and building a machine, beside what its threads do.
const MAIN_IOCTLS: &[u64] = &[
    FIONBIO,
    TUNGETIFF,
    TUNSETVNETHDRSZ,
    ioc(0, KVM, 0x01, 0),            // KVM_CREATE_VM
    ioc(0, KVM, 0x03, 0),            // KVM_CHECK_EXTENSION
    ioc(0, KVM, 0x04, 0),            // KVM_GET_VCPU_MMAP_SIZE
    ioc(READ | WRITE, KVM, 0x05, 8), // KVM_GET_SUPPORTED_CPUID
    ioc(0, KVM, 0x41, 0),            // KVM_CREATE_VCPU
    ioc(0, KVM, 0x47, 0),            // KVM_SET_TSS_ADDR
    ioc(WRITE, KVM, 0x48, 8),        // KVM_SET_IDENTITY_MAP_ADDR
    ioc(0, KVM, 0x60, 0),            // KVM_CREATE_IRQCHIP
    ioc(WRITE, KVM, 0x77, 64),       // KVM_CREATE_PIT2
    ioc(WRITE, KVM, 0x82, 144),      // KVM_SET_REGS
    ioc(READ, KVM, 0x83, 312),       // KVM_GET_SREGS
    ioc(WRITE, KVM, 0x84, 312),      // KVM_SET_SREGS
    ioc(WRITE, KVM, 0x89, 8),        // KVM_SET_MSRS
    ioc(READ, KVM, 0x8e, 1024),      // KVM_GET_LAPIC
    ioc(WRITE, KVM, 0x8f, 1024),     // KVM_SET_LAPIC
    ioc(WRITE, KVM, 0x90, 8),        // KVM_SET_CPUID2
    ioc(WRITE, KVM, 0xa3, 104),      // KVM_ENABLE_CAP
    hyperv::KVM_GET_SUPPORTED_HV_CPUID,
];

/// Telling KVM of the groups of devices of the host.
const GROUP_IOCTLS: &[u64] = &[
    ioc(READ | WRITE, KVM, 0xe0, 12), // KVM_CREATE_DEVICE
    ioc(WRITE, KVM, 0xe1, 24),        // KVM_SET_DEVICE_ATTR
];

/// Reading and setting what KVM keeps of a machine.
const STATE_IOCTLS: &[u64] = &[
    ioc(READ | WRITE, KVM, 0x02, 4),   // KVM_GET_MSR_INDEX_LIST
    ioc(READ | WRITE, KVM, 0x62, 520), // KVM_GET_IRQCHIP
    ioc(READ, KVM, 0x63, 520),         // KVM_SET_IRQCHIP
    ioc(WRITE, KVM, 0x7b, 48),         // KVM_SET_CLOCK
    ioc(READ, KVM, 0x7c, 48),          // KVM_GET_CLOCK
    ioc(READ | WRITE, KVM, 0x88, 8),   // KVM_GET_MSRS
    ioc(READ, KVM, 0x98, 4),           // KVM_GET_MP_STATE
    ioc(WRITE, KVM, 0x99, 4),          // KVM_SET_MP_STATE
    ioc(READ, KVM, 0x9f, 112),         // KVM_GET_PIT2
    ioc(READ, KVM, 0x9f, 64),          // KVM_GET_VCPU_EVENTS
    ioc(WRITE, KVM, 0xa0, 112),        // KVM_SET_PIT2
    ioc(WRITE, KVM, 0xa0, 64),         // KVM_SET_VCPU_EVENTS
    ioc(READ, KVM, 0xa1, 128),         // KVM_GET_DEBUGREGS
    ioc(WRITE, KVM, 0xa2, 128),        // KVM_SET_DEBUGREGS
    ioc(0, KVM, 0xa2, 0),              // KVM_SET_TSC_KHZ
    ioc(0, KVM, 0xa3, 0),              // KVM_GET_TSC_KHZ
    ioc(READ, KVM, 0xa4, 4096),        // KVM_GET_XSAVE
    ioc(WRITE, KVM, 0xa5, 4096),       // KVM_SET_XSAVE
    ioc(READ, KVM, 0xa6, 392),         // KVM_GET_XCRS
    ioc(WRITE, KVM, 0xa7, 392),        // KVM_SET_XCRS
    ioc(READ | WRITE, KVM, 0xbe, 128), // KVM_GET_NESTED_STATE
    ioc(WRITE, KVM, 0xbf, 128),        // KVM_SET_NESTED_STATE
    ioc(READ, KVM, 0xcf, 4096),        // KVM_GET_XSAVE2
];

const KVM_GET_DIRTY_LOG: u64 = ioc(WRITE, KVM, 0x42, 16);
const MOVER_IOCTLS: &[u64] = &[KVM_GET_DIRTY_LOG];

/// Installs the filter of the calling thread's class, and with it `no_new_privs`.
pub fn enter(class: ThreadClass) -> Result<(), Error> {
    let program = compile(class)?;
    seccompiler::apply_filter(&program).map_err(|e| Error::Seccomp(e.to_string()))
}

/// The calls of a class, and its ioctls.
fn allowed(class: ThreadClass) -> (Vec<&'static [i64]>, Vec<&'static [u64]>) {
    match class {
        ThreadClass::Main {
            shares,
            host_devices,
            host_nodes,
        } => {
            let (mut calls, ioctls) = allowed_main(shares, host_devices);
            if host_nodes {
                calls.push(HOST_NODES);
            }
            (calls, ioctls)
        }
        ThreadClass::Vcpu {
            host_devices: false,
        } => (vec![COMMON, VCPU], vec![VCPU_IOCTLS]),
        ThreadClass::Vcpu { host_devices: true } => (
            vec![COMMON, VCPU, VCPU_HOST_DEVICES],
            vec![VCPU_IOCTLS, vfio::VCPU_IOCTLS],
        ),
        ThreadClass::Worker => (
            vec![COMMON, WORKER],
            vec![WORKER_IOCTLS, vhost::WORKER_IOCTLS],
        ),
        ThreadClass::Share => (vec![COMMON, WORKER, SHARE], vec![WORKER_IOCTLS]),
        ThreadClass::Display => (vec![COMMON, DISPLAY], vec![DISPLAY_IOCTLS]),
        ThreadClass::Mover => (vec![COMMON, MOVER], vec![MOVER_IOCTLS]),
    }
}

/// The same for the main thread, which may all that its devices' threads may.
fn allowed_main(shares: bool, host_devices: bool) -> (Vec<&'static [i64]>, Vec<&'static [u64]>) {
    let mut calls = vec![COMMON, MAIN];
    let mut ioctls = vec![
        vhost::MAIN_IOCTLS,
        vhost::WORKER_IOCTLS,
        VCPU_IOCTLS,
        WORKER_IOCTLS,
        MAIN_IOCTLS,
        STATE_IOCTLS,
        MOVER_IOCTLS,
    ];
    if shares {
        calls.push(SHARE);
    }
    if host_devices {
        ioctls.extend([GROUP_IOCTLS, vfio::MAIN_IOCTLS]);
    }
    (calls, ioctls)
}

fn compile(class: ThreadClass) -> Result<BpfProgram, Error> {
    let (calls, ioctls) = allowed(class);
    let failed = |e: seccompiler::BackendError| Error::Seccomp(e.to_string());
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = calls
        .concat()
        .into_iter()
        .map(|call| (call, Vec::new()))
        .collect();
    let ioctls = ioctls
        .concat()
        .into_iter()
        .map(|code| argument(1, code))
        .collect::<Result<_, _>>();
    rules.insert(libc::SYS_ioctl, ioctls.map_err(failed)?);
    rules.insert(libc::SYS_fcntl, fcntl(class).map_err(failed)?);
    rules.insert(
        libc::SYS_madvise,
        vec![argument(2, libc::MADV_DONTNEED as u64).map_err(failed)?],
    );
    if class.is_main() {
        rules.insert(libc::SYS_clone, thread_only().map_err(failed)?);
        // A ring's image, and nothing else of it.
        let image = argument(1, REGISTER_FILES_UPDATE.into()).map_err(failed)?;
        rules.insert(libc::SYS_io_uring_register, vec![image]);
    }
    rules.insert(libc::SYS_mmap, no_execution().map_err(failed)?);
    rules.insert(libc::SYS_mprotect, no_execution().map_err(failed)?);
    rules.insert(libc::SYS_prctl, prctl(class).map_err(failed)?);
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        TargetArch::x86_64,
    );
    filter.and_then(BpfProgram::try_from).map_err(failed)
}

/// A rule: the low half of argument `index` equals `value`.
fn argument(index: u8, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    let equal = SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?;
    SeccompRule::new(vec![equal])
}

/// `mmap` and `mprotect` may not make memory executable.
fn no_execution() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let mask = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
    let condition = SeccompCondition::new(2, SeccompCmpArgLen::Dword, mask, 0)?;
    Ok(vec![SeccompRule::new(vec![condition])?])
}

/// `clone` may only start threads. The C library falls back to it where the service manager
/// forbids namespaces: its filter cannot read the flags of `clone3` and says there is none.
fn thread_only() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let thread = libc::CLONE_THREAD as u64;
    let mask = SeccompCmpOp::MaskedEq(thread);
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, mask, thread)?;
    Ok(vec![SeccompRule::new(vec![condition])?])
}

fn fcntl(class: ThreadClass) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let commands: &[libc::c_int] = match class {
        // An image's descriptor leaves the page cache out, a tap's does not block.
        ThreadClass::Main { .. } => &[
            libc::F_DUPFD_CLOEXEC,
            libc::F_GETFD,
            libc::F_GETFL,
            libc::F_SETFL,
        ],
        // The standard library checks descriptors when it closes them in debug builds.
        ThreadClass::Vcpu { .. }
        | ThreadClass::Worker
        | ThreadClass::Share
        | ThreadClass::Display
        | ThreadClass::Mover => &[libc::F_GETFD],
    };
    commands
        .iter()
        .map(|command| argument(1, *command as u64))
        .collect()
}

fn prctl(class: ThreadClass) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let options: &[libc::c_int] = match class {
        // A thread's name, and what installing its filter asks for.
        ThreadClass::Main { .. } => &[libc::PR_SET_NAME, libc::PR_SET_NO_NEW_PRIVS],
        ThreadClass::Vcpu { .. }
        | ThreadClass::Worker
        | ThreadClass::Share
        | ThreadClass::Display
        | ThreadClass::Mover => &[libc::PR_SET_NAME],
    };
    options
        .iter()
        .map(|option| argument(0, *option as u64))
        .collect()
}
