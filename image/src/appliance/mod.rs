//! Running the appliance in QEMU: `cargo image run`, `list`, `exec`, `console`, `stop`, `delete`
//! and `sync`.
//!
//! An *instance* has a name and one or more *nodes*; each [`node::Node`] is one appliance in one
//! QEMU. Start at [`run`], which builds the image, lets [`install`] put it on a disk once per
//! image and answer file, starts every node on an overlay of that disk and waits in [`health`].
//! The system tests use the same nodes, and [`node::Node::freeze`] for their snapshot.
//!
//! Everything lies below `target/appliance/`: one folder per instance, `.bases/` with installed
//! disks, `.keys/` with the SSH key and the password of appliances without an answer file.

pub mod accel;
pub mod answer;
pub mod console;
pub mod health;
pub mod https;
pub mod install;
pub mod instance;
pub mod node;
pub mod poll;
pub mod ports;
pub mod process;
pub mod qemu;
pub mod qmp;
pub mod run;
pub mod serial;
pub mod snapshot;
pub mod ssh;
pub mod sync;
mod tpm;
pub mod uki;

use std::path::PathBuf;

/// Where instances, installed disks and keys are kept.
pub fn root() -> PathBuf {
    crate::build::paths::workspace().join("target/appliance")
}

/// A line for the person who waits; results go to standard output, this does not.
pub fn say(line: &str) {
    eprintln!("{line}");
}
