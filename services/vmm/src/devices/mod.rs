//! Devices on fixed ports: serial, power management, reset.

pub mod pm;
pub mod reset;
pub mod serial;
