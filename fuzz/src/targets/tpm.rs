//! The registers of the trusted platform module, and an emulator that says anything.

use std::io::Write;
use std::os::unix::net::UnixStream;

use crate::files;
use crate::input::Input;
use basalt_vmm::tpm::crb::{Crb, LEN};
use basalt_vmm::tpm::emulator::{Emulator, Part};
use basalt_vmm::tpm::store::Store;

/// Longest access of a processor.
const LONGEST: usize = 8;
/// Most that the emulator says, so that it fits into a socket.
const SAID: usize = 16 << 10;

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => emulator(&mut input),
        1 => store(&mut input),
        _ => registers(&mut input),
    }
}

fn registers(input: &mut Input<'_>) {
    let mut crb = Crb::default();
    let mut running = false;
    while !input.is_empty() {
        let how = input.byte();
        let len = 1 + usize::from(how >> 4) % LONGEST;
        // The buffer is large, and only its beginning means something.
        let offset = match how & 8 {
            0 => usize::from(input.byte()),
            _ => usize::from(input.word()) % LEN as usize,
        };
        match how & 7 {
            0 => crb.read(offset, &mut [0; LONGEST][..len]),
            1 if running => {
                let answer = input.bytes(len * 4);
                crb.finish(Some(answer).filter(|answer| !answer.is_empty()));
                running = false;
                assert!(crb.is_sound());
            }
            _ => {
                if let Some(command) = crb.write(offset, input.bytes(len)) {
                    assert!(!running, "a command came while another one runs");
                    assert!((10..=LEN as usize).contains(&command.len()));
                    running = true;
                }
            }
        }
    }
}

fn emulator(input: &mut Input<'_>) {
    let pair = || UnixStream::pair().expect("sockets can be had");
    let ((control, theirs), (data, their_data)) = (pair(), pair());
    let len = usize::from(input.word());
    let (controls, answers) = (input.bytes(len.min(SAID)), input.bytes(SAID));
    for (mut socket, bytes) in [(&theirs, controls), (&their_data, answers)] {
        socket.write_all(bytes).expect("it fits");
        // Nothing more comes, but what is asked is taken.
        socket
            .shutdown(std::net::Shutdown::Write)
            .expect("it is connected");
    }
    let mut emulator = Emulator::new(control, data).expect("sockets have settings");
    let _ = emulator.start(&[(Part::Permanent, b"state")]);
    let _ = emulator.execute(&[0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x7b]);
    let _ = emulator.state(Part::Volatile);
    let _ = emulator.shut_down();
}

fn store(input: &mut Input<'_>) {
    use std::os::unix::fs::FileExt;
    let file = files::of(4 << 20);
    for place in [0, 1 << 20] {
        let len = usize::from(input.word());
        file.write_all_at(input.bytes(len), place)
            .expect("the file can be written");
    }
    if let Ok(mut store) = Store::open(file.try_clone().expect("it can be had twice")) {
        store.keep(b"a state").expect("the file can be written");
        let again = Store::open(file).expect("it was written just now");
        assert_eq!(again.state(), Some(&b"a state"[..]));
    }
}
