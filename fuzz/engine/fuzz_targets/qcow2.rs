//! A qcow2 image as a guest's disk: opened, then read, written, cleared, grown and written out.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::qcow2::run(data));
