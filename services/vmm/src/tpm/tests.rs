//! The device with a program in place of the emulator that counts: its state is the number of commands.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::*;
use crb::refusal;

const BUFFER: u64 = BASE + 0x80;

/// Answers as the emulator does until nobody is there; each command is answered by the count as its code.
fn emulate(mut control: UnixStream, mut data: UnixStream) {
    // The data channel is connected.
    control.write_all(&[0; 4]).unwrap();
    let count = Arc::new(Mutex::new(0u32));
    let counted = count.clone();
    std::thread::spawn(move || {
        let mut command = [0; 12];
        while data.read_exact(&mut command).is_ok() {
            let mut count = counted.lock().unwrap();
            *count += 1;
            if data.write_all(&refusal(*count)).is_err() {
                return;
            }
        }
    });
    let mut number = [0; 4];
    while control.read_exact(&mut number).is_ok() {
        let mut take = |numbers: usize| {
            let mut bytes = vec![0; numbers * 4];
            control.read_exact(&mut bytes).unwrap();
            u32::from_be_bytes(bytes[bytes.len() - 4..].try_into().unwrap())
        };
        let now = *count.lock().unwrap();
        let answer: Vec<u32> = match u32::from_be_bytes(number) {
            17 => vec![0, take(1), 0, 0],
            13 => {
                take(3);
                *count.lock().unwrap() = take(1);
                vec![0]
            }
            12 => {
                take(3);
                vec![0, 0, 4, 4, now]
            }
            2 => {
                take(1);
                vec![0]
            }
            _ => vec![0],
        };
        let bytes: Vec<u8> = answer.into_iter().flat_map(u32::to_be_bytes).collect();
        if control.write_all(&bytes).is_err() {
            return;
        }
    }
}

fn volume() -> File {
    let volume = tempfile::tempfile().unwrap();
    volume.set_len(4 << 20).unwrap();
    volume
}

fn module(volume: &File) -> Arc<Mutex<Module>> {
    let (control, theirs) = UnixStream::pair().unwrap();
    let (data, their_data) = UnixStream::pair().unwrap();
    std::thread::spawn(move || emulate(theirs, their_data));
    let store = Store::open(volume.try_clone().unwrap()).unwrap();
    let emulator = Emulator::new(control, data).unwrap();
    Arc::new(Mutex::new(Module::new(emulator, store)))
}

fn tpm(volume: &File) -> Tpm {
    Tpm::new_unconfined(module(volume)).unwrap()
}

/// Has a command carried out; its answer's code.
fn run(tpm: &Tpm) -> u32 {
    begin(tpm);
    tpm.pause();
    code(tpm)
}

fn begin(tpm: &Tpm) {
    assert!(tpm.write(BASE + 8, &[1]));
    assert!(tpm.write(BASE + 0x40, &[1]));
    assert!(tpm.write(BUFFER, &[0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8]));
    assert!(tpm.write(BASE + 0x4c, &[1]));
}

fn code(tpm: &Tpm) -> u32 {
    let mut answer = [0; 4];
    assert!(tpm.read(BUFFER + 6, &mut answer));
    u32::from_be_bytes(answer)
}

#[test]
fn a_command_changes_the_volume_before_it_is_answered() {
    let volume = volume();
    let tpm = tpm(&volume);
    tpm.power_on().unwrap();
    for count in 1..4u32 {
        assert_eq!(run(&tpm), count);
        let kept = Store::open(volume.try_clone().unwrap()).unwrap();
        assert_eq!(kept.state(), Some(&count.to_be_bytes()[..]));
    }
    tpm.end();
    // Another emulator goes on from there; the farewell was a command too.
    let tpm = self::tpm(&volume);
    tpm.power_on().unwrap();
    assert_eq!(run(&tpm), 5);
}

#[test]
fn a_machine_that_is_built_anew_keeps_its_emulator() {
    let module = module(&volume());
    let first = Tpm::new_unconfined(module.clone()).unwrap();
    first.power_on().unwrap();
    assert_eq!(run(&first), 1);
    first.end();
    let second = Tpm::new_unconfined(module).unwrap();
    second.power_on().unwrap();
    assert_eq!(run(&second), 3);
}

#[test]
fn a_saved_module_goes_on_elsewhere_and_is_left_alone_here() {
    let here = volume();
    let first = tpm(&here);
    first.power_on().unwrap();
    run(&first);
    run(&first);
    first.pause();
    let saved = serde_json::to_vec(&first.save().unwrap()).unwrap();
    let there = volume();
    let second = tpm(&there);
    second
        .restore(serde_json::from_slice(&saved).unwrap())
        .unwrap();
    assert_eq!(code(&second), 2, "the answer is still there");
    first.leave();
    first.end();
    assert_eq!(Store::open(here).unwrap().state(), Some(&[0, 0, 0, 2][..]));
    assert_eq!(run(&second), 3);
}

#[test]
fn without_its_emulator_a_module_is_out_of_order() {
    let (control, theirs) = UnixStream::pair().unwrap();
    let (data, their_data) = UnixStream::pair().unwrap();
    let emulator = Emulator::new(control, data).unwrap();
    let module = Module::new(emulator, Store::open(volume()).unwrap());
    let tpm = Tpm::new_unconfined(Arc::new(Mutex::new(module))).unwrap();
    drop((theirs, their_data));
    assert!(tpm.power_on().is_err());
    assert_eq!(run(&tpm), 0x101);
    let mut status = [0; 4];
    tpm.read(BASE + 0x44, &mut status);
    assert_eq!(status[0] & 1, 1);
    assert!(tpm.save().is_err());
}

#[test]
fn only_its_own_addresses_are_the_modules() {
    let tpm = tpm(&volume());
    for address in [BASE - 1, BASE + LEN, 0, u64::MAX] {
        assert!(!tpm.read(address, &mut [0; 4]));
        assert!(!tpm.write(address, &[1]));
    }
    assert!(tpm.read(BASE + LEN - 1, &mut [0; 8]));
}
