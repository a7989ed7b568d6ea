//! A qcow2 image that somebody uploaded: what its header says, and its disk copied out of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::qcow2_header::run(data));
