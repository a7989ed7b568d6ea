//! The kernel's calls for VFIO (`linux/vfio.h`, version 0 of its interface, type 1 IOMMU).
//!
//! Structures are built and read here as bytes, so that answers of any length are taken apart by
//! checked code.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{Area, Irq};

/// `_IO(';', 100 + number)`.
const fn call(number: u64) -> u64 {
    (0x3b << 8) | (100 + number)
}

const GET_API_VERSION: u64 = call(0);
const CHECK_EXTENSION: u64 = call(1);
const SET_IOMMU: u64 = call(2);
const GROUP_GET_STATUS: u64 = call(3);
const GROUP_SET_CONTAINER: u64 = call(4);
const GROUP_GET_DEVICE_FD: u64 = call(6);
const DEVICE_GET_INFO: u64 = call(7);
const DEVICE_GET_REGION_INFO: u64 = call(8);
const DEVICE_GET_IRQ_INFO: u64 = call(9);
/// Connects interrupts with eventfds.
pub const DEVICE_SET_IRQS: u64 = call(10);
/// Resets a function.
pub const DEVICE_RESET: u64 = call(11);
/// Lets devices reach memory; on a device, resets all that is behind a bridge.
pub const MAP_DMA: u64 = call(13);
const PCI_HOT_RESET: u64 = MAP_DMA;
/// Takes memory away from devices.
pub const UNMAP_DMA: u64 = call(14);

/// What virtual CPUs ask of a device.
pub const VCPU_IOCTLS: &[u64] = &[DEVICE_SET_IRQS];
/// What the main thread asks after the sandbox is closed.
pub const MAIN_IOCTLS: &[u64] = &[DEVICE_SET_IRQS, DEVICE_RESET, MAP_DMA, UNMAP_DMA];

const API_VERSION: i32 = 0;
const TYPE1V2_IOMMU: u64 = 3;
const GROUP_VIABLE: u32 = 1;
const DEVICE_HAS_RESET: u32 = 1;
const DEVICE_IS_PCI: u32 = 1 << 1;
const REGION_CAN_MAP: u32 = 1 << 2;
const REGION_HAS_CAPABILITIES: u32 = 1 << 3;
const CAPABILITY_SPARSE: u16 = 1;
const IRQ_CAN_SIGNAL: u32 = 1;
const DMA_READ_WRITE: u32 = 3;
const DATA_NONE: u32 = 1;
const DATA_EVENTFD: u32 = 1 << 2;
const ACTION_UNMASK: u32 = 1 << 4;
const ACTION_TRIGGER: u32 = 1 << 5;
/// Longest answer about a region.
const LONGEST: u32 = 1 << 16;

/// What the kernel says about a device.
#[derive(Debug, Clone, Copy)]
pub struct DeviceInfo {
    /// Whether it can be reset by itself.
    pub resets: bool,
    /// Its regions.
    pub regions: u32,
    /// Its kinds of interrupts.
    pub irqs: u32,
}

