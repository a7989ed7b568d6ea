//! Walking, copying and removing folders.

use super::error::{At, Result};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// All paths below `root`, relative to it and sorted, parents first. A missing root is empty.
pub(super) fn list(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if root.exists() {
        walk(root, Path::new(""), &mut found)?;
    }
    Ok(found)
}

fn walk(root: &Path, below: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let dir = root.join(below);
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).at("read", &dir)? {
        names.push(entry.at("read", &dir)?.file_name());
    }
    names.sort();
    for name in names {
        let path = below.join(name);
        let is_dir = fs::symlink_metadata(root.join(&path))
            .at("read", root.join(&path))?
            .is_dir();
        found.push(path.clone());
        if is_dir {
            walk(root, &path, found)?;
        }
    }
    Ok(())
}

/// Lays everything below `from` over `to`. Modes become 755 and 644: a checkout's own modes depend
/// on the user's umask and must not reach the image.
pub(super) fn lay_over(from: &Path, to: &Path) -> Result<()> {
    for path in list(from)? {
        let (source, target) = (from.join(&path), to.join(&path));
        let meta = fs::symlink_metadata(&source).at("read", &source)?;
        if meta.is_dir() {
            make_dir(&target)?;
        } else if meta.is_symlink() {
            let link = fs::read_link(&source).at("read", &source)?;
            remove(&target)?;
            symlink(link, &target).at("link", &target)?;
        } else {
            copy(&source, &target)?;
        }
    }
    Ok(())
}

/// Copies one file, making its folders; mode 755 when executable, else 644.
pub(super) fn copy(source: &Path, target: &Path) -> Result<()> {
    if let Some(parent) = target.parent() {
        make_dir(parent)?;
    }
    remove(target)?;
    fs::copy(source, target).at("copy", source)?;
    let mode = fs::metadata(source)
        .at("read", source)?
        .permissions()
        .mode();
    set_mode(target, if mode & 0o111 == 0 { 0o644 } else { 0o755 })
}

/// Makes a folder and its parents, each with mode 755 whatever the umask.
pub(super) fn make_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_dir(parent)?;
    }
    fs::create_dir(dir).at("make", dir)?;
    set_mode(dir, 0o755)
}

/// Sets a file's mode.
pub(super) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("set the mode of", path)
}

/// Removes a file or a folder with all in it; what is not there is fine.
pub(super) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.at("remove", path)
}

/// An empty folder at `dir`.
pub(super) fn fresh_dir(dir: &Path) -> Result<()> {
    remove(dir)?;
    make_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lays_files_links_and_modes() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        make_dir(&from.join("a/b")).expect("writable");
        fs::write(from.join("a/b/f"), "x").expect("writable");
        set_mode(&from.join("a/b/f"), 0o700).expect("ours");
        symlink("b/f", from.join("a/l")).expect("writable");
        lay_over(&from, &to).expect("copies");
        lay_over(&from, &to).expect("copies again over itself");
        let mode = fs::metadata(to.join("a/b/f"))
            .expect("copied")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o755);
        assert_eq!(
            fs::read_link(to.join("a/l")).expect("a link"),
            Path::new("b/f")
        );
        assert_eq!(list(&to).expect("readable"), list(&from).expect("readable"));
    }

    #[test]
    fn a_missing_root_is_empty() {
        assert!(
            list(Path::new("/no/such/folder"))
                .expect("empty")
                .is_empty()
        );
    }
}
