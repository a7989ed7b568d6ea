//! Saved states of devices, changed at will: a device takes them or not, and serves its guest after.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::state_restore::run(data));
