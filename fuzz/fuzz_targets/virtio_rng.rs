//! The entropy device's queue.
#![no_main]

use std::fs::File;
use std::sync::Arc;

use basalt_fuzz::input::Input;
use basalt_fuzz::{machine, virtio};
use basalt_vmm::virtio::rng::{self, Rng};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let source = File::open("/dev/zero").expect("every system has zeroes");
    let mut device = Rng::new(Arc::new(source));
    virtio::play(
        &rng::description(),
        &machine::memory(),
        &mut device,
        &mut Input::new(data),
        &mut |_| (),
    );
});
