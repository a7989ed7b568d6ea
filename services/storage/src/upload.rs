//! A file on its way in: unnamed until it is whole and checked, so nothing half-made is ever seen
//! and nothing is left behind by a power failure. A name that is taken is given to the new file in one
//! step, as clients expect that upload the same again; whoever has the old file open keeps it.

use crate::error::{Context, Result, StorageError};
use crate::qcow2;
use basalt_model::storage::VolumeId;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256, Sha512};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Begins the names that files have for an instant while they take the place of others.
const PASSING: &[u8] = b".upload-";
/// What has such a name for so long was left there by a power failure.
const LEFT: Duration = Duration::from_secs(3600);

/// What an upload must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256, in hexadecimal.
    Sha256(String),
    /// SHA-512, in hexadecimal.
    Sha512(String),
}

enum Hasher {
    None,
    Sha256(Sha256, String),
    Sha512(Sha512, String),
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Sha256(hash, _) => hash.update(bytes),
            Self::Sha512(hash, _) => hash.update(bytes),
        }
    }

    fn check(self) -> Result<()> {
        let (found, expected) = match self {
            Self::None => return Ok(()),
            Self::Sha256(hash, expected) => (hex::encode(hash.finalize()), expected),
            Self::Sha512(hash, expected) => (hex::encode(hash.finalize()), expected),
        };
        if found.eq_ignore_ascii_case(&expected) {
            return Ok(());
        }
        Err(StorageError::Checksum { found, expected })
    }
}

/// Refuses a disk image that names other files, and a name that does not tell what the file is.
fn check_image(file: &File, volume: &VolumeId) -> Result<()> {
    let is_qcow2 = qcow2::standalone(file, volume)?.is_some();
    if is_qcow2 || !volume.name().to_ascii_lowercase().ends_with(".qcow2") {
        return Ok(());
    }
    Err(StorageError::Unfit {
        volume: volume.clone(),
        reason: "it is no qcow2 image".to_owned(),
    })
}

/// A file on its way in. Dropped before [`Upload::finish`], it leaves nothing behind.
pub struct Upload {
    file: File,
    directory: OwnedFd,
    volume: VolumeId,
    hasher: Hasher,
    size: u64,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("volume", &self.volume)
            .field("size", &self.size)
            .finish()
    }
}

impl Upload {
    /// An unnamed file in `directory` that will become `volume`.
    pub(crate) fn begin(directory: OwnedFd, volume: VolumeId) -> Result<Self> {
        sweep(&directory, LEFT).context(format!("making a file for {volume}"))?;
        let mode = Mode::from_raw_mode(0o644);
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory, ".", flags, mode)
            .context(format!("making a file for {volume}"))?;
        Ok(Self {
            file: file.into(),
            directory,
            volume,
            hasher: Hasher::None,
            size: 0,
        })
    }

    /// The volume it will be.
    pub fn volume(&self) -> &VolumeId {
        &self.volume
    }

    /// Bytes received so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Asks for a checksum; must come before the first byte.
    pub fn expect(&mut self, checksum: Checksum) {
        self.hasher = match checksum {
            Checksum::Sha256(expected) => Hasher::Sha256(Sha256::new(), expected),
            Checksum::Sha512(expected) => Hasher::Sha512(Sha512::new(), expected),
        };
    }

    /// Adds bytes; waits for the disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.file
            .write_all(bytes)
            .context(format!("writing {}", self.volume))?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Checks the file, makes sure that it is on the disk and gives it its name.
    pub fn finish(self) -> Result<VolumeId> {
        let Self {
            file,
            directory,
            volume,
            hasher,
            ..
        } = self;
        hasher.check()?;
        if volume.path().starts_with("import/") {
            check_image(&file, &volume)?;
        }
        file.sync_all().context(format!("writing {volume}"))?;
        let named = match name(&file, &directory, volume.name()) {
            Err(Errno::EXIST) => replace(&file, &directory, volume.name()),
            named => named,
        };
        named
            .and_then(|()| rustix::fs::fsync(&directory))
            .context(format!("naming {volume}"))?;
        Ok(volume)
    }
}

/// Removes files with a passing name that they have had for `age`.
fn sweep(directory: &OwnedFd, age: Duration) -> rustix::io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let oldest = now.unwrap_or_default().saturating_sub(age).as_secs();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_bytes().starts_with(PASSING) {
            continue;
        }
        // Getting the name was the file's last change. Another node may use the storage, too.
        let found = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            found => found?,
        };
        if u64::try_from(found.st_ctime).is_ok_and(|changed| changed <= oldest) {
            match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Gives an unnamed file a name that is free.
fn name(file: &File, directory: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, unnamed, directory, name, AtFlags::SYMLINK_FOLLOW)
}

/// Gives an unnamed file the name of another, which is gone then. For an instant it has a name of its own,
/// which begins with a dot and so is no volume's.
fn replace(file: &File, directory: &OwnedFd, taken: &str) -> rustix::io::Result<()> {
    let passing = String::from_utf8_lossy(PASSING);
    let own = format!("{passing}{}", rustix::fs::fstat(file)?.st_ino);
    match name(file, directory, &own) {
        // A power failure left it, of a file that had this number before.
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(directory, &own, AtFlags::empty())?;
            name(file, directory, &own)?;
        }
        named => named?,
    }
    rustix::fs::renameat(directory, &own, directory, taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_power_failure_left_goes_with_the_next_upload_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [".upload-7", "kept.iso", ".uploaded"] {
            std::fs::write(at(name), "x").unwrap();
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let directory = rustix::fs::open(folder.path(), flags, Mode::empty()).unwrap();
        sweep(&directory, LEFT).unwrap();
        assert!(at(".upload-7").exists(), "somebody may be at it");
        sweep(&directory, Duration::ZERO).unwrap();
        assert!(!at(".upload-7").exists());
        assert!(at("kept.iso").exists() && at(".uploaded").exists());
    }
}
