//! The crates that are linked into our programs, as cargo resolves them.

use super::super::error::{At, Result};
use super::super::paths::Paths;
use super::super::{command, programs};
use super::{Component, Source, invalid, texts_in};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What `cargo metadata` says, as far as we need it.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// Nothing for a crate of the workspace.
    source: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    /// Nothing for an ordinary dependency; `dev` and `build` are never linked.
    kind: Option<String>,
}

/// The checksums in `Cargo.lock`.
#[derive(Debug, Deserialize)]
struct LockFile {
    package: Vec<Locked>,
}

#[derive(Debug, Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Every crate linked into a shipped program, sorted.
pub(super) fn linked(paths: &Paths) -> Result<Vec<Component>> {
    let mut metadata = crate::cargo::command();
    metadata.current_dir(&paths.workspace).args([
        "metadata",
        "--quiet",
        "--locked",
        "--format-version=1",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ]);
    let metadata: Metadata = serde_json::from_str(&command::output(&mut metadata)?)
        .map_err(|error| invalid(&format!("cargo metadata: {error}")))?;
    let checksums = checksums(&paths.workspace.join("Cargo.lock"))?;
    let linked = reachable(&metadata, &|name| programs::is_shipped(name));
    let mut components = Vec::new();
    for package in metadata
        .packages
        .iter()
        .filter(|p| linked.contains(p.id.as_str()))
    {
        components.extend(component(package, &checksums)?);
    }
    components.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(components)
}

/// The ids of all packages that those chosen by `root` link. Procedural macros run in the compiler.
fn reachable<'a>(metadata: &'a Metadata, root: &dyn Fn(&str) -> bool) -> BTreeSet<&'a str> {
    let packages: BTreeMap<&str, &Package> = metadata
        .packages
        .iter()
        .map(|p| (p.id.as_str(), p))
        .collect();
    let nodes: BTreeMap<&str, &Node> = metadata
        .resolve
        .nodes
        .iter()
        .map(|n| (n.id.as_str(), n))
        .collect();
    let is_macro = |id: &str| {
        packages.get(id).is_some_and(|package| {
            let mut kinds = package.targets.iter().flat_map(|target| &target.kind);
            kinds.any(|kind| kind == "proc-macro")
        })
    };
    let mut pending: Vec<&str> = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_none() && root(&package.name))
        .map(|package| package.id.as_str())
        .collect();
    let mut found = BTreeSet::new();
    while let Some(id) = pending.pop() {
        if is_macro(id) || !found.insert(id) {
            continue;
        }
        let dependencies = nodes.get(id).map(|node| node.deps.as_slice());
        for dependency in dependencies.unwrap_or_default() {
            if dependency.dep_kinds.iter().any(|kind| kind.kind.is_none()) {
                pending.push(&dependency.pkg);
            }
        }
    }
    found
}

fn component(
    package: &Package,
    checksums: &BTreeMap<(String, String), String>,
) -> Result<Option<Component>> {
    if package.source.is_none() {
        return Ok(None);
    }
    let dir = package.manifest_path.parent().unwrap_or(Path::new("/"));
    let key = (package.name.clone(), package.version.clone());
    Ok(Some(Component {
        source: Source::Crate,
        licence: package.license.as_deref().map(expression),
        checksum: checksums
            .get(&key)
            .map(|sum| ("SHA256".to_owned(), sum.clone())),
        texts: texts_in(dir)?,
        name: key.0,
        version: key.1,
    }))
}

/// An SPDX expression from cargo's licence field, in which `/` is an old spelling of `OR`.
fn expression(licence: &str) -> String {
    let words: Vec<&str> = licence.split('/').map(str::trim).collect();
    words.join(" OR ")
}

fn checksums(lock: &Path) -> Result<BTreeMap<(String, String), String>> {
    let text = fs::read_to_string(lock).at("read", lock)?;
    let lock: LockFile =
        toml::from_str(&text).map_err(|error| invalid(&format!("Cargo.lock: {error}")))?;
    Ok(lock
        .package
        .into_iter()
        .filter_map(|locked| Some(((locked.name, locked.version), locked.checksum?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_a_shipped_program_links_counts() {
        let package = |id: &str, kind: &str, source: Option<&str>| {
            json!({"id": id, "name": id, "version": "1.0.0", "license": "MIT", "source": source,
                   "manifest_path": "/x/Cargo.toml", "targets": [{"kind": [kind]}]})
        };
        let dep = |id: &str, kind: Option<&str>| json!({"pkg": id, "dep_kinds": [{"kind": kind}]});
        let metadata: Metadata = serde_json::from_value(json!({
            "packages": [
                package("ours", "bin", None), package("tests", "bin", None),
                package("lib", "lib", Some("r")), package("derive", "proc-macro", Some("r")),
                package("syn", "lib", Some("r")), package("cc", "lib", Some("r")),
                package("only-in-tests", "lib", Some("r")),
            ],
            "resolve": {"nodes": [
                {"id": "ours", "deps": [dep("lib", None), dep("cc", Some("build"))]},
                {"id": "lib", "deps": [dep("derive", None)]},
                {"id": "derive", "deps": [dep("syn", None)]},
                {"id": "tests", "deps": [dep("only-in-tests", None)]},
            ]}
        }))
        .expect("well-formed");
        let found: Vec<&str> = reachable(&metadata, &|name| name == "ours")
            .into_iter()
            .collect();
        assert_eq!(found, ["lib", "ours"]);
    }

    #[test]
    fn old_spellings_become_expressions() {
        assert_eq!(expression("MIT/Apache-2.0"), "MIT OR Apache-2.0");
        assert_eq!(expression("Apache-2.0 / MIT"), "Apache-2.0 OR MIT");
        assert_eq!(expression("MIT OR ISC"), "MIT OR ISC");
    }
}
