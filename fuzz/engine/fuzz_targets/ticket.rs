//! Tickets, CSRF tokens and console tickets, as clients send them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::ticket::run(data));
