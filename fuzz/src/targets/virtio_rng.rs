//! The entropy device's queue, with and without a limit.

use std::fs::File;
use std::sync::{Arc, Mutex};

use crate::input::Input;
use crate::{machine, virtio};
use basalt_model::entropy::EntropyLimit;
use basalt_vmm::virtio::budget::Budget;
use basalt_vmm::virtio::rng::{self, Rng};

/// Plays one input.
pub fn run(data: &[u8]) {
    let source = File::open("/dev/zero").expect("every system has zeroes");
    let mut input = Input::new(data);
    // Few bytes in periods that end now or never, and as many as are asked for.
    let (bytes, short) = (u64::from(input.byte()), input.byte() & 1 != 0);
    let budget = (bytes != 0).then(|| {
        Budget::new(EntropyLimit {
            bytes,
            period_ms: if short { 1 } else { 3_600_000 },
        })
    });
    let budget = budget.map(|budget| Arc::new(Mutex::new(budget)));
    let device = Rng::new(Arc::new(source), budget);
    let mut device = device.expect("a timer can be had");
    virtio::play(
        &rng::description(),
        &machine::memory(),
        &mut device,
        &mut input,
        &mut |_| (),
    );
}
