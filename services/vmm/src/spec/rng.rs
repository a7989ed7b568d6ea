//! Random numbers: where they come from, and how many the guest may take.

use std::fs::File;
use std::sync::{Arc, Mutex};

use basalt_model::entropy::EntropyLimit;

use super::{Error, invalid};
use crate::virtio::budget::{Budget, LONGEST_PERIOD};

/// The entropy device's part of [`super::Resources`].
pub struct RngResource {
    /// Where random numbers come from.
    pub source: Arc<File>,
    /// What is left of them for the guest, if that is limited. It outlives a reset, which would be a way
    /// around the limit.
    pub budget: Option<Arc<Mutex<Budget>>>,
}

impl RngResource {
    /// The source, of which the guest may take what the limit says in each period.
    pub(super) fn check(source: File, limit: Option<EntropyLimit>) -> Result<Self, Error> {
        if limit.is_some_and(|limit| limit.bytes == 0) {
            return Err(invalid("rng_limit", "a limit of nothing would stop it"));
        }
        if let Some(period) = limit.map(|limit| limit.period_ms)
            && !(1..=LONGEST_PERIOD).contains(&period)
        {
            let range = format!("1 to {LONGEST_PERIOD} ms");
            return Err(invalid(
                "rng_limit",
                format!("the period of {period} is not {range}"),
            ));
        }
        Ok(Self {
            source: Arc::new(source),
            budget: limit.map(|limit| Arc::new(Mutex::new(Budget::new(limit)))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{delivery, refused, spec};
    use super::*;
    use basalt_model::machine::Slot;

    #[test]
    fn a_limit_of_random_numbers_lets_some_pass() {
        for (bytes, period_ms) in [(0, 1000), (1024, 0), (1024, u64::MAX)] {
            let mut spec = spec();
            spec.rng = Some(Slot(4));
            spec.rng_limit = Some(EntropyLimit { bytes, period_ms });
            assert_eq!(refused(spec, delivery(5)), "rng_limit");
        }
    }

    #[test]
    fn without_a_limit_nothing_is_said_of_one() {
        let line = serde_json::to_value(spec()).unwrap();
        assert!(line.get("rng_limit").is_none());
    }
}
