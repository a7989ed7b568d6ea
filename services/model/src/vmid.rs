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
    fn numbers_and_strings_are_both_read() {
        assert_eq!(serde_json::from_str::<Vmid>("100").unwrap(), Vmid::MIN);
        assert_eq!(serde_json::from_str::<Vmid>("\"100\"").unwrap(), Vmid::MIN);
        assert_eq!(serde_json::to_string(&Vmid::MIN).unwrap(), "100");
    }
}
