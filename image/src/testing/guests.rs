//! The guests of the tests: Debian's stock kernel, and a root file system made by mmdebstrap.
//!
//! `image/guests/customize` settles the root and derives a disk for a virtual machine and a
//! template for a container from it. The result is cached by recipe.

use crate::appliance::say;
use crate::build::{mirror, paths, prune};
use crate::tools::{self, Tool};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SUITE: &str = "trixie";
const PACKAGES: &str = "systemd-sysv,udev,dbus,e2fsprogs,iproute2,iputils-ping,login,kmod,busybox-static,systemd-boot-efi,linux-image-cloud-amd64";
/// What neither a boot nor a login needs.
const LEAVE_OUT: [&str; 6] = ["doc", "man", "locale", "info", "i18n", "lintian"];
/// What the recipe leaves in the root's `/out`.
const RESULTS: [&str; 5] = [
    "kernel",
    "initrd",
    "disk.raw",
    "uefi.raw",
    "template.tar.zst",
];

/// Files for one virtual machine and one container.
#[derive(Debug, Clone)]
pub struct Guests {
    dir: PathBuf,
}

impl Guests {
    /// The guests of the current recipe, made now unless the cache has them.
    pub fn ensure() -> Result<Self> {
        let recipe = paths::workspace().join("image/guests");
        let cache = paths::cache()?;
        let dir = cache.join(format!("guests-{}", key(&recipe)?));
        fs::create_dir_all(&cache)?;
        let lock = File::create(cache.join("guests.lock"))?;
        lock.lock()?;
        if !dir.exists() {
            say("making the guests of the tests (once)");
            make(&recipe, &dir)?;
        }
        prune::mark(&dir);
        Ok(Self { dir })
    }

    /// Names the recipe they were made by.
    pub fn key(&self) -> String {
        self.dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// Debian's kernel.
    pub fn kernel(&self) -> PathBuf {
        self.dir.join("kernel")
    }

    /// An initial RAM disk that hands over to `/dev/vda`.
    pub fn initrd(&self) -> PathBuf {
        self.dir.join("initrd")
    }

    /// A raw ext4 image of the root file system.
    pub fn disk(&self) -> PathBuf {
        self.dir.join("disk.raw")
    }

    /// A raw disk that boots by UEFI, with the same root file system.
    pub fn uefi_disk(&self) -> PathBuf {
        self.dir.join("uefi.raw")
    }

    /// The root file system as an archive.
    pub fn template(&self) -> PathBuf {
        self.dir.join("template.tar.zst")
    }
}

fn key(recipe: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update([SUITE, PACKAGES].concat());
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

fn make(recipe: &Path, dir: &Path) -> Result<()> {
    tools::ensure(&[
        Tool::Mmdebstrap,
        Tool::DebianKeyring,
        Tool::MkfsExt4,
        Tool::MkfsVfat,
        Tool::Mtools,
        Tool::Sfdisk,
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
        .arg(format!("--include={PACKAGES}"))
        .args(LEAVE_OUT.map(|name| format!("--dpkgopt=path-exclude=/usr/share/{name}/*")))
        .arg("--aptopt=Acquire::Languages \"none\"")
        .arg(format!(
            "--customize-hook={}",
            recipe.join("customize").display()
        ))
        .args(RESULTS.map(|name| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_recipe_makes_other_guests() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "1").unwrap();
        let first = key(dir.path()).unwrap();
        assert_eq!(first, key(dir.path()).unwrap());
        fs::write(dir.path().join("a"), "2").unwrap();
        assert_ne!(first, key(dir.path()).unwrap());
    }
}
