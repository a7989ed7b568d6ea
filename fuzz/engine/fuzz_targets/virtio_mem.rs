//! The queue of the device by which memory comes and goes, and its configuration, while amounts are asked
//! for and states restored.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::virtio_mem::run(data));
