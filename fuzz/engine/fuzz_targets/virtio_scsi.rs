//! The SCSI adapter's queues, with two drives whose discs change.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::targets::virtio_scsi::run(data));
