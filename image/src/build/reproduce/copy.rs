//! The second build's folder: sources, and for the short form what the first build has compiled.

use super::super::error::{At, Error, Result};
use super::super::paths::{Paths, target_dir};
use super::super::{Variant, command, fetch, programs, prune, tree};
use super::Depth;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates and folders whose name begins like this are our own, and are compiled again.
const OURS: [&str; 2] = ["basalt", "libbasalt"];

/// The folders of a second build.
pub(super) struct Copy {
    /// Holds all others.
    pub dir: PathBuf,
    /// The tracked files.
    pub workspace: PathBuf,
    /// Where its results go.
    pub out: PathBuf,
    /// An empty home.
    pub home: PathBuf,
    /// A cache that has only the downloads; of use to the full form.
    pub cache: PathBuf,
}

impl Copy {
    /// Copies the tracked files as they are now, committed or not.
    pub fn make(paths: &Paths, variant: Variant, depth: Depth) -> Result<Self> {
        // Beside the cache, so that what is compiled can be taken over by hard links.
        let dir = tempfile::Builder::new()
            .prefix("reproduce-")
            .tempdir_in(&paths.cache)
            .at("make a folder in", &paths.cache)?
            .keep();
        let copy = Self {
            // A path of another depth and length than usual.
            workspace: dir.join("somewhere/quite/different"),
            out: dir.join("results"),
            home: dir.join("home"),
            cache: dir.join("cache"),
            dir,
        };
        for dir in [&copy.workspace, &copy.out, &copy.home, &copy.cache] {
            private_dir(dir)?;
        }
        for file in tracked(&paths.workspace)? {
            copy_privately(&paths.workspace.join(&file), &copy.workspace.join(&file))?;
        }
        match depth {
            Depth::Short => copy.take_over(paths, programs::profile(variant))?,
            Depth::Full => {
                for download in downloads(&paths.cache)? {
                    let link = copy.cache.join(&download);
                    symlink(paths.cache.join(&download), &link).at("link", &link)?;
                }
            }
        }
        Ok(copy)
    }

    /// Takes over what the first build has compiled of other people's crates, and npm's modules.
    fn take_over(&self, paths: &Paths, profile: &str) -> Result<()> {
        let (from, to) = (
            target_dir(&paths.workspace).join(profile),
            self.workspace.join("target").join(profile),
        );
        // Cargo writes into the first two in place, so they are copied; libraries are only replaced.
        for (folder, how) in [
            (".fingerprint", How::Copy),
            ("build", How::Copy),
            ("deps", How::Link),
        ] {
            let mut names = foreign(&from.join(folder))?;
            if how == How::Link {
                names.retain(|name| name.starts_with("lib"));
            }
            bring(&names, &from.join(folder), &to.join(folder), how)?;
        }
        // npm's modules are tens of thousands of files that nothing writes to.
        let (from, to) = (&paths.workspace, &self.workspace);
        let modules = [programs::MODULES.to_owned()];
        bring(&modules, &from.join("web"), &to.join("web"), How::Link)?;
        // They belong to the lock file, which the copy has made newer than them.
        prune::mark(&to.join("web").join(programs::MODULES_NOTE));
        Ok(())
    }

    /// Removes everything. What cannot be removed (another user's files in an overlay) stays in the
    /// cache until it is pruned.
    pub fn remove(&self) {
        if let Err(error) = tree::remove(&self.dir) {
            command::step(&format!("{error}"));
        }
    }
}

/// What of the cache came from the network and was not made here: packages, and the pinned Node.js.
fn downloads(cache: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(cache).at("read", cache)? {
        let entry = entry.at("read", cache)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && (name == fetch::PACKAGES || name.starts_with("node-")) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The files that version control knows.
fn tracked(workspace: &Path) -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.arg("-C").arg(workspace).args(["ls-files", "-z"]);
    let files: Vec<PathBuf> = command::output(&mut git)?
        .split_terminator('\0')
        .map(PathBuf::from)
        // A link counts as it is: what it points to may be only in the image.
        .filter(|file| fs::symlink_metadata(workspace.join(file)).is_ok())
        .collect();
    if files.is_empty() {
        return Err(Error::Invalid(format!(
            "git knows no file in {}",
            workspace.display()
        )));
    }
    Ok(files)
}

/// The names in `dir` that are not our own crates'.
fn foreign(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).at("read", dir)? {
        let name = entry.at("read", dir)?.file_name();
        let name = name.to_string_lossy().into_owned();
        if !OURS.iter().any(|ours| name.starts_with(ours)) {
            names.push(name);
        }
    }
    Ok(names)
}

/// How a file gets into the second folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// As a file of its own.
    Copy,
    /// As another name of the same file, or a copy where file systems differ.
    Link,
}

/// Brings files and folders from one folder into another, with their times: cargo compares them.
fn bring(names: &[String], from: &Path, to: &Path, how: How) -> Result<()> {
    /// Bounds the length of a command line.
    const BATCH: usize = 500;
    private_dir(to)?;
    for batch in names.chunks(BATCH) {
        let cp = |link: Option<&str>| {
            let mut cp = Command::new("cp");
            cp.current_dir(from).args(["-a", "-f"]).args(link);
            cp.arg("--target-directory").arg(to).arg("--").args(batch);
            command::run(&mut cp)
        };
        let linked = how == How::Link && cp(Some("--link")).is_ok();
        if !linked {
            cp(None)?;
        }
    }
    Ok(())
}

/// Copies one file with the modes that a checkout under umask 077 gives.
fn copy_privately(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        private_dir(parent)?;
    }
    let meta = fs::symlink_metadata(from).at("read", from)?;
    if meta.is_symlink() {
        let target = fs::read_link(from).at("read", from)?;
        return symlink(target, to).at("link", to);
    }
    let bytes = fs::read(from).at("read", from)?;
    fs::write(to, bytes).at("write", to)?;
    tree::set_mode(to, meta.permissions().mode() & 0o700)
}

fn private_dir(dir: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(dir).at("make", dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_file_keeps_its_content_and_whether_it_runs_but_not_its_mode() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (from, to) = (dir.path().join("f"), dir.path().join("a/b/f"));
        fs::write(&from, "x").expect("writable");
        tree::set_mode(&from, 0o755).expect("ours");
        copy_privately(&from, &to).expect("copies");
        let mode = fs::metadata(&to).expect("copied").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(fs::read(&to).expect("readable"), b"x");
    }

    #[test]
    fn what_is_brought_keeps_its_times() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("sub")).expect("writable");
        fs::write(from.join("sub/f"), "x").expect("writable");
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let file = fs::File::options().write(true).open(from.join("sub/f"));
        file.and_then(|file| file.set_modified(time)).expect("ours");
        for how in [How::Copy, How::Link] {
            bring(&["sub".to_owned()], &from, &to, how).expect("copies");
            let meta = fs::metadata(to.join("sub/f")).expect("brought");
            assert_eq!(meta.modified().expect("has one"), time);
        }
    }

    #[test]
    fn our_own_crates_are_not_taken_over() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for name in ["libserde-1.rlib", "libbasalt_model-1.rlib", "basalt-node-2"] {
            fs::write(dir.path().join(name), "").expect("writable");
        }
        assert_eq!(foreign(dir.path()).expect("readable"), ["libserde-1.rlib"]);
    }
}
