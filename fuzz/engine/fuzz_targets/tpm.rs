//! The registers of the trusted platform module, and an emulator that says anything.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::tpm::run(data));
