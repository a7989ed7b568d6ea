//! The picture that firmware sets up, as viewers' copy of it is made.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::ramfb::run(data));
