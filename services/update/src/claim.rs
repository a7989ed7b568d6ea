//! A disk kept to ourselves while its partitions are made and written.
//!
//! Whenever somebody has written to a whole disk, udev reads its partition table again, and for an
//! instant the kernel takes all its partitions away. Whoever opens one then finds no device. udev stays
//! away from a disk that is locked (<https://systemd.io/BLOCK_DEVICE_LOCKING>), so whoever writes a
//! table and then the partitions locks the disk for all of it.
//!
//! While a disk is claimed udev does not get done with it: do not wait for udev (`udevadm settle`).

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::Error;

/// How long udev may take to let go of a disk, or the kernel to show a partition.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks: there is nobody who would tell.
const PAUSE: Duration = Duration::from_millis(50);

/// A locked disk; freed when dropped.
#[derive(Debug)]
pub struct Claim {
    // Opened for reading: closing a descriptor that can write would itself call udev.
    _disk: File,
}

impl Claim {
    /// Locks a disk, or an image file, once nobody else has it locked.
    ///
    /// # Errors
    /// When it cannot be opened, or somebody keeps it for half a minute.
    pub fn take(disk: &Path) -> Result<Self, Error> {
        let file = File::open(disk).map_err(|e| Error::io(disk, e))?;
        let end = Instant::now() + PATIENCE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _disk: file }),
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < end => {
                    std::thread::sleep(PAUSE);
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(Error::InUse {
                        disk: disk.display().to_string(),
                    });
                }
                Err(errno) => return Err(Error::io(disk, errno.into())),
            }
        }
    }
}

/// Waits until a partition of a claimed disk can be opened.
///
/// # Errors
/// What opening it says at last.
pub fn wait_for(partition: &Path) -> Result<(), Error> {
    let end = Instant::now() + PATIENCE;
    loop {
        match File::open(partition) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(Error::io(partition, error)),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_one_claim_at_a_time() {
        let disk = tempfile::NamedTempFile::new().unwrap();
        let claim = Claim::take(disk.path()).unwrap();
        let other = File::open(disk.path()).unwrap();
        let take = || flock(&other, FlockOperation::NonBlockingLockExclusive);
        assert_eq!(take(), Err(Errno::WOULDBLOCK));
        drop(claim);
        assert_eq!(take(), Ok(()));
    }

    #[test]
    fn a_claim_waits_for_who_was_there_before() {
        let disk = tempfile::NamedTempFile::new().unwrap();
        let before = Claim::take(disk.path()).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Claim::take(disk.path()));
            drop(before);
            waiting.join().unwrap().unwrap();
        });
    }
}
