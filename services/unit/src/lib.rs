//! Guests as transient systemd units, over D-Bus.
//!
//! A guest's process is the main process of a service unit of its own, made at start and
//! forgotten by systemd when it ends; so a guest outlives every daemon that manages it, and a
//! daemon that comes back finds its guests again by unit name.
//!
//! Start at [`Units`], the connection to the service manager. [`UnitSpec`] says what to start,
//! [`UnitState`] what is there, [`Ended`] how it went away, and [`Usage`] what a unit's cgroup
//! has consumed. [`ServiceState`] is what it says of the host's own services; name servers go to
//! systemd-networkd over the same bus. [`handover`] is how the process gets its specification and descriptors.

mod error;
pub mod handover;
mod proxy;
mod resolve;
mod services;
mod spec;
mod units;
mod usage;

pub use error::UnitError;
pub use services::{ServiceOrder, ServiceState};
pub use spec::{Property, UnitSpec};
pub use units::{ActiveState, Ended, HostStop, KillWho, UnitState, Units};
pub use usage::Usage;
