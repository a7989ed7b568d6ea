//! A part of a day, maybe of some days of the week only: `mon..fri 8-17:30`.

use super::{DAY, Weekdays, weekday};
use serde_json::json;
use std::fmt;
use std::str::FromStr;

/// Minutes of a day.
const MINUTES: u16 = 24 * 60;

/// From an hour to another, on some days of the week: `mon..fri 8-17:30`, `22:00-24:00`, `sat,sun`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DailySpan {
    /// As it was written.
    text: String,
    days: Weekdays,
    /// First minute of the day.
    from: u16,
    /// The minute after the last.
    to: u16,
}

impl DailySpan {
    /// Whether a time lies in it, in seconds since 1970 by the local clock; the end is no longer in it.
    pub fn contains(&self, local: i64) -> bool {
        let minute = local.rem_euclid(DAY) / 60;
        let span = i64::from(self.from)..i64::from(self.to);
        self.days.contains(weekday(local)) && span.contains(&minute)
    }
}

/// Minutes since midnight of `8` or `8:30`.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':').unwrap_or((text, "0"));
    let number = |text: &str| {
        let plain = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse::<u16>().ok())?
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let sum = hour * 60 + minute;
    (minute < 60 && sum <= MINUTES).then_some(sum)
}

impl fmt::Display for DailySpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for DailySpan {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{}' is no time of day: write it like 'mon..fri 8-17:30', 'sat,sun' or '22-24'",
                text.escape_debug()
            )
        };
        let text = text.trim();
        if text.is_empty() || text.len() > 128 {
            return Err(wrong());
        }
        let begins = text.find(|c: char| c.is_ascii_digit());
        let (days, hours) = text.split_at(begins.unwrap_or(text.len()));
        let days = match days.trim() {
            "" => Weekdays::ALL,
            days => days.parse()?,
        };
        let (from, to) = match hours {
            "" => (0, MINUTES),
            hours => {
                let (from, to) = hours.split_once('-').ok_or_else(wrong)?;
                let read = |text: &str| minute(text.trim()).ok_or_else(wrong);
                (read(from)?, read(to)?)
            }
        };
        if from >= to {
            return Err(format!(
                "'{}' ends before it begins: for a night, write its two parts",
                text.escape_debug()
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            days,
            from,
            to,
        })
    }
}

crate::text_field!(
    DailySpan,
    "DailySpan",
    json!({"type": "string", "maxLength": 128})
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 4 January 2027, 00:00.
    const MONDAY: i64 = 1_799_020_800;

    fn holds(text: &str, day: i64, hour: i64, minute: i64) -> bool {
        let span: DailySpan = text.parse().unwrap();
        span.contains(MONDAY + day * DAY + hour * 3600 + minute * 60)
    }

    #[test]
    fn a_span_is_of_days_and_hours() {
        assert!(holds("mon..fri 8-17:30", 0, 8, 0));
        assert!(holds("mon..fri 8-17:30", 4, 17, 29));
        assert!(!holds("mon..fri 8-17:30", 4, 17, 30));
        assert!(!holds("mon..fri 8-17:30", 0, 7, 59));
        assert!(!holds("mon..fri 8-17:30", 5, 9, 0));
        assert!(holds("22:00 - 24:00", 6, 23, 59));
        assert!(holds("sat,sun", 6, 0, 0) && !holds("sat,sun", 0, 0, 0));
    }

    #[test]
    fn times_before_1970_have_a_day_too() {
        let span: DailySpan = "wed 23-24".parse().unwrap();
        assert!(span.contains(-60));
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for wrong in [
            "", "8", "8-25", "8:60-9", "17-8", "8-8", "noon", "mon 8-", "123-124",
        ] {
            assert!(wrong.parse::<DailySpan>().is_err(), "{wrong}");
        }
        let span: DailySpan = " Mon 8-9 ".parse().unwrap();
        assert_eq!(span.to_string(), "Mon 8-9");
    }
}
