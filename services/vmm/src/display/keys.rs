//! What a keyboard's keys are called: X11 keysyms and PC scan codes as RFB carries them, and
//! Linux's numbers as input devices want them.

use super::Key;

/// Left shift.
pub const LEFT_SHIFT: Key = Key(42);
/// Right shift.
pub const RIGHT_SHIFT: Key = Key(54);
/// Caps lock.
pub const CAPS_LOCK: Key = Key(58);

/// What a keysym takes on a US keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stroke {
    /// The key.
    pub key: Key,
    /// Whether shift must be down with it.
    pub shift: Shift,
}

/// Whether a key's meaning depends on shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// It does not.
    Any,
    /// Shift must be up.
    Up,
    /// Shift must be down.
    Down,
    /// A capital or small letter, whose case also depends on caps lock.
    Letter {
        /// The capital one.
        capital: bool,
    },
}

/// Characters without and with shift, by the number of the first key of each row.
const ROWS: &[(u16, &[u8], &[u8])] = &[
    (2, b"1234567890-=", b"!@#$%^&*()_+"),
    (16, b"qwertyuiop[]", b"QWERTYUIOP{}"),
    (30, b"asdfghjkl;'`", b"ASDFGHJKL:\"~"),
    (43, b"\\zxcvbnm,./", b"|ZXCVBNM<>?"),
    (57, b" ", b" "),
];

/// Keys without a character, by keysym (X11, `keysymdef.h`).
const NAMED: &[(u32, u16)] = &[
    (0xfe03, 100), // third level shift
    (0xfe20, 15),  // shifted tab
    (0xff08, 14),
    (0xff09, 15),
    (0xff0d, 28),
    (0xff13, 119), // pause
    (0xff14, 70),  // scroll lock
    (0xff15, 99),  // system request
    (0xff1b, 1),
    (0xff50, 102), // home
    (0xff51, 105),
    (0xff52, 103),
    (0xff53, 106),
    (0xff54, 108),
    (0xff55, 104),
    (0xff56, 109),
    (0xff57, 107),
    (0xff61, 99), // print
    (0xff63, 110),
    (0xff67, 127), // menu
    (0xff7f, 69),
    (0xff8d, 96), // keypad
    (0xff95, 71),
    (0xff96, 75),
    (0xff97, 72),
    (0xff98, 77),
    (0xff99, 80),
    (0xff9a, 73),
    (0xff9b, 81),
    (0xff9c, 79),
    (0xff9d, 76),
    (0xff9e, 82),
    (0xff9f, 83),
    (0xffaa, 55),
    (0xffab, 78),
    (0xffac, 121),
    (0xffad, 74),
    (0xffae, 83),
    (0xffaf, 98),
    (0xffb0, 82),
    (0xffb1, 79),
    (0xffb2, 80),
    (0xffb3, 81),
    (0xffb4, 75),
    (0xffb5, 76),
    (0xffb6, 77),
    (0xffb7, 71),
    (0xffb8, 72),
    (0xffb9, 73),
    (0xffbd, 117),
    (0xffe1, 42), // shift, control, caps lock
    (0xffe2, 54),
    (0xffe3, 29),
    (0xffe4, 97),
    (0xffe5, 58),
    (0xffe7, 125), // meta, alt, super
    (0xffe8, 126),
    (0xffe9, 56),
    (0xffea, 100),
    (0xffeb, 125),
    (0xffec, 126),
    (0xffff, 111),
];

/// The key that gives a keysym on a US keyboard.
pub fn from_keysym(keysym: u32) -> Option<Stroke> {
    let any = |number| Stroke {
        key: Key(number),
        shift: Shift::Any,
    };
    match keysym {
        0x20..=0x7e => from_character(keysym as u8),
        0xffbe..=0xffc7 => Some(any(59 + (keysym - 0xffbe) as u16)), // F1 to F10
        0xffc8 | 0xffc9 => Some(any(87 + (keysym - 0xffc8) as u16)),
        0xffca..=0xffd5 => Some(any(183 + (keysym - 0xffca) as u16)), // F13 to F24
        _ => {
            let found = NAMED.iter().find(|(named, _)| *named == keysym);
            found.map(|(_, number)| any(*number))
        }
    }
}

