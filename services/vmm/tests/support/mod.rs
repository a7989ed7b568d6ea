//! Starting a monitor for tests, with a guest of a few instructions.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod guests;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use basalt_model::cpu::CpuSpec;
use basalt_model::disk::Optical;
use basalt_model::machine::{
    Adapter, Boot, Disk, Display, MachineSpec, PROTOCOL, Request, Response, Slot, Started,
};
use basalt_model::numa::Numa;
use basalt_vmm::spec;
#[allow(unused_imports, reason = "each test binary uses a part")]
pub use guests::{COUNTER, CPU_EJECTOR, EJECTOR, GUEST, PANICKER, SECOND};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// Long enough for a busy test machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bzImage whose 64-bit entry is `guest`.
fn kernel(guest: &[u8]) -> File {
    const SETUP: usize = 1024;
    const ENTRY: usize = 0x200;
    let mut image = vec![0; SETUP + 4096];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]); // setup sectors
    put(0x202, b"HdrS");
    put(0x206, &0x020fu16.to_le_bytes()); // protocol
    put(0x211, &[1]); // loaded high
    put(0x22c, &0x7fff_ffffu32.to_le_bytes()); // limit of the RAM disk
    put(0x234, &[1]); // relocatable
    put(0x236, &1u16.to_le_bytes()); // 64-bit entry
    put(0x260, &(1u32 << 20).to_le_bytes()); // memory needed
    put(SETUP + ENTRY, guest);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&image).unwrap();
    file
}

/// A running monitor.
pub struct Monitor {
    child: Child,
    dir: tempfile::TempDir,
    disk: File,
    starter: Option<UnixStream>,
}

/// Starts a monitor, or says why the test cannot run here and returns `None`.
pub fn start() -> Option<Monitor> {
    let (monitor, answer) = Setup::default().start()?;
    assert_eq!(answer, Started::Ok);
    Some(monitor)
}

/// A machine for tests.
pub struct Setup {
    /// What it boots.
    pub guest: &'static [u8],
    /// Its memory.
    pub memory_mib: u64,
    /// Most memory, if more may come.
    pub memory_max_mib: Option<u64>,
    /// Size of its pages, when they are huge.
    pub hugepages_mib: Option<u64>,
    /// Its sockets and nodes.
    pub numa: Option<Numa>,
    /// Its virtual CPUs.
    pub vcpus: u8,
    /// Those of them that are there from the start, if others may come.
    pub plugged: Option<u8>,
    /// What they can do.
    pub cpu: CpuSpec,
    /// Bytes of its disk.
    pub disk: u64,
    /// More disks, raw.
    pub more: Vec<(&'static str, File)>,
    /// Whether it has a second serial port.
    pub second_port: bool,
    /// The state it goes on from.
    pub restore: Option<OwnedFd>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            guest: GUEST,
            memory_mib: 64,
            memory_max_mib: None,
            hugepages_mib: None,
            numa: None,
            vcpus: 2,
            plugged: None,
            cpu: CpuSpec::default(),
            disk: 1 << 20,
            more: Vec::new(),
            second_port: false,
            restore: None,
        }
    }
}

impl Setup {
    /// Starts a monitor and returns it with its answer, or says why the test cannot run here.
    pub fn start(self) -> Option<(Monitor, Started)> {
        let (monitor, mut wait) = self.begin()?;
        let answer = wait();
        Some((monitor, answer))
    }

