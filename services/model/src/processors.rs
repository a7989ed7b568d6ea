//! Which of the host's processors a guest may use, and for how long.

use crate::field::Field;
use crate::numbers::NumberList;
use serde_json::{Value, json};

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

/// Processors of a host by their numbers, e.g. `0,5,8-11`.
pub type CpuSet = NumberList<',', 8191>;

impl CpuSet {
    /// The first of them that `there` has not.
    pub fn first_beyond(&self, there: &Self) -> Option<u16> {
        self.numbers().find(|number| !there.contains(*number))
    }

    /// A bit for each, the lowest of the first byte for processor 0.
    pub fn mask(&self) -> Vec<u8> {
        let most = self.numbers().max().unwrap_or(0);
        let mut mask = vec![0; usize::from(most) / 8 + 1];
        for number in self.numbers() {
            mask[usize::from(number) / 8] |= 1 << (number % 8);
        }
        mask
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
    fn processors_have_a_bit_each_and_may_be_more_than_a_host_has() {
        let set: CpuSet = "8-11,0,5".parse().unwrap();
        assert_eq!(set.mask(), [0b0010_0001, 0b0000_1111]);
        assert_eq!("7".parse::<CpuSet>().unwrap().mask(), [0x80]);
        let host: CpuSet = "0-9".parse().unwrap();
        assert_eq!(set.first_beyond(&host), Some(10));
        assert_eq!(host.first_beyond(&host), None);
        assert!("8191".parse::<CpuSet>().is_ok() && "8192".parse::<CpuSet>().is_err());
    }
}
