//! The display's queues, while somebody looks at the picture and asks for other sizes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::virtio_gpu::run(data));
