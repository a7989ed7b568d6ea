//! A virtual machine's life: from its configuration to a process of its own, and back.
//!
//! [`resolve`] opens everything that a configuration names and describes the machine by
//! descriptors. [`Machines`] starts the monitor with that as a systemd unit, finds the units
//! again after a restart of ours, and stops them. [`Control`] talks to one monitor.
//! [`agent`] to a program in the guest.
//! [`cloudinit`] makes the disc that a guest's cloud-init reads.
//! [`resolve_device`] opens one device for a machine that runs; [`plug_cable`] moves the cable of one that it has.

pub mod agent;
pub mod cloudinit;
mod control;
mod disks;
mod entropy;
mod error;
pub mod firmware;
mod hotplug;
mod hugepages;
mod machines;
mod memory;
mod numa;
mod pages;
mod passthrough;
mod processors;
mod resolve;
mod shares;
mod tpm;

pub use control::Control;
pub use error::{Result, VmError};
pub use hotplug::{ResolvedDevice, plug_cable, resolve_device};
pub use machines::{EXECUTABLE, Machines, StopPatience};
pub use numa::check_nodes;
pub use passthrough::HostDevices;
pub use processors::check_affinity;
pub use resolve::{
    RUN, Resolved, agent_socket, console_socket, control_socket, resolve, screen_socket, tap_name,
};
pub use shares::SharedDirectory;
