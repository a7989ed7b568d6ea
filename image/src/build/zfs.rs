//! ZFS's kernel modules: compiled from Debian's sources for the locked kernel, once per cache.
//!
//! Debian ships ZFS as sources that each machine compiles for its own kernel. An image has one kernel,
//! so it is done here: `image/scripts/make-zfs` runs in a toolbox of its own with the compilers.
//!
//! What ZFS has to know about a kernel takes its `configure` longer to find out than many hosts take
//! to compile it, and depends on nothing but locked packages. So it is kept beside the lock, as
//! `image/zfs/config.h`: [`configure`] writes it when the lock moves, [`ensure`] only reads it.
//!
//! [`lay`] signs them with the boot key, which is what a firmware with Secure Boot has the kernel
//! trust. Without Secure Boot the initial RAM disk loads them before it locks the kernel down.

use super::command::{self, step};
use super::error::{At, Error, Result};
use super::lock::{Group, Lock};
use super::paths::Paths;
use super::stage::Stage;
use super::stamp::Hash;
use super::toolbox::{self, Toolbox};
use super::{prune, sign, tree};
use std::fs;
use std::path::{Path, PathBuf};

/// Debian's package with the sources of the modules.
pub(super) const SOURCE: &str = "zfs-dkms";
/// The modules, one for what ZFS takes from other kernels.
const MODULES: [&str; 2] = ["spl.ko", "zfs.ko"];
/// The licence of the modules, beside them.
const COPYRIGHT: &str = "copyright";
/// Where modules from elsewhere lie, below the kernel's own folder.
const FOLDER: &str = "extra";

/// What configure found out, below `image/`.
const CONFIG: &str = "zfs/config.h";
const SCRIPT: &str = "make-zfs";

/// The folder with the compiled modules, not yet signed. Compiles them unless the cache has them.
pub(super) fn ensure(paths: &Paths, lock: &Lock) -> Result<PathBuf> {
    let config = paths.image().join(CONFIG);
    if !is_current(&config, lock)? {
        return Err(Error::Invalid(format!(
            "{} is about another kernel or ZFS than the lock: run `cargo image lock`",
            config.display()
        )));
    }
    let mut key = lock.hash_groups(&[Group::Modules]);
    key.file(&config)?;
    key.file(&script(paths))?;
    let dir = paths.cache.join(format!("zfs-{}", key.short()));
    if !dir.exists() {
        let compilers = compilers(paths, lock)?;
        step("compiling ZFS for the kernel");
        let partial = paths.cache.join("zfs.partial");
        tree::fresh_dir(&partial)?;
        let mut compile = task(paths, &compilers, "compile", &config, &[&partial]);
        compile.arg(&partial).arg(lock.epoch.to_string());
        command::run(&mut compile)?;
        let copyright = format!("usr/share/doc/{SOURCE}/{COPYRIGHT}");
        tree::copy(&compilers.file(&copyright), &partial.join(COPYRIGHT))?;
        fs::rename(&partial, &dir).at("move", &partial)?;
    }
    prune::mark(&dir);
    Ok(dir)
}

/// Finds out about the kernel of `lock`, unless that is known.
pub(super) fn configure(paths: &Paths, lock: &Lock) -> Result<()> {
    let config = paths.image().join(CONFIG);
    if is_current(&config, lock)? {
        return Ok(());
    }
    let compilers = compilers(paths, lock)?;
    step("asking the kernel's headers what ZFS needs to know (minutes)");
    let dir = paths.cache.join("zfs.partial");
    tree::fresh_dir(&dir)?;
    let found = dir.join("config.h");
    fs::write(&found, subject(lock)?).at("write", &found)?;
    command::run(&mut task(paths, &compilers, "configure", &found, &[&dir]))?;
    tree::copy(&found, &config)?;
    tree::remove(&dir)
}

/// The first line of the file: what it is about.
fn subject(lock: &Lock) -> Result<String> {
    let source = lock
        .group(Group::Modules)
        .find(|package| package.name == SOURCE);
    let (Some(source), Some(kernel)) = (source, lock.group(Group::Kernel).next()) else {
        let reason = format!("the lock file has no kernel or no {SOURCE}");
        return Err(Error::Invalid(reason));
    };
    Ok(format!(
        "/* {SOURCE} {}, {} {} */\n",
        source.version, kernel.name, kernel.version
    ))
}

