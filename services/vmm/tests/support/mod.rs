//! Starting a monitor for tests, with a guest of a few instructions.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use basalt_model::disk::Optical;
use basalt_model::machine::{Boot, MachineSpec, PROTOCOL, Request, Response, Slot, Started};
use basalt_vmm::spec;

/// Long enough for a busy test machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The guest. It prints `>`, then echoes what is typed; `o` switches it off, `r` resets it by
/// register, `t` by triple fault.
const GUEST: &[u8] = &[
    0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0xb0, b'>', // mov al, '>'
    0xee, // out dx, al
    0x66, 0xba, 0xfd, 0x03, // wait: mov dx, 0x3fd
    0xec, // in al, dx
    0xa8, 0x01, // test al, 1
    0x74, 0xf7, // jz wait
    0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0xec, // in al, dx
    0xee, // out dx, al
    0x3c, b'o', 0x74, 0x0a, // cmp al, 'o'; je off
    0x3c, b'r', 0x74, 0x11, // cmp al, 'r'; je reset
    0x3c, b't', 0x74, 0x15, // cmp al, 't'; je triple
    0xeb, 0xe3, // jmp wait
    0x66, 0xba, 0x04, 0x06, // off: mov dx, 0x604
    0x66, 0xb8, 0x00, 0x34, // mov ax, 0x3400
    0x66, 0xef, // out dx, ax
    0xf4, // hlt
    0x66, 0xba, 0xf9, 0x0c, // reset: mov dx, 0xcf9
    0xb0, 0x06, // mov al, 6
    0xee, // out dx, al
    0xf4, // hlt
    0x0f, 0x0b, // triple: ud2, without an interrupt table
];

/// A bzImage whose 64-bit entry is [`GUEST`].
fn kernel() -> File {
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
    put(SETUP + ENTRY, GUEST);
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
    disk.set_len(1 << 20).unwrap();
    let image = disk.try_clone().unwrap();
    let fds: Vec<OwnedFd> = vec![
        kvm.into(),
        listen("control").into(),
        listen("serial").into(),
        kernel().into(),
        image.into(),
        File::open("/dev/urandom").unwrap().into(),
    ];
    let machine = MachineSpec {
        protocol: PROTOCOL,
        name: "test".into(),
        vmid: 100,
        vcpus: 2,
        memory_mib: 64,
        kvm: Slot(0),
        control: Slot(1),
        serial: Slot(2),
        console: None,
        boot: Boot::Kernel {
            kernel: Slot(3),
            initrd: None,
            cmdline: "quiet".into(),
        },
        disks: vec![basalt_model::machine::Disk::raw("virtio0", Slot(4))],
        opticals: vec![Optical {
            id: "ide2".into(),
            medium: None,
        }],
        nics: Vec::new(),
        rng: Some(Slot(5)),
    };
    let (child, starter, answer) = hand_over(&machine, &fds);
    assert_eq!(answer, Started::Ok);
    Some(Monitor {
        child,
        dir,
        disk,
        starter: Some(starter),
    })
}

/// Starts a monitor with any specification and returns its answer.
pub fn hand_over(machine: &MachineSpec, fds: &[OwnedFd]) -> (Child, UnixStream, Started) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_basalt-vmm"))
        .stdin(OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    spec::send(ours.as_fd(), machine, &borrowed).unwrap();
    let mut line = String::new();
    BufReader::new(&ours).read_line(&mut line).unwrap();
    (child, ours, serde_json::from_str(&line).unwrap())
}

impl Monitor {
    /// Connects to the serial port.
    pub fn serial(&self) -> UnixStream {
        self.connect("serial")
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

    /// Sends a request with a descriptor and returns the answer.
    pub fn ask_with(&self, request: &Request, descriptor: &File) -> Response {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
        let stream = self.connect("control");
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        let descriptors = [descriptor.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let line = [std::io::IoSlice::new(&line)];
        sendmsg(&stream, &line, &mut control, SendFlags::empty()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// Sends a request and returns the answer.
    pub fn ask(&self, request: &Request) -> Response {
        let mut line = String::new();
        self.send(request).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
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

/// Reads exactly `text`.
pub fn expect(stream: &mut UnixStream, text: &str) {
    let mut got = vec![0; text.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), text);
}
