//! Figures over time: the histories of nodes, guests and storages, and telling servers elsewhere.
//!
//! Start at [`Histories`], which keeps what [`history`] consolidates, and at [`Push`], which sends a
//! [`Sample`] to the servers that somebody configured. Taking samples is the node's work: this crate
//! knows no guest and no host.

pub mod histories;
pub mod history;
pub mod push;
pub mod sample;

pub use histories::{Histories, Object};
pub use push::Push;
pub use sample::Sample;
