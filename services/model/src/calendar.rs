//! Times that come again: days of the week and hours, as people write them.

mod event;
mod span;
mod weekdays;

pub use event::CalendarEvent;
pub use span::DailySpan;
pub use weekdays::Weekdays;

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// Day of the week, Monday being 0, of a time in seconds since 1970 by the local clock.
pub(crate) fn weekday(local: i64) -> u8 {
    // 1 January 1970 was a Thursday.
    let day = (local.div_euclid(DAY) + 3).rem_euclid(7);
    u8::try_from(day).unwrap_or(0)
}

/// Year, month and day of the month of a day counted since 1970, in the Gregorian calendar. Days are
/// counted in eras of 400 years, which begin in March, so that a leap day is the last of its year.
pub(crate) fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let number = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let later = i64::from(month <= 2);
    (era * 400 + year + later, month, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_the_calendars() {
        for (day, date) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_822, (2027, 1, 4)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(day), date, "{day}");
        }
    }
}
