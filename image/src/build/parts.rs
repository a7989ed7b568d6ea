//! What takes the space in the root: its largest parts, from the listing that a build leaves.

use super::Artifacts;
use super::error::{At, Result};
use std::collections::BTreeMap;
use std::fs;

/// A program, a library, or a folder of things that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its path in the root.
    pub path: String,
    /// The sizes of its files together, in bytes, before compression.
    pub size: u64,
}

/// The parts of a built root, the largest first.
pub fn parts(built: &Artifacts) -> Result<Vec<Part>> {
    let listing = fs::read_to_string(&built.files).at("read", &built.files)?;
    Ok(sum(&listing))
}

fn sum(listing: &str) -> Vec<Part> {
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for line in listing.lines() {
        if let Some((path, size)) = file(line) {
            *sizes.entry(part_of(path)).or_default() += size;
        }
    }
    let mut parts: Vec<Part> = sizes
        .into_iter()
        .map(|(path, size)| Part {
            path: path.to_owned(),
            size,
        })
        .collect();
    parts.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    parts
}

/// Path and size of a regular file; a file with several names counts once for each.
fn file(line: &str) -> Option<(&str, u64)> {
    let (facts, path) = line.split_once('\t')?;
    let mut facts = facts.split(' ');
    if facts.next()? != "f" {
        return None;
    }
    Some((path, facts.nth(2)?.parse().ok()?))
}

/// The first three names of a path; programs and libraries, which lie at that depth or one below
/// it, stand for themselves.
fn part_of(path: &str) -> &str {
    let depth = if path.starts_with("usr/lib/") { 4 } else { 3 };
    let depth = if path.starts_with("usr/lib/modules/") {
        3
    } else {
        depth
    };
    match path.match_indices('/').nth(depth - 1) {
        Some((end, _)) => &path[..end],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_summed_into_parts_and_sorted() {
        let listing = "d 755 0:0 \tusr\n\
                       f 755 0:0 30 1\tusr/lib/basalt/basalt-node\n\
                       f 755 0:0 5 1\tusr/bin/bash\n\
                       f 644 0:0 20 1\tusr/lib/modules/6.12/kernel/a.ko\n\
                       f 644 0:0 21 1\tusr/lib/modules/6.13/kernel/b.ko\n\
                       aabbcc\tusr/bin/bash\n";
        let found: Vec<(String, u64)> = sum(listing)
            .into_iter()
            .map(|part| (part.path, part.size))
            .collect();
        let expected = [
            ("usr/lib/modules", 41),
            ("usr/lib/basalt/basalt-node", 30),
            ("usr/bin/bash", 5),
        ];
        assert_eq!(found, expected.map(|(path, size)| (path.to_owned(), size)));
    }
}
