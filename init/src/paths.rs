//! Where everything lies, relative to a root that tests move elsewhere.

use std::path::{Path, PathBuf};

/// The file tree the supervisor works on.
#[derive(Debug, Clone)]
pub struct Paths {
    root: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
        }
    }
}

impl Paths {
    /// A tree below another folder.
    #[cfg(test)]
    pub fn below(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Any absolute path in this tree.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file of the host's lasting state.
    pub fn state(&self, name: &str) -> PathBuf {
        self.at("/var/lib/basalt").join(name)
    }

    /// A generated configuration file.
    pub fn etc(&self, name: &str) -> PathBuf {
        self.at("/etc").join(name)
    }

    /// A file of this boot.
    pub fn run(&self, name: &str) -> PathBuf {
        self.at("/run").join(name)
    }

    /// The kernel's `/sys`.
    pub fn sys(&self) -> PathBuf {
        self.at("/sys")
    }

    /// The root of the tree.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
