//! The list of all declared methods.

use crate::endpoint::{Endpoint, Method};
use crate::methods;
use schemars::{Schema, SchemaGenerator};
use std::fmt;

/// One declared method with the schemas of its types.
#[derive(Clone, Copy)]
pub struct Declaration {
    /// The declaration.
    pub method: &'static Method,
    /// Schema of the parameters.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// Schema of the result.
    pub output: fn(&mut SchemaGenerator) -> Schema,
}

impl Declaration {
    /// The declaration of an endpoint.
    pub const fn of<E: Endpoint>() -> Self {
        Self {
            method: E::METHOD,
            params: SchemaGenerator::subschema_for::<E::Params>,
            output: SchemaGenerator::subschema_for::<E::Output>,
        }
    }
}

impl fmt::Debug for Declaration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.method.fmt(f)
    }
}

/// All declared methods.
pub fn registry() -> impl Iterator<Item = Declaration> {
    methods::ALL
        .iter()
        .flat_map(|module| module.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn verb_and_path_are_unique_and_names_too() {
        let mut seen = BTreeSet::new();
        let mut names = BTreeSet::new();
        let mut commands = BTreeSet::new();
        for Declaration { method, .. } in registry() {
            assert!(
                seen.insert((method.verb, method.path)),
                "{} {}",
                method.verb,
                method.path
            );
            assert!(names.insert(method.name), "{}", method.name);
            if let Some(cli) = method.cli {
                assert!(commands.insert(cli), "command '{cli}' twice");
            }
        }
    }

    #[test]
    fn every_method_is_documented() {
        for Declaration { method, .. } in registry() {
            assert!(
                method.summary().ends_with('.'),
                "{}: {:?}",
                method.name,
                method.summary()
            );
        }
    }

    #[test]
    fn every_placeholder_is_a_parameter() {
        for declaration in registry() {
            let schema = crate::schema::params(&declaration);
            for name in declaration.method.placeholders() {
                let known = schema.pointer(&format!("/properties/{name}")).is_some();
                assert!(known, "{}: {name}", declaration.method.name);
            }
        }
    }
}
