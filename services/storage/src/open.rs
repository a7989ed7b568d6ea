//! Opening volumes and locking them: files below a directory, without ever leaving it, and block
//! devices.

use crate::error::{Context, Result, StorageError};
use crate::{Access, VolumeId};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Opens `path` below `root`; a symbolic link or `..` anywhere in it is refused.
pub fn beneath(root: impl AsFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Opens a volume's regular file and locks it for `access`.
pub fn locked(root: impl AsFd, path: &str, volume: &VolumeId, access: Access) -> Result<File> {
    // Without NONBLOCK a named pipe put there would hold us up.
    let opened = beneath(root, path, flags(access) | OFlags::NONBLOCK);
    let fd = checked(opened, FileType::RegularFile, volume)?;
    lock(fd, volume, access)
}

/// Opens a volume's block device and locks it for `access`; one that is mounted is in use, too.
pub fn locked_device(path: &Path, volume: &VolumeId, access: Access) -> Result<File> {
    let open = |flags| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
    let fd = checked(open(flags(access)), FileType::BlockDevice, volume)?;
    let file = lock(fd, volume, access)?;
    // The kernel claims a device for who mounts it. We only ask: mounting is what comes next for
    // some of our callers, and a claim of ours would be in their way.
    match open(OFlags::RDONLY | OFlags::EXCL) {
        Ok(_) => Ok(file),
        Err(Errno::BUSY) => Err(StorageError::InUse(volume.clone())),
        Err(error) => Err(error).context(format!("opening {volume}")),
    }
}

fn flags(access: Access) -> OFlags {
    match access {
        Access::Read => OFlags::RDONLY,
        Access::Write => OFlags::RDWR,
    }
}

fn checked(
    opened: rustix::io::Result<OwnedFd>,
    wanted: FileType,
    volume: &VolumeId,
) -> Result<OwnedFd> {
    let fd = match opened {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(StorageError::NoVolume(volume.clone())),
        Err(error) => return Err(error).context(format!("opening {volume}")),
    };
    let stat = rustix::fs::fstat(&fd).context(format!("looking at {volume}"))?;
    if FileType::from_raw_mode(stat.st_mode) == wanted {
        return Ok(fd);
    }
    let reason = match wanted {
        FileType::BlockDevice => "it is not a block device",
        _ => "it is not a regular file",
    };
    Err(StorageError::Unfit {
        volume: volume.clone(),
        reason: reason.to_owned(),
    })
}

fn lock(fd: OwnedFd, volume: &VolumeId, access: Access) -> Result<File> {
    let lock = match access {
        Access::Read => FlockOperation::NonBlockingLockShared,
        Access::Write => FlockOperation::NonBlockingLockExclusive,
    };
    match rustix::fs::flock(&fd, lock) {
        Ok(()) => Ok(File::from(fd)),
        Err(Errno::WOULDBLOCK) => Err(StorageError::InUse(volume.clone())),
        Err(error) => Err(error).context(format!("locking {volume}")),
    }
}
