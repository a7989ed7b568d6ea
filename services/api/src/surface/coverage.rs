//! Which methods of the surface work here, and the table that says so.

use super::{SurfaceMethod, Tested, methods};
use crate::registry::Declaration;
use crate::route::{Routes, Target};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// How far a method of the surface is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// With all its parameters.
    Works,
    /// Without these parameters.
    Partly(Vec<&'static str>),
    /// Not at all.
    NotYet,
}

/// How far a method of the surface is there.
pub fn state(routes: &Routes, method: &SurfaceMethod) -> State {
    match routes.find(method.verb, method.path) {
        Ok(Target::Index(_)) => State::Works,
        Ok(Target::Method(declared, _)) if same_shape(declared.method.path, method.path) => {
            let known = names(&declared);
            let missing = method.params.iter().filter(|name| !known.contains(**name));
            let missing: Vec<&str> = missing.copied().collect();
            if missing.is_empty() {
                State::Works
            } else {
                State::Partly(missing)
            }
        }
        Ok(Target::Method(..) | Target::NotYet) | Err(_) => State::NotYet,
    }
}

/// Whether two templates differ in the names of their placeholders at most.
fn same_shape(one: &str, other: &str) -> bool {
    let same = |(a, b): (&str, &str)| a == b || (a.starts_with('{') && b.starts_with('{'));
    one.split('/').count() == other.split('/').count()
        && one.split('/').zip(other.split('/')).all(same)
}

/// The parameters of a declared method by the surface's names.
fn names(declared: &Declaration) -> BTreeSet<String> {
    let schema = crate::schema::params(declared);
    let keys = |key: &str| -> Vec<String> {
        let object = schema.get(key).and_then(Value::as_object);
        object
            .into_iter()
            .flat_map(|object| object.keys().cloned())
            .collect()
    };
    let numbered = keys("patternProperties").into_iter().map(|pattern| {
        let letters = pattern.trim_start_matches('^').chars();
        let prefix: String = letters.take_while(char::is_ascii_alphabetic).collect();
        format!("{prefix}[n]")
    });
    keys("properties").into_iter().chain(numbered).collect()
}

#[derive(Default)]
struct Counts {
    works: usize,
    partly: usize,
    not_yet: usize,
}

impl Counts {
    fn add(&mut self, state: &State) {
        match state {
            State::Works => self.works += 1,
            State::Partly(_) => self.partly += 1,
            State::NotYet => self.not_yet += 1,
        }
    }

    fn row(&self, name: &str) -> String {
        let all = self.works + self.partly + self.not_yet;
        format!(
            "| {name} | {} | {} | {} | {all} |\n",
            self.works, self.partly, self.not_yet
        )
    }
}

/// The folder of the API that a path is counted under.
fn section(path: &str) -> String {
    let mut parts = path.split('/').skip(1);
    let first = parts.next().unwrap_or_default();
    match (first, parts.next(), parts.next()) {
        ("nodes", Some(node), Some(third)) => format!("/nodes/{node}/{third}"),
        ("cluster", Some(second), _) => format!("/cluster/{second}"),
        _ => format!("/{first}"),
    }
}

/// The table of all methods of the surface, in Markdown, with the tests that call them.
pub fn table(tested: &Tested) -> String {
    let routes = Routes::new();
    let states: Vec<(&SurfaceMethod, State)> = methods()
        .iter()
        .map(|method| (method, state(&routes, method)))
        .collect();
    let mut all = Counts::default();
    let mut sections = BTreeMap::<String, Counts>::new();
    for (method, state) in &states {
        all.add(state);
        sections.entry(section(method.path)).or_default().add(state);
    }
    let mut text = String::from(
        "# How much of Proxmox VE's API is here\n\n\
         Made from the declarations by `cargo run --bin generate`; the measure is\n\
         version 9.1, `services/api/src/surface/methods.txt`. A method *works* when all its\n\
         parameters are declared. A method that is not there yet answers 501 and says so.\n\n\
         The last column names tests that call a method, as far as their sources show it: those of\n\
         `cargo test -p basalt-node --test calls`, and scenarios in `tests/src/`. Besides, *rights* is\n\
         `services/node/tests/walk`, which calls it without rights and with exactly the declared one,\n\
         and *schema* is `tests/tests/schema.rs`, which calls it with what its declaration allows and\n\
         with what it does not. Methods without a test only list what lies below.\n\n\
         | below | works | partly | not yet | all |\n|---|---|---|---|---|\n",
    );
    text.push_str(&all.row("**all**"));
    for (name, counts) in &sections {
        text.push_str(&counts.row(&format!("`{name}`")));
    }
    text.push_str(
        "\n| method | state | parameters that are missing | tests |\n|---|---|---|---|\n",
    );
    for (method, state) in &states {
        let (word, missing) = match state {
            State::Works => ("works", String::new()),
            State::Partly(missing) => ("partly", missing.join(", ")),
            State::NotYet => ("not yet", String::new()),
        };
        let tests = match routes.find(method.verb, method.path) {
            Ok(Target::Method(declared, _)) if *state != State::NotYet => {
                tested.of(declared.method)
            }
            Ok(_) | Err(_) => String::new(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{} {}` | {word} | {missing} | {tests} |",
            method.verb, method.path
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verb;

    fn of(verb: Verb, path: &str) -> State {
        let found = methods()
            .iter()
            .find(|m| m.verb == verb && m.path == path)
            .unwrap();
        state(&Routes::new(), found)
    }

    #[test]
    fn a_method_is_measured_by_its_parameters() {
        assert_eq!(of(Verb::Get, "/version"), State::Works);
        assert_eq!(of(Verb::Get, "/access"), State::Works);
        assert_eq!(of(Verb::Get, "/nodes/{node}/ceph/cfg"), State::NotYet);
        let State::Partly(missing) = of(Verb::Post, "/nodes/{node}/qemu") else {
            panic!("not partly");
        };
        assert!(missing.contains(&"args") && !missing.contains(&"net[n]"));
    }
}
