//! A saved state: the tree itself, and the file around it. The checksums are made right, since they
//! keep nobody out.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::state_tree::run(data));
