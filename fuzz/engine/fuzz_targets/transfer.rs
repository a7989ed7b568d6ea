//! A machine that arrives over a socket: frames of memory and of state.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::transfer::run(data));
