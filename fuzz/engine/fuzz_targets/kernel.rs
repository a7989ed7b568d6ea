//! Kernels that users bring: ELF with a PVH note, and bzImage, with an initial RAM disk.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::kernel::run(data));
