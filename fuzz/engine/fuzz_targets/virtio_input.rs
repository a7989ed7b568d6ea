//! The keyboard's and the tablet's queues and configuration, while somebody types and points.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::virtio_input::run(data));
