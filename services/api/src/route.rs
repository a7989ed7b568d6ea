//! Finds the method of a request by its verb and path.
//!
//! The gateway and the node use the same table, so that they cannot disagree on what a path means.

use crate::bag::decode;
use crate::endpoint::{Method, Verb};
use crate::error::{Error, Result};
use crate::registry::{Declaration, registry};
use crate::surface;
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
    /// A method that clients know and that is not declared here.
    NotYet,
}

/// All routes, as trees of path segments.
#[derive(Debug)]
pub struct Routes {
    declared: Folder<Declaration>,
    /// The whole surface; the value is whether a method only lists what lies below.
    surface: Folder<bool>,
}

#[derive(Debug)]
struct Folder<T> {
    methods: BTreeMap<Verb, T>,
    named: BTreeMap<&'static str, Folder<T>>,
    placeholder: Option<(&'static str, Box<Folder<T>>)>,
}

impl Default for Routes {
    fn default() -> Self {
        Self::new()
    }
}

impl Routes {
    /// The routes of all declared methods.
    pub fn new() -> Self {
        let mut declared = Folder::new();
        for declaration in registry() {
            let method = declaration.method;
            declared.add(method.path, method.verb, declaration);
        }
        let mut surface = Folder::new();
        for method in surface::methods() {
            surface.add(method.path, method.verb, method.is_index);
        }
        Self { declared, surface }
    }

    /// Finds what `verb` and the still encoded `path` (below `/api2/json`) lead to.
    pub fn find(&self, verb: Verb, path: &str) -> Result<Target> {
        let known = self
            .surface
            .find(path)?
            .and_then(|(folder, _)| folder.methods.get(&verb));
        if let Some((folder, params)) = self.declared.find(path)? {
            if let Some(declaration) = folder.methods.get(&verb) {
                return Ok(Target::Method(*declaration, params));
            }
            // A method that tells more than what lies below is no index.
            if verb == Verb::Get && !folder.named.is_empty() && known != Some(&false) {
                return Ok(Target::Index(folder.named.keys().copied().collect()));
            }
        }
        match known {
            Some(_) => Ok(Target::NotYet),
            None => Err(Error::no_such_method(verb, path)),
        }
    }
}

impl<T> Folder<T> {
    fn new() -> Self {
        Self {
            methods: BTreeMap::new(),
            named: BTreeMap::new(),
            placeholder: None,
        }
    }

    fn add(&mut self, path: &'static str, verb: Verb, value: T) {
        let mut folder = self;
        for segment in segments(path) {
            folder = folder.child(segment);
        }
        folder.methods.insert(verb, value);
    }

    fn child(&mut self, segment: &'static str) -> &mut Self {
        match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
            Some(name) => {
                &mut self
                    .placeholder
                    .get_or_insert_with(|| (name, Box::new(Self::new())))
                    .1
            }
            None => self.named.entry(segment).or_insert_with(Self::new),
        }
    }

    /// The folder that a path leads to, and what its placeholders stand for.
    fn find(&self, path: &str) -> Result<Option<(&Self, PathParams)>> {
        let read = |part| decode(part).ok_or_else(|| Error::new(400, "path is not UTF-8"));
        let mut params = PathParams::new();
        let mut folder = self;
        let mut rest = segments(path);
        while let Some(segment) = rest.next() {
            let text = read(segment)?;
            if let Some(child) = folder.named.get(text.as_str()) {
                folder = child;
                continue;
            }
            let Some((name, child)) = folder.placeholder.as_ref() else {
                return Ok(None);
            };
            let mut value = text;
            if *name == GREEDY {
                for more in rest.by_ref() {
                    value.push('/');
                    value.push_str(&read(more)?);
                }
            }
            params.insert((*name).into(), value);
            folder = child;
        }
        Ok(Some((folder, params)))
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
            Target::NotYet => ("not yet".into(), PathParams::new()),
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

    #[test]
    fn what_clients_know_and_is_missing_is_told_from_nonsense() {
        assert_eq!(find(Verb::Get, "/nodes/n1/ceph/cfg").0, "not yet");
        assert_eq!(find(Verb::Get, "/cluster/ha/resources").0, "not yet");
        assert!(Routes::new().find(Verb::Put, "/nodes/n1/ceph/cfg").is_err());
    }
}
