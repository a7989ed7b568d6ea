//! Instants that come again: `mon..fri 8..17:0/15`, `*-*-1 3:30`, `daily`.

use super::{DAY, Weekdays, civil, weekday};
use serde_json::json;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The last instant that is looked for: the end of the year 2200, in seconds since 1970.
const LAST: i64 = 7_289_654_400;
/// Nothing is looked for further ahead: a hundred years.
const DAYS_AHEAD: i64 = 36_525;
/// Names of common ones.
const NAMED: [(&str, &str); 9] = [
    ("minutely", "*:*:00"),
    ("hourly", "*:00:00"),
    ("daily", "*-*-* 00:00:00"),
    ("weekly", "mon *-*-* 00:00:00"),
    ("monthly", "*-*-01 00:00:00"),
    ("quarterly", "*-01,04,07,10-01 00:00:00"),
    ("semiannually", "*-01,07-01 00:00:00"),
    ("yearly", "*-01-01 00:00:00"),
    ("annually", "*-01-01 00:00:00"),
];

/// Some numbers: `*`, `5`, `1..7`, `0/15`, or several of those, joined by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Numbers(Vec<(RangeInclusive<i64>, usize)>);

impl Numbers {
    fn parse(text: &str, within: RangeInclusive<i64>) -> Result<Self, String> {
        let part = |part: &str| {
            let number = |text: &str| {
                let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let number = text.parse().ok().filter(|number| within.contains(number));
                number.filter(|_| plain).ok_or_else(|| {
                    let (least, most) = (within.start(), within.end());
                    format!(
                        "'{}' is no number from {least} to {most}",
                        text.escape_debug()
                    )
                })
            };
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(step)),
                None => (part, None),
            };
            let range = match (range, range.split_once("..")) {
                ("*", _) => within.clone(),
                (_, Some((from, to))) => number(from)?..=number(to)?,
                // A first number and a step: from there on.
                (from, None) if step.is_some() => number(from)?..=*within.end(),
                (one, None) => number(one)?..=number(one)?,
            };
            let step = match step.map(str::parse::<usize>) {
                None => 1,
                Some(Ok(step)) if step > 0 => step,
                Some(_) => return Err(format!("'{}' has no step", part.escape_debug())),
            };
            match range.is_empty() {
                true => Err(format!("'{}' goes backwards", part.escape_debug())),
                false => Ok((range, step)),
            }
        };
        text.split(',')
            .map(|one| part(one.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn contains(&self, number: i64) -> bool {
        let fits = |(range, step): &(RangeInclusive<i64>, usize)| {
            let step = i64::try_from(*step).unwrap_or(i64::MAX);
            range.contains(&number) && (number - range.start()) % step == 0
        };
        self.0.iter().any(fits)
    }

    /// The least of them from `least` up to `most`.
    fn next(&self, least: i64, most: i64) -> Option<i64> {
        (least..=most).find(|number| self.contains(*number))
    }
}

/// Instants that come again, by the clock on the wall: `[DAYS OF WEEK] [[YEARS-]MONTHS-DAYS]
/// [HOURS:MINUTES[:SECONDS]]`, or a number alone, which is minutes of every hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarEvent {
    /// As it was written.
    text: String,
    weekdays: Weekdays,
    years: Numbers,
    months: Numbers,
    days: Numbers,
    hours: Numbers,
    minutes: Numbers,
    seconds: Numbers,
}

impl CalendarEvent {
    /// The next instant after another, both in seconds since 1970 by the local clock; none if there is
    /// none within a hundred years.
    pub fn next(&self, after: i64) -> Option<i64> {
        let from = (0..LAST).contains(&after).then_some(after + 1)?;
        let today = from.div_euclid(DAY);
        let first = self
            .on(today)
            .then(|| self.time(from.rem_euclid(DAY)))
            .flatten();
        if let Some(time) = first {
            return Some(today * DAY + time);
        }
        let day = (today + 1..=today + DAYS_AHEAD).find(|day| self.on(*day))?;
        Some(day * DAY + self.time(0)?)
    }

    /// Whether it comes on a day, counted since 1970.
    fn on(&self, day: i64) -> bool {
        let (year, month, number) = civil(day);
        self.weekdays.contains(weekday(day * DAY))
            && self.years.contains(year)
            && self.months.contains(month)
            && self.days.contains(number)
    }

    /// The first time of a day that is not before another, in seconds.
    fn time(&self, from: i64) -> Option<i64> {
        let (hour, minute, second) = (from / 3600, from / 60 % 60, from % 60);
        let seconds_of = |hour: i64, minute: i64, least: i64| {
            let second = self.seconds.next(least, 59)?;
            Some(hour * 3600 + minute * 60 + second)
        };
        let this_minute = || {
            let fits = self.hours.contains(hour) && self.minutes.contains(minute);
            fits.then(|| seconds_of(hour, minute, second)).flatten()
        };
        let this_hour = || {
            let minute = self.minutes.next(minute + 1, 59)?;
            let fits = self.hours.contains(hour);
            fits.then(|| seconds_of(hour, minute, 0)).flatten()
        };
        let later = || seconds_of(self.hours.next(hour + 1, 23)?, self.minutes.next(0, 59)?, 0);
        this_minute().or_else(this_hour).or_else(later)
    }
}

/// Date and time as texts.
struct Words<'a> {
    weekdays: &'a str,
    date: &'a str,
    time: &'a str,
}

