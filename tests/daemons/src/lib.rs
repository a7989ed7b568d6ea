//! The daemons alone, started on this machine without an appliance: for tests and measurements.
//!
//! A [`Node`] has folders of its own and a service manager that knows no unit, played by [`bus`];
//! a [`Gateway`] listens on a free port and stands before it, or before a node that a test plays.
//! [`Client`] talks to the gateway as users do. [`programs`] finds the programs that the workspace
//! built, [`sample`] fills a node. The crate's program measures ([`bench`]) and is the writer of a store that a test kills
//! ([`writer`]).

pub mod bench;
mod bus;
mod client;
mod daemon;
mod gateway;
mod node;
pub mod programs;
pub mod sample;
pub mod writer;

pub use client::{Answer, Client};
pub use gateway::Gateway;
pub use node::{JO, Node, ROOT};
