use super::*;
use crate::machine::interrupts::testing::{Raised, Recorder};

struct Guest {
    controller: I8042,
    recorder: Arc<Recorder>,
    events: Arc<Events>,
}

fn guest() -> Guest {
    let recorder = Arc::new(Recorder::default());
    let events = Arc::new(Events::new().unwrap());
    let screen = Screen::new().unwrap();
    Guest {
        controller: I8042::new(recorder.clone(), events.clone(), Some(screen)),
        recorder,
        events,
    }
}

impl Guest {
    fn status(&self) -> u8 {
        let mut byte = [0];
        self.controller.read(COMMAND, &mut byte);
        byte[0]
    }

    /// Every byte that waits, and whether it is the mouse's.
    fn read_all(&self) -> Vec<(u8, bool)> {
        let mut all = Vec::new();
        loop {
            let status = self.status();
            if status & STATUS_OUTPUT_FULL == 0 {
                return all;
            }
            let mut byte = [0];
            self.controller.read(DATA, &mut byte);
            all.push((byte[0], status & STATUS_FROM_MOUSE != 0));
        }
    }

    fn read_bytes(&self) -> Vec<u8> {
        self.read_all().into_iter().map(|(byte, _)| byte).collect()
    }

    fn keyboard(&self, byte: u8) -> Vec<u8> {
        self.controller.write(DATA, &[byte]);
        self.read_bytes()
    }

    fn mouse(&self, byte: u8) -> Vec<u8> {
        self.controller.write(COMMAND, &[0xd4]);
        self.controller.write(DATA, &[byte]);
        let bytes = self.read_all();
        assert!(bytes.iter().all(|(_, mouse)| *mouse));
        bytes.into_iter().map(|(byte, _)| byte).collect()
    }

    fn set_mode(&self, mode: u8) {
        self.controller.write(COMMAND, &[0x60]);
        self.controller.write(DATA, &[mode]);
    }

    fn point(&self, x: u16, y: u16, left: bool, wheel: i8) {
        let buttons = Buttons {
            left,
            ..Default::default()
        };
        self.controller.pointer(Position { x, y }, buttons, wheel);
    }
}

const A: Key = Key(30);
const UP: Key = Key(103);
const PAUSE: Key = Key(119);

#[test]
fn the_controller_passes_its_tests() {
    let guest = guest();
    for (command, answer) in [(0xaa, 0x55), (0xab, 0), (0xa9, 0)] {
        guest.controller.write(COMMAND, &[command]);
        assert_eq!(guest.read_bytes(), [answer]);
    }
    assert_eq!(guest.keyboard(0xff), [0xfa, 0xaa]);
    assert_eq!(guest.mouse(0xff), [0xfa, 0xaa, 0x00]);
}

#[test]
fn keys_arrive_in_set_1_or_2_as_the_mode_says() {
    let guest = guest();
    guest.controller.key(A, true);
    guest.controller.key(A, false);
    guest.controller.key(UP, true);
    guest.controller.key(UP, false);
    assert_eq!(guest.read_bytes(), [0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8]);
    guest.controller.key(PAUSE, true);
    assert_eq!(guest.read_bytes(), [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]);
    guest.set_mode(MODE_KEYBOARD_INTERRUPT);
    guest.controller.key(A, true);
    guest.controller.key(A, false);
    assert_eq!(guest.read_bytes(), [0x1c, 0xf0, 0x1c]);
}

#[test]
fn the_keyboard_says_what_it_is() {
    let guest = guest();
    assert_eq!(guest.keyboard(0xf2), [0xfa, 0xab, 0x41], "translated");
    guest.set_mode(0);
    assert_eq!(guest.keyboard(0xf2), [0xfa, 0xab, 0x83]);
    assert_eq!(guest.keyboard(0xf0), [0xfa]);
    assert_eq!(guest.keyboard(0), [0xfa, 2]);
    assert_eq!(guest.keyboard(0xed), [0xfa]);
    assert_eq!(guest.keyboard(7), [0xfa]);
    assert_eq!(guest.keyboard(0x01), [0xfe]);
}

