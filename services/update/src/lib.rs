//! Update bundles, slots, roll-back.
//!
//! A bundle is one tar archive: a signed manifest first, then a list of all blocks, the root file
//! system, its hash tree and the kernel image. Installing writes the slot that does not run and adds its kernel image as the
//! very last step; the boot loader then tries the new version a few times, and the host's health
//! checks decide whether it stays. Power may fail at any instant of this.
//!
//! A bundle comes from a file, from a web server ([`fetch`]), or from a folder on a web server that
//! says which bundle is the latest of a [`channel`].
//!
//! Start reading at [`install`] for the order of the steps and why it is that order; [`host`] says
//! what the updater knows of the machine, [`bootloader`] what starts it, [`mirror`] how a second disk
//! comes by the same. [`table`], [`block`],
//! [`esp`], [`efivars`], and for legacy BIOS [`bios`] and [`environment`] are the small tools it
//! works with; the installer and the supervisor share them.

pub mod bios;
pub mod block;
pub mod blocks;
pub mod bootloader;
pub mod bundle;
pub mod channel;
pub mod claim;
pub mod command;
pub mod efivars;
pub mod environment;
mod error;
pub mod esp;
pub mod fetch;
pub mod files;
mod formats;
pub mod host;
pub mod install;
pub mod manifest;
pub mod mirror;
pub mod observer;
pub mod pe;
pub mod rollback;
pub mod secureboot;
pub mod signature;
pub mod source;
pub mod status;
pub mod table;
#[cfg(test)]
mod testing;
mod web;

pub use error::Error;
pub use host::Host;
pub use manifest::{Manifest, Part, Parts, Sha256};
pub use observer::Observer;
pub use web::check_authorities;
