//! The keyboard controller's ports, while somebody types and points.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::i8042::run(data));
