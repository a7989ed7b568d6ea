//! A device of the host: its configuration space as the device has it and as a guest uses it, its windows,
//! vectors and messages. The kernel is made up: it answers what the input says, and refuses at times.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::vfio::run(data));
