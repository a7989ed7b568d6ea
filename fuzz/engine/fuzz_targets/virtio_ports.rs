//! The queues of the console and the guest agent's port, while programs of the host come and go.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::virtio_ports::run(data));
