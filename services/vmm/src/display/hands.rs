//! One viewer's hands: which keys and buttons they hold, so that everything is let go of when the
//! viewer leaves, and which key gives the character they mean.

use std::collections::BTreeMap;

use super::keys::{self, CAPS_LOCK, LEFT_SHIFT, RIGHT_SHIFT, Shift};
use super::{Buttons, Key, Position, Screen};

/// Most keys held at once; nobody has more fingers.
const MAX_HELD: usize = 32;
const WHEEL_UP: u8 = 1 << 3;
const WHEEL_DOWN: u8 = 1 << 4;

/// What is known of the guest's caps lock: how often it was pressed. Shared by all viewers.
#[derive(Debug, Default)]
pub struct Locks {
    caps: bool,
}

/// The hands.
#[derive(Debug, Default)]
pub struct Hands {
    /// What was pressed, by keysym, or by number for viewers that send scan codes.
    held: BTreeMap<Pressed, Key>,
    mask: u8,
    position: Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pressed {
    Keysym(u32),
    Key(u16),
}

impl Hands {
    /// A key by the character or name it stands for on the viewer's keyboard. What a US keyboard
    /// lacks is left out.
    pub fn keysym(&mut self, screen: &Screen, locks: &mut Locks, keysym: u32, down: bool) {
        let pressed = Pressed::Keysym(keysym);
        if !down {
            self.release(screen, pressed);
            return;
        }
        let Some(stroke) = keys::from_keysym(keysym) else {
            return;
        };
        let wanted = match stroke.shift {
            Shift::Any => None,
            Shift::Up => Some(false),
            Shift::Down => Some(true),
            Shift::Letter { capital } => Some(capital != locks.caps),
        };
        let shifts: Vec<Key> = [LEFT_SHIFT, RIGHT_SHIFT]
            .into_iter()
            .filter(|shift| self.held.values().any(|key| key == shift))
            .collect();
        match wanted {
            // A viewer's layout may need shift where ours does not, and the other way round.
            Some(true) if shifts.is_empty() => {
                screen.key(LEFT_SHIFT, true);
                self.press(screen, locks, pressed, stroke.key);
                screen.key(LEFT_SHIFT, false);
            }
            Some(false) => {
                shifts.iter().for_each(|shift| screen.key(*shift, false));
                self.press(screen, locks, pressed, stroke.key);
                shifts.iter().for_each(|shift| screen.key(*shift, true));
            }
            Some(true) | None => self.press(screen, locks, pressed, stroke.key),
        }
    }

    /// A key by its place on the keyboard.
    pub fn scan_code(&mut self, screen: &Screen, locks: &mut Locks, code: u32, down: bool) {
        let Some(key) = keys::from_scan_code(code) else {
            return;
        };
        if down {
            self.press(screen, locks, Pressed::Key(key.0), key);
        } else {
            self.release(screen, Pressed::Key(key.0));
        }
    }

    fn press(&mut self, screen: &Screen, locks: &mut Locks, pressed: Pressed, key: Key) {
        let again = self.held.contains_key(&pressed);
        if !again && self.held.len() == MAX_HELD {
            return;
        }
        if key == CAPS_LOCK && !again {
            locks.caps = !locks.caps;
        }
        self.held.insert(pressed, key);
        screen.key(key, true);
    }

    fn release(&mut self, screen: &Screen, pressed: Pressed) {
        if let Some(key) = self.held.remove(&pressed) {
            screen.key(key, false);
        }
    }

    /// The pointer at a pixel of a picture of this size, with RFB's mask of buttons.
    pub fn pointer(&mut self, screen: &Screen, mask: u8, at: (u16, u16), size: (u32, u32)) {
        self.position = Position {
            x: scale(at.0, size.0),
            y: scale(at.1, size.1),
        };
        let new = mask & !self.mask;
        self.mask = mask;
        let wheel = i8::from(new & WHEEL_UP != 0) - i8::from(new & WHEEL_DOWN != 0);
        screen.pointer(self.position, buttons(mask), wheel);
    }

