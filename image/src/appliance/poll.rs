//! Waiting for a condition, with a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// Asks `condition` every `interval` until it yields something or fails; `None` once `limit` is over.
pub fn until<T, E>(
    limit: Duration,
    interval: Duration,
    mut condition: impl FnMut() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    // A limit beyond the clock's range is no limit.
    let deadline = Instant::now().checked_add(limit);
    loop {
        if let Some(value) = condition()? {
            return Ok(Some(value));
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(None);
        }
        // The pause between two looks at something that cannot wake us.
        thread::sleep(interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yields_the_value_and_stops_at_the_deadline() {
        let mut left = 3;
        let found = until::<_, ()>(Duration::from_secs(5), Duration::ZERO, || {
            left -= 1;
            Ok((left == 0).then_some("there"))
        });
        assert_eq!(found, Ok(Some("there")));
        let unbounded = until::<_, ()>(Duration::MAX, Duration::ZERO, || Ok(Some("now")));
        assert_eq!(unbounded, Ok(Some("now")));
        let never = until::<(), ()>(Duration::ZERO, Duration::ZERO, || Ok(None));
        assert_eq!(never, Ok(None));
    }
}
