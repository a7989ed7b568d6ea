//! Names of this machine's folders inside what we ship.
//!
//! Two builds on one machine may agree and still differ from everybody else's: by the path of the
//! crates' sources, which both share. So no shipped program may contain such a path.

use super::super::error::{At, Result};
use super::super::tree;
use std::fs;
use std::path::{Path, PathBuf};

/// Where a finished build has our programs and the web interface.
const SHIPPED: [&str; 5] = [
    "work/layer/usr/lib/basalt",
    "work/layer/usr/bin/basalt",
    "work/layer/usr/share/basalt",
    "work/initrd/init",
    "work/initrd/usr/lib/modules",
];

/// A line for each file of the build in `out` that mentions one of `folders`.
pub(super) fn find(out: &Path, folders: &[PathBuf]) -> Result<Vec<String>> {
    let mut traces = Vec::new();
    for shipped in SHIPPED.map(|path| out.join(path)) {
        for file in files(&shipped)? {
            let bytes = fs::read(&file).at("read", &file)?;
            let name = file.strip_prefix(out).unwrap_or(&file).display();
            let found = folders.iter().filter(|folder| mentions(&bytes, folder));
            traces.extend(found.map(|folder| format!("{name} mentions {}", folder.display())));
        }
    }
    Ok(traces)
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let below = tree::list(path)?.into_iter().map(|name| path.join(name));
    Ok(below
        .filter(|file| !file.is_symlink() && file.is_file())
        .collect())
}

fn mentions(bytes: &[u8], folder: &Path) -> bool {
    let needle = folder.as_os_str().as_encoded_bytes();
    let Some(first) = needle.first() else {
        return false;
    };
    bytes
        .windows(needle.len())
        .any(|window| window.first() == Some(first) && window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_knows_its_sources_folder_is_found() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let programs = dir.path().join("work/layer/usr/lib/basalt");
        fs::create_dir_all(&programs).expect("writable");
        fs::write(programs.join("one"), b"\0/home/me/.cargo/registry/x.rs\0").expect("writable");
        fs::write(programs.join("two"), b"/crates/x.rs").expect("writable");
        let folders = [PathBuf::from("/home/me/.cargo"), PathBuf::from("/src")];
        assert_eq!(
            find(dir.path(), &folders).expect("readable"),
            ["work/layer/usr/lib/basalt/one mentions /home/me/.cargo"]
        );
    }
}