    /// Lets go of everything.
    pub fn let_go(&mut self, screen: &Screen) {
        for key in std::mem::take(&mut self.held).into_values() {
            screen.key(key, false);
        }
        if buttons(self.mask) != Buttons::default() {
            screen.pointer(self.position, Buttons::default(), 0);
        }
        self.mask = 0;
    }
}

fn buttons(mask: u8) -> Buttons {
    Buttons {
        left: mask & 1 != 0,
        middle: mask & 2 != 0,
        right: mask & 4 != 0,
    }
}

/// A pixel's place on the axis of a [`Position`].
fn scale(at: u16, size: u32) -> u16 {
    let last = size.saturating_sub(1).max(1);
    let at = u32::from(at).min(last);
    // At most `Position::MAX`, as `at` is at most `last`.
    (u64::from(at) * u64::from(Position::MAX) / u64::from(last)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::testing::{Done, recorded};

    fn typed(act: impl FnOnce(&Screen, &mut Hands, &mut Locks)) -> Vec<Done> {
        let (screen, recorder) = recorded();
        act(&screen, &mut Hands::default(), &mut Locks::default());
        recorder.take()
    }

    fn key(number: u16, down: bool) -> Done {
        Done::Key(Key(number), down)
    }

    #[test]
    fn shift_is_added_and_taken_away_where_the_layouts_differ() {
        let bang = typed(|s, h, l| h.keysym(s, l, '!' as u32, true));
        assert_eq!(bang, [key(42, true), key(2, true), key(42, false)]);
        let slash = typed(|s, h, l| {
            h.keysym(s, l, 0xffe1, true);
            h.keysym(s, l, '/' as u32, true);
        });
        let keys = [(42, true), (42, false), (53, true), (42, true)];
        assert_eq!(slash, keys.map(|(n, d)| key(n, d)));
        let capital = typed(|s, h, l| {
            h.keysym(s, l, 0xffe1, true);
            h.keysym(s, l, 'A' as u32, true);
        });
        assert_eq!(capital, [key(42, true), key(30, true)]);
        let locked = typed(|s, h, l| {
            h.keysym(s, l, 0xffe5, true);
            h.keysym(s, l, 'A' as u32, true);
        });
        assert_eq!(locked, [key(58, true), key(30, true)]);
    }

    #[test]
    fn whoever_leaves_lets_go() {
        let done = typed(|s, h, l| {
            h.keysym(s, l, 0xffe3, true);
            h.scan_code(s, l, 0x1e, true);
            h.pointer(s, 1, (639, 479), (640, 480));
            h.let_go(s);
            h.let_go(s);
        });
        let end = Position {
            x: Position::MAX,
            y: Position::MAX,
        };
        let left = Buttons {
            left: true,
            ..Buttons::default()
        };
        assert_eq!(done[2], Done::Pointer(end, left, 0));
        assert_eq!(done[3..5], [key(29, false), key(30, false)]);
        assert_eq!(done[5..], [Done::Pointer(end, Buttons::default(), 0)]);
    }

    #[test]
    fn the_wheel_turns_once_for_each_press() {
        let done = typed(|s, h, _| {
            for mask in [8, 8, 0, 16] {
                h.pointer(s, mask, (0, 0), (1, 1));
            }
        });
        let wheel = done.iter().map(|d| match d {
            Done::Pointer(_, _, wheel) => *wheel,
            Done::Key(..) => 99,
        });
        assert_eq!(wheel.collect::<Vec<_>>(), [1, 0, 0, -1]);
    }

    #[test]
    fn nobody_holds_more_keys_than_fingers() {
        let done = typed(|s, h, l| {
            for keysym in 0..0x1_0000 {
                h.keysym(s, l, keysym, true);
            }
            h.let_go(s);
        });
        let down = done.iter().filter(|d| matches!(d, Done::Key(_, false)));
        assert!(down.count() <= 3 * 0x60 + MAX_HELD);
    }
}
