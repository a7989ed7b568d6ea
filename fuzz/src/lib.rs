//! What the fuzz targets do with bytes that guests, clients, archives and disks chose.
//!
//! A target in [`targets`] is one way into Basalt. It takes its input apart with [`input::Input`] and
//! plays it: what a guest's driver does to virtio queues is in [`virtio`], what its processors do to
//! ports and memory in [`bus`]; [`machine`] stands for the host, without KVM. A panic, an overflow, a
//! failed assertion, or more memory or time than there is any reason for is a finding.
//!
//! `engine/` makes a program of libFuzzer of each target, which looks for inputs that reach something
//! new; `cargo image fuzz` runs them. `tests/bounded.rs` plays each target's corpus, and for a bounded
//! time what chance makes of it, in every test run. It may know whatever has a parser.

pub mod bus;
pub mod files;
pub mod input;
pub mod machine;
pub mod targets;
pub mod virtio;