/// Tells the words of an event apart.
fn words(text: &str) -> Option<Words<'_>> {
    let mut found = Words {
        weekdays: "",
        date: "",
        time: "",
    };
    for word in text.split_whitespace() {
        let place = if word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            &mut found.weekdays
        } else if word.contains('-') {
            &mut found.date
        } else {
            &mut found.time
        };
        if !place.is_empty() {
            return None;
        }
        *place = word;
    }
    Some(found)
}

impl fmt::Display for CalendarEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for CalendarEvent {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{}' is no schedule: write it like 'mon..fri 22:30', '*-*-1 3:00', '0/15' or 'daily'",
                text.escape_debug()
            )
        };
        let text = text.trim();
        if text.is_empty() || text.len() > 128 {
            return Err(wrong());
        }
        let named = NAMED
            .iter()
            .find(|(name, _)| *name == text.to_ascii_lowercase());
        let found = words(named.map_or(text, |(_, written)| written)).ok_or_else(wrong)?;
        let date: Vec<&str> = match found.date {
            "" => vec!["*", "*", "*"],
            date => date.split('-').collect(),
        };
        let (years, months, days) = match date.as_slice() {
            [months, days] => ("*", *months, *days),
            [years, months, days] => (*years, *months, *days),
            _ => return Err(wrong()),
        };
        let time: Vec<&str> = match found.time {
            "" => vec!["0", "0"],
            time => time.split(':').collect(),
        };
        let (hours, minutes, seconds) = match time.as_slice() {
            [minutes] => ("*", *minutes, "0"),
            [hours, minutes] => (*hours, *minutes, "0"),
            [hours, minutes, seconds] => (*hours, *minutes, *seconds),
            _ => return Err(wrong()),
        };
        Ok(Self {
            weekdays: match found.weekdays {
                "" => Weekdays::ALL,
                days => days.parse()?,
            },
            years: Numbers::parse(years, 1970..=2200)?,
            months: Numbers::parse(months, 1..=12)?,
            days: Numbers::parse(days, 1..=31)?,
            hours: Numbers::parse(hours, 0..=23)?,
            minutes: Numbers::parse(minutes, 0..=59)?,
            seconds: Numbers::parse(seconds, 0..=59)?,
            text: text.to_owned(),
        })
    }
}

crate::text_field!(
    CalendarEvent,
    "CalendarEvent",
    json!({"type": "string", "format": "calendar-event", "maxLength": 128})
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 4 January 2027, 00:00.
    const MONDAY: i64 = 1_799_020_800;

    /// The next three after Monday 10:07:30, as days after that Monday, hours and minutes.
    fn three(text: &str) -> Vec<(i64, i64, i64)> {
        let event: CalendarEvent = text.parse().unwrap();
        let mut at = MONDAY + 10 * 3600 + 7 * 60 + 30;
        let next = || {
            at = event.next(at)?;
            let rest = at - MONDAY;
            Some((rest / DAY, rest % DAY / 3600, rest % 3600 / 60))
        };
        std::iter::from_fn(next).take(3).collect()
    }

    #[test]
    fn times_of_day_come_again() {
        assert_eq!(three("22:30"), [(0, 22, 30), (1, 22, 30), (2, 22, 30)]);
        assert_eq!(three("0/15"), [(0, 10, 15), (0, 10, 30), (0, 10, 45)]);
        assert_eq!(three("*/30"), [(0, 10, 30), (0, 11, 0), (0, 11, 30)]);
        assert_eq!(three("10:5/20"), [(0, 10, 25), (0, 10, 45), (1, 10, 5)]);
        assert_eq!(three("*"), [(0, 10, 8), (0, 10, 9), (0, 10, 10)]);
        assert_eq!(three("hourly"), [(0, 11, 0), (0, 12, 0), (0, 13, 0)]);
        assert_eq!(three("8..9,22:0/30"), [(0, 22, 0), (0, 22, 30), (1, 8, 0)]);
    }

    #[test]
    fn days_are_of_the_week_and_of_the_month() {
        assert_eq!(
            three("mon..wed 10"),
            [(0, 10, 10), (0, 11, 10), (0, 12, 10)]
        );
        assert_eq!(three("sat"), [(5, 0, 0), (12, 0, 0), (19, 0, 0)]);
        assert_eq!(three("weekly"), [(7, 0, 0), (14, 0, 0), (21, 0, 0)]);
        assert_eq!(three("*-1 3:00"), [(28, 3, 0), (56, 3, 0), (87, 3, 0)]);
        // The first Saturday of each month.
        assert_eq!(
            three("sat *-1..7 15:00"),
            [(33, 15, 0), (61, 15, 0), (89, 15, 0)]
        );
        assert_eq!(three("2027-2-3"), [(30, 0, 0)]);
        // The next three days of this kind: 2028, 2032 and 2036.
        assert_eq!(three("*-2-29"), [(421, 0, 0), (1882, 0, 0), (3343, 0, 0)]);
        assert!(three("*-2-30").is_empty() && three("2026-1-1").is_empty());
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for wrong in [
            "", "24:00", "8:60", "8:0:60", "0/0", "5..2", "mon mon", "*-13-1", "1-2-3-4",
            "1:2:3:4", "often", "+5", "8:-1", "*-*-*-*",
        ] {
            assert!(wrong.parse::<CalendarEvent>().is_err(), "{wrong}");
        }
        let printed = "mon..fri  8:00";
        assert_eq!(
            printed.parse::<CalendarEvent>().unwrap().to_string(),
            printed
        );
    }
}
