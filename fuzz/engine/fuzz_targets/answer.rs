//! The answer file of an unattended installation.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::answer::run(data));
