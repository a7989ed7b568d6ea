//! The base system: the suite's packages installed by mmdebstrap, as a tar archive in the cache.
//!
//! mmdebstrap gets a local repository that holds exactly the locked packages, so nothing else can
//! slip in and a build needs no network once the packages are cached.

use super::command::{self, step};
use super::error::{At, Error, Result};
use super::fetch;
use super::lock::{Group, Lock, Package};
use super::paths::Paths;
use super::tree;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Documentation stays out; licences stay in.
const LEAVE_OUT: [&str; 7] = [
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/lintian/*",
    "--dpkgopt=path-exclude=/usr/share/bug/*",
];

/// The archived base system and the kernel's package.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Base {
    /// All installed files.
    pub archive: PathBuf,
    /// The packages that are only unpacked over it: the kernel, and the programs of kinds of storage.
    pub unpacked: Vec<PathBuf>,
    /// Names the exact content of all.
    pub key: String,
}

/// Installs the base system, unless the cache has it.
pub(super) fn ensure(paths: &Paths, lock: &Lock) -> Result<Base> {
    let key = |groups: &[Group]| {
        let mut hash = lock.hash_groups(groups);
        LEAVE_OUT.iter().for_each(|option| hash.text(option));
        hash.short()
    };
    let archive = key(&[Group::Root, Group::Kernel]);
    let archive = paths.cache.join(format!("base-{archive}.tar"));
    let unpacked = || lock.group(Group::Kernel).chain(lock.group(Group::Storage));
    if lock.group(Group::Kernel).next().is_none() {
        return Err(Error::Invalid("the lock file has no kernel".to_owned()));
    }
    let packages: Vec<&Package> = lock.group(Group::Root).chain(unpacked()).collect();
    let files = fetch::ensure(paths, lock, &packages)?;
    if !archive.exists() {
        step("installing the base system");
        let repository = repository(paths, &files, lock)?;
        let partial = paths.cache.join("base.partial.tar");
        tree::remove(&partial)?;
        command::run(&mut install(lock, &repository, &partial))?;
        fs::rename(&partial, &archive).at("move", &partial)?;
    }
    Ok(Base {
        archive,
        unpacked: unpacked()
            .map(|package| files.join(package.file_name()))
            .collect(),
        key: key(&[Group::Root, Group::Kernel, Group::Storage]),
    })
}

/// A flat repository of just the root's packages.
fn repository(paths: &Paths, files: &Path, lock: &Lock) -> Result<PathBuf> {
    let dir = paths.cache.join("repository");
    tree::fresh_dir(&dir)?;
    let mut index = String::new();
    for package in lock.group(Group::Root) {
        let name = package.file_name();
        let control = command::output(
            Command::new("dpkg-deb")
                .arg("--field")
                .arg(files.join(&name)),
        )?;
        symlink(files.join(&name), dir.join(&name)).at("link", dir.join(&name))?;
        // Writing into a String cannot fail.
        let _ = write!(
            index,
            "{}\nFilename: ./{name}\nSize: {}\nSHA256: {}\n\n",
            control.trim_end(),
            package.size,
            package.sha256
        );
    }
    let path = dir.join("Packages");
    fs::write(&path, index).at("write", &path)?;
    Ok(dir)
}

fn install(lock: &Lock, repository: &Path, archive: &Path) -> Command {
    let names: Vec<&str> = lock
        .group(Group::Root)
        .map(|package| package.name.as_str())
        .collect();
    let mode = if rustix::process::geteuid().is_root() {
        "root"
    } else {
        "unshare"
    };
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap
        .args([
            "--quiet",
            "--variant=custom",
            "--format=tar",
            "--architectures=amd64",
        ])
        .arg(format!("--mode={mode}"))
        .args(LEAVE_OUT)
        .arg(format!("--include={}", names.join(",")))
        .arg(&lock.suite)
        .arg(archive)
        .arg(format!(
            "deb [trusted=yes] copy://{} ./",
            repository.display()
        ))
        .env("SOURCE_DATE_EPOCH", lock.epoch.to_string())
        .env("LC_ALL", "C.UTF-8");
    mmdebstrap
}
