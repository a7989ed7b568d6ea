//! The toolbox: a folder with the suite's own image tools, so that the build machine needs few.
//!
//! It is only unpacked, never configured. Programs in it run by `image/scripts/in-toolbox` in a mount
//! namespace of their own; folders they work on appear there under the same names.

use super::command::{self, step};
use super::error::{At, Error, Result};
use super::lock::{Group, Lock, Package};
use super::paths::Paths;
use super::stamp::Hash;
use super::{fetch, prune, tree};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An unpacked toolbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Toolbox {
    root: PathBuf,
    enter: PathBuf,
    /// Names the toolbox's exact content.
    pub key: String,
}

/// Unpacks the toolbox, unless the cache has it.
pub(super) fn ensure(paths: &Paths, lock: &Lock) -> Result<Toolbox> {
    ensure_group(paths, lock, Group::Toolbox)
}

/// Unpacks a group of packages as a toolbox, unless the cache has it.
pub(super) fn ensure_group(paths: &Paths, lock: &Lock, group: Group) -> Result<Toolbox> {
    let key = lock.hash_groups(&[group]).short();
    let root = ensure_unpacked(paths, lock, group)?;
    let enter = paths.image().join("scripts/in-toolbox");
    Ok(Toolbox { root, enter, key })
}

/// Where the packages of a group are unpacked.
pub(super) fn folder(paths: &Paths, lock: &Lock, group: Group) -> PathBuf {
    let key = lock.hash_groups(&[group]).short();
    paths.cache.join(format!("{}-{key}", group.as_str()))
}

/// Unpacks the packages of a group, unless the cache has them.
pub(super) fn ensure_unpacked(paths: &Paths, lock: &Lock, group: Group) -> Result<PathBuf> {
    let root = folder(paths, lock, group);
    if !root.exists() {
        let packages: Vec<&Package> = lock.group(group).collect();
        let files = fetch::ensure(paths, lock, &packages)?;
        step(&format!("unpacking the {}", group.as_str()));
        let partial = paths.cache.join(format!("{}.partial", group.as_str()));
        tree::fresh_dir(&partial)?;
        // base-files brings the links from /bin to /usr/bin, which must be there before the others.
        let (first, rest): (Vec<_>, Vec<_>) = packages
            .into_iter()
            .partition(|package| package.name == "base-files");
        for package in first.into_iter().chain(rest) {
            unpack(&files.join(package.file_name()), &partial)?;
        }
        fs::rename(&partial, &root).at("move", &partial)?;
    }
    Ok(root)
}

/// Unpacks one package's files, without its scripts.
pub(super) fn unpack(package: &Path, into: &Path) -> Result<()> {
    let mut reader = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| Error::Start {
            command: "dpkg-deb".to_owned(),
            source,
        })?;
    let archive = reader.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let unpacked = Command::new("tar")
        .args([
            "--extract",
            "--keep-directory-symlink",
            "--no-same-owner",
            "--file=-",
        ])
        .arg("--directory")
        .arg(into)
        .stdin(archive)
        .status()
        .map_err(|source| Error::Start {
            command: "tar".to_owned(),
            source,
        })?;
    let read = reader.wait().at("wait for the reader of", package)?;
    if unpacked.success() && read.success() {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "cannot unpack {}",
        package.display()
    )))
}

impl Toolbox {
    /// A command that runs `program` in the toolbox; it sees `dirs` under their own names.
    pub fn command(&self, dirs: &[&Path], program: &str) -> Command {
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            // Enough for mounts; file ownership needs more, and a stage has it.
            command.arg("--map-root-user");
        }
        command.args(["--mount", "--propagation", "private", "--"]);
        command
            .arg(&self.enter)
            .arg(&self.root)
            .args(dirs)
            .arg("--")
            .arg(program);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("HOME", "/tmp");
        command
    }

    /// Notes that a build uses it.
    pub fn mark(&self) {
        prune::mark(&self.root);
    }

    /// Where a file of the toolbox is, seen from outside.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Feeds the toolbox's identity into a step's key.
    pub fn add_to(&self, hash: &mut Hash) {
        hash.text(&self.key);
    }

    /// Runs `program` with `arguments` and returns what it prints.
    pub fn output<A: AsRef<std::ffi::OsStr>>(
        &self,
        dirs: &[&Path],
        program: &str,
        arguments: &[A],
    ) -> Result<String> {
        command::output(self.command(dirs, program).args(arguments))
    }
}
