//! Update bundles, slots, roll-back.
//!
//! A bundle is one tar archive: a manifest first, then the root file system, its hash tree and the
//! kernel image. Installing writes the slot that does not run and adds its kernel image as the
//! very last step; the boot loader then tries the new version a few times, and the host's health
//! checks decide whether it stays. Power may fail at any instant of this.
//!
//! Start reading at [`install`] for the order of the steps and why it is that order; [`host`] says
//! what the updater knows of the machine. [`table`], [`block`], [`esp`] and [`efivars`] are the
//! small tools it works with; the installer and the supervisor share them.

pub mod block;
pub mod bundle;
pub mod command;
pub mod efivars;
mod error;
pub mod esp;
pub mod files;
pub mod host;
pub mod install;
pub mod manifest;
pub mod rollback;
pub mod status;
pub mod table;
#[cfg(test)]
mod testing;

pub use error::Error;
pub use host::Host;
pub use manifest::{Manifest, Part, Parts, Sha256};
