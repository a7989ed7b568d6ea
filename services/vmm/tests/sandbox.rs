//! The sandbox holds. Each act is committed in a process of its own: this test binary again,
//! running the ignored test `actor`.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use basalt_vmm::sandbox::{ThreadClass, descriptors, enter, landlock};

const ACT: &str = "BASALT_TEST_ACT";
/// Status of an actor that was stopped by an error, not by a signal.
const REFUSED: i32 = 42;

fn act(name: &str) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "actor", "--ignored", "--nocapture"])
        .env(ACT, name)
        .output()
        .unwrap()
        .status
}

#[test]
#[ignore = "run by the other tests, in a process that may be killed"]
fn actor() {
    let Ok(act) = std::env::var(ACT) else { return };
    let (class, deed) = act.split_once(' ').unwrap();
    match class {
        "landlock" => landlock::close().unwrap(),
        "descriptors" => descriptors::close_all_but(&[]).unwrap(),
        "main" => enter(ThreadClass::Main).unwrap(),
        "vcpu" => enter(ThreadClass::Vcpu).unwrap(),
        "mover" => enter(ThreadClass::Mover).unwrap(),
        _ => enter(ThreadClass::Worker).unwrap(),
    }
    let refused = match deed {
        "nothing" => false,
        "open" => File::open("/dev/null").is_err(),
        "bind" => std::net::TcpListener::bind("127.0.0.1:0").is_err(),
        "socket" => std::os::unix::net::UnixDatagram::unbound().is_err(),
        "execute" => Command::new("/bin/true").status().is_err(),
        // SAFETY: raw calls whose arguments are numbers; the process ends right after.
        _ => unsafe { raw(deed) },
    };
    std::process::exit(if refused { REFUSED } else { 0 });
}

/// # Safety
/// The process must end right after.
unsafe fn raw(deed: &str) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let executable = libc::PROT_READ | libc::PROT_EXEC;
        let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        match deed {
            "terminal" => libc::ioctl(0, libc::TIOCSTI, c"x".as_ptr()) < 0,
            "executable" => {
                let page = libc::mmap(std::ptr::null_mut(), 4096, executable, anonymous, -1, 0);
                page == libc::MAP_FAILED
            }
            "fork" => libc::syscall(libc::SYS_fork) < 0,
            "trace" => libc::ptrace(libc::PTRACE_TRACEME) < 0,
            "read" => libc::read(17, [0u8; 1].as_mut_ptr().cast(), 1) < 0,
            other => panic!("what is {other}?"),
        }
    }
}

#[test]
fn forbidden_calls_kill_in_every_class() {
    for class in ["main", "vcpu", "worker", "mover"] {
        for deed in [
            "open",
            "bind",
            "socket",
            "execute",
            "terminal",
            "executable",
            "fork",
            "trace",
        ] {
            let status = act(&format!("{class} {deed}"));
            assert_eq!(
                status.signal(),
                Some(libc::SIGSYS),
                "{class} {deed}: {status}"
            );
        }
    }
}

#[test]
fn allowed_calls_do_not() {
    for class in ["main", "vcpu", "worker", "mover", "landlock", "descriptors"] {
        let status = act(&format!("{class} nothing"));
        assert!(status.success(), "{class}: {status}");
    }
}

#[test]
fn landlock_alone_refuses_every_file_too() {
    // SAFETY: asks for the version only.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    if version < 1 {
        eprintln!("skipped: this kernel has no Landlock");
        return;
    }
    assert_eq!(act("landlock open").code(), Some(REFUSED));
}

#[test]
fn descriptors_that_were_not_given_are_gone() {
    assert_eq!(act("descriptors read").code(), Some(REFUSED));
}
