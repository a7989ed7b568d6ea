//! A disk's queues, on a host that now and then has no room, no luck or no time.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::virtio_block::run(data));
