//! The tap device behind a virtual machine's network card.

use crate::error::{NetworkError, Result};
use basalt_model::network::InterfaceName;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const IFF_TAP: libc::c_short = 0x0002;
const IFF_NO_PI: libc::c_short = 0x1000;
const IFF_VNET_HDR: libc::c_short = 0x4000;
/// Refuse a device that exists.
const IFF_TUN_EXCL: libc::c_short = libc::c_short::MIN;

/// `struct ifreq` as TUNSETIFF reads it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

/// Makes the tap `name`, which lives as long as the descriptor.
pub fn open(name: &InterfaceName) -> Result<OwnedFd> {
    let io = |source| NetworkError::Io {
        what: format!("making {name}"),
        source,
    };
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .map_err(io)?;
    let mut request = InterfaceRequest {
        name: [0; libc::IFNAMSIZ],
        flags: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL,
        rest: [0; 22],
    };
    // An interface name is at most 15 bytes, so the last byte stays zero.
    for (to, from) in request.name.iter_mut().zip(name.as_str().bytes()) {
        *to = from;
    }
    // SAFETY: `request` has the layout of the kernel's struct ifreq and outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) };
    if result < 0 {
        let error = std::io::Error::last_os_error();
        return Err(match error.raw_os_error() {
            Some(libc::EBUSY | libc::EEXIST) => NetworkError::Busy(name.clone()),
            _ => io(error),
        });
    }
    Ok(file.into())
}
