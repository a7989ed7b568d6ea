//! The network card's queues, with a pair of sockets for the tap.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::virtio_net::run(data));
