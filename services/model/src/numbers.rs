//! Lists of numbers and of ranges of them, as settings and the kernel write them.

use std::fmt;
use std::str::FromStr;

/// Numbers from 0 to `LAST` and ranges of them, with `SEPARATOR` between, e.g. `0,5,8-11`; at least one. Kept
/// in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberList<const SEPARATOR: char, const LAST: u16>(Vec<(u16, u16)>);

impl<const SEPARATOR: char, const LAST: u16> NumberList<SEPARATOR, LAST> {
    /// Every number, as often as it is there.
    pub fn numbers(&self) -> impl Iterator<Item = u16> {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Whether a number is among them.
    pub fn contains(&self, number: u16) -> bool {
        let mut ranges = self.0.iter();
        ranges.any(|(first, last)| (*first..=*last).contains(&number))
    }
}

impl<const SEPARATOR: char, const LAST: u16> fmt::Display for NumberList<SEPARATOR, LAST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            if index > 0 {
                write!(f, "{SEPARATOR}")?;
            }
            match first == last {
                true => write!(f, "{first}")?,
                false => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl<const SEPARATOR: char, const LAST: u16> FromStr for NumberList<SEPARATOR, LAST> {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.parse::<u16>().ok();
            let number = number.filter(|number| plain && *number <= LAST);
            number.ok_or_else(|| {
                let example = format!("0{SEPARATOR}5{SEPARATOR}8-11");
                format!("'{digits}' is no number from 0 to {LAST}: write e.g. {example}")
            })
        };
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first.trim())?, number(last.trim())?);
            match first <= last {
                true => Ok((first, last)),
                false => Err(format!("'{part}' has no numbers: write {last}-{first}")),
            }
        };
        text.split(SEPARATOR)
            .map(|part| range(part.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type List = NumberList<',', 99>;

    #[test]
    fn a_list_is_kept_as_it_was_written() {
        let list: List = "8-11,0, 5".parse().unwrap();
        assert_eq!(list.to_string(), "8-11,0,5");
        assert_eq!(list.numbers().collect::<Vec<_>>(), [8, 9, 10, 11, 0, 5]);
        assert!(list.contains(9) && list.contains(0) && !list.contains(7));
        let other: NumberList<';', 9> = "0;2-3;2".parse().unwrap();
        assert_eq!(other.to_string(), "0;2-3;2");
        assert_eq!(other.numbers().collect::<Vec<_>>(), [0, 2, 3, 2]);
    }

    #[test]
    fn what_names_no_numbers_is_refused() {
        for wrong in [
            "", ",", "3-1", "a", "1-", "-1", "+1", "0,,2", "1,", "100", "1-100", "1-2-3", "0;1",
        ] {
            assert!(wrong.parse::<List>().is_err(), "{wrong}");
        }
        let said = |text: &str| text.parse::<NumberList<';', 9>>().unwrap_err();
        assert_eq!(
            said("0;10"),
            "'10' is no number from 0 to 9: write e.g. 0;5;8-11"
        );
        assert_eq!(said("3-1"), "'3-1' has no numbers: write 1-3");
    }
}
