//! What the fuzz targets share: the machine around a device, without KVM.
//!
//! A target in `fuzz_targets/` is one way into Basalt for bytes that others chose. It takes its
//! input apart with [`input::Input`] and plays it: what a guest's driver does to virtio queues is in
//! [`virtio`], what its processors do to ports and memory in [`bus`]; [`machine`] stands for the host.
//! A panic, an overflow, a failed assertion, or more memory or time than there is any reason for is
//! a finding.

pub mod bus;
pub mod files;
pub mod input;
pub mod machine;
pub mod virtio;
