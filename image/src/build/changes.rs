//! What a new lock changes, package by package.

use super::error::Result;
use super::lock::{Group, Lock, Package};
use super::mirror::Mirrors;
use super::paths::Paths;
use super::{changelog, fetch};
use std::fmt;

/// What a new lock does to one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    group: Group,
    name: String,
    /// The version before; nothing for a package that is new.
    old: Option<String>,
    /// The version now; nothing for a package that is gone.
    new: Option<String>,
    /// Whether the new version is from the security updates.
    security: bool,
    /// The advisories that the changelog names between both versions.
    fixes: Vec<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ", self.group.as_str(), self.name)?;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{old} → {new}")?,
            (None, Some(new)) => write!(f, "{new} (new)")?,
            (Some(old), None) => write!(f, "{old} (gone)")?,
            (None, None) => {}
        }
        match &self.fixes[..] {
            [] if self.security => f.write_str(", a security update"),
            [] => Ok(()),
            fixes => write!(f, ", fixes {}", fixes.join(", ")),
        }
    }
}

/// Every package that is new, moved or gone; which fixes that brings is not known yet.
pub(super) fn between(before: Option<&Lock>, after: &Lock) -> Vec<Change> {
    let in_lock = |lock: Option<&Lock>, package: &Package| {
        let mut packages = lock.into_iter().flat_map(|lock| &lock.packages);
        packages
            .find(|p| p.group == package.group && p.name == package.name)
            .cloned()
    };
    let change = |package: &Package, old: Option<&Package>, new: Option<&Package>| Change {
        group: package.group,
        name: package.name.clone(),
        old: old.map(|package| package.version.clone()),
        new: new.map(|package| package.version.clone()),
        security: new.is_some_and(Package::is_security_update),
        fixes: Vec::new(),
    };
    let mut changes = Vec::new();
    for package in &after.packages {
        let old = in_lock(before, package);
        if old.as_ref().is_none_or(|old| old.sha256 != package.sha256) {
            changes.push(change(package, old.as_ref(), Some(package)));
        }
    }
    for old in before.into_iter().flat_map(|lock| &lock.packages) {
        if in_lock(Some(after), old).is_none() {
            changes.push(change(old, Some(old), None));
        }
    }
    changes
}

/// Fetches the packages that replace others, and reads which security fixes they bring.
pub(super) fn name_fixes(
    paths: &Paths,
    mirrors: &Mirrors,
    lock: &Lock,
    changes: &mut [Change],
) -> Result<()> {
    let updates = changes.iter_mut().filter_map(|change| {
        let old = change.old.clone().filter(|_| change.new.is_some())?;
        let mut group = lock.group(change.group);
        let package = group.find(|package| package.name == change.name)?;
        Some((change, package, old))
    });
    let updates: Vec<(&mut Change, &Package, String)> = updates.collect();
    let packages: Vec<&Package> = updates.iter().map(|(_, package, _)| *package).collect();
    let files = fetch::ensure_from(mirrors, paths, lock, &packages)?;
    for (change, package, old) in updates {
        change.fixes = changelog::fixes(&files.join(package.file_name()), &old)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_tell_new_moved_and_gone() {
        let package = |group, name: &str, version: &str| Package {
            group,
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            size: 7,
            sha256: "ab".repeat(32),
            path: format!("pool/main/{name}.deb"),
        };
        let packages = vec![
            package(Group::Root, "a", "1:2"),
            package(Group::Kernel, "linux", "6"),
            package(Group::Toolbox, "a", "1:2"),
        ];
        let before = Lock::of("trixie", packages);
        let mut after = before.clone();
        after.packages[0].version = "1:3".to_owned();
        after.packages[0].sha256 = "cd".repeat(32);
        after.packages[1].name = "linux-7".to_owned();
        after.packages[2].sha256 = "ef".repeat(32);
        after.packages[2].path = "pool/updates/main/a.deb".to_owned();
        let mut found = between(Some(&before), &after);
        found[0].fixes = vec!["CVE-2026-1".to_owned(), "CVE-2026-2".to_owned()];
        let found: Vec<String> = found.iter().map(Change::to_string).collect();
        assert_eq!(
            found,
            [
                "root: a 1:2 → 1:3, fixes CVE-2026-1, CVE-2026-2",
                "kernel: linux-7 6 (new)",
                "toolbox: a 1:2 → 1:2, a security update",
                "kernel: linux 6 (gone)"
            ]
        );
        assert!(between(Some(&before), &before).is_empty());
    }
}
