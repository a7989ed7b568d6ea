//! The state of a running machine, written down and read back.
//!
//! A state is a [`tree`] of sections, one per part of the machine, and the guest's [`memory`].
//! It goes into a [`file`] to be read back later, or over a socket to another monitor
//! ([`transfer`]), in rounds that follow what is written meanwhile ([`dirty`]). What KVM keeps
//! is read and set by [`vcpu`] and [`chips`]; every device saves and restores itself, and
//! [`crate::machine::saved`] puts the parts together.
//!
//! Whoever adds a device gives it `save` and `restore` with a state of its own, and whoever
//! changes the meaning of such a state raises its kind's version in [`tree::Kind`].

pub mod chips;
pub mod dirty;
pub mod file;
pub mod memory;
pub mod mover;
pub mod transfer;
pub mod tree;
pub mod vcpu;
