//! The file system device, whose directory is served by a program that answers anything.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::virtio_fs::run(data));
