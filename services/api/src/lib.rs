//! Every API method declared once, and what is derived from that.
//!
//! Start at [`methods`]: one module per resource, each method one declaration of its verb, path,
//! parameters, result, permission, kind and place on the command line. [`endpoint`] says what a
//! declaration is made of. Everything else here is derived from the declarations: [`route`]
//! finds the method of a request, [`bag`] and [`coerce`] turn strings or JSON into typed
//! parameters and name each wrong one, [`encode`] and [`wire`] write answers as clients of
//! Proxmox VE expect them, [`openapi`] and [`typescript`] describe the whole, [`surface`] says how much of Proxmox
//! VE's API that is. The crate does no I/O.

pub mod bag;
pub mod coerce;
pub mod encode;
pub mod endpoint;
pub mod error;
pub mod methods;
pub mod openapi;
pub mod permission;
pub mod registry;
pub mod route;
pub mod schema;
pub mod surface;
pub mod typescript;
pub mod wire;

pub use endpoint::{Endpoint, Kind, Method, Reply, Verb};
pub use error::{Error, Result};
pub use permission::Permission;
pub use registry::{Declaration, registry};
