//! Debian's packages: what the lock brought in, and the licences their copyright files name.

use super::super::error::{At, Error, Result};
use super::super::lock::{Group, Lock};
use super::super::zfs;
use super::{Component, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Where the installed packages are recorded.
const STATUS: &str = "usr/lib/sysimage/dpkg/status";

/// Names that Debian's copyright files use, and what SPDX calls the same licence.
const NAMES: [(&str, &str); 36] = [
    ("0BSD", "0BSD"),
    ("AFL-2.1", "AFL-2.1"),
    ("Apache-2", "Apache-2.0"),
    ("Apache-2.0", "Apache-2.0"),
    ("BSD-2-clause", "BSD-2-Clause"),
    ("BSD-2-Clause", "BSD-2-Clause"),
    ("BSD-3-clause", "BSD-3-Clause"),
    ("BSD-3-Clause", "BSD-3-Clause"),
    ("BSD-4-clause", "BSD-4-Clause"),
    ("BSD-4-clause-UC", "BSD-4-Clause-UC"),
    ("BSL-1.0", "BSL-1.0"),
    ("CC0-1.0", "CC0-1.0"),
    ("CC-BY-SA-4.0", "CC-BY-SA-4.0"),
    ("curl", "curl"),
    ("Expat", "MIT"),
    ("MIT", "MIT"),
    ("GPL-1+", "GPL-1.0-or-later"),
    ("GPL-2", "GPL-2.0-only"),
    ("GPL-2.0", "GPL-2.0-only"),
    ("GPL-2+", "GPL-2.0-or-later"),
    ("GPL-2.0+", "GPL-2.0-or-later"),
    ("GPL-3", "GPL-3.0-only"),
    ("GPL-3+", "GPL-3.0-or-later"),
    ("GPLv3+", "GPL-3.0-or-later"),
    ("ISC", "ISC"),
    ("LGPL-2", "LGPL-2.0-only"),
    ("LGPL-2+", "LGPL-2.0-or-later"),
    ("LGPL-2.0+", "LGPL-2.0-or-later"),
    ("LGPL-2.1", "LGPL-2.1-only"),
    ("LGPL-2.1+", "LGPL-2.1-or-later"),
    ("LGPLv2.1+", "LGPL-2.1-or-later"),
    ("LGPL-3", "LGPL-3.0-only"),
    ("LGPL-3+", "LGPL-3.0-or-later"),
    ("OpenLDAP-2.8", "OLDAP-2.8"),
    ("zlib", "Zlib"),
    ("Zlib", "Zlib"),
];

/// The packages that the lock puts into the root, and the firmware of virtual machines.
pub(super) fn locked(lock: &Lock) -> Vec<Component> {
    let modules = lock
        .group(Group::Modules)
        .filter(|package| package.name == zfs::SOURCE);
    lock.group(Group::Root)
        .chain(lock.group(Group::Kernel))
        .chain(lock.group(Group::Firmware))
        .chain(lock.group(Group::Storage))
        .chain(modules)
        .map(|package| Component {
            source: Source::Debian,
            name: package.name.clone(),
            version: package.version.clone(),
            licence: None,
            checksum: Some(("SHA256".to_owned(), package.sha256.clone())),
            texts: Vec::new(),
        })
        .collect()
}

/// Fills in the licences of Debian's components from the copyright files in `places`, of which the first
/// is the installed base. Returns the
/// licences that SPDX does not know: identifier, and Debian's name with where to find the text.
///
/// Fails when the base has a package installed that is not among `components`.
pub(super) fn licences(
    places: &[&Path],
    components: &mut [Component],
) -> Result<BTreeMap<String, String>> {
    let status = places.first().unwrap_or(&Path::new("/")).join(STATUS);
    check_installed(
        &fs::read_to_string(&status).at("read", &status)?,
        components,
    )?;
    let mut unknown = BTreeMap::new();
    for component in components.iter_mut().filter(|c| c.source == Source::Debian) {
        let place = format!("usr/share/doc/{}/copyright", component.name);
        let found = places
            .iter()
            .find_map(|dir| fs::read(dir.join(&place)).ok());
        let Some(bytes) = found else {
            continue;
        };
        let mut parts = BTreeSet::new();
        for name in named(&String::from_utf8_lossy(&bytes)) {
            parts.insert(match known(&name) {
                Some(spdx) => spdx.to_owned(),
                None => {
                    let id = format!("LicenseRef-debian-{}", identifier(&name));
                    let text = format!("{name}: the text is in /{place}");
                    unknown.entry(id.clone()).or_insert(text);
                    id
                }
            });
        }
        if parts.is_empty() {
            // A copyright file in free text.
            let id = format!(
                "LicenseRef-debian-copyright-{}",
                identifier(&component.name)
            );
            unknown.insert(id.clone(), format!("The text is in /{place}"));
            parts.insert(id);
        }
        let parts: Vec<String> = parts.into_iter().collect();
        component.licence = Some(parts.join(" AND "));
    }
    Ok(unknown)
}

/// Every installed package must be one that the lock named, in that version.
fn check_installed(status: &str, components: &[Component]) -> Result<()> {
    let locked: BTreeSet<(&str, &str)> = components
        .iter()
        .filter(|component| component.source == Source::Debian)
        .map(|component| (component.name.as_str(), component.version.as_str()))
        .collect();
    for stanza in status.split("\n\n").filter(|text| !text.trim().is_empty()) {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name));
        let installed = (
            field("Package: ").unwrap_or_default(),
            field("Version: ").unwrap_or_default(),
        );
        if !locked.contains(&installed) {
            let (name, version) = installed;
            return Err(Error::Invalid(format!(
                "{name} {version} is installed but not in the package lock"
            )));
        }
    }
    Ok(())
}

