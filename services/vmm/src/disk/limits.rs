//! How fast a guest may use a disk: buckets of tokens for requests and bytes.
//!
//! A bucket fills at its average rate up to what a burst may take. A request goes when no bucket
//! that it draws from is in debt, and may then put them into debt: so a request larger than a
//! bucket passes, and is paid for by those that come after it. The idea is the leaky bucket of
//! QEMU's `throttling`, whose options have the same names.

use std::time::{Duration, Instant};

use basalt_model::disk::{Limits, Rate, Rates};

/// Part of a second's average that may be used at once where no burst is allowed.
const WITHOUT_BURST: f64 = 0.1;
/// Part of a second that a burst's own rate may be exceeded by.
const BURST_SLACK: f64 = 0.1;

/// Which way a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the disk.
    Read,
    /// To the disk.
    Write,
}

/// Tokens that come at a steady rate.
#[derive(Debug, Clone)]
struct Bucket {
    rate: f64,
    capacity: f64,
    level: f64,
    filled: Instant,
}

impl Bucket {
    fn new(rate: f64, capacity: f64, now: Instant) -> Self {
        let capacity = capacity.max(1.0);
        Self {
            rate: rate.max(1.0),
            capacity,
            level: capacity,
            filled: now,
        }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.level = (self.level + passed * self.rate).min(self.capacity);
        self.filled = now;
    }

    /// How long it stays in debt.
    fn debt(&self) -> Duration {
        if self.level > 0.0 {
            return Duration::ZERO;
        }
        // A token more than nothing, so that rounding does not lead to another wait of zero.
        Duration::from_secs_f64((1e-6 - self.level) / self.rate)
    }
}

/// A rate with its burst.
#[derive(Debug, Clone)]
struct Limit(Vec<Bucket>);

impl Limit {
    fn new(rate: Rate, now: Instant) -> Self {
        let average = rate.average as f64;
        let Some(burst) = rate.burst.map(|burst| burst as f64) else {
            return Self(vec![Bucket::new(average, average * WITHOUT_BURST, now)]);
        };
        let capacity = burst * f64::from(rate.burst_seconds.max(1));
        Self(vec![
            Bucket::new(average, capacity, now),
            Bucket::new(burst, burst * BURST_SLACK, now),
        ])
    }
}

/// Limits of one kind by direction.
#[derive(Debug, Clone)]
struct Kind {
    total: Option<Limit>,
    read: Option<Limit>,
    write: Option<Limit>,
}

impl Kind {
    fn new(rates: &Rates, now: Instant) -> Self {
        let limit = |rate: Option<Rate>| rate.map(|rate| Limit::new(rate, now));
        Self {
            total: limit(rates.total),
            read: limit(rates.read),
            write: limit(rates.write),
        }
    }

    fn buckets(&mut self, direction: Direction) -> impl Iterator<Item = &mut Bucket> {
        let own = match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        };
        let limits = self.total.iter_mut().chain(own.iter_mut());
        limits.flat_map(|limit| limit.0.iter_mut())
    }
}

/// All limits of a disk.
#[derive(Debug, Clone)]
pub struct Throttle {
    requests: Kind,
    bytes: Kind,
}

impl Throttle {
    /// Full buckets; none if nothing is limited.
    pub fn new(limits: &Limits, now: Instant) -> Option<Self> {
        if *limits == Limits::default() {
            return None;
        }
        Some(Self {
            requests: Kind::new(&limits.requests, now),
            bytes: Kind::new(&limits.bytes, now),
        })
    }

    /// Takes the tokens of a request, or says how long to wait before asking again.
    pub fn admit(
        &mut self,
        direction: Direction,
        bytes: u64,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut wait = Duration::ZERO;
        for bucket in self.buckets(direction) {
            bucket.fill(now);
            wait = wait.max(bucket.debt());
        }
        if wait > Duration::ZERO {
            return Err(wait);
        }
        for bucket in self.requests.buckets(direction) {
            bucket.level -= 1.0;
        }
        for bucket in self.bytes.buckets(direction) {
            bucket.level -= bytes as f64;
        }
        Ok(())
    }

    fn buckets(&mut self, direction: Direction) -> impl Iterator<Item = &mut Bucket> {
        let bytes = self.bytes.buckets(direction);
        self.requests.buckets(direction).chain(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(average: u64, burst: Option<u64>, burst_seconds: u32) -> Option<Rate> {
        Some(Rate {
            average,
            burst,
            burst_seconds,
        })
    }

    /// Requests that pass within `seconds`, by a driver that asks again when told to.
    fn passed(limits: &Limits, direction: Direction, bytes: u64, seconds: u64) -> u64 {
        let start = Instant::now();
        let mut now = start;
        let mut throttle = Throttle::new(limits, start).unwrap();
        let mut count = 0;
        while now < start + Duration::from_secs(seconds) {
            match throttle.admit(direction, bytes, now) {
                Ok(()) => count += 1,
                Err(wait) => {
                    assert!(wait > Duration::ZERO);
                    now += wait;
                }
            }
        }
        count
    }

    #[test]
    fn the_average_holds_in_the_long_run() {
        let mut limits = Limits::default();
        limits.requests.total = rate(100, None, 1);
        let count = passed(&limits, Direction::Read, 4096, 10);
        assert!((1000..=1012).contains(&count), "{count}");

        let mut limits = Limits::default();
        limits.bytes.write = rate(1 << 20, None, 1);
        let count = passed(&limits, Direction::Write, 64 << 10, 10);
        assert!((160..=164).contains(&count), "{count}");
        assert!(
            passed_freely(&limits, Direction::Read),
            "reads are not limited"
        );
    }

    fn passed_freely(limits: &Limits, direction: Direction) -> bool {
        let now = Instant::now();
        let mut throttle = Throttle::new(limits, now).unwrap();
        (0..1000).all(|_| throttle.admit(direction, 1 << 30, now).is_ok())
    }

    #[test]
    fn a_burst_is_faster_but_neither_endless_nor_at_once() {
        let mut limits = Limits::default();
        limits.requests.total = rate(100, Some(1000), 2);
        // Two seconds at a thousand, and what the average adds.
        let first = passed(&limits, Direction::Read, 512, 2);
        assert!((1900..=2110).contains(&first), "{first}");
        let long = passed(&limits, Direction::Read, 512, 20);
        assert!((3900..=4010).contains(&long), "{long}");
    }

    #[test]
    fn one_large_request_passes_and_is_paid_for_afterwards() {
        let mut limits = Limits::default();
        limits.bytes.total = rate(1000, None, 1);
        let now = Instant::now();
        let mut throttle = Throttle::new(&limits, now).unwrap();
        assert!(throttle.admit(Direction::Write, 10_000, now).is_ok());
        let wait = throttle.admit(Direction::Read, 1, now).unwrap_err();
        assert!((9.8..10.0).contains(&wait.as_secs_f64()), "{wait:?}");
        assert!(throttle.admit(Direction::Read, 1, now + wait).is_ok());
    }

    #[test]
    fn no_limits_cost_nothing() {
        assert!(Throttle::new(&Limits::default(), Instant::now()).is_none());
    }
}
