//! Whether the device looks for another request before it announces what it has done.
//!
//! A driver that has many requests under way submits the next one while the last is announced. Done
//! and announced one by one, each costs the guest a notification on the way out and an interrupt on
//! the way in, which is more than the request itself when its data is in the host's memory. So while
//! requests keep coming the device announces half of what is under way at a time, and asks for no
//! notification meanwhile. How much is under way it learns by waiting, now and then, until nothing
//! more comes. A driver with one or two requests under way is never kept waiting, but for that.

use std::time::{Duration, Instant};

/// How long to look for one more request, in times that a request takes.
const PATIENCE: u32 = 4;
/// Longest time to look, whatever a request takes.
const LONGEST: Duration = Duration::from_micros(500);
/// After how many announcements the depth is learned anew.
const LEARN_AGAIN: u32 = 64;

/// What is known of how the driver works.
#[derive(Debug)]
pub struct Linger {
    /// Requests that the driver has under way, as was seen last.
    depth: u32,
    /// Announcements since then.
    age: u32,
    /// Requests done and not announced.
    done: u32,
    /// What a request takes, on average.
    takes: Duration,
    /// When work on what is not announced began.
    begun: Option<Instant>,
}

impl Linger {
    /// Of a driver that nothing is known of.
    pub fn new() -> Self {
        Self {
            depth: 1,
            age: LEARN_AGAIN,
            done: 0,
            takes: Duration::ZERO,
            begun: None,
        }
    }

    /// Requests are about to be taken.
    pub fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
    }

    /// `requests` were taken since [`Self::begin`], and all are done.
    pub fn end(&mut self, requests: u32, now: Instant) {
        if let Some(begun) = self.begun.take()
            && requests > 0
        {
            let one = now.saturating_duration_since(begun) / requests;
            self.takes = (self.takes * 7 + one) / 8;
            self.done = self.done.saturating_add(requests);
        }
    }

    /// Whether `look` finds another request before it is time to announce what is done.
    pub fn finds<E>(
        &mut self,
        clock: impl Fn() -> Instant,
        mut look: impl FnMut() -> Result<bool, E>,
    ) -> Result<bool, E> {
        let learning = self.age >= LEARN_AGAIN;
        if self.done == 0 || (!learning && self.done >= self.depth / 2) {
            return Ok(false);
        }
        let end = clock() + (self.takes * PATIENCE).min(LONGEST);
        loop {
            if look()? {
                return Ok(true);
            }
            if clock() >= end {
                self.depth = self.done;
                self.age = 0;
                return Ok(false);
            }
            // Where the driver's processor shares ours, it submits nothing as long as we look.
            std::thread::yield_now();
        }
    }

    /// Everything done is announced.
    pub fn announced(&mut self) {
        self.done = 0;
        self.begun = None;
        self.age = self.age.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::convert::Infallible;

    const TAKES: Duration = Duration::from_micros(10);

    /// A driver that has `depth` requests under way and submits the next ones only when some are
    /// announced; tells how many are announced at a time, and how long the device waited in all.
    fn drive(linger: &mut Linger, depth: u32, rounds: u32) -> (Vec<u32>, Duration) {
        let now = Cell::new(Instant::now());
        let waited = Cell::new(Duration::ZERO);
        let tick = |step: Duration| now.set(now.get() + step);
        let mut announced = Vec::new();
        let mut under_way = depth;
        for _ in 0..rounds {
            let mut batch = 0;
            loop {
                linger.begin(now.get());
                tick(TAKES);
                linger.end(1, now.get());
                under_way -= 1;
                batch += 1;
                let look = || {
                    if under_way == 0 {
                        tick(TAKES);
                        waited.set(waited.get() + TAKES);
                    }
                    Ok::<_, Infallible>(under_way > 0)
                };
                let Ok(found) = linger.finds(|| now.get(), look);
                if !found {
                    break;
                }
            }
            linger.announced();
            announced.push(batch);
            under_way += batch;
        }
        (announced, waited.get())
    }

    #[test]
    fn half_of_many_requests_is_announced_at_a_time() {
        let mut linger = Linger::new();
        let (announced, _) = drive(&mut linger, 32, 3);
        assert_eq!(announced, [32, 16, 16]);
    }

    #[test]
    fn a_driver_with_few_requests_hardly_waits() {
        for depth in [1, 2, 3] {
            let (announced, waited) = drive(&mut Linger::new(), depth, 640);
            assert_eq!(announced[1], 1);
            let requests: u32 = announced.iter().sum();
            assert!(
                waited < TAKES * requests / 10,
                "{depth} under way: {waited:?}"
            );
        }
    }

    #[test]
    fn what_was_learned_is_forgotten() {
        let mut linger = Linger::new();
        drive(&mut linger, 32, 3);
        let (announced, _) = drive(&mut linger, 1, LEARN_AGAIN + 2);
        assert!(announced.iter().all(|batch| *batch == 1));
        assert_eq!(linger.depth, 1);
        let (announced, _) = drive(&mut linger, 16, LEARN_AGAIN + 2);
        assert_eq!(announced.last(), Some(&8));
    }
}
