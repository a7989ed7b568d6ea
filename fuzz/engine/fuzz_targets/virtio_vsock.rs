//! The socket device's queues, of which the kernel has those for packets.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::virtio_vsock::run(data));
