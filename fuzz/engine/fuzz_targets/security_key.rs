//! What browsers say for security keys: the answer as a whole, and the key's own part in it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::security_key::run(data));
