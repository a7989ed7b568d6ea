//! What is kept of a disk's writes beside its image while the machine is off.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::sidecar::run(data));
