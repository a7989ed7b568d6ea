//! How many random bytes a guest gets: so many in a period, which begins with the first of them.

use std::time::{Duration, Instant};

use basalt_model::entropy::EntropyLimit;

/// Longest period in milliseconds.
pub const LONGEST_PERIOD: u64 = u32::MAX as u64;
/// Length of a number in a saved state.
const NUMBER: usize = 8;

/// What is left of a limit.
#[derive(Debug)]
pub struct Budget {
    bytes: u64,
    period: Duration,
    left: u64,
    /// When the period that runs ends.
    ends: Option<Instant>,
}

impl Budget {
    /// All of a limit, whose period is [`LONGEST_PERIOD`] at most.
    pub fn new(limit: EntropyLimit) -> Self {
        Self {
            bytes: limit.bytes,
            period: Duration::from_millis(limit.period_ms.min(LONGEST_PERIOD)),
            left: limit.bytes,
            ends: None,
        }
    }

    /// Bytes that the guest may have now, or how long it waits for some.
    pub fn left(&mut self, now: Instant) -> Result<u64, Duration> {
        let ends = match self.ends {
            Some(ends) if now < ends => ends,
            _ => {
                self.left = self.bytes;
                let ends = now + self.period;
                self.ends = Some(ends);
                ends
            }
        };
        match self.left {
            0 => Err(ends.saturating_duration_since(now)),
            left => Ok(left),
        }
    }

    /// The guest got some.
    pub fn take(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// What is left of the period that runs: bytes, and milliseconds; nothing when none does.
    pub fn save(&self, now: Instant) -> Vec<u8> {
        let Some(rest) = self.ends.and_then(|ends| ends.checked_duration_since(now)) else {
            return Vec::new();
        };
        let rest = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        [self.left.to_le_bytes(), rest.to_le_bytes()].concat()
    }

    /// Goes on from what [`Self::save`] gave, as far as it fits this limit.
    pub fn restore(&mut self, saved: &[u8], now: Instant) {
        let (numbers, []) = saved.as_chunks::<NUMBER>() else {
            return;
        };
        let [left, rest] = numbers else {
            return;
        };
        let rest = Duration::from_millis(u64::from_le_bytes(*rest));
        self.left = u64::from_le_bytes(*left).min(self.bytes);
        self.ends = Some(now + rest.min(self.period));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn budget() -> Budget {
        Budget::new(EntropyLimit {
            bytes: 100,
            period_ms: 1000,
        })
    }

    #[test]
    fn what_is_used_up_comes_back_with_the_next_period() {
        let (mut budget, start) = (budget(), Instant::now());
        assert_eq!(budget.left(start), Ok(100));
        budget.take(60);
        assert_eq!(budget.left(start + SECOND / 4), Ok(40));
        budget.take(40);
        assert_eq!(budget.left(start + SECOND / 4), Err(SECOND * 3 / 4));
        // It is not carried over, and the next period begins when something is asked for.
        let later = start + SECOND * 5;
        assert_eq!(budget.left(later), Ok(100));
        budget.take(100);
        assert_eq!(budget.left(later + SECOND / 2), Err(SECOND / 2));
        assert_eq!(budget.left(later + SECOND), Ok(100));
    }

    #[test]
    fn a_period_goes_on_where_it_was_saved() {
        let (mut first, start) = (budget(), Instant::now());
        assert!(first.save(start).is_empty());
        assert_eq!(first.left(start), Ok(100));
        first.take(90);
        let saved = first.save(start + SECOND / 4);
        let (mut second, here) = (budget(), start + SECOND * 1000);
        second.restore(&saved, here);
        assert_eq!(second.left(here), Ok(10));
        second.take(10);
        assert_eq!(second.left(here), Err(SECOND * 3 / 4));
        assert_eq!(second.left(here + SECOND * 3 / 4), Ok(100));
    }

    #[test]
    fn a_saved_state_gives_no_more_than_the_limit() {
        let now = Instant::now();
        let mut budget = budget();
        budget.restore(&[0xff; 16], now);
        assert_eq!(budget.left(now), Ok(100));
        budget.take(100);
        assert_eq!(budget.left(now), Err(SECOND));
        for nonsense in [&[0; 15][..], &[0; 24], &[]] {
            budget.restore(nonsense, now);
            assert_eq!(budget.left(now), Err(SECOND));
        }
    }
}
