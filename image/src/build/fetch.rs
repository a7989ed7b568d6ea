//! Brings locked packages into the cache, each checked against its hash.

use super::command::step;
use super::error::{At, Error, Result};
use super::lock::{self, Lock, Package};
use super::mirror::Mirrors;
use super::paths::Paths;
use super::{command, stamp, tree};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// apt's own downloader: knows this machine's proxies and checks hashes.
const DOWNLOADER: &str = "/usr/lib/apt/apt-helper";

/// How many files one downloader fetches; bounds the length of its command line.
const BATCH: usize = 40;

/// Makes sure that all `packages` are in the cache, and returns where.
pub(super) fn ensure(paths: &Paths, lock: &Lock, packages: &[&Package]) -> Result<PathBuf> {
    let dir = paths.cache.join("packages");
    tree::make_dir(&dir)?;
    let missing: Vec<&Package> = packages
        .iter()
        .copied()
        .filter(|package| !is_whole(&dir, package))
        .collect();
    if missing.is_empty() {
        return Ok(dir);
    }
    let bytes: u64 = missing.iter().map(|package| package.size).sum();
    step(&format!(
        "fetching {} packages, {} MB",
        missing.len(),
        bytes / 1_000_000
    ));
    let mirrors = Mirrors::find()?;
    let partial = paths.cache.join("partial");
    tree::fresh_dir(&partial)?;
    for batch in missing.chunks(BATCH) {
        fetch(&mirrors, batch, &partial)
            .map_err(|error| explain(paths, lock, &partial, batch, error))?;
        for package in batch {
            adopt(&partial, &dir, package)?;
        }
    }
    Ok(dir)
}

/// Whether the cache has the file in full. Its hash was checked when it came in.
fn is_whole(dir: &Path, package: &Package) -> bool {
    fs::metadata(dir.join(package.file_name())).is_ok_and(|meta| meta.len() == package.size)
}

fn fetch(mirrors: &Mirrors, batch: &[&Package], to: &Path) -> Result<()> {
    let mut downloader = Command::new(DOWNLOADER);
    downloader
        .arg("download-file")
        .args(["-o", "Acquire::Retries=2"]);
    for package in batch {
        downloader
            .arg(mirrors.uri(&escape(&package.path)))
            .arg(to.join(package.file_name()))
            .arg(format!("SHA256:{}", package.sha256));
    }
    command::run(&mut downloader)
}

/// A pool path with the characters that addresses must not contain written as `%xx`.
fn escape(path: &str) -> String {
    path.replace('~', "%7e")
        .replace('+', "%2b")
        .replace(':', "%3a")
}

fn adopt(partial: &Path, dir: &Path, package: &Package) -> Result<()> {
    let file = partial.join(package.file_name());
    let sha256 = stamp::sha256_file(&file)?;
    if sha256 != package.sha256 {
        return Err(Error::Invalid(format!(
            "{} {} came with SHA-256 {sha256}, but {} is locked",
            package.name, package.version, package.sha256
        )));
    }
    fs::rename(&file, dir.join(package.file_name())).at("move", &file)
}

/// Tells a package that left the mirror from other trouble.
fn explain(paths: &Paths, lock: &Lock, partial: &Path, batch: &[&Package], error: Error) -> Error {
    if !error.to_string().contains("404") {
        return error;
    }
    let absent = batch
        .iter()
        .find(|package| !partial.join(package.file_name()).exists());
    let Some(package) = absent else { return error };
    let newer = lock::version_now(paths, &lock.suite, &package.name)
        .filter(|version| *version != package.version)
        .map(|version| format!(" (it has {version} now)"))
        .unwrap_or_default();
    Error::Gone {
        name: package.name.clone(),
        version: package.version.clone(),
        newer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_paths_are_escaped_for_addresses() {
        assert_eq!(escape("pool/a_1%2~b+c.deb"), "pool/a_1%2%7eb%2bc.deb");
    }
}
