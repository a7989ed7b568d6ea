//! What the update of a package brings: the security fixes that its changelog names.

use super::command;
use super::error::Result;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Prints the first changelog that a package has: Debian's, else (a native package) its own.
const READ: &str = r#"for name in 'changelog.Debian*.gz' 'changelog.gz'; do
    text=$(dpkg-deb --fsys-tarfile "$1" |
        tar --extract --to-stdout --wildcards --file=- "./usr/share/doc/*/$name" 2> /dev/null |
        gzip --decompress --stdout 2> /dev/null)
    if [ -n "$text" ]; then
        printf '%s' "$text"
        exit
    fi
done"#;

/// One version's entry.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    version: &'a str,
    lines: Vec<&'a str>,
}

/// The advisories (CVE and DSA numbers) that the changelog in `package` names in entries newer than
/// `old`, sorted. A package without changelog of its own names none.
pub(super) fn fixes(package: &Path, old: &str) -> Result<Vec<String>> {
    let text = command::output(Command::new("sh").args(["-c", READ, "sh"]).arg(package))?;
    let fixes = named_since(&text, |version| is_newer(version, old));
    Ok(fixes.into_iter().collect())
}

fn named_since(changelog: &str, newer: impl Fn(&str) -> bool) -> BTreeSet<String> {
    entries(changelog)
        .iter()
        .take_while(|entry| newer(entry.version))
        .flat_map(|entry| &entry.lines)
        .flat_map(|line| advisories(line))
        .collect()
}

/// The entries of a changelog (Debian policy, section 4.4), newest first.
fn entries(changelog: &str) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    for line in changelog.lines() {
        if let Some(version) = heading(line) {
            let lines = Vec::new();
            entries.push(Entry { version, lines });
        } else if let Some(entry) = entries.last_mut() {
            entry.lines.push(line);
        }
    }
    entries
}

/// The version in a line `package (version) suite; urgency=…`.
fn heading(line: &str) -> Option<&str> {
    if line.starts_with(char::is_whitespace) || !line.contains(';') {
        return None;
    }
    let (_, rest) = line.split_once(" (")?;
    rest.split_once(')').map(|(version, _)| version)
}

/// The CVE and DSA numbers in a line.
fn advisories(line: &str) -> Vec<String> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .map(|word| word.trim_matches('-').to_ascii_uppercase())
        .filter(|word| {
            let number = word
                .strip_prefix("CVE-")
                .or_else(|| word.strip_prefix("DSA-"));
            number.is_some_and(|number| {
                number.chars().all(|c| c.is_ascii_digit() || c == '-')
                    && number.starts_with(|c: char| c.is_ascii_digit())
            })
        })
        .collect()
}

/// Whether a version of the sources is newer than what was locked, in which a `+b1` at the end only
/// counts recompilations.
fn is_newer(version: &str, old: &str) -> bool {
    let old = match old.rsplit_once("+b") {
        Some((sources, count)) if count.chars().all(|c| c.is_ascii_digit()) => sources,
        _ => old,
    };
    let mut compare = Command::new("dpkg");
    command::run(compare.args(["--compare-versions", version, "gt", old])).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
openssl (3.5.2-1) trixie-security; urgency=medium

  * CVE-2026-0002 (a heap overflow), cve-2026-0003;
    see DSA-6000-1. Not CVE-like.

 -- A <a@example.org>  Mon, 02 Feb 2026 00:00:00 +0000

openssl (3.5.1-1) trixie; urgency=medium

  * Fixes CVE-2025-0001.

 -- A <a@example.org>  Mon, 01 Dec 2025 00:00:00 +0000
";

    #[test]
    fn only_newer_entries_count() {
        let found = named_since(TEXT, |version| is_newer(version, "3.5.1-1+b2"));
        let found: Vec<String> = found.into_iter().collect();
        assert_eq!(found, ["CVE-2026-0002", "CVE-2026-0003", "DSA-6000-1"]);
        assert!(named_since(TEXT, |version| is_newer(version, "3.5.2-1")).is_empty());
    }

    #[test]
    fn versions_compare_as_dpkg_does() {
        assert!(is_newer("1:1.0-1", "2.0-1"));
        assert!(is_newer("2.10-1", "2.9-1"));
        assert!(is_newer("1.0-1", "1.0~rc1-1"));
        assert!(!is_newer("1.0-1", "1.0-1+b4"));
    }

    #[test]
    fn the_changelog_is_read_from_the_package() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let package = super::super::fetch::samples::package(dir.path(), "basalt-sample", "2", TEXT);
        let found = fixes(&package, "3.5.1-1").expect("reads");
        assert_eq!(found, ["CVE-2026-0002", "CVE-2026-0003", "DSA-6000-1"]);
    }
}
