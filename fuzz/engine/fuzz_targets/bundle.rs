//! Update bundles: archives as they come, and manifests by whoever could sign them; and the headers of
//! the kernel images in them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::bundle::run(data));
