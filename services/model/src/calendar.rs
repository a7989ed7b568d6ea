//! Times that come again: days of the week and hours, as people write them.

mod span;
mod weekdays;

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
