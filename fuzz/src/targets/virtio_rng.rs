//! The entropy device's queue.

use std::fs::File;
use std::sync::Arc;

use crate::input::Input;
use crate::{machine, virtio};
use basalt_vmm::virtio::rng::{self, Rng};

/// Plays one input.
pub fn run(data: &[u8]) {
    let source = File::open("/dev/zero").expect("every system has zeroes");
    let mut device = Rng::new(Arc::new(source));
    virtio::play(
        &rng::description(),
        &machine::memory(),
        &mut device,
        &mut Input::new(data),
        &mut |_| (),
    );
}
