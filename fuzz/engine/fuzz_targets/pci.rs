//! Configuration space by ports and by memory, and the windows of virtio devices behind the bridge:
//! registers, features, status, queues, vectors; with the devices' threads.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::pci::run(data));
