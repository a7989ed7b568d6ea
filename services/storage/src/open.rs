//! Opening files below a directory without ever leaving it, and locking them.

use crate::error::{Context, Result, StorageError};
use crate::{Access, VolumeId};
use rustix::fs::{FlockOperation, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

/// Opens `path` below `root`; a symbolic link or `..` anywhere in it is refused.
pub fn beneath(root: impl AsFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Opens a volume's regular file and locks it for `access`.
pub fn locked(root: impl AsFd, path: &str, volume: &VolumeId, access: Access) -> Result<File> {
    let (flags, lock) = match access {
        Access::Read => (OFlags::RDONLY, FlockOperation::NonBlockingLockShared),
        Access::Write => (OFlags::RDWR, FlockOperation::NonBlockingLockExclusive),
    };
    // Without NONBLOCK a named pipe put there would hold us up.
    let fd = match beneath(root, path, flags | OFlags::NONBLOCK) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(StorageError::NoVolume(volume.clone())),
        Err(error) => return Err(error).context(format!("opening {volume}")),
    };
    let stat = rustix::fs::fstat(&fd).context(format!("looking at {volume}"))?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        let reason = "it is not a regular file".to_owned();
        return Err(StorageError::Unfit {
            volume: volume.clone(),
            reason,
        });
    }
    match rustix::fs::flock(&fd, lock) {
        Ok(()) => Ok(File::from(fd)),
        Err(Errno::WOULDBLOCK) => Err(StorageError::InUse(volume.clone())),
        Err(error) => Err(error).context(format!("locking {volume}")),
    }
}
