//! The sandbox holds. Each act is committed in a process of its own: this test binary again,
//! running the ignored test `actor`.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::fs::File;
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use basalt_model::disk::{CacheMode, ImageFormat};
use basalt_vmm::disk::ring::Rings;
use basalt_vmm::disk::vectors::{Aligned, Vectors};
use basalt_vmm::disk::{Disk, Image, Operation};
use basalt_vmm::sandbox::{ThreadClass, descriptors, enter, landlock};
use basalt_vmm::tpm::crb::refusal;
use basalt_vmm::tpm::emulator::Emulator;
use basalt_vmm::tpm::store::Store;
use basalt_vmm::vfio::sys::DEVICE_SET_IRQS;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

const ACT: &str = "BASALT_TEST_ACT";
const IMAGE: &str = "BASALT_TEST_IMAGE";
/// Status of an actor that was stopped by an error, not by a signal.
const REFUSED: i32 = 42;

fn act(name: &str) -> ExitStatus {
    act_on(name, Path::new(""))
}

fn act_on(name: &str, image: &Path) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "actor", "--ignored", "--nocapture"])
        .env(ACT, name)
        .env(IMAGE, image)
        .output()
        .unwrap()
        .status
}

#[test]
#[ignore = "run by the other tests, in a process that may be killed"]
fn actor() {
    let Ok(act) = std::env::var(ACT) else { return };
    let (class, deed) = act.split_once(' ').unwrap();
    let disk = disk_for(deed);
    let parts = parts_for(deed);
    let module = module_for(deed);
    let connection = UnixStream::pair().unwrap();
    match class {
        "landlock" => landlock::close().unwrap(),
        "descriptors" => descriptors::close_all_but(&[]).unwrap(),
        "main" => enter(main_class(false, false)).unwrap(),
        "main-with-shares" => enter(main_class(true, false)).unwrap(),
        "main-with-host-devices" => enter(main_class(false, true)).unwrap(),
        "main-with-both" => enter(main_class(true, true)).unwrap(),
        "share" => enter(ThreadClass::Share).unwrap(),
        "vcpu" => enter(vcpu_class(false)).unwrap(),
        "vcpu-with-host-devices" => enter(vcpu_class(true)).unwrap(),
        "mover" => enter(ThreadClass::Mover).unwrap(),
        _ => enter(ThreadClass::Worker).unwrap(),
    }
    let refused = match deed {
        "nothing" => false,
        "raw" | "qcow2" => {
            use_disk(disk.unwrap());
            false
        }
        "plug" => {
            plug(parts.unwrap());
            false
        }
        "tpm" => {
            use_module(module.unwrap());
            false
        }
        "lend" => {
            lend(&connection.0);
            false
        }
        "open" => File::open("/dev/null").is_err(),
        "bind" => std::net::TcpListener::bind("127.0.0.1:0").is_err(),
        "socket" => std::os::unix::net::UnixDatagram::unbound().is_err(),
        "execute" => Command::new("/bin/true").status().is_err(),
        // SAFETY: raw calls whose arguments are numbers; the process ends right after.
        _ => unsafe { raw(deed) },
    };
    std::process::exit(if refused { REFUSED } else { 0 });
}

fn main_class(shares: bool, host_devices: bool) -> ThreadClass {
    ThreadClass::Main {
        shares,
        host_devices,
        host_nodes: false,
    }
}

fn vcpu_class(host_devices: bool) -> ThreadClass {
    ThreadClass::Vcpu { host_devices }
}

/// The disk that an actor uses, opened before its sandbox closes.
fn disk_for(deed: &str) -> Option<Box<dyn Disk>> {
    let format = match deed {
        "raw" => ImageFormat::Raw,
        "qcow2" => ImageFormat::Qcow2,
        _ => return None,
    };
    let path = std::env::var(IMAGE).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let cache = CacheMode::Directsync;
    let image = Image::prepare(
        "disk",
        format,
        file,
        Vec::new(),
        cache,
        false,
        &mut Rings::prepare(1),
    );
    Some(image.open().unwrap())
}

/// What a disk that is plugged in later is made of: rings that were made before the sandbox closed,
/// and a file that came from outside.
fn parts_for(deed: &str) -> Option<(Rings, File)> {
    let path = (deed == "plug").then(|| std::env::var(IMAGE).unwrap())?;
    let file = File::options().read(true).write(true).open(path).unwrap();
    Some((Rings::prepare(1), file))
}

/// A module's emulator, which answers one command with all it has to say, and its volume.
fn module_for(deed: &str) -> Option<(Emulator, Store)> {
    let path = (deed == "tpm").then(|| std::env::var(IMAGE).unwrap())?;
    let file = File::options().read(true).write(true).open(path).unwrap();
    let (control, _theirs) = UnixStream::pair().unwrap();
    let (data, mut theirs) = UnixStream::pair().unwrap();
    // The answer is there before the command.
    theirs.write_all(&refusal(0)).unwrap();
    // Nobody hangs up before the process ends.
    std::mem::forget(theirs);
    let emulator = Emulator::new(control, data).unwrap();
    Some((emulator, Store::open(file).unwrap()))
}

