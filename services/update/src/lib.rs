//! Update bundles, slots, roll-back.
//!
//! A bundle is one tar archive: `manifest.json` first, then the parts it names. Start reading at
//! [`manifest`].

pub mod manifest;

pub use manifest::{Manifest, Part, Parts, Sha256};
