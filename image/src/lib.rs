//! What the appliance is made of, and how it is built, run and tested.
//!
//! Start at [`build::build`] for how Debian packages and our binaries become one image.

pub mod appliance;
pub mod build;
mod cargo;
pub mod fuzz;
pub mod keys;
pub mod node;
pub mod publish;
pub mod testing;
pub mod tools;
