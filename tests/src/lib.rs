//! The appliance as a whole, in QEMU: scenarios, real clients, a real browser, faults.
//!
//! A scenario is a function that gets a [`lab::Lab`], in which it starts an appliance: in a second
//! from the frozen, healthy one ([`lab::Lab::appliance`]), or from power-on. It talks to it as
//! users do: [`api`] is the HTTP interface, [`console`] a guest's console, [`rfb`] its screen and
//! [`picture`] what can be read on it. [`monitor`] starts monitors past the API.
//! [`bench`] compares our monitor with QEMU.
//! [`blocklog`] makes and judges the disks that power cuts leave. [`scenarios`] lists all of them;
//! [`runner`] runs them and keeps what explains a failure under `target/test-results/`.

pub mod api;
pub mod appliance;
pub mod bench;
pub mod blocklog;
pub mod console;
pub mod figures;
pub mod guest;
pub mod lab;
pub mod monitor;
pub mod person;
pub mod picture;
pub mod python;
pub mod rfb;
pub mod runner;
pub mod scenarios;
pub mod web;
