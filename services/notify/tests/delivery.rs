//! Events get to real servers on loopback.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod mail;
mod servers;
mod web;
