//! The firmware configuration device: its ports, and DMA from and to memory; and the picture that
//! is set up by one of its files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::fw_cfg::run(data));
