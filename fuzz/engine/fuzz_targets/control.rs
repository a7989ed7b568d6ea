//! The control socket: lines of requests, and descriptors that come with them; and the description of
//! a machine, as it comes from its starter.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::control::run(data));
