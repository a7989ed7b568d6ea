//! Sets of days of the week: `mon..fri,sun`.

use std::str::FromStr;

const NAMES: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// Days of the week, as `mon`, `sat,sun` or `mon..fri`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekdays(u8);

impl Weekdays {
    /// All seven.
    pub const ALL: Self = Self(0x7f);

    /// Whether a day is among them; Monday is 0.
    pub fn contains(self, day: u8) -> bool {
        day < 7 && self.0 & (1 << day) != 0
    }
}

/// The number of a day whose name is written out, or its first three letters.
fn day(text: &str) -> Result<u8, String> {
    let text = text.trim().to_ascii_lowercase();
    let named = |name: &&str| **name == text || name[..3] == text;
    let found = (0..).zip(NAMES).find(|(_, name)| named(name));
    found.map(|(number, _)| number).ok_or_else(|| {
        format!(
            "'{}' is no day of the week: use mon, tue, wed, thu, fri, sat, sun",
            text.escape_debug()
        )
    })
}

impl FromStr for Weekdays {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut set = 0;
        for part in text.split(',') {
            let (first, last) = part.split_once("..").unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            if first > last {
                return Err(format!(
                    "'{}' goes backwards: a week begins on Monday",
                    part.trim().escape_debug()
                ));
            }
            set |= (first..=last).fold(0, |days, day| days | 1 << day);
        }
        Ok(Self(set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_alone_and_in_ranges() {
        let days = |text: &str| {
            let set: Weekdays = text.parse().unwrap();
            (0..9).filter(|day| set.contains(*day)).collect::<Vec<u8>>()
        };
        assert_eq!(days("mon"), [0]);
        assert_eq!(days("Sunday, sat"), [5, 6]);
        assert_eq!(days("mon..wed,fri"), [0, 1, 2, 4]);
        for wrong in ["", "someday", "fri..mon", "mon..", "mo", "mon,,tue"] {
            assert!(wrong.parse::<Weekdays>().is_err(), "{wrong}");
        }
    }
}
