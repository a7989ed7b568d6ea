//! The balloon's queues and its configuration, while targets are set and figures asked for.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::virtio_balloon::run(data));
