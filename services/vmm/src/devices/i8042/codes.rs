//! Scan codes: what a PS/2 keyboard sends for each key.

use crate::display::Key;

/// Scan code set 2 for the codes 0 to 0x58 of set 1, whose numbers are also Linux's key codes; zero
/// where there is no key.
const SET_2: [u8; 0x59] = [
    0x00, 0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d,
    0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14, 0x1c, 0x1b,
    0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a, 0x22, 0x21, 0x2a,
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0c, 0x03,
    0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b, 0x6b, 0x73, 0x74, 0x79, 0x69,
    0x72, 0x7a, 0x70, 0x71, 0x84, 0x00, 0x61, 0x78, 0x07,
];

/// Keys with the prefix 0xE0: Linux's code and the code in set 2.
const EXTENDED: [(u16, u8); 19] = [
    (96, 0x5a),  // keypad enter
    (97, 0x14),  // right control
    (98, 0x4a),  // keypad slash
    (100, 0x11), // right alt
    (102, 0x6c), // home
    (103, 0x75), // up
    (104, 0x7d), // page up
    (105, 0x6b), // left
    (106, 0x74), // right
    (107, 0x69), // end
    (108, 0x72), // down
    (109, 0x7a), // page down
    (110, 0x70), // insert
    (111, 0x71), // delete
    (125, 0x1f), // left meta
    (126, 0x27), // right meta
    (127, 0x2f), // menu
    (113, 0x23), // mute
    (116, 0x37), // power
];

/// Keys outside both tables that exist in set 2 without prefix: Japanese and Brazilian ones.
const MORE: [(u16, u8); 5] = [
    (89, 0x51),  // ro
    (92, 0x64),  // henkan
    (93, 0x13),  // katakana/hiragana
    (94, 0x67),  // muhenkan
    (124, 0x6a), // yen
];

const PREFIX: u8 = 0xe0;
const RELEASED: u8 = 0xf0;
const PRINT_SCREEN: u16 = 99;
const PAUSE: u16 = 119;

/// What set 2 sends for a key; nothing for a key it does not have.
pub fn set_2(key: Key, down: bool) -> Vec<u8> {
    if let Some(code) = plain(key.0) {
        return if down {
            vec![code]
        } else {
            vec![RELEASED, code]
        };
    }
    let extended = EXTENDED.iter().find(|(linux, _)| *linux == key.0);
    match (extended, key.0, down) {
        (Some((_, code)), _, true) => vec![PREFIX, *code],
        (Some((_, code)), _, false) => vec![PREFIX, RELEASED, *code],
        (None, PRINT_SCREEN, true) => vec![PREFIX, 0x12, PREFIX, 0x7c],
        (None, PRINT_SCREEN, false) => vec![PREFIX, RELEASED, 0x7c, PREFIX, RELEASED, 0x12],
        // Pause is said to be released at once.
        (None, PAUSE, true) => vec![0xe1, 0x14, 0x77, 0xe1, RELEASED, 0x14, RELEASED, 0x77],
        _ => Vec::new(),
    }
}

fn plain(linux: u16) -> Option<u8> {
    let code = SET_2.get(usize::from(linux)).copied().filter(|c| *c != 0);
    code.or_else(|| {
        let more = MORE.iter().find(|(key, _)| *key == linux)?;
        Some(more.1)
    })
}

/// The controller's translation of one byte of set 2.
pub fn to_set_1(byte: u8) -> u8 {
    if byte == 0 {
        return 0;
    }
    if let Some(code) = SET_2.iter().position(|set_2| *set_2 == byte) {
        return code as u8;
    }
    match byte {
        0x1f => 0x5b,
        0x27 => 0x5c,
        0x2f => 0x5d,
        0x37 => 0x5e,
        0x13 => 0x70,
        0x51 => 0x73,
        0x64 => 0x79,
        0x67 => 0x7b,
        0x6a => 0x7d,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_key_has_a_code_of_its_own() {
        let mut seen = HashSet::new();
        for linux in 1..=127 {
            let down = set_2(Key(linux), true);
            if !down.is_empty() {
                assert!(seen.insert(down), "{linux}");
            }
        }
        assert!(seen.len() > 105);
    }

    #[test]
    fn set_1_numbers_keys_as_linux_does() {
        for linux in (1..=0x58u16).filter(|k| *k != 85) {
            let code = set_2(Key(linux), true);
            assert_eq!(u16::from(to_set_1(code[0])), linux);
        }
    }

    #[test]
    fn answers_pass_the_translation_unchanged() {
        for byte in [0xaa, 0xab, 0xe0, 0xe1, 0xee, 0xfa, 0xfe] {
            assert_eq!(to_set_1(byte), byte);
        }
    }

    #[test]
    fn keys_that_do_not_exist_say_nothing() {
        for key in [0, 85, 128, 240, u16::MAX] {
            assert!(set_2(Key(key), true).is_empty());
            assert!(set_2(Key(key), false).is_empty());
        }
    }
}
