//! The hash tree that dm-verity checks the root against.

use super::erofs::uuid;
use super::error::{Error, Result};
use super::stage::Stage;
use super::stamp::Hash;
use super::tree;
use basalt_layout::Version;
use std::path::Path;

/// Writes the hash tree of `root`, and returns its root hash.
pub(super) fn format(
    stage: &Stage,
    root: &Path,
    verity: &Path,
    version: &Version,
) -> Result<String> {
    // The salt only has to differ between images; a fixed one keeps builds reproducible.
    let mut salt = Hash::new();
    salt.text("salt");
    salt.text(&version.to_string());
    tree::remove(verity)?;
    let arguments = [
        "format".to_owned(),
        format!("--uuid={}", uuid(version, "verity")),
        format!("--salt={}", salt.hex()),
        root.display().to_string(),
        verity.display().to_string(),
    ];
    let said = stage
        .toolbox
        .output(&[&stage.out], "veritysetup", &arguments)?;
    root_hash(&said)
        .ok_or_else(|| Error::Invalid(format!("veritysetup tells no root hash:\n{said}")))
}

fn root_hash(said: &str) -> Option<String> {
    let hash = said
        .lines()
        .find_map(|line| line.strip_prefix("Root hash:"))?
        .trim();
    hash.parse::<basalt_layout::RootHash>()
        .ok()
        .map(|hash| hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_hash_is_found() {
        let hash = "0f".repeat(32);
        let said = format!("VERITY header\nSalt:  \t00\nRoot hash:      \t{hash}\n");
        assert_eq!(root_hash(&said), Some(hash));
        assert_eq!(root_hash("Root hash: short\n"), None);
    }
}
