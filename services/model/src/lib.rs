//! The vocabulary of Basalt: guests, storage, network and access types, ids and property strings.
//!
//! This crate knows nobody and does no I/O at all; everything here can be built, printed, parsed
//! and compared in a unit test. Start reading at [`guest`] for what users configure, and at
//! [`machine`] and [`container`] for what a configuration becomes when it runs.

pub mod access;
pub mod acme;
pub mod balloon;
pub mod calendar;
pub mod container;
pub mod cpu;
pub mod disk;
pub mod entropy;
pub mod field;
pub mod guest;
pub mod history;
pub mod host;
pub mod hotplug;
pub mod lxc;
pub mod machine;
pub mod mapping;
pub mod metrics;
pub mod network;
pub mod notify;
pub mod numa;
pub mod numbers;
pub mod passthrough;
pub mod pool;
pub mod processors;
pub mod propstring;
pub mod qemu;
pub mod storage;
pub mod upid;
pub mod userid;
pub mod vmid;
pub mod watchdog;
