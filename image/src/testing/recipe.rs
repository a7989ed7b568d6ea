//! Root file systems that tests use, made by mmdebstrap from a recipe and cached by it.

use crate::appliance::say;
use crate::build::{mirror, paths, prune};
use crate::tools::{self, Tool};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SUITE: &str = "trixie";
/// What neither a boot nor a login needs.
const LEAVE_OUT: [&str; 6] = ["doc", "man", "locale", "info", "i18n", "lintian"];

/// How a root is made, and what comes of it.
pub(super) struct Recipe {
    /// Its folder below `image/`; the script `customize` in it settles the root.
    pub name: &'static str,
    /// Debian packages, separated by commas, beside the essential ones.
    pub packages: &'static str,
    /// What the script leaves in the root's `/out`.
    pub results: &'static [&'static str],
}

impl Recipe {
    /// The folder with the results, made now unless the cache has them.
    pub fn ensure(&self) -> Result<PathBuf> {
        let recipe = paths::workspace().join("image").join(self.name);
        let cache = paths::cache()?;
        let key = key(&recipe, self.packages)?;
        let dir = cache.join(format!("{}-{key}", self.name));
        fs::create_dir_all(&cache)?;
        let lock = File::create(cache.join(format!("{}.lock", self.name)))?;
        lock.lock()?;
        if !dir.exists() {
            say(&format!("making the {} of the tests (once)", self.name));
            self.make(&recipe, &dir)?;
        }
        prune::mark(&dir);
        Ok(dir)
    }

    fn make(&self, recipe: &Path, dir: &Path) -> Result<()> {
        tools::ensure(&[
            Tool::Mmdebstrap,
            Tool::DebianKeyring,
            Tool::MkfsExt4,
            Tool::MkfsVfat,
            Tool::Mtools,
            Tool::Sfdisk,
            Tool::Xorriso,
            Tool::Cpio,
            Tool::Zstd,
            Tool::Xz,
        ])?;
        let mirror = mirror::Mirrors::find()?.main;
        let partial = dir.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(&partial)?;
        let mut command = Command::new("mmdebstrap");
        command
            .args([
                "--quiet",
                "--variant=essential",
                "--architectures=amd64",
                "--format=null",
            ])
            .arg(format!("--include={}", self.packages))
            .args(LEAVE_OUT.map(|name| format!("--dpkgopt=path-exclude=/usr/share/{name}/*")))
            .arg("--aptopt=Acquire::Languages \"none\"")
            .arg(format!(
                "--customize-hook={}",
                recipe.join("customize").display()
            ))
            .args(self.results.iter().map(|name| {
                format!(
                    "--customize-hook=download /out/{name} {}",
                    partial.join(name).display()
                )
            }))
            .args([SUITE, "/dev/null", &mirror])
            .stdin(Stdio::null());
        let output = command.output().context("cannot run mmdebstrap")?;
        if !output.status.success() {
            bail!(
                "mmdebstrap: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        fs::rename(&partial, dir)?;
        Ok(())
    }
}

fn key(recipe: &Path, packages: &str) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update([SUITE, packages].concat());
    hash.update(LEAVE_OUT.concat());
    let mut pending = vec![recipe.to_owned()];
    let mut files = Vec::new();
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path)
            } else {
                files.push(path)
            }
        }
    }
    files.sort();
    for file in files {
        hash.update(file.strip_prefix(recipe)?.to_string_lossy().as_bytes());
        hash.update(fs::read(&file)?);
    }
    Ok(hex::encode(hash.finalize())[..12].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_recipe_makes_another_root() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "1").unwrap();
        let first = key(dir.path(), "a").unwrap();
        assert_eq!(first, key(dir.path(), "a").unwrap());
        fs::write(dir.path().join("a"), "2").unwrap();
        assert_ne!(first, key(dir.path(), "a").unwrap());
        assert_ne!(first, key(dir.path(), "b").unwrap());
    }
}
