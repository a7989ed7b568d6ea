use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

const BASE: u64 = 0xffc0_0000;
const BLOCKS: usize = 3;

struct Shown(Arc<AtomicBool>);

impl ArraySlot for Shown {
    fn show(&self, on: bool) -> io::Result<()> {
        self.0.store(on, Ordering::Relaxed);
        Ok(())
    }
}

struct Chip {
    flash: Flash,
    file: Arc<File>,
    shown: Arc<AtomicBool>,
}

fn chip() -> Chip {
    let file = Arc::new(tempfile::tempfile().unwrap());
    file.write_all_at(&[0x5a; BLOCK * BLOCKS], 0).unwrap();
    let shown = Arc::new(AtomicBool::new(false));
    let array = load(&file, BLOCK * BLOCKS).unwrap();
    let slot = Box::new(Shown(shown.clone()));
    let flash = Flash::new(BASE, array, file.clone(), slot).unwrap();
    Chip { flash, file, shown }
}

impl Chip {
    fn write(&self, offset: usize, value: u8) {
        assert!(self.flash.write(BASE + offset as u64, &[value]));
    }

    fn read(&self, offset: usize) -> u8 {
        let mut byte = [0];
        assert!(self.flash.read(BASE + offset as u64, &mut byte));
        byte[0]
    }

    fn program(&self, offset: usize, bytes: &[u8]) {
        for (i, byte) in bytes.iter().enumerate() {
            self.write(offset + i, PROGRAM);
            self.write(offset + i, *byte);
        }
        self.write(offset, 0xff);
    }

    fn erase(&self, offset: usize) {
        self.write(offset, ERASE);
        self.write(offset, CONFIRM);
    }

    fn kept(&self, offset: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset as u64).unwrap();
        bytes
    }
}

/// The probe by which OVMF tells flash from RAM and ROM.
#[test]
fn firmware_recognises_it_as_flash() {
    let chip = chip();
    let before = chip.read(0);
    chip.write(0, CLEAR_STATUS);
    assert_eq!(chip.read(0), before, "it does not behave as RAM");
    chip.write(0, READ_STATUS);
    assert!(!chip.shown.load(Ordering::Relaxed), "reads leave the guest");
    assert_eq!(chip.read(0), 0);
    chip.write(0, 0xff);
    assert!(chip.shown.load(Ordering::Relaxed));
    assert_eq!(chip.read(0), before);
}

#[test]
fn programming_clears_bits_and_is_kept() {
    let chip = chip();
    chip.program(100, &[0xf0, 0x0f, 0xff]);
    assert_eq!(chip.kept(99, 5), [0x5a, 0x50, 0x0a, 0x5a, 0x5a]);
    assert_eq!(chip.read(100), 0x50);
    chip.write(0, READ_STATUS);
    assert_eq!(chip.read(0), READY);
}

#[test]
fn erasing_needs_confirmation_and_touches_one_block() {
    let chip = chip();
    chip.write(BLOCK + 5, ERASE);
    chip.write(BLOCK + 5, 0x00);
    chip.write(0, READ_STATUS);
    assert_eq!(chip.read(0), READY | ERASE_FAILED);
    assert_eq!(chip.kept(BLOCK, 1), [0x5a]);
    chip.write(0, 0xff);
    chip.erase(BLOCK + 5);
    assert_eq!(chip.kept(BLOCK - 1, 2), [0x5a, 0xff]);
    assert_eq!(chip.kept(2 * BLOCK - 1, 2), [0xff, 0x5a]);
}

#[test]
fn erased_then_programmed_reads_back() {
    let chip = chip();
    chip.erase(0);
    chip.program(0, b"variable");
    assert_eq!(chip.kept(0, 9), b"variable\xff");
}

#[test]
fn what_was_programmed_last_is_kept_when_the_machine_ends() {
    let Chip { flash, file, .. } = chip();
    for (at, byte) in [(10, 0), (11, 0), (500, 0)] {
        flash.write(BASE + at, &[PROGRAM]);
        flash.write(BASE + at, &[byte]);
    }
    drop(flash);
    let mut bytes = [1; 3];
    file.read_exact_at(&mut bytes[..2], 10).unwrap();
    file.read_exact_at(&mut bytes[2..], 500).unwrap();
    assert_eq!(bytes, [0; 3]);
}

#[test]
fn a_guarded_chip_hears_system_management_mode_alone() {
    let Chip { flash, file, shown } = chip();
    let flash = flash.guarded();
    let mut byte = [0];
    for command in [READ_STATUS, ERASE, CONFIRM, PROGRAM, 0] {
        assert!(flash.write(BASE, &[command]));
    }
    assert!(shown.load(Ordering::Relaxed));
    assert!(flash.read(BASE, &mut byte));
    assert_eq!(byte, [0x5a]);
    for command in [PROGRAM, 0x50, 0xff] {
        assert!(flash.write_managed(BASE, &[command]));
    }
    file.read_exact_at(&mut byte, 0).unwrap();
    assert_eq!(byte, [0x50]);
    // A command that was begun there is not ended elsewhere.
    assert!(flash.write_managed(BASE, &[ERASE]));
    assert!(flash.write(BASE, &[CONFIRM]));
    assert!(flash.read(BASE + 1, &mut byte));
    assert_eq!(byte, [0x5a]);
    assert!(!flash.write(BASE - 1, &[0]) && !flash.write_managed(BASE - 1, &[0]));
}

#[test]
fn accesses_beyond_the_chip_are_not_its_own() {
    let chip = chip();
    let end = BASE + (BLOCK * BLOCKS) as u64;
    assert!(!chip.flash.read(BASE - 1, &mut [0]));
    assert!(!chip.flash.read(end - 1, &mut [0; 2]));
    assert!(!chip.flash.write(end, &[0]));
    assert!(!chip.flash.write(u64::MAX, &[0; 8]));
}

#[test]
fn a_state_survives_saving() {
    let first = chip();
    first.write(0, READ_STATUS);
    first.write(0, PROGRAM);
    let second = chip();
    second.flash.restore(first.flash.save()).unwrap();
    assert!(!second.shown.load(Ordering::Relaxed));
    second.write(7, 0x02);
    second.write(0, 0xff);
    assert_eq!(second.read(7), 0x02);
}

#[test]
fn a_file_that_is_too_short_is_refused() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(100).unwrap();
    assert!(load(&file, BLOCK).is_err());
}
