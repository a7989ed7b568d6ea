//! The file system of a container's root: ext4 in a raw volume, mounted where nobody sees it.
//!
//! [`mount`] gives a detached mount as a descriptor. A block device is mounted as it is, and claimed
//! by the kernel from then on. For a file the mount holds a loop device, and the device holds the
//! image and the image's lock. All of them go when the last descriptor and the last copy of the
//! mount do. There is nothing to undo, not even after a crash.
//!
//! [`grow`] makes a mounted file system as large as its volume has become. That of a container that runs
//! is mounted once more for it ([`mount_again`]): nothing of the container's own is looked at.

use crate::error::{Context, Result, StorageError};
use crate::loopdev;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use std::fs::File;
use std::io::{Seek, SeekFrom};
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
    blocking("mounting a volume", move || mount_now(&image)).await
}

/// Mounts the file system of the volume at `volume` once more while something has it mounted.
pub async fn mount_again(volume: PathBuf) -> Result<OwnedFd> {
    blocking("mounting a volume", move || {
        mount_device(&device_in_use(&volume)?)
    })
    .await
}

/// Makes the mounted file system as large as the device below it, whoever uses it. One that is as large
/// already stays as it is.
pub async fn grow(mount: OwnedFd) -> Result<()> {
    blocking("growing a file system", move || grow_now(&mount)).await
}

async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(std::io::Error::other(error)).context(what),
    }
}

/// The device by which the volume at `volume` is mounted.
fn device_in_use(volume: &Path) -> Result<PathBuf> {
    let what = || format!("looking at {}", volume.display());
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = rustix::fs::open(volume, flags, Mode::empty()).context(what())?;
    let found = rustix::fs::fstat(&found).context(what())?;
    if FileType::from_raw_mode(found.st_mode) == FileType::BlockDevice {
        return Ok(volume.to_owned());
    }
    let device = loopdev::find(found.st_dev, found.st_ino)?;
    device
        .ok_or_else(|| std::io::Error::other("it is not mounted"))
        .context(what())
}

/// `EXT4_IOC_RESIZE_FS` of linux/ext4.h: the new number of blocks.
const EXT4_IOC_RESIZE_FS: libc::Ioctl = 0x4008_6610;

fn grow_now(mount: &OwnedFd) -> Result<()> {
    let what = "growing a file system";
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(mount, ".", flags, Mode::empty()).context(what)?;
    let device = device_below(&root)?;
    let block = rustix::fs::fstatvfs(&root).context(what)?.f_bsize;
    let mut opened = File::open(&device).context(what)?;
    if device
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"loop"))
    {
        loopdev::follow(&opened).context(what)?;
    }
    // Seeking tells the size of a device.
    let size = opened.seek(SeekFrom::End(0)).context(what)?;
    let blocks = size / block.max(1);
    // SAFETY: the request reads the one number that it is given.
    let result = unsafe { libc::ioctl(root.as_raw_fd(), EXT4_IOC_RESIZE_FS, &raw const blocks) };
    match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()).context(what),
    }
}

/// The device that the file system of `root` lies on.
fn device_below(root: &OwnedFd) -> Result<PathBuf> {
    let what = "looking for the device of a file system";
    let number = rustix::fs::fstat(root).context(what)?.st_dev;
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    let place = std::fs::read_link(format!("/sys/dev/block/{major}:{minor}")).context(what)?;
    let name = place.file_name().unwrap_or_default();
    Ok(Path::new("/dev").join(name))
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
