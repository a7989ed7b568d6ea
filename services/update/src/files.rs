//! Files that are either wholly there or not at all, also after a power cut.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Writes a file under a temporary name, flushes it to the disk and renames it into place.
pub fn write_atomic(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_string_lossy();
    let temporary = folder.join(format!(".{name}.new"));
    let write = || {
        // A file left over by a power cut may have another mode or be a link: start afresh.
        remove_if_there(&temporary)?;
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        // The mode given at creation is cut by the process's umask.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(folder)
    };
    write().inspect_err(|_| {
        // The first error is the one worth telling.
        let _ = remove_if_there(&temporary);
    })
}

/// Like [`write_atomic`], but leaves a file alone that already has this content and mode.
pub fn write_if_changed(path: &Path, contents: &[u8], mode: u32) -> io::Result<bool> {
    let same = fs::read(path).is_ok_and(|old| old == contents)
        && fs::symlink_metadata(path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o7777 == mode);
    if !same {
        write_atomic(path, contents, mode)?;
    }
    Ok(!same)
}

/// Removes a file; fine when there is none.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Flushes a folder's entries to the disk.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_with_their_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_atomic(&path, b"one", 0o600).unwrap();
        assert!(!write_if_changed(&path, b"one", 0o600).unwrap());
        assert!(write_if_changed(&path, b"two", 0o640).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_leftover_does_not_stand_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join(".key.new")).unwrap();
        write_atomic(&dir.path().join("key"), b"one", 0o600).unwrap();
        assert_eq!(fs::read(dir.path().join("key")).unwrap(), b"one");
    }
}