    /// The same, without waiting for the answer.
    pub fn begin(self) -> Option<(Monitor, impl FnMut() -> Started)> {
        let kvm = match OpenOptions::new().read(true).write(true).open("/dev/kvm") {
            Ok(kvm) => kvm,
            Err(error) => {
                eprintln!("skipped: /dev/kvm: {error}");
                return None;
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let listen = |name: &str| UnixListener::bind(dir.path().join(name)).unwrap();
        let disk = tempfile::tempfile().unwrap();
        disk.set_len(self.disk).unwrap();
        let image = disk.try_clone().unwrap();
        let mut fds: Vec<OwnedFd> = vec![
            kvm.into(),
            listen("control").into(),
            listen("serial").into(),
            kernel(self.guest).into(),
            image.into(),
            File::open("/dev/urandom").unwrap().into(),
            listen("vnc").into(),
        ];
        let mut disks = vec![Disk::raw("virtio0", Slot(4))];
        for (id, image) in self.more {
            disks.push(Disk::raw(id, Slot(fds.len())));
            fds.push(image.into());
        }
        let mut more_serial = [None; 3];
        if self.second_port {
            more_serial[0] = Some(Slot(fds.len()));
            fds.push(listen("serial1").into());
        }
        let restore = self.restore.is_some().then_some(Slot(fds.len()));
        fds.extend(self.restore);
        let machine = MachineSpec {
            protocol: PROTOCOL,
            name: "test".into(),
            vmid: 100,
            vcpus: self.vcpus,
            plugged: self.plugged,
            memory_mib: self.memory_mib,
            memory_max_mib: self.memory_max_mib,
            hugepages_mib: self.hugepages_mib,
            numa: self.numa,
            kvm: Slot(0),
            control: Slot(1),
            serial: Slot(2),
            more_serial,
            console: None,
            cpu: self.cpu,
            agent: None,
            balloon: Some(self.memory_mib),
            boot: Boot::Kernel {
                kernel: Slot(3),
                initrd: None,
                cmdline: "quiet".into(),
            },
            system: Default::default(),
            disks,
            opticals: vec![Optical {
                id: "ide2".into(),
                medium: None,
            }],
            nics: Vec::new(),
            shares: Vec::new(),
            rng: Some(Slot(5)),
            rng_limit: None,
            passthrough: None,
            tpm: None,
            vsock: None,
            watchdog: None,
            display: Some(Display {
                socket: Slot(6),
                adapter: Adapter::Virtio,
                tablet: true,
            }),
            restore,
        };
        let (child, starter) = begin(&machine, &fds);
        let answers = starter.try_clone().unwrap();
        let monitor = Monitor {
            child,
            dir,
            disk,
            starter: Some(starter),
        };
        Some((monitor, move || answer(&answers)))
    }
}

/// Starts a monitor with any specification and returns its answer.
pub fn hand_over(machine: &MachineSpec, fds: &[OwnedFd]) -> (Child, UnixStream, Started) {
    let (child, ours) = begin(machine, fds);
    let started = answer(&ours);
    (child, ours, started)
}

fn begin(machine: &MachineSpec, fds: &[OwnedFd]) -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_basalt-vmm"))
        .stdin(OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    spec::send(ours.as_fd(), machine, &borrowed).unwrap();
    (child, ours)
}

fn answer(starter: &UnixStream) -> Started {
    let mut line = String::new();
    BufReader::new(starter).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

impl Monitor {
    /// Connects to the serial port.
    pub fn serial(&self) -> UnixStream {
        self.connect("serial")
    }

    /// Connects to the second serial port.
    pub fn second_serial(&self) -> UnixStream {
        self.connect("serial1")
    }

    /// Connects to the screen.
    pub fn screen(&self) -> UnixStream {
        self.connect("vnc")
    }

    fn connect(&self, name: &str) -> UnixStream {
        let stream = UnixStream::connect(self.dir.path().join(name)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request on a new connection and returns the connection's lines.
    pub fn send(&self, request: &Request) -> BufReader<UnixStream> {
        let mut stream = self.connect("control");
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        stream.write_all(&line).unwrap();
        BufReader::new(stream)
    }

    /// The image of `virtio0`.
    pub fn disk(&self) -> &File {
        &self.disk
    }

    /// Sends a request with a descriptor on a new connection and returns the connection's lines.
    pub fn send_with(&self, request: &Request, fd: &impl AsFd) -> BufReader<UnixStream> {
        let stream = self.connect("control");
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        let fds = [fd.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let parts = [std::io::IoSlice::new(&line)];
        sendmsg(&stream, &parts, &mut control, SendFlags::empty()).unwrap();
        BufReader::new(stream)
    }

    /// Sends a request with a descriptor and returns the answer.
    pub fn ask_with(&self, request: &Request, fd: &impl AsFd) -> Response {
        response(&mut self.send_with(request, fd))
    }

    /// Sends a request and returns the answer.
    pub fn ask(&self, request: &Request) -> Response {
        let mut line = String::new();
        self.send(request).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Threads of the process.
    pub fn threads(&self) -> usize {
        let tasks = format!("/proc/{}/task", self.child.id());
        std::fs::read_dir(tasks).unwrap().count()
    }

    /// Closes the starter's end of the socket.
    pub fn forget_starter(&mut self) {
        self.starter = None;
    }

    /// Waits for the process to end.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // Ended already when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads an answer.
pub fn response(lines: &mut impl BufRead) -> Response {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// Asks a [`COUNTER`] for its count, and checks that its memory is what it wrote.
pub fn counted(serial: &mut UnixStream) -> u64 {
    serial.write_all(b"?").unwrap();
    let mut number = || {
        let mut bytes = [0; 8];
        serial.read_exact(&mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    };
    let (count, sum) = (number(), number());
    // The last 1024 counts, one in each page.
    let wanted = count.wrapping_mul(1024).wrapping_sub(1023 * 1024 / 2);
    assert_eq!(sum, wanted, "memory is not as the guest left it at {count}");
    count
}

/// Reads exactly `text`.
pub fn expect(stream: &mut UnixStream, text: &str) {
    let mut got = vec![0; text.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), text);
}
