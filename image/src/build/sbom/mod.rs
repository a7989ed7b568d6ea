//! What the image is made of: a bill of materials (SPDX 2.3), and the licence texts.
//!
//! Three sources: the package lock ([`debian`]), the crates linked into our programs ([`crates`])
//! and the modules bundled into the web interface ([`modules`]). [`shipped`] collects them before
//! the image is made, [`write`] lays the result into it: `/usr/share/basalt/sbom.spdx.json`, and the
//! texts in `/usr/share/basalt/licences/`. Debian's own texts are in `/usr/share/doc/*/copyright`.

mod crates;
mod debian;
mod document;
mod modules;

use super::error::{At, Error, Result};
use super::lock::Lock;
use super::paths::Paths;
use super::programs::Programs;
use super::tree;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Where the document is in the image, below the root.
pub(super) const DOCUMENT: &str = "usr/share/basalt/sbom.spdx.json";
/// Where the licence texts of crates and modules are.
const TEXTS: &str = "usr/share/basalt/licences";

/// Who published a component; also how package URLs call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Source {
    /// A binary package of Debian.
    Debian,
    /// A Rust crate.
    Crate,
    /// A module of the web interface.
    Npm,
}

impl Source {
    /// The type in package URLs, and the prefix of identifiers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debian => "deb",
            Self::Crate => "cargo",
            Self::Npm => "npm",
        }
    }
}

/// One thing the image is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Component {
    pub source: Source,
    pub name: String,
    pub version: String,
    /// An SPDX expression, or for Debian nothing until the image's copyright files are read.
    pub licence: Option<String>,
    /// `SHA256` or `SHA512` and the digits.
    pub checksum: Option<(String, String)>,
    /// Licence texts as published.
    pub texts: Vec<String>,
}

/// Everything that goes into the image besides our own code.
pub(super) fn shipped(paths: &Paths, lock: &Lock, programs: &Programs) -> Result<Vec<Component>> {
    let mut components = debian::locked(lock);
    components.extend(crates::linked(paths)?);
    if programs.web.is_some() {
        components.extend(modules::bundled(&paths.workspace.join("web"))?);
    }
    Ok(components)
}

/// Writes document and texts into `layer`. Copyright files are looked for in `places`, of which the first
/// is the installed base.
pub(super) fn write(
    components: &[Component],
    places: &[&Path],
    layer: &Path,
    version: &str,
    epoch: u64,
) -> Result<()> {
    let mut components = components.to_vec();
    let licences = debian::licences(places, &mut components)?;
    let document = document::render(&components, &licences, version, epoch)?;
    put(&layer.join(DOCUMENT), &document)?;
    for source in [Source::Crate, Source::Npm] {
        let file = format!("{}.txt", source.as_str());
        put(&layer.join(TEXTS).join(file), &texts(&components, source))?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        tree::make_dir(parent)?;
    }
    fs::write(path, text).at("write", path)?;
    tree::set_mode(path, 0o644)
}

/// All licence texts of one source, each once, below the names of what it covers.
fn texts(components: &[Component], source: Source) -> String {
    let mut covered: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for component in components.iter().filter(|c| c.source == source) {
        for text in &component.texts {
            let names = covered.entry(text.trim()).or_default();
            names.push(format!("{} {}", component.name, component.version));
        }
    }
    let mut sections: Vec<(String, &str)> = covered
        .into_iter()
        .map(|(text, mut names)| {
            names.sort();
            names.dedup();
            (names.join(", "), text)
        })
        .collect();
    sections.sort();
    let mut all = String::new();
    for (names, text) in sections {
        // Writing into a String cannot fail.
        let _ = writeln!(all, "{}\n{names}\n\n{text}\n", "=".repeat(80));
    }
    all
}

/// The licence texts in a folder of sources, in the order of their names.
fn texts_in(dir: &Path) -> Result<Vec<String>> {
    const NAMES: [&str; 7] = [
        "LICENSE",
        "LICENCE",
        "COPYING",
        "COPYRIGHT",
        "NOTICE",
        "UNLICENSE",
        "AUTHORS",
    ];
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).at("read", dir)? {
        let entry = entry.at("read", dir)?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if NAMES.iter().any(|start| name.starts_with(start)) && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    files
        .iter()
        .map(|file| {
            let bytes = fs::read(file).at("read", file)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect()
}

fn invalid(what: &str) -> Error {
    Error::Invalid(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_shared_by_many_is_there_once_below_their_names() {
        let component = |name: &str, text: &str| Component {
            source: Source::Crate,
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some("MIT".to_owned()),
            checksum: None,
            texts: vec![text.to_owned()],
        };
        let all = [
            component("b", "T\n"),
            component("c", "U"),
            component("a", "T"),
        ];
        let rule = "=".repeat(80);
        assert_eq!(
            texts(&all, Source::Crate),
            format!("{rule}\na 1.0.0, b 1.0.0\n\nT\n\n{rule}\nc 1.0.0\n\nU\n\n")
        );
        assert_eq!(texts(&all, Source::Npm), "");
    }
}