fn is_current(config: &Path, lock: &Lock) -> Result<bool> {
    let subject = subject(lock)?;
    match fs::read_to_string(config) {
        Ok(text) => Ok(text.starts_with(&subject)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at("read", config),
    }
}

fn script(paths: &Paths) -> PathBuf {
    paths.image().join("scripts").join(SCRIPT)
}

fn compilers(paths: &Paths, lock: &Lock) -> Result<Toolbox> {
    toolbox::ensure_group(paths, lock, Group::Modules)
}

fn task(
    paths: &Paths,
    compilers: &Toolbox,
    name: &str,
    config: &Path,
    dirs: &[&Path],
) -> std::process::Command {
    let image = paths.image();
    let dirs: Vec<&Path> = dirs.iter().copied().chain([image.as_path()]).collect();
    let mut task = compilers.command(&dirs, &script(paths).to_string_lossy());
    task.arg(name).arg(config);
    task
}

/// Feeds what decides about the signed modules into a step's key.
pub(super) fn add_to(stage: &Stage, key: &mut Hash) -> Result<()> {
    for name in MODULES {
        key.file(&stage.zfs.join(name))?;
    }
    sign::add_to(stage, key)
}

/// Lays the modules into the image's layer, signed and compressed as Debian's own are; `system` is the
/// installed base with its kernel.
pub(super) fn lay(stage: &Stage, system: &Path, layer: &Path) -> Result<()> {
    let target = layer.join("usr/lib/modules").join(kernel(system)?);
    let target = target.join(FOLDER);
    tree::make_dir(&target)?;
    for name in MODULES {
        let signed = target.join(name);
        sign::sign_module(stage, &stage.zfs.join(name), &signed)?;
        // What the kernel itself can unpack: it knows no other checksum.
        let mut xz = stage.toolbox.command(&[&target], "xz");
        xz.args(["--check=crc32", "--lzma2=dict=1MiB", "--threads=1"]);
        command::run(xz.arg(&signed))?;
    }
    let copyright = format!("usr/share/doc/{SOURCE}/{COPYRIGHT}");
    tree::copy(&stage.zfs.join(COPYRIGHT), &layer.join(copyright))
}

/// The version of the kernel in `system`.
fn kernel(system: &Path) -> Result<std::ffi::OsString> {
    let modules = system.join("usr/lib/modules");
    let entry = fs::read_dir(&modules).at("read", &modules)?.next();
    let entry = entry.ok_or_else(|| Error::Invalid("the base has no kernel".to_owned()))?;
    Ok(entry.at("read", &modules)?.file_name())
}

#[cfg(test)]
mod tests {
    use super::super::lock::Package;
    use super::*;

    fn lock(kernel: &str) -> Lock {
        let package = |group, name: &str, version: &str| Package {
            group,
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            size: 7,
            sha256: "ab".repeat(32),
            path: format!("pool/contrib/{name}.deb"),
        };
        let packages = vec![
            package(Group::Kernel, "linux-image-6-amd64", kernel),
            package(Group::Modules, SOURCE, "2.3"),
        ];
        Lock::of("trixie", packages)
    }

    #[test]
    fn what_is_known_is_about_one_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.h");
        assert!(!is_current(&config, &lock("6.1")).unwrap());
        let text = format!("{}#define HAVE_X 1\n", subject(&lock("6.1")).unwrap());
        fs::write(&config, text).unwrap();
        assert!(is_current(&config, &lock("6.1")).unwrap());
        assert!(!is_current(&config, &lock("6.1.1")).unwrap());
        assert!(subject(&Lock::of("trixie", Vec::new())).is_err());
    }

    #[test]
    fn the_sources_are_about_the_locked_kernel() {
        let options = super::super::Options::default();
        let paths = Paths::find(&options).unwrap();
        let lock = Lock::read(&paths).unwrap();
        assert!(is_current(&paths.image().join(CONFIG), &lock).unwrap());
    }
}
