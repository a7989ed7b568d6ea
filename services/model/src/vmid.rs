//! The number of a guest.

use crate::field::Field;
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// A guest's number, unique in the cluster: 100 to 999999999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vmid(u32);

impl Vmid {
    /// The smallest number a guest may have.
    pub const MIN: Self = Self(100);
    /// The largest number a guest may have.
    pub const MAX: Self = Self(999_999_999);

    /// The number, if a guest may have it.
    pub fn new(number: u32) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0)
            .contains(&number)
            .then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Vmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Vmid {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let canonical = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        canonical
            .then(|| text.parse().ok().and_then(Self::new))
            .flatten()
            .ok_or_else(|| format!("'{text}' is no guest number: use 100 to 999999999"))
    }
}

impl Field for Vmid {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }
    fn print(&self) -> String {
        self.0.to_string()
    }
    fn to_json(&self) -> Value {
        Value::from(self.0)
    }
    fn schema() -> Value {
        json!({"type": "integer", "minimum": 100, "maximum": 999_999_999})
    }
}

crate::scalar_serde!(Vmid, "Vmid");

/// Among which numbers a free one is looked for: `lower=100,upper=1000000`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NextIdRange {
    /// The first number.
    pub lower: Option<Vmid>,
    /// The first number that is none of them any more.
    pub upper: Option<Vmid>,
}

impl NextIdRange {
    /// The numbers, the smallest first.
    pub fn numbers(self) -> impl Iterator<Item = Vmid> {
        let first = self.lower.unwrap_or(Vmid::MIN).get();
        let last = self.upper.map_or(Vmid::MAX.get(), |upper| upper.get() - 1);
        (first..=last).filter_map(Vmid::new)
    }
}

impl fmt::Display for NextIdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("lower", self.lower), ("upper", self.upper)];
        let set = parts
            .iter()
            .filter_map(|(key, value)| Some(format!("{key}={}", (*value)?)));
        f.write_str(&set.collect::<Vec<_>>().join(","))
    }
}

impl FromStr for NextIdRange {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut range = Self::default();
        for (key, value) in crate::propstring::split(text, None)? {
            match key.as_str() {
                "lower" => range.lower = Some(value.parse()?),
                "upper" => range.upper = Some(value.parse()?),
                _ => return Err(format!("'{key}' is none of: lower, upper")),
            }
        }
        match range.numbers().next() {
            Some(_) => Ok(range),
            None => Err("upper must be more than lower".to_owned()),
        }
    }
}

crate::text_field!(
    NextIdRange,
    "NextIdRange",
    json!({"type": "string", "x-typetext": "[lower=<n>][,upper=<n>]"})
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_in_range_are_guests() {
        for good in ["100", "101", "999999999"] {
            assert_eq!(good.parse::<Vmid>().unwrap().to_string(), good);
        }
        for bad in [
            "99",
            "0100",
            "1000000000",
            "-100",
            "1e3",
            "",
            "+100",
            "100 ",
        ] {
            assert!(bad.parse::<Vmid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_range_ends_before_its_upper_number() {
        let range: NextIdRange = "lower=200,upper=202".parse().unwrap();
        let numbers: Vec<u32> = range.numbers().map(Vmid::get).collect();
        assert_eq!(numbers, [200, 201]);
        assert_eq!(range.to_string(), "lower=200,upper=202");
        assert_eq!(NextIdRange::default().numbers().next(), Some(Vmid::MIN));
        for bad in ["lower=200,upper=200", "upper=5", "from=100", "200"] {
            assert!(bad.parse::<NextIdRange>().is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_and_strings_are_both_read() {
        assert_eq!(serde_json::from_str::<Vmid>("100").unwrap(), Vmid::MIN);
        assert_eq!(serde_json::from_str::<Vmid>("\"100\"").unwrap(), Vmid::MIN);
        assert_eq!(serde_json::to_string(&Vmid::MIN).unwrap(), "100");
    }
}
