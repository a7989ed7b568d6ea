//! Where the build reads, caches and writes.

use super::error::{At, Error, Result};
use super::{Options, command, lock};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The folders of one build.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    /// The workspace's root.
    pub workspace: PathBuf,
    /// Survives a fresh clone: packages, toolbox and base systems, by content.
    pub cache: PathBuf,
    /// Where the results go.
    pub out: PathBuf,
}

impl Paths {
    /// Finds (and makes) the folders for `options`.
    pub fn find(options: &Options) -> Result<Self> {
        let workspace = match &options.workspace {
            Some(dir) => std::path::absolute(dir).at("find", dir)?,
            None => workspace(),
        };
        let out = match &options.out {
            Some(out) => std::path::absolute(out).at("find", out)?,
            None => workspace
                .join("target/image")
                .join(options.variant.as_str()),
        };
        let cache = cache()?;
        for dir in [&cache, &out] {
            fs::create_dir_all(dir).at("make", dir)?;
        }
        Ok(Self {
            workspace,
            cache,
            out,
        })
    }

    /// The folder of the image's own sources.
    pub fn image(&self) -> PathBuf {
        self.workspace.join("image")
    }

    /// Holds off other builds that share the cache until the result is dropped.
    pub fn lock_builds(&self) -> Result<File> {
        let path = self.cache.join("build.lock");
        let file = File::create(&path).at("make", &path)?;
        if file.try_lock().is_err() {
            command::step("waiting for another build to end");
            file.lock().at("lock", &path)?;
        }
        Ok(file)
    }

    /// The list of packages by name.
    pub fn package_list(&self) -> PathBuf {
        self.image().join(lock::LIST)
    }

    /// The list of packages by version and hash.
    pub fn package_lock(&self) -> PathBuf {
        self.image().join(lock::LOCK)
    }
}

/// Where cargo puts what it compiles in `workspace`.
pub fn target_dir(workspace: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), |dir| workspace.join(dir))
}

/// This program's file. Compiling the workspace replaces it while it runs, of which the kernel tells
/// by a mark at its name; the new file serves as well.
pub(super) fn this_program() -> Result<PathBuf> {
    let program = std::env::current_exe().at("find", "this program")?;
    let name = program.to_string_lossy();
    Ok(match name.strip_suffix(" (deleted)") {
        Some(name) => PathBuf::from(name),
        None => program,
    })
}

/// The workspace this program was compiled from.
pub fn workspace() -> PathBuf {
    let image = Path::new(env!("CARGO_MANIFEST_DIR"));
    image.parent().unwrap_or(image).to_owned()
}

/// Where downloads and what is made of them survive a fresh clone: `BASALT_CACHE`, or the user's cache.
pub fn cache() -> Result<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(dir) = from("BASALT_CACHE") {
        return std::path::absolute(&dir).at("find", &dir);
    }
    if let Some(dir) = from("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(dir).join("basalt"));
    }
    Ok(home()?.join(".cache/basalt"))
}

/// The user's home folder.
pub(super) fn home() -> Result<PathBuf> {
    std::env::var_os("HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .ok_or_else(|| Error::Invalid("set BASALT_CACHE or HOME: nowhere to cache".to_owned()))
}