#[test]
fn each_byte_is_an_edge_of_its_devices_line() {
    let guest = guest();
    guest.set_mode(MODE_KEYBOARD_INTERRUPT | MODE_MOUSE_INTERRUPT | MODE_TRANSLATE);
    guest.recorder.take();
    guest.controller.key(A, true);
    guest.controller.key(A, false);
    guest.read_all();
    let rises = |line| {
        let all = guest.recorder.take();
        all.iter()
            .filter(|r| **r == Raised::Line(line, true))
            .count()
    };
    assert_eq!(rises(KEYBOARD_IRQ), 2);
    guest.mouse(0xf4);
    guest.recorder.take();
    guest.point(0, 0, true, 0);
    guest.read_all();
    assert_eq!(rises(MOUSE_IRQ), 3);
}

#[test]
fn a_disabled_keyboard_keeps_its_keys() {
    let guest = guest();
    guest.controller.write(COMMAND, &[0xad]);
    guest.controller.key(A, true);
    assert!(guest.read_all().is_empty());
    guest.controller.write(COMMAND, &[0xae]);
    assert_eq!(guest.read_bytes(), [0x1e]);
}

#[test]
fn the_pointer_moves_by_the_difference() {
    let guest = guest();
    guest.mouse(0xf4);
    guest.point(0, 0, false, 0);
    assert!(guest.read_all().is_empty(), "nothing to compare with");
    guest.point(Position::MAX, Position::MAX, false, 0);
    let bytes = guest.read_bytes();
    let (mut x, mut y) = (0, 0);
    for packet in bytes.chunks(3) {
        assert_eq!(packet[0] & 0b1000, 0b1000);
        x += i32::from(packet[1]) - i32::from(packet[0] & 0x10) * 16;
        y += i32::from(packet[2]) - i32::from(packet[0] & 0x20) * 8;
    }
    assert_eq!((x, y), (1023, -767));
    guest.point(Position::MAX, Position::MAX, true, 0);
    assert_eq!(guest.read_bytes(), [0b1001, 0, 0]);
}

#[test]
fn a_driver_that_knocks_gets_the_wheel() {
    let guest = guest();
    for rate in [200, 100, 80] {
        guest.mouse(0xf3);
        guest.mouse(rate);
    }
    assert_eq!(guest.mouse(0xf2), [0xfa, 3]);
    guest.mouse(0xf4);
    guest.point(0, 0, false, 1);
    assert_eq!(guest.read_bytes(), [0b1000, 0, 0, 0xff]);
}

#[test]
fn what_nobody_reads_stays_bounded() {
    let guest = guest();
    guest.mouse(0xf4);
    for i in 0..1000u16 {
        guest.controller.key(A, i % 2 == 0);
        guest.point(i * 30, 0, i % 2 == 0, 1);
    }
    assert!(guest.read_all().len() < 256);
}

#[test]
fn the_reset_line_resets() {
    let guest = guest();
    guest.controller.write(COMMAND, &[0xfe]);
    assert_eq!(guest.events.take(), Some(MachineEvent::Reset));
    guest.controller.write(COMMAND, &[0xd1]);
    guest.controller.write(DATA, &[0xfe]);
    assert_eq!(guest.events.take(), Some(MachineEvent::Reset));
}

#[test]
fn any_byte_is_answered() {
    let guest = guest();
    for command in 0..=255u8 {
        for value in [0, 3, 0x55, 0xd4, 0xff] {
            guest.controller.write(COMMAND, &[command]);
            guest.controller.write(DATA, &[value]);
            guest.controller.write(COMMAND, &[0xd4]);
            guest.controller.write(DATA, &[command]);
            guest.set_mode(0x43);
            guest.keyboard(command);
        }
    }
}

#[test]
fn a_saved_key_is_typed_after_restoring() {
    let first = guest();
    first.controller.key(A, true);
    let second = guest();
    second.controller.restore(first.controller.save());
    assert!(
        second
            .recorder
            .take()
            .contains(&Raised::Line(KEYBOARD_IRQ, true))
    );
    assert_eq!(second.read_bytes(), [0x1e]);
}
