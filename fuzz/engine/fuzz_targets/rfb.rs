//! A viewer's side of the RFB protocol, while the picture changes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::rfb::run(data));
