//! The source of random numbers of a virtual machine, and how much its guest may take of it.

use crate::field::Int;
use crate::words;
use serde::{Deserialize, Serialize};

words! {
    /// Where the random numbers come from.
    pub enum EntropySource {
        /// The kernel's generator.
        Urandom = "/dev/urandom",
        /// The same, which says nothing before it was seeded.
        Random = "/dev/random",
        /// The hardware generator of the host.
        Hardware = "/dev/hwrng",
    }
}

crate::propstring! {
    /// A source of random numbers: `[source=]/dev/urandom[,max_bytes=…][,period=…]`.
    pub struct Entropy {
        /// Where they come from.
        default source "source": EntropySource,
        /// Bytes that the guest gets in a period (default 1024); 0 for as many as it asks for.
        max_bytes "max_bytes": Int<0, 4294967295>,
        /// The period in milliseconds (default 1000).
        period "period": Int<1, 4294967295>,
    }
}

impl Entropy {
    /// How much the guest may take, if that is limited.
    pub fn limit(&self) -> Option<EntropyLimit> {
        let bytes = self.max_bytes.map_or(1024, Int::get);
        (bytes > 0).then(|| EntropyLimit {
            bytes,
            period_ms: self.period.map_or(1000, Int::get),
        })
    }
}

/// How many random bytes a guest gets in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntropyLimit {
    /// Bytes, at least one.
    pub bytes: u64,
    /// The period in milliseconds, at least one.
    pub period_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_a_kibibyte_a_second() {
        let limit = |text: &str| text.parse::<Entropy>().unwrap().limit();
        let of = |bytes, period_ms| Some(EntropyLimit { bytes, period_ms });
        assert_eq!(limit("/dev/urandom"), of(1024, 1000));
        assert_eq!(limit("source=/dev/hwrng,period=50"), of(1024, 50));
        assert_eq!(limit("max_bytes=7,source=/dev/random"), of(7, 1000));
        assert_eq!(limit("/dev/urandom,max_bytes=0,period=9"), None);
    }

    #[test]
    fn another_source_or_no_period_is_refused_by_name() {
        for (text, named) in [
            ("/dev/zero", "source: '/dev/zero' is none of: /dev/urandom"),
            ("max_bytes=5", "'source' is missing"),
            ("/dev/urandom,period=0", "period: 0 is not from 1"),
            ("/dev/urandom,max_bytes=-1", "max_bytes: '-1'"),
            ("/dev/urandom,burst=1", "'burst' is none of: source"),
        ] {
            let error = text.parse::<Entropy>().unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