/// The licence names in a machine-readable copyright file (DEP-5); none in a free text.
fn named(copyright: &str) -> BTreeSet<String> {
    if !copyright.lines().any(|line| line.starts_with("Format:")) {
        return BTreeSet::new();
    }
    copyright
        .lines()
        .filter_map(|line| line.strip_prefix("License:"))
        .map(|name| name.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|name| !name.is_empty())
        .collect()
}

fn known(name: &str) -> Option<&'static str> {
    let entry = NAMES.iter().find(|(debian, _)| *debian == name);
    entry.map(|(_, spdx)| *spdx)
}

/// A name in the letters that SPDX identifiers may have (SPDX 2.3, annex D).
pub(super) fn identifier(name: &str) -> String {
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    name.replace('+', "plus").chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str, version: &str) -> Component {
        Component {
            source: Source::Debian,
            name: name.to_owned(),
            version: version.to_owned(),
            licence: None,
            checksum: None,
            texts: Vec::new(),
        }
    }

    #[test]
    fn licences_come_from_the_copyright_files() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("has one")).expect("writable");
            fs::write(path, text).expect("writable");
        };
        put(
            STATUS,
            "Package: a\nVersion: 1\n\nPackage: b\nVersion: 2:3\n\n",
        );
        let dep5 =
            "Format: x\n\nFiles: *\nLicense: GPL-2+\n text\n\nLicense:  GPL-2+ with  Thing\n";
        put("usr/share/doc/a/copyright", dep5);
        put("usr/share/doc/b/copyright", "You may.\n");
        let mut components = [
            component("a", "1"),
            component("b", "2:3"),
            component("c", "1"),
        ];
        let unknown = licences(&[dir.path()], &mut components).expect("reads");
        assert_eq!(
            components[0].licence.as_deref(),
            Some("GPL-2.0-or-later AND LicenseRef-debian-GPL-2plus-with-Thing")
        );
        assert_eq!(
            components[1].licence.as_deref(),
            Some("LicenseRef-debian-copyright-b")
        );
        assert_eq!(components[2].licence, None);
        assert_eq!(unknown.len(), 2);
    }

    #[test]
    fn what_is_installed_must_be_locked() {
        let status = "Package: a\nVersion: 2\n";
        let error = check_installed(status, &[component("a", "1")]).expect_err("another version");
        assert_eq!(
            error.to_string(),
            "a 2 is installed but not in the package lock"
        );
    }
}
