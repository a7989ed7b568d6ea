//! Which tests call which methods, found in the sources of the tests.
//!
//! A call is a text such as `"GET /nodes/n1/status"` in the tests of the node, or the path in
//! `api.get("/version")` in the scenarios. What a test puts together in another way is not found, so
//! this is what there is at least.

use crate::endpoint::{Method, Verb};
use crate::route::{Routes, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Tests of the node, each a test of the program `calls`.
const NODE: &str = "services/node/tests";
/// Scenarios, of which a file is one or a few that belong together.
const SCENARIOS: &str = "tests/src/scenarios";
/// Calls every method with what its declaration allows, but for a few.
const SCHEMA: &str = "tests/tests/schema.rs";
/// Where that test lists the few.
const EXCEPTIONS: &str = "const UNSAFE:";
/// More tests of a method than this are not named.
const MOST: usize = 2;

type Key = (Verb, &'static str);

/// Which tests call which methods.
#[derive(Debug, Default)]
pub struct Tested {
    by_method: BTreeMap<Key, BTreeSet<String>>,
    /// Names of declarations that the schema test leaves out.
    exceptions: BTreeSet<String>,
}

impl Tested {
    /// Reads the sources of the tests in a workspace.
    ///
    /// # Errors
    /// When they cannot be read, or the schema test does not say what it leaves out.
    pub fn find(workspace: &Path) -> io::Result<Self> {
        let mut tested = Self::default();
        let routes = Routes::new();
        for path in sources(&workspace.join(NODE))? {
            let text = fs::read_to_string(&path)?;
            tested.add_node(&routes, &module(&path), &text);
        }
        for path in sources(&workspace.join(SCENARIOS))? {
            let text = fs::read_to_string(&path)?;
            tested.add_scenario(&routes, &module(&path), &text);
        }
        let text = fs::read_to_string(workspace.join(SCHEMA))?;
        let listed = exceptions(&text);
        let missing = || io::Error::other(format!("{SCHEMA} has no list {EXCEPTIONS}"));
        tested.exceptions = listed.ok_or_else(missing)?;
        Ok(tested)
    }

    fn add_node(&mut self, routes: &Routes, module: &str, text: &str) {
        for (at, literal) in literals(text) {
            let Some((verb, path)) = literal.split_once(' ') else {
                continue;
            };
            let name = test_before(text, at);
            let place = match (module, name) {
                ("calls", Some(name)) => name.to_owned(),
                (_, Some(name)) => format!("{module}::{name}"),
                (_, None) => module.to_owned(),
            };
            if let Some(verb) = Verb::parse(verb) {
                self.add(routes, verb, path, &place);
            }
        }
    }

    fn add_scenario(&mut self, routes: &Routes, module: &str, text: &str) {
        for (at, literal) in literals(text).filter(|(_, text)| text.starts_with('/')) {
            // What stands before the literal: `.get(`, maybe with `&format!(` behind it.
            let before = text[..at].trim_end().trim_end_matches("format!(");
            let before = before.trim_end_matches('&').trim_end();
            let verbs = [
                (".get(", Verb::Get),
                (".post(", Verb::Post),
                (".put(", Verb::Put),
                (".delete(", Verb::Delete),
            ];
            let verb = verbs.iter().find(|(call, _)| before.ends_with(call));
            if let Some((_, verb)) = verb {
                self.add(routes, *verb, literal, &format!("scenarios/{module}"));
            }
        }
    }

    fn add(&mut self, routes: &Routes, verb: Verb, path: &str, place: &str) {
        let path = path.split('?').next().unwrap_or_default();
        if let Ok(Target::Method(declared, _)) = routes.find(verb, &filled(path)) {
            let key = (verb, declared.method.path);
            self.by_method
                .entry(key)
                .or_default()
                .insert(place.to_owned());
        }
    }

    /// The tests that call a declared method, in Markdown.
    pub(super) fn of(&self, method: &Method) -> String {
        let found = self.by_method.get(&(method.verb, method.path));
        let mut names: Vec<String> = found
            .into_iter()
            .flatten()
            .take(MOST)
            .map(|name| format!("`{name}`"))
            .collect();
        names.push("rights".to_owned());
        if !self.exceptions.contains(method.name) {
            names.push("schema".to_owned());
        }
        names.join(", ")
    }
}

/// Every source below a folder, in the order of names.
fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The name of a file's module.
fn module(path: &Path) -> String {
    let is_folder = path.file_stem().is_some_and(|stem| stem == "mod");
    let named = if is_folder { path.parent() } else { Some(path) };
    let name = named.and_then(Path::file_stem).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The texts in quotes without escapes, each with where its quote is.
fn literals(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
    let starts: Vec<usize> = ["\"GET /", "\"POST /", "\"PUT /", "\"DELETE /", "\"/"]
        .iter()
        .flat_map(|start| text.match_indices(start).map(|(at, _)| at))
        .collect();
    starts.into_iter().filter_map(move |at| {
        let next = quotes.partition_point(|quote| *quote <= at);
        let end = *quotes.get(next)?;
        Some((at, &text[at + 1..end]))
    })
}

/// The test whose function is the last that begins before a place.
fn test_before(text: &str, at: usize) -> Option<&str> {
    let begins = |start: &str| text[..at].rfind(start).map(|found| found + start.len());
    let begin = begins("\nfn ").max(begins("\nasync fn "))?;
    let name = text[begin..].split(['(', '<']).next()?;
    let head = text[..begin]
        .trim_end_matches("async fn ")
        .trim_end_matches("fn ");
    head.trim_end().ends_with("test]").then_some(name)
}

/// A path with something in the place of each part that is put in.
fn filled(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, behind)) = rest.split_once('{') {
        out.push_str(before);
        out.push('x');
        rest = behind.split_once('}').map_or("", |(_, behind)| behind);
    }
    out + rest
}

/// The names in the list of methods that the schema test leaves out: every other text in it.
fn exceptions(text: &str) -> Option<BTreeSet<String>> {
    let (_, list) = text.split_once(EXCEPTIONS)?;
    let (list, _) = list.split_once("];")?;
    let texts = list.split('"').skip(1).step_by(2);
    Some(texts.step_by(2).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str = r#"
async fn helper(rig: &Rig) {
    rig.ask("GET /version", ROOT, "").await;
}

#[tokio::test]
async fn it_works() {
    rig.ask(&format!("GET /nodes/n1/tasks/{upid}/status?x=1"), ROOT, "").await;
    rig.ask("PUT /nodes/n1/nonsense", ROOT, "").await;
}
"#;

    fn of<'a>(tested: &'a Tested, verb: Verb, path: &'static str) -> Vec<&'a str> {
        let found = tested.by_method.get(&(verb, path));
        found.into_iter().flatten().map(String::as_str).collect()
    }

    #[test]
    fn calls_are_found_where_they_are() {
        let (mut tested, routes) = (Tested::default(), Routes::new());
        tested.add_node(&routes, "host", TEST);
        assert_eq!(of(&tested, Verb::Get, "/version"), ["host"]);
        let status = "/nodes/{node}/tasks/{upid}/status";
        assert_eq!(of(&tested, Verb::Get, status), ["host::it_works"]);
        let text = r#"api.post("/access/users", &[])?; api.get(&format!("/nodes/{NODE}/status"))"#;
        tested.add_scenario(&routes, "boot", text);
        assert_eq!(of(&tested, Verb::Post, "/access/users"), ["scenarios/boot"]);
        let status = "/nodes/{node}/status";
        assert_eq!(of(&tested, Verb::Get, status), ["scenarios/boot"]);
        assert_eq!(tested.by_method.len(), 4);
    }

    #[test]
    fn exceptions_are_names_and_not_reasons() {
        let text = "const UNSAFE: &[(&str, &str)] = &[(\"NodePower\", \"stops\"),\n(\n\
                    \"TicketCreate\",\n\"slow\")];\nlet x = \"y\";";
        let names = exceptions(text).unwrap();
        assert_eq!(
            names.into_iter().collect::<Vec<_>>(),
            ["NodePower", "TicketCreate"]
        );
        assert_eq!(exceptions("const SAFE: 1;"), None);
    }
}
