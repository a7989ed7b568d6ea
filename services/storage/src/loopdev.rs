//! Block devices over files, for file systems that live in a raw image.

use crate::error::{Context, Result};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

const LOOP_GET_STATUS64: libc::Ioctl = 0x4C05;
const LOOP_SET_CAPACITY: libc::Ioctl = 0x4C07;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
/// The device lets go of its file when its last user does.
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_info64` of linux/loop.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

impl LoopInfo64 {
    const NONE: Self = Self {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        sizelimit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: 0,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
}

/// `struct loop_config` of linux/loop.h.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

/// An attached device; it goes away with its last user, of which this is the first.
#[derive(Debug)]
pub struct LoopDevice {
    /// Keeps the device attached.
    _device: File,
    /// Its path.
    pub path: PathBuf,
}

/// Attaches `image` to a free device.
pub fn attach(image: &File) -> Result<LoopDevice> {
    let control = File::options()
        .read(true)
        .write(true)
        .open("/dev/loop-control")
        .context("opening /dev/loop-control")?;
    loop {
        // SAFETY: the request takes no argument and only returns a number.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        if number < 0 {
            return Err(std::io::Error::last_os_error()).context("finding a free loop device");
        }
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .context(format!("opening {}", path.display()))?;
        match configure(&device, image) {
            Ok(()) => {
                return Ok(LoopDevice {
                    _device: device,
                    path,
                });
            }
            // Somebody else took it between the two calls; there is always another one.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(error) => return Err(error).context(format!("attaching {}", path.display())),
        }
    }
}

fn configure(device: &File, image: &File) -> std::io::Result<()> {
    let config = LoopConfig {
        fd: u32::try_from(image.as_raw_fd()).unwrap_or(u32::MAX),
        block_size: 0,
        info: LoopInfo64 {
            flags: LO_FLAGS_AUTOCLEAR,
            ..LoopInfo64::NONE
        },
        reserved: [0; 8],
    };
    // SAFETY: `config` is the kernel's struct loop_config and outlives the call, which reads it.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
    if result < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// The path of the device that the file with this device and inode number is attached to.
pub fn find(device: u64, inode: u64) -> Result<Option<PathBuf>> {
    let what = "looking at loop devices";
    for entry in std::fs::read_dir("/sys/block").context(what)? {
        let entry = entry.context(what)?;
        // Only one that is attached has this folder.
        if !entry.path().join("loop").is_dir() {
            continue;
        }
        let path = Path::new("/dev").join(entry.file_name());
        // It may be gone by now.
        let status = File::open(&path).and_then(|opened| status(&opened));
        if status.is_ok_and(|status| (status.device, status.inode) == (device, inode)) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn status(device: &File) -> std::io::Result<LoopInfo64> {
    let mut info = LoopInfo64::NONE;
    // SAFETY: `info` is the kernel's struct loop_info64, which the call fills and does not keep.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_GET_STATUS64, &raw mut info) };
    match result {
        0 => Ok(info),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Has a device take over the size of its file.
pub fn follow(device: &File) -> std::io::Result<()> {
    // SAFETY: the request takes no argument.
    match unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_CAPACITY) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