/// Everything that the thread of a module does.
fn use_module((mut emulator, mut store): (Emulator, Store)) {
    emulator.shut_down().unwrap();
    store.keep(b"first").unwrap();
    store.keep(b"second").unwrap();
}

/// Hands a descriptor to the other end of a connection.
fn lend(connection: &UnixStream) {
    let lent = [connection.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&lent)));
    let data = [IoSlice::new(b"x")];
    let sent = sendmsg(connection, &data, &mut control, SendFlags::NOSIGNAL);
    assert_eq!(sent, Ok(1));
}

/// Puts a disk into service and takes it out again, twice.
fn plug((mut rings, file): (Rings, File)) {
    for _ in 0..2 {
        let file = file.try_clone().unwrap();
        let (format, cache) = (ImageFormat::Raw, CacheMode::None);
        let image = Image::prepare("disk", format, file, Vec::new(), cache, false, &mut rings);
        use_disk(image.open().unwrap());
        if let Some(ring) = image.take_ring() {
            rings.give_back(ring);
        }
    }
}

/// Everything that a device does with its disk.
fn use_disk(mut disk: Box<dyn Disk>) {
    let buffer = Arc::new(Aligned::new(4096).unwrap());
    let memory = || Vectors::own(buffer.clone(), 4096);
    let (offset, len) = (4096, 4096);
    let operations = [
        Operation::Write {
            offset,
            from: memory(),
        },
        Operation::Flush,
        Operation::Read {
            offset,
            into: memory(),
        },
        Operation::Zero {
            offset,
            len,
            unmap: false,
        },
        Operation::Discard { offset, len },
    ];
    let mut done = Vec::new();
    for (tag, operation) in operations.into_iter().enumerate() {
        disk.submit(tag as u64, operation);
        while done.len() <= tag {
            disk.wait().unwrap();
            disk.collect(&mut done);
        }
    }
    assert!(done.iter().all(|one| one.result.is_ok()), "{done:?}");
    let mut block = Aligned::new(4096).unwrap();
    disk.read_now(0, block.bytes_mut()).unwrap();
    disk.grow(disk.size()).unwrap();
    disk.finish().unwrap();
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
            "ring" => libc::syscall(libc::SYS_io_uring_setup, 1, 0) < 0,
            // Buffers, not files.
            "register" => libc::syscall(libc::SYS_io_uring_register, -1, 0, 0, 0) < 0,
            "trace" => libc::ptrace(libc::PTRACE_TRACEME) < 0,
            // Of a descriptor that is none.
            "interrupts" => libc::ioctl(-1, DEVICE_SET_IRQS, 0) < 0,
            "read" => libc::read(17, [0u8; 1].as_mut_ptr().cast(), 1) < 0,
            other => panic!("what is {other}?"),
        }
    }
}

#[test]
fn forbidden_calls_kill_in_every_class() {
    for class in [
        "main",
        "main-with-shares",
        "main-with-host-devices",
        "main-with-both",
        "vcpu",
        "vcpu-with-host-devices",
        "worker",
        "share",
        "mover",
    ] {
        for deed in [
            "open",
            "bind",
            "socket",
            "execute",
            "terminal",
            "executable",
            "fork",
            "trace",
            "ring",
            "register",
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
fn only_shared_directories_lend_descriptors() {
    for class in ["share", "main-with-shares", "main-with-both"] {
        let status = act(&format!("{class} lend"));
        assert!(status.success(), "{class}: {status}");
    }
    for class in ["main", "main-with-host-devices", "vcpu", "worker", "mover"] {
        let status = act(&format!("{class} lend"));
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{class}: {status}");
    }
}

#[test]
fn devices_of_the_host_are_spoken_to_where_there_are_some() {
    for class in ["main", "main-with-shares", "vcpu", "worker", "share"] {
        let status = act(&format!("{class} interrupts"));
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{class}: {status}");
    }
    for class in [
        "main-with-host-devices",
        "main-with-both",
        "vcpu-with-host-devices",
    ] {
        let status = act(&format!("{class} interrupts"));
        assert_eq!(status.code(), Some(REFUSED), "{class}: {status}");
    }
}

#[test]
fn a_device_uses_its_disk_inside_its_sandbox() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    File::create(&raw).unwrap().set_len(1 << 20).unwrap();
    let status = act_on("worker raw", &raw);
    assert!(status.success(), "{status}");
    let qcow2 = dir.path().join("qcow2");
    let made = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2"])
        .arg(&qcow2)
        .arg("1M")
        .status();
    match made {
        Ok(made) => assert!(made.success()),
        Err(error) => {
            eprintln!("skipped: qemu-img: {error}");
            return;
        }
    }
    let status = act_on("worker qcow2", &qcow2);
    assert!(status.success(), "{status}");
}

#[test]
fn a_disk_is_plugged_in_inside_the_sandbox() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    File::create(&raw).unwrap().set_len(1 << 20).unwrap();
    let status = act_on("main plug", &raw);
    assert!(status.success(), "{status}");
}

#[test]
fn a_module_is_used_inside_its_sandbox() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    File::create(&state).unwrap().set_len(4 << 20).unwrap();
    for class in ["worker", "main"] {
        let status = act_on(&format!("{class} tpm"), &state);
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
