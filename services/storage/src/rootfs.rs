//! The file system of a container's root: ext4 in a raw volume, mounted where nobody sees it.
//!
//! [`mount`] gives a detached mount as a descriptor. A block device is mounted as it is, and claimed
//! by the kernel from then on. For a file the mount holds a loop device, and the device holds the
//! image and the image's lock. All of them go when the last descriptor and the last copy of the
//! mount do. There is nothing to undo, not even after a crash.

use crate::error::{Context, Result, StorageError};
use crate::loopdev;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Makes an empty ext4 file system in `image`.
pub async fn format(image: &File) -> Result<()> {
    let image = image.try_clone().context("formatting a volume")?;
    let output = tokio::process::Command::new("mkfs.ext4")
        .args([
            "-q",
            "-F",
            "-m",
            "1",
            "-E",
            "root_owner=0:0",
            "/proc/self/fd/0",
        ])
        .stdin(Stdio::from(image))
        .kill_on_drop(true)
        .output()
        .await
        .context("starting mkfs.ext4")?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(StorageError::Tool {
        tool: "mkfs.ext4",
        text,
    })
}

/// Mounts the ext4 file system in `image`, visible only through the descriptor.
pub async fn mount(image: File) -> Result<OwnedFd> {
    match tokio::task::spawn_blocking(move || mount_now(&image)).await {
        Ok(result) => result,
        Err(error) => Err(std::io::Error::other(error)).context("mounting a volume"),
    }
}

fn mount_now(image: &File) -> Result<OwnedFd> {
    let kind = image.metadata().context("looking at a volume")?.file_type();
    if kind.is_block_device() {
        return mount_device(&device_path(image));
    }
    let attached = loopdev::attach(image)?;
    mount_device(&attached.path)
}

/// The device that is open, whatever it is called: the kernel follows this link to itself.
fn device_path(device: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", device.as_raw_fd()))
}

fn mount_device(path: &Path) -> Result<OwnedFd> {
    let what = || format!("mounting {}", path.display());
    let context = rustix::mount::fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC).context(what())?;
    rustix::mount::fsconfig_set_string(&context, "source", path).context(what())?;
    rustix::mount::fsconfig_create(&context).context(what())?;
    rustix::mount::fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_NODEV,
    )
    .context(what())
}