fn from_character(character: u8) -> Option<Stroke> {
    for (first, plain, shifted) in ROWS {
        for (row, shift) in [(plain, Shift::Up), (shifted, Shift::Down)] {
            let Some(at) = row.iter().position(|c| *c == character) else {
                continue;
            };
            let shift = match character {
                b' ' => Shift::Any,
                c if c.is_ascii_alphabetic() => Shift::Letter {
                    capital: c.is_ascii_uppercase(),
                },
                _ => shift,
            };
            let key = Key(first + at as u16);
            return Some(Stroke { key, shift });
        }
    }
    None
}

/// Keys whose scan code has the prefix 0xe0.
const EXTENDED: &[(u8, u16)] = &[
    (0x10, 165), // previous, next
    (0x19, 163),
    (0x1c, 96),
    (0x1d, 97),
    (0x20, 113), // mute
    (0x22, 164),
    (0x24, 166),
    (0x2e, 114),
    (0x30, 115),
    (0x35, 98),
    (0x37, 99),
    (0x38, 100),
    (0x46, 119),
    (0x47, 102),
    (0x48, 103),
    (0x49, 104),
    (0x4b, 105),
    (0x4d, 106),
    (0x4f, 107),
    (0x50, 108),
    (0x51, 109),
    (0x52, 110),
    (0x53, 111),
    (0x5b, 125),
    (0x5c, 126),
    (0x5d, 127),
    (0x5e, 116), // power
    (0x5f, 142),
    (0x63, 143),
];

/// The key with a scan code of set 1, as QEMU's extended key events carry it: the prefix 0xe0 is
/// the eighth bit.
pub fn from_scan_code(code: u32) -> Option<Key> {
    let code = u8::try_from(code).ok()?;
    let number = match code {
        // Linux numbers these as the keyboard does.
        0x01..=0x53 | 0x56..=0x58 => u16::from(code),
        0x54 => 99,
        0x59 => 117,
        0x70 => 93, // Japanese keys
        0x73 => 89,
        0x79 => 92,
        0x7b => 94,
        0x7d => 124,
        0x7e => 121,
        0x80.. => EXTENDED.iter().find(|(c, _)| c | 0x80 == code)?.1,
        _ => return None,
    };
    Some(Key(number))
}

/// Every key that can be named, for devices that must say what they have.
pub fn all() -> impl Iterator<Item = Key> {
    let plain = (0..=0xff).filter_map(from_scan_code);
    let functions = (0xffca..=0xffd5).filter_map(from_keysym).map(|s| s.key);
    plain.chain(functions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_character_has_its_key() {
        for character in 0x20..=0x7e {
            assert!(from_keysym(character).is_some(), "{character:#x}");
        }
        let stroke = |c: char| from_keysym(c as u32).unwrap();
        assert_eq!(stroke('a').key, Key(30));
        assert_eq!(stroke('A').shift, Shift::Letter { capital: true });
        assert_eq!(
            stroke('~'),
            Stroke {
                key: Key(41),
                shift: Shift::Down
            }
        );
        assert_eq!(stroke('/').key, Key(53));
        assert_eq!(stroke('\\').key, Key(43));
        assert_eq!(stroke('|').shift, Shift::Down);
        assert_eq!(from_keysym(0xe9), None);
    }

    #[test]
    fn both_ways_of_naming_a_key_agree() {
        for (keysym, code, number) in [
            (0xff0d, 0x1c, 28),
            (0xff8d, 0x9c, 96),
            (0xffc9, 0x58, 88),
            (0xff51, 0xcb, 105),
            (0xffe4, 0x9d, 97),
            (0xffff, 0xd3, 111),
        ] {
            assert_eq!(from_keysym(keysym).unwrap().key, Key(number));
            assert_eq!(from_scan_code(code), Some(Key(number)));
        }
        assert_eq!(from_scan_code(0), None);
        assert_eq!(from_scan_code(0x1_001c), None);
    }

    #[test]
    fn whatever_can_be_typed_is_listed() {
        let all: Vec<Key> = all().collect();
        let typed = (0..0x1_0000).filter_map(from_keysym);
        assert!(typed.map(|s| s.key).all(|key| all.contains(&key)));
    }
}
