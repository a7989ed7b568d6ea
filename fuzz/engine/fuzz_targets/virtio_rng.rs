//! The entropy device's queue, with and without a limit.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::virtio_rng::run(data));
