//! A trusted platform module by its true emulator. Without `swtpm` in `PATH` the test says so and is over.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::fs::File;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use basalt_vmm::bus::MemoryDevice;
use basalt_vmm::tpm::crb::BASE;
use basalt_vmm::tpm::emulator::Emulator;
use basalt_vmm::tpm::store::Store;
use basalt_vmm::tpm::{Module, Tpm};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

const BUFFER: u64 = BASE + 0x80;
/// A session by password, which is empty, with the length of all of it before.
const PASSWORD: &str = "00000009 40000009 0000 00 0000";

/// An emulator, and the module behind it.
struct Bench {
    tpm: Tpm,
    emulator: Child,
    _state: tempfile::TempDir,
}

impl Bench {
    fn new(volume: &File) -> Option<Self> {
        let (control, theirs) = UnixStream::pair().unwrap();
        let (data, their_data) = UnixStream::pair().unwrap();
        let fds = [their_data.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
        let request = [IoSlice::new(&[0, 0, 0, 0x10])];
        sendmsg(&control, &request, &mut ancillary, SendFlags::empty()).unwrap();
        let state = tempfile::tempdir().unwrap();
        let emulator = Command::new("swtpm")
            .args(["socket", "--tpm2", "--ctrl"])
            .args(["type=unixio,clientfd=0", "--terminate"])
            .arg("--tpmstate")
            .arg(format!("dir={}", state.path().display()))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn();
        let emulator = match emulator {
            Ok(emulator) => emulator,
            Err(error) => {
                eprintln!("skipped: swtpm: {error}");
                return None;
            }
        };
        let store = Store::open(volume.try_clone().unwrap()).unwrap();
        let module = Module::new(Emulator::new(control, data).unwrap(), store);
        Some(Self {
            tpm: Tpm::new_unconfined(Arc::new(Mutex::new(module))).unwrap(),
            emulator,
            _state: state,
        })
    }

    /// The answer to a command that is given in hexadecimal digits, without header.
    fn answer(&self, tag: u16, code: u32, body: &str) -> Vec<u8> {
        let mut command = tag.to_be_bytes().to_vec();
        let body = bytes(body);
        command.extend((10 + body.len() as u32).to_be_bytes());
        command.extend(code.to_be_bytes());
        command.extend(body);
        self.tpm.write(BASE + 8, &[1]);
        self.tpm.write(BASE + 0x40, &[1]);
        for (at, byte) in (BUFFER..).zip(&command) {
            self.tpm.write(at, &[*byte]);
        }
        self.tpm.write(BASE + 0x4c, &[1]);
        self.tpm.pause();
        let mut answer = vec![0; 3968];
        self.tpm.read(BUFFER, &mut answer);
        let len = u32::from_be_bytes(answer[2..6].try_into().unwrap());
        answer.truncate(len as usize);
        answer
    }

    /// What follows the header of an answer that says that all is well.
    fn run(&self, tag: u16, code: u32, body: &str) -> Vec<u8> {
        let answer = self.answer(tag, code, body);
        assert_eq!(answer[6..10], [0; 4], "{code:#x}: {answer:02x?}");
        answer[10..].to_vec()
    }

    /// As an operating system begins with it: what it tells of itself has to be whole.
    fn startup(&self) {
        self.run(0x8001, 0x144, "0000");
        self.run(0x8001, 0x143, "00");
        let total = self.run(0x8001, 0x17a, "00000006 00000129 00000001");
        assert_eq!(
            total[5..9],
            [0, 0, 0, 1],
            "it does not tell how many commands it has"
        );
        let count = u32::from_be_bytes(total[13..17].try_into().unwrap());
        let commands = format!("00000002 0000011f {count:08x}");
        let commands = self.run(0x8001, 0x17a, &commands);
        assert_eq!(commands[5..9], count.to_be_bytes());
        assert_eq!(commands.len(), 9 + 4 * count as usize);
    }

    /// PCR 16 of SHA-256.
    fn pcr(&self) -> Vec<u8> {
        let read = self.run(0x8001, 0x17e, "00000001 000b 03 000001");
        read[read.len() - 32..].to_vec()
    }

    /// The contents of the area that [`define`] made, or why not.
    fn area(&self) -> Vec<u8> {
        let index = "01800001";
        let body = format!("{index} {index} {PASSWORD} 0008 0000");
        self.answer(0x8002, 0x14e, &body)
    }

    /// Ends the module as the end of its machine does.
    fn end(mut self) {
        self.tpm.end();
        drop(self.tpm);
        assert!(self.emulator.wait().unwrap().success());
    }
}

fn bytes(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b' ').collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// Makes an area in the module's own memory, and writes it.
fn define(bench: &Bench) {
    let public = "000e 01800001 000b 02060006 0000 0008";
    let body = format!("40000001 {PASSWORD} 0000 {public}");
    bench.run(0x8002, 0x12a, &body);
    let index = "01800001";
    let body = format!("{index} {index} {PASSWORD} 0008 6261736c74747065 0000");
    bench.run(0x8002, 0x137, &body);
}

fn extend(bench: &Bench) {
    let digest = "ab".repeat(32);
    let body = format!("00000010 {PASSWORD} 00000001 000b {digest}");
    bench.run(0x8002, 0x182, &body);
}

fn volume() -> File {
    let volume = tempfile::tempfile().unwrap();
    volume.set_len(4 << 20).unwrap();
    volume
}

#[test]
fn a_module_remembers_what_it_must_and_goes_on_elsewhere() {
    let here = volume();
    let Some(first) = Bench::new(&here) else {
        return;
    };
    first.tpm.power_on().unwrap();
    first.startup();
    define(&first);
    assert_eq!(first.pcr(), [0; 32]);
    extend(&first);
    let measured = first.pcr();
    assert_ne!(measured, [0; 32]);

    // Saved here, it goes on there, with all that it measured.
    first.tpm.pause();
    let saved = serde_json::to_vec(&first.tpm.save().unwrap()).unwrap();
    println!("a saved module takes {} bytes", saved.len());
    let there = volume();
    let second = Bench::new(&there).unwrap();
    second
        .tpm
        .restore(serde_json::from_slice(&saved).unwrap())
        .unwrap();
    assert_eq!(second.pcr(), measured);
    assert_eq!(second.area(), first.area());

    // The plug is pulled there, too, and it starts anew.
    let Bench {
        tpm, mut emulator, ..
    } = second;
    emulator.kill().unwrap();
    emulator.wait().unwrap();
    drop(tpm);
    let anew = Bench::new(&there).unwrap();
    anew.tpm.power_on().unwrap();
    anew.startup();
    assert_eq!(anew.pcr(), [0; 32], "what it measured is another boot's");
    anew.end();

    // The plug is pulled: what it must remember is on the volume.
    let Bench {
        tpm, mut emulator, ..
    } = first;
    emulator.kill().unwrap();
    emulator.wait().unwrap();
    drop(tpm);
    let third = Bench::new(&here).unwrap();
    third.tpm.power_on().unwrap();
    third.startup();
    assert_eq!(third.pcr(), [0; 32], "what it measured is another boot's");
    let area = third.area();
    assert_eq!(area[6..10], [0; 4]);
    assert!(
        area.windows(8)
            .any(|part| part == bytes("6261736c74747065"))
    );

    // A reset of the machine is one of the module.
    extend(&third);
    third.tpm.power_on().unwrap();
    third.startup();
    assert_eq!(third.pcr(), [0; 32]);
    assert_eq!(third.area(), area);
    third.end();
}
