//! Which of the host's processors a guest may use, and for how long.

use crate::field::Field;
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// Processor time in hundredths of a processor, written in processors: `0.5`. At most `MOST` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuLimit<const MOST: u32>(u32);

impl<const MOST: u32> CpuLimit<MOST> {
    /// The limit in hundredths of a processor; none is no limit.
    pub fn percent(self) -> Option<u32> {
        (self.0 > 0).then_some(self.0)
    }
}

impl<const MOST: u32> Field for CpuLimit<MOST> {
    fn parse(text: &str) -> Result<Self, String> {
        let cores: f64 = text
            .parse()
            .ok()
            .filter(|cores| (0.0..=f64::from(MOST)).contains(cores))
            .ok_or_else(|| format!("'{text}' is not a number of cores from 0 to {MOST}"))?;
        let percent = (cores * 100.0).round() as u32;
        if percent == 0 && cores > 0.0 {
            return Err(format!("'{text}' is too little: use 0.01 or more, or 0"));
        }
        Ok(Self(percent))
    }
    fn print(&self) -> String {
        (f64::from(self.0) / 100.0).to_string()
    }
    fn to_json(&self) -> Value {
        match self.0 % 100 {
            0 => Value::from(self.0 / 100),
            _ => Value::from(f64::from(self.0) / 100.0),
        }
    }
    fn schema() -> Value {
        json!({"type": "number", "minimum": 0, "maximum": MOST})
    }
}

/// Processors of a host by their numbers, e.g. `0,5,8-11`; at least one. Kept in the order in which they
/// were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuSet(Vec<(u16, u16)>);

impl CpuSet {
    /// The highest number that a processor can have.
    const LAST: u16 = 8191;

    /// Whether a processor is among them.
    pub fn contains(&self, number: u16) -> bool {
        let mut ranges = self.0.iter();
        ranges.any(|(first, last)| (*first..=*last).contains(&number))
    }

    /// The first of them that `there` has not.
    pub fn first_beyond(&self, there: &Self) -> Option<u16> {
        let mut numbers = self.0.iter().flat_map(|(first, last)| *first..=*last);
        numbers.find(|number| !there.contains(*number))
    }

    /// A bit for each, the lowest of the first byte for processor 0.
    pub fn mask(&self) -> Vec<u8> {
        let most = self.0.iter().map(|(_, last)| *last).max().unwrap_or(0);
        let mut mask = vec![0; usize::from(most) / 8 + 1];
        for number in self.0.iter().flat_map(|(first, last)| *first..=*last) {
            mask[usize::from(number) / 8] |= 1 << (number % 8);
        }
        mask
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{separator}{first}")?,
                false => write!(f, "{separator}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for CpuSet {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.parse().ok().filter(|n| plain && *n <= Self::LAST);
            number.ok_or_else(|| {
                let last = Self::LAST;
                format!("'{digits}' is no processor, 0 to {last}: write e.g. 0,5,8-11")
            })
        };
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first.trim())?, number(last.trim())?);
            match first <= last {
                true => Ok((first, last)),
                false => Err(format!("'{part}' has no processors: write {last}-{first}")),
            }
        };
        text.split(',')
            .map(|part| range(part.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

crate::text_field!(CpuSet, "CpuSet", json!({"type": "string"}));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_in_processors_and_their_hundredths() {
        type Limit = CpuLimit<128>;
        let percent = |text: &str| Limit::parse(text).map(CpuLimit::percent);
        assert_eq!(percent("1.5"), Ok(Some(150)));
        assert_eq!(percent("128"), Ok(Some(12_800)));
        assert_eq!(percent("0"), Ok(None));
        for wrong in ["128.1", "-1", "0.001", "NaN", "", "two"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Limit::parse("2.0").unwrap().to_json(), json!(2));
        assert_eq!(Limit::parse("0.25").unwrap().print(), "0.25");
    }

    #[test]
    fn processors_are_listed_as_they_are_written() {
        let set: CpuSet = "8-11,0, 5".parse().unwrap();
        assert_eq!(set.to_string(), "8-11,0,5");
        assert_eq!(set.mask(), [0b0010_0001, 0b0000_1111]);
        assert_eq!("7".parse::<CpuSet>().unwrap().mask(), [0x80]);
        assert!(set.contains(9) && !set.contains(7));
        let host: CpuSet = "0-9".parse().unwrap();
        assert_eq!(set.first_beyond(&host), Some(10));
        assert_eq!(host.first_beyond(&host), None);
    }

    #[test]
    fn what_names_no_processors_is_refused() {
        for wrong in [
            "", ",", "3-1", "a", "1-", "-1", "+1", "0,,2", "8192", "1-2-3",
        ] {
            assert!(wrong.parse::<CpuSet>().is_err(), "{wrong}");
        }
    }
}
