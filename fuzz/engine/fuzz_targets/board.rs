//! The board's fixed devices together: power management, serial ports, clock, resets, flash memory,
//! the bridges' configuration, system management, and the registers by which devices come and go.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::board::run(data));
