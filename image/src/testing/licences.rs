//! Every crate we link must be under a licence that `licences.txt` allows.

use super::Tally;
use crate::build::paths::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;

/// The licences that may be combined with ours, one a line.
const ALLOWED: &str = include_str!("../../licences.txt");

/// One test: the licences of the whole dependency graph.
pub fn test(filter: Option<&str>) -> Result<Tally> {
    const NAME: &str = "licences";
    if filter.is_some_and(|filter| !NAME.contains(filter)) {
        return Ok(Tally::default());
    }
    let refused = refused()?;
    Ok(if refused.is_empty() {
        Tally::passed()
    } else {
        Tally::failed(NAME, &format!("not allowed: {}", refused.join(", ")))
    })
}

fn refused() -> Result<Vec<String>> {
    let output = crate::cargo::command()
        .current_dir(workspace())
        .args([
            "metadata",
            "--locked",
            "--format-version=1",
            "--filter-platform",
        ])
        .arg("x86_64-unknown-linux-gnu")
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata has no packages")?;
    let allowed = allowed();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(packages
        .iter()
        .filter(|package| !permitted(&text(&package["license"]), &allowed))
        .map(|package| {
            let licence = text(&package["license"]);
            format!(
                "{} {}: `{licence}`",
                text(&package["name"]),
                text(&package["version"])
            )
        })
        .collect())
}

fn allowed() -> BTreeSet<&'static str> {
    ALLOWED
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// Evaluates an SPDX expression: `OR` needs one side, `AND` both; `/` is an old spelling of `OR`.
fn permitted(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed) && rest.is_empty()
}

fn either(rest: &mut &[&str], allowed: &BTreeSet<&str>) -> bool {
    let mut good = both(rest, allowed);
    while let ["OR", tail @ ..] = rest {
        *rest = tail;
        good |= both(rest, allowed);
    }
    good
}

fn both(rest: &mut &[&str], allowed: &BTreeSet<&str>) -> bool {
    let mut good = single(rest, allowed);
    while let ["AND", tail @ ..] = rest {
        *rest = tail;
        good &= single(rest, allowed);
    }
    good
}

fn single(rest: &mut &[&str], allowed: &BTreeSet<&str>) -> bool {
    match rest {
        ["(", tail @ ..] => {
            *rest = tail;
            let good = either(rest, allowed);
            if let [")", tail @ ..] = rest {
                *rest = tail;
                return good;
            }
            false
        }
        [name, "WITH", exception, tail @ ..] => {
            *rest = tail;
            allowed.contains(name) || allowed.contains(format!("{name} WITH {exception}").as_str())
        }
        [name, tail @ ..] => {
            *rest = tail;
            allowed.contains(name)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(expression: &str) -> bool {
        permitted(expression, &BTreeSet::from(["MIT", "Apache-2.0", "ISC"]))
    }

    #[test]
    fn or_needs_one_side_and_needs_both() {
        assert!(ok("MIT OR GPL-2.0"));
        assert!(ok("GPL-2.0 OR MIT"));
        assert!(ok("MIT/GPL-2.0"));
        assert!(!ok("MIT AND GPL-2.0"));
        assert!(ok("(MIT OR X) AND ISC"));
        assert!(!ok("(MIT OR X) AND Y"));
        assert!(ok("Apache-2.0 WITH LLVM-exception OR Y"));
    }

    #[test]
    fn nothing_and_nonsense_are_refused() {
        assert!(!ok(""));
        assert!(!ok("(MIT"));
        assert!(!ok("MIT MIT"));
    }
}