/// What the kernel says about a region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegionInfo {
    /// Its length in bytes.
    pub size: u64,
    /// Where it begins in the device's descriptor.
    pub offset: u64,
    /// What can be mapped of it.
    pub mappable: Vec<Area>,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    match result {
        0.. => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

fn plain(fd: &File, request: u64, argument: u64) -> io::Result<libc::c_int> {
    // SAFETY: the requests that come here take a number, or nothing.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), request, argument) })
}

/// A call with a structure that begins with its own length: `argsz`.
fn structure(fd: &File, request: u64, bytes: &mut [u8]) -> io::Result<libc::c_int> {
    let len = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    if let Some(size) = bytes.get_mut(..4) {
        size.copy_from_slice(&len.to_le_bytes());
    }
    // SAFETY: the kernel reads and writes no more than the `argsz` bytes that the structure begins with,
    // and those are there.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), request, bytes.as_mut_ptr()) })
}

fn unfit(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Checks that a descriptor is `/dev/vfio/vfio` with an IOMMU behind it.
pub fn check_container(container: &File) -> io::Result<()> {
    if plain(container, GET_API_VERSION, 0)? != API_VERSION {
        return Err(unfit("it is no VFIO container of a version that is known"));
    }
    match plain(container, CHECK_EXTENSION, TYPE1V2_IOMMU)? {
        1.. => Ok(()),
        _ => Err(unfit("the host's IOMMU is of no type that is known")),
    }
}

/// Puts a group into a container.
pub fn join(group: &File, container: &File) -> io::Result<()> {
    let mut status = [0; 8];
    structure(group, GROUP_GET_STATUS, &mut status)?;
    if word(&status, 4).unwrap_or_default() & GROUP_VIABLE == 0 {
        return Err(unfit("the host uses a device of the group"));
    }
    let fd = container.as_raw_fd();
    // SAFETY: the kernel reads one number, a descriptor.
    checked(unsafe { libc::ioctl(group.as_raw_fd(), GROUP_SET_CONTAINER, &raw const fd) })?;
    Ok(())
}

/// Chooses the kind of IOMMU of a container that has groups.
pub fn set_iommu(container: &File) -> io::Result<()> {
    plain(container, SET_IOMMU, TYPE1V2_IOMMU).map(|_| ())
}

/// Takes the device with a PCI address out of its group.
pub fn device(group: &File, address: &str) -> io::Result<File> {
    let name = std::ffi::CString::new(address).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the kernel reads a text that ends with zero.
    let fd =
        checked(unsafe { libc::ioctl(group.as_raw_fd(), GROUP_GET_DEVICE_FD, name.as_ptr()) })?;
    // SAFETY: a new descriptor, which is nobody else's.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// What a device is.
pub fn device_info(device: &File) -> io::Result<DeviceInfo> {
    let mut info = [0; 16];
    structure(device, DEVICE_GET_INFO, &mut info)?;
    let part = |at| word(&info, at).unwrap_or_default();
    if part(4) & DEVICE_IS_PCI == 0 {
        return Err(unfit("it is no PCI device"));
    }
    Ok(DeviceInfo {
        resets: part(4) & DEVICE_HAS_RESET != 0,
        regions: part(8),
        irqs: part(12),
    })
}

/// What a region is.
pub fn region_info(device: &File, region: u32) -> io::Result<RegionInfo> {
    let mut info = vec![0; 32];
    loop {
        info[8..12].copy_from_slice(&region.to_le_bytes());
        structure(device, DEVICE_GET_REGION_INFO, &mut info)?;
        // The kernel says how long an answer with all capabilities is.
        let wanted = word(&info, 0).unwrap_or_default().min(LONGEST) as usize;
        if wanted <= info.len() {
            return parse_region(&info).ok_or_else(|| unfit("a region is described wrongly"));
        }
        info = vec![0; wanted];
    }
}

/// Reads `struct vfio_region_info` with its capabilities.
fn parse_region(info: &[u8]) -> Option<RegionInfo> {
    let (flags, mut at) = (word(info, 4)?, word(info, 12)? as usize);
    let (size, offset) = (long(info, 16)?, long(info, 24)?);
    let mut region = RegionInfo {
        size,
        offset,
        mappable: Vec::new(),
    };
    if flags & REGION_CAN_MAP == 0 {
        return Some(region);
    }
    region.mappable.push(Area {
        offset: 0,
        len: size,
    });
    // Capabilities follow each other to the end of the answer at most.
    while flags & REGION_HAS_CAPABILITIES != 0 && at != 0 {
        let head = word(info, at)?;
        if head as u16 == CAPABILITY_SPARSE {
            let count = word(info, at + 8)? as usize;
            let areas = (0..count).map(|index| {
                let start = at.checked_add(16)?.checked_add(index.checked_mul(16)?)?;
                let (offset, len) = (long(info, start)?, long(info, start + 8)?);
                (offset.checked_add(len)? <= size).then_some(Area { offset, len })
            });
            region.mappable = areas.collect::<Option<_>>()?;
        }
        let next = word(info, at + 4)? as usize;
        at = if next > at { next } else { 0 };
    }
    Some(region)
}

/// How many interrupts of a kind a device has.
pub fn irq_count(device: &File, kind: Irq) -> io::Result<u32> {
    let mut info = [0; 16];
    info[8..12].copy_from_slice(&(kind as u32).to_le_bytes());
    structure(device, DEVICE_GET_IRQ_INFO, &mut info)?;
    let signals = word(&info, 4).unwrap_or_default() & IRQ_CAN_SIGNAL != 0;
    let count = word(&info, 12).unwrap_or_default();
    Ok(if signals { count } else { 0 })
}

/// `struct vfio_irq_set`.
fn irq_set(flags: u32, kind: Irq, fds: &[BorrowedFd<'_>]) -> Vec<u8> {
    let mut set = vec![0; 4];
    for part in [flags, kind as u32, 0, fds.len() as u32] {
        set.extend(part.to_le_bytes());
    }
    for fd in fds {
        set.extend(fd.as_raw_fd().to_le_bytes());
    }
    set
}

/// Signals descriptors when interrupts of a kind happen; with none, the kind is switched off.
pub fn trigger(device: &File, kind: Irq, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let data = if fds.is_empty() {
        DATA_NONE
    } else {
        DATA_EVENTFD
    };
    let mut set = irq_set(data | ACTION_TRIGGER, kind, fds);
    match structure(device, DEVICE_SET_IRQS, &mut set)? {
        0 => Ok(()),
        // As many as there could have been.
        _ => Err(io::ErrorKind::QuotaExceeded.into()),
    }
}

/// Unmasks the interrupt line whenever a descriptor is signalled.
pub fn unmask_by(device: &File, fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut set = irq_set(DATA_EVENTFD | ACTION_UNMASK, Irq::Line, &[fd]);
    structure(device, DEVICE_SET_IRQS, &mut set).map(|_| ())
}

/// Resets a function that can be reset by itself.
pub fn reset(device: &File) -> io::Result<()> {
    plain(device, DEVICE_RESET, 0).map(|_| ())
}

/// Resets everything behind the bridge that a device is behind, all of which is in `groups`.
pub fn reset_all(device: &File, groups: &[File]) -> io::Result<()> {
    let mut request = vec![0; 8];
    request.extend((groups.len() as u32).to_le_bytes());
    for group in groups {
        request.extend(group.as_raw_fd().to_le_bytes());
    }
    structure(device, PCI_HOT_RESET, &mut request).map(|_| ())
}

/// Lets devices reach memory of this process at `iova`.
///
/// # Safety
///
/// From `address` on there are `len` bytes that devices may read and write until [`unmap`].
pub unsafe fn map(container: &File, iova: u64, address: u64, len: u64) -> io::Result<()> {
    let mut request = vec![0; 4];
    request.extend(DMA_READ_WRITE.to_le_bytes());
    for part in [address, iova, len] {
        request.extend(part.to_le_bytes());
    }
    structure(container, MAP_DMA, &mut request).map(|_| ())
}

/// Takes memory away from devices.
pub fn unmap(container: &File, iova: u64, len: u64) -> io::Result<()> {
    let mut request = vec![0; 8];
    for part in [iova, len] {
        request.extend(part.to_le_bytes());
    }
    structure(container, UNMAP_DMA, &mut request).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn requests_have_the_kernels_numbers() {
        assert_eq!((GET_API_VERSION, DEVICE_SET_IRQS), (0x3b64, 0x3b6e));
        assert_eq!((MAP_DMA, UNMAP_DMA), (0x3b71, 0x3b72));
    }

    #[test]
    fn interrupts_are_set_as_the_kernel_wants_them() {
        let file = tempfile::tempfile().unwrap();
        let set = irq_set(DATA_EVENTFD | ACTION_TRIGGER, Irq::MsiX, &[file.as_fd(); 2]);
        assert_eq!(set.len(), 20 + 8);
        let parts: Vec<u32> = (4..20)
            .step_by(4)
            .map(|at| word(&set, at).unwrap())
            .collect();
        assert_eq!(parts, [0x24, 2, 0, 2]);
        assert_eq!(word(&set, 20), Some(file.as_raw_fd() as u32));
    }

    fn region(flags: u32, capabilities: &[u8]) -> Vec<u8> {
        let mut info = Vec::new();
        for part in [0, flags, 0, 32u32] {
            info.extend(part.to_le_bytes());
        }
        info.extend(0x4000u64.to_le_bytes());
        info.extend((1u64 << 40).to_le_bytes());
        info.extend(capabilities);
        info
    }

    fn sparse(count: u32, areas: &[(u64, u64)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((1u32 << 16 | 1).to_le_bytes());
        for part in [0u32, count, 0] {
            bytes.extend(part.to_le_bytes());
        }
        for (offset, len) in areas {
            bytes.extend(offset.to_le_bytes());
            bytes.extend(len.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_region_says_what_can_be_mapped() {
        let all = parse_region(&region(4, &[])).unwrap();
        assert_eq!((all.size, all.offset), (0x4000, 1 << 40));
        assert_eq!(
            all.mappable,
            [Area {
                offset: 0,
                len: 0x4000
            }]
        );
        assert!(parse_region(&region(3, &[])).unwrap().mappable.is_empty());
        let parts = sparse(2, &[(0, 0x1000), (0x2000, 0x2000)]);
        let parts = parse_region(&region(12, &parts)).unwrap();
        assert_eq!(parts.mappable.len(), 2);
        assert_eq!(parts.mappable[1].end(), 0x4000);
    }

    #[test]
    fn a_region_that_contradicts_itself_is_refused() {
        assert!(parse_region(&region(12, &sparse(3, &[(0, 0x1000)]))).is_none());
        assert!(parse_region(&region(12, &sparse(1, &[(0x1000, u64::MAX)]))).is_none());
        assert!(parse_region(&region(12, &sparse(u32::MAX, &[]))).is_none());
        assert!(parse_region(&region(4, &[])[..20]).is_none());
    }
}
