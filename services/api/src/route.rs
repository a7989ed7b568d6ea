//! Finds the method of a request by its verb and path.
//!
//! The gateway and the node use the same table, so that they cannot disagree on what a path means.

use crate::bag::decode;
use crate::endpoint::{Method, Verb};
use crate::error::{Error, Result};
use crate::registry::{Declaration, registry};
use serde_json::Value;
use std::collections::BTreeMap;

/// A placeholder that takes the rest of the path, slashes included: volume ids have some.
const GREEDY: &str = "volume";

/// Values of the placeholders of a path, decoded.
pub type PathParams = BTreeMap<String, String>;

/// What a verb and path lead to.
#[derive(Debug)]
pub enum Target {
    /// A declared method.
    Method(Declaration, PathParams),
    /// A folder of methods: its children are listed.
    Index(Vec<&'static str>),
}

/// All routes, as a tree of path segments.
#[derive(Debug, Default)]
pub struct Routes {
    root: Folder,
}

#[derive(Debug, Default)]
struct Folder {
    methods: BTreeMap<Verb, Declaration>,
    named: BTreeMap<&'static str, Folder>,
    placeholder: Option<(&'static str, Box<Folder>)>,
}

impl Routes {
    /// The routes of all declared methods.
    pub fn new() -> Self {
        let mut root = Folder::default();
        for declaration in registry() {
            let mut folder = &mut root;
            for segment in segments(declaration.method.path) {
                folder = folder.child(segment);
            }
            folder.methods.insert(declaration.method.verb, declaration);
        }
        Self { root }
    }

    /// Finds what `verb` and the still encoded `path` (below `/api2/json`) lead to.
    pub fn find(&self, verb: Verb, path: &str) -> Result<Target> {
        let missing = || Error::no_such_method(verb, path);
        let mut params = PathParams::new();
        let mut folder = &self.root;
        let mut rest = segments(path);
        while let Some(segment) = rest.next() {
            let text = decode(segment).ok_or_else(|| Error::new(400, "path is not UTF-8"))?;
            if let Some(child) = folder.named.get(text.as_str()) {
                folder = child;
                continue;
            }
            let (name, child) = folder.placeholder.as_ref().ok_or_else(missing)?;
            let mut value = text;
            if *name == GREEDY {
                for more in rest.by_ref() {
                    value.push('/');
                    value.push_str(&decode(more).ok_or_else(missing)?);
                }
            }
            params.insert((*name).into(), value);
            folder = child;
        }
        if let Some(declaration) = folder.methods.get(&verb) {
            return Ok(Target::Method(*declaration, params));
        }
        let is_index = verb == Verb::Get && !folder.named.is_empty();
        if is_index {
            Ok(Target::Index(folder.named.keys().copied().collect()))
        } else {
            Err(missing())
        }
    }
}

impl Folder {
    fn child(&mut self, segment: &'static str) -> &mut Folder {
        match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
            Some(name) => {
                &mut self
                    .placeholder
                    .get_or_insert_with(|| (name, Box::default()))
                    .1
            }
            None => self.named.entry(segment).or_default(),
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|s| !s.is_empty())
}

/// The path of a method with its placeholders filled in and encoded.
///
/// Used by clients. A missing placeholder is an error by its name.
pub fn fill(method: &Method, params: &serde_json::Map<String, Value>) -> Result<String> {
    let mut path = String::new();
    for segment in segments(method.path) {
        path.push('/');
        match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
            None => path.push_str(segment),
            Some(name) => {
                let value = params
                    .get(name)
                    .ok_or_else(|| Error::param(name, "is missing"))?;
                let text = crate::bag::plain(value)
                    .ok_or_else(|| Error::param(name, "must be one plain value"))?;
                path.push_str(&crate::bag::encode(&text));
            }
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(verb: Verb, path: &str) -> (String, PathParams) {
        match Routes::new().find(verb, path).unwrap() {
            Target::Method(d, params) => (d.method.name.into(), params),
            Target::Index(children) => (children.join(","), PathParams::new()),
        }
    }

    #[test]
    fn placeholders_are_decoded() {
        let (name, params) = find(Verb::Post, "/nodes/n%2D1/qemu/100/status/start");
        assert_eq!(name, "VmStart");
        assert_eq!(params["node"], "n-1");
        assert_eq!(params["vmid"], "100");
    }

    #[test]
    fn a_volume_keeps_its_slashes() {
        for path in ["local:iso/a.iso", "local%3Aiso%2Fa.iso"] {
            let path = format!("/nodes/n/storage/local/content/{path}");
            assert_eq!(find(Verb::Delete, &path).1["volume"], "local:iso/a.iso");
        }
    }

    #[test]
    fn folders_list_their_children_and_the_rest_is_unknown() {
        assert!(find(Verb::Get, "/access").0.contains("users"));
        let error = Routes::new().find(Verb::Get, "/nonsense").unwrap_err();
        assert_eq!(error.status, 501);
        assert!(Routes::new().find(Verb::Delete, "/version").is_err());
    }
}
