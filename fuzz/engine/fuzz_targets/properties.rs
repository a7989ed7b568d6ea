//! Settings of guests and storages as clients write them; what is accepted is printed so that it reads
//! as the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::properties::run(data));
