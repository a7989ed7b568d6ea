//! Firmware of a few instructions: it starts where a processor does, finds out about its machine,
//! and keeps something in flash memory.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use basalt_model::machine::{MachineSpec, PROTOCOL, Started};
use serde_json::json;

use crate::support;

/// Long enough for a busy test machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of code; variables fill it up to 16 KiB, all within reach of the first code segment, which
/// is the last 64 KiB below 4 GiB.
const CODE: usize = 12 << 10;
const VARS: u64 = 4 << 10;
/// Where code starts in that segment, and where the program lies in it.
const CODE_AT: usize = 0xd000;
const PROGRAM_AT: usize = 0xf000;

/// Waits for a key, then prints `>`, what fw_cfg says it is, a byte it programmed, the status of the flash memory, and the
/// first byte of its code after trying to change it; then switches off.
const PROGRAM: &[u8] = &[
    0xba, 0xfd, 0x03, 0xec, // wait: mov dx, 0x3fd; in al, dx
    0xa8, 0x01, 0x74, 0xf8, // test al, 1; jz wait
    0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0xb0, b'>', 0xee, // mov al, '>'; out dx, al
    0xba, 0x10, 0x05, // mov dx, 0x510
    0x31, 0xc0, 0xef, // xor ax, ax; out dx, ax
    0xb9, 0x04, 0x00, // mov cx, 4
    0xba, 0x11, 0x05, 0xec, // next: mov dx, 0x511; in al, dx
    0xba, 0xf8, 0x03, 0xee, // mov dx, 0x3f8; out dx, al
    0xe2, 0xf6, // loop next
    0x2e, 0xc6, 0x06, 0x00, 0xc0, 0x10, // mov byte cs:[0xc000], program
    0x2e, 0xc6, 0x06, 0x00, 0xc0, b'k', // mov byte cs:[0xc000], 'k'
    0x2e, 0xc6, 0x06, 0x00, 0xc0, 0xff, // mov byte cs:[0xc000], read array
    0x2e, 0xa0, 0x00, 0xc0, 0xee, // mov al, cs:[0xc000]; out dx, al
    0x2e, 0xc6, 0x06, 0x00, 0xc0, 0x70, // mov byte cs:[0xc000], read status
    0x2e, 0xa0, 0x00, 0xc0, // mov al, cs:[0xc000]
    0xc0, 0xe8, 0x07, 0x04, b'0', 0xee, // shr al, 7; add al, '0'; out dx, al
    0x2e, 0xc6, 0x06, 0x00, 0xc0, 0xff, // mov byte cs:[0xc000], read array
    0x2e, 0xc6, 0x06, 0x00, 0xd0, 0x00, // mov byte cs:[0xd000], 0
    0x2e, 0xa0, 0x00, 0xd0, 0xee, // mov al, cs:[0xd000]; out dx, al
    0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, // mov dx, 0x604; mov ax, 0x2000; out dx, ax
    0xf4, // hlt
];
/// `jmp` from the first instruction to the program.
const FIRST: [u8; 3] = [0xe9, 0x0d, 0xf0];
const FIRST_AT: usize = 0xfff0;

fn code() -> File {
    let mut image = vec![0; CODE];
    let mut put = |at: usize, bytes: &[u8]| {
        image[at - CODE_AT..at - CODE_AT + bytes.len()].copy_from_slice(bytes);
    };
    put(CODE_AT, b"c");
    put(PROGRAM_AT, PROGRAM);
    put(FIRST_AT, &FIRST);
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&image, 0).unwrap();
    file
}

fn machine() -> MachineSpec {
    let machine = json!({
        "protocol": PROTOCOL, "name": "test", "vmid": 100, "vcpus": 1, "memory_mib": 128,
        "kvm": 0, "control": 1, "serial": 2,
        "boot": {"kind": "firmware", "code": 3, "vars": 4, "order": ["virtio0"]},
    });
    serde_json::from_value(machine).unwrap()
}

#[test]
fn firmware_starts_reads_its_configuration_and_keeps_variables() {
    let kvm = match File::options().read(true).write(true).open("/dev/kvm") {
        Ok(kvm) => kvm,
        Err(error) => {
            eprintln!("skipped: /dev/kvm: {error}");
            return;
        }
    };
    let dir = tempfile::tempdir().unwrap();
    let listen = |name: &str| UnixListener::bind(dir.path().join(name)).unwrap();
    let vars = tempfile::tempfile().unwrap();
    vars.write_all_at(&[0xff; VARS as usize], 0).unwrap();
    let fds: Vec<OwnedFd> = vec![
        kvm.into(),
        listen("control").into(),
        listen("serial").into(),
        code().into(),
        vars.try_clone().unwrap().into(),
    ];
    let (mut child, _starter, answer) = support::hand_over(&machine(), &fds);
    assert_eq!(answer, Started::Ok);
    let mut serial = UnixStream::connect(dir.path().join("serial")).unwrap();
    serial.set_read_timeout(Some(PATIENCE)).unwrap();
    serial.write_all(b"g").unwrap();
    let mut said = String::new();
    serial.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(said, ">QEMUk1c");
    let mut kept = [0; 2];
    vars.read_exact_at(&mut kept, 0).unwrap();
    assert_eq!(kept, *b"k\xff");
}

#[test]
fn code_of_an_impossible_size_is_refused() {
    let Ok(kvm) = File::options().read(true).write(true).open("/dev/kvm") else {
        eprintln!("skipped: no /dev/kvm");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let listen = |name: &str| UnixListener::bind(dir.path().join(name)).unwrap();
    let odd = code();
    odd.set_len(CODE as u64 - 1).unwrap();
    let fds: Vec<OwnedFd> = vec![
        kvm.into(),
        listen("control").into(),
        listen("serial").into(),
        odd.into(),
        tempfile::tempfile().unwrap().into(),
    ];
    let (mut child, _starter, answer) = support::hand_over(&machine(), &fds);
    let Started::Failed(reason) = answer else {
        panic!("started");
    };
    assert!(reason.contains("12287 bytes"), "{reason}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
