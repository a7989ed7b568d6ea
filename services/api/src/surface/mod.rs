//! The whole surface of Proxmox VE's API by its names: what is declared here is measured by it.
//!
//! `methods.txt` has a line for each method of version 9.1: verb, path, `=index` if it only lists
//! what lies below, and the names of the parameters that are not in the path. [`coverage`] says of
//! each whether it works here, and [`Tested`] by which tests that is seen; [`crate::route`] tells a method that is missing from a path that
//! never was.

mod coverage;
mod tested;

pub use coverage::{State, state, table};
pub use tested::Tested;

use crate::endpoint::Verb;
use std::sync::LazyLock;

static LINES: &str = include_str!("methods.txt");

static METHODS: LazyLock<Vec<SurfaceMethod>> =
    LazyLock::new(|| LINES.lines().filter_map(SurfaceMethod::parse).collect());

/// A method of the surface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurfaceMethod {
    /// HTTP verb.
    pub verb: Verb,
    /// Path template.
    pub path: &'static str,
    /// Whether it only lists what lies below its path.
    pub is_index: bool,
    /// Names of the parameters that are not in the path; numbered ones as `net[n]`.
    pub params: Vec<&'static str>,
}

impl SurfaceMethod {
    fn parse(line: &'static str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (verb, path) = (Verb::parse(words.next()?)?, words.next()?);
        let mut params: Vec<&str> = words.collect();
        let is_index = params.first() == Some(&"=index");
        params.retain(|name| *name != "=index");
        Some(Self {
            verb,
            path,
            is_index,
            params,
        })
    }
}

/// Every method of the surface, in the order of paths.
pub fn methods() -> &'static [SurfaceMethod] {
    &METHODS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_method() {
        assert_eq!(methods().len(), LINES.lines().count());
        assert_eq!(methods().len(), 649);
        let paths: std::collections::BTreeSet<_> = methods().iter().map(|m| m.path).collect();
        assert_eq!(paths.len(), 431);
    }
}
