//! The kernel interfaces that exist only as ioctls: loop devices, the device mapper and RAID arrays.
//!
//! All `unsafe` of this program is here. Each request takes one fixed-size structure, which is laid
//! out here as bytes at the offsets of the kernel's headers.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
/// Size of `struct loop_config`.
const LOOP_CONFIG: usize = 304;
/// LO_FLAGS_READ_ONLY and LO_FLAGS_PARTSCAN.
const LOOP_FLAGS: u32 = 1 | 8;

/// Attaches a read-only loop device that shows the partitions inside `disc`.
pub fn attach_loop(disc: &Path) -> io::Result<PathBuf> {
    let disc = File::open(disc)?;
    let control = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/loop-control")?;
    // SAFETY: the request takes no argument.
    let number = check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) })?;
    let path = PathBuf::from(format!("/dev/loop{number}"));
    let device = OpenOptions::new().read(true).write(true).open(&path)?;
    let mut config = [0u8; LOOP_CONFIG];
    config[0..4].copy_from_slice(&disc.as_raw_fd().to_le_bytes());
    config[4..8].copy_from_slice(&512u32.to_le_bytes());
    config[60..64].copy_from_slice(&LOOP_FLAGS.to_le_bytes());
    // SAFETY: the request reads one `struct loop_config` of exactly this size.
    check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, config.as_mut_ptr()) })?;
    Ok(path)
}

/// Requests of the device mapper: _IOWR(0xfd, number, struct dm_ioctl).
const fn dm_request(number: libc::Ioctl) -> libc::Ioctl {
    0xc138_fd00 | number
}
const DM_DEV_CREATE: libc::Ioctl = dm_request(3);
const DM_DEV_SUSPEND: libc::Ioctl = dm_request(6);
const DM_TABLE_LOAD: libc::Ioctl = dm_request(9);
/// Size of `struct dm_ioctl`.
const DM_HEADER: usize = 312;
/// Size of `struct dm_target_spec`.
const DM_TARGET: usize = 40;
/// DM_READONLY_FLAG.
const DM_READ_ONLY: u32 = 1;

/// One target that spans a whole mapped device.
pub struct Target<'a> {
    /// Length in 512-byte sectors.
    pub sectors: u64,
    /// The target's type.
    pub kind: &'a str,
    /// Its parameters.
    pub parameters: &'a str,
}

/// Makes a read-only mapped device and returns its node.
pub fn map(name: &str, uuid: &str, target: &Target<'_>) -> io::Result<PathBuf> {
    let control = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/mapper/control")?;
    let mut create = dm_header(name, 0, DM_HEADER);
    let uuid = &uuid.as_bytes()[..uuid.len().min(128)];
    create[176..176 + uuid.len()].copy_from_slice(uuid);
    dm_call(&control, DM_DEV_CREATE, &mut create)?;
    let minor = device_minor(&create);
    dm_call(&control, DM_TABLE_LOAD, &mut dm_table(name, target))?;
    // Suspending without the suspend flag is how a loaded table goes live.
    dm_call(
        &control,
        DM_DEV_SUSPEND,
        &mut dm_header(name, DM_READ_ONLY, DM_HEADER),
    )?;
    Ok(PathBuf::from(format!("/dev/dm-{minor}")))
}

fn dm_header(name: &str, flags: u32, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    bytes[0..4].copy_from_slice(&4u32.to_le_bytes());
    bytes[12..16].copy_from_slice(&(size as u32).to_le_bytes());
    bytes[16..20].copy_from_slice(&(DM_HEADER as u32).to_le_bytes());
    bytes[28..32].copy_from_slice(&flags.to_le_bytes());
    let name = &name.as_bytes()[..name.len().min(127)];
    bytes[48..48 + name.len()].copy_from_slice(name);
    bytes
}

fn dm_table(name: &str, target: &Target<'_>) -> Vec<u8> {
    let parameters = target.parameters.as_bytes();
    // The text ends with a zero, and the next target would start at a multiple of eight.
    let size = (DM_HEADER + DM_TARGET + parameters.len() + 1).next_multiple_of(8);
    let mut bytes = dm_header(name, DM_READ_ONLY, size);
    bytes[20..24].copy_from_slice(&1u32.to_le_bytes());
    let spec = &mut bytes[DM_HEADER..];
    spec[8..16].copy_from_slice(&target.sectors.to_le_bytes());
    spec[24..24 + target.kind.len()].copy_from_slice(target.kind.as_bytes());
    spec[DM_TARGET..DM_TARGET + parameters.len()].copy_from_slice(parameters);
    bytes
}

/// The minor number in a `struct dm_ioctl` that the kernel has filled in.
fn device_minor(bytes: &[u8]) -> u64 {
    let dev = bytes[40..48]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte));
    (dev & 0xff) | ((dev >> 12) & !0xff)
}

fn dm_call(control: &File, request: libc::Ioctl, bytes: &mut [u8]) -> io::Result<()> {
    debug_assert!(bytes.len() >= DM_HEADER);
    // SAFETY: the buffer holds a `struct dm_ioctl` whose data_size is the buffer's length, and the
    // kernel reads and writes no further than that.
    check(unsafe { libc::ioctl(control.as_raw_fd(), request, bytes.as_mut_ptr()) }).map(drop)
}

/// Requests of RAID arrays: _IOW(9, number, a structure of this size).
const fn md_request(number: libc::Ioctl, size: usize) -> libc::Ioctl {
    0x4000_0900 | number | (size as libc::Ioctl) << 16
}
/// Size of `mdu_array_info_t`.
const ARRAY_INFO: usize = 72;
/// Size of `mdu_disk_info_t`.
const DISK_INFO: usize = 20;
/// Size of `mdu_param_t`.
const RUN_PARAMETERS: usize = 12;
const SET_ARRAY_INFO: libc::Ioctl = md_request(0x23, ARRAY_INFO);
const ADD_NEW_DISK: libc::Ioctl = md_request(0x21, DISK_INFO);
const RUN_ARRAY: libc::Ioctl = md_request(0x30, RUN_PARAMETERS);

/// Starts an array out of members whose superblocks (version 1.2) say everything else. Members that
/// the kernel refuses are left out; without any the array does not start.
pub fn run_array(array: &Path, members: &[&Path]) -> io::Result<()> {
    let array = OpenOptions::new().read(true).write(true).open(array)?;
    let mut info = [0u8; ARRAY_INFO];
    info[0..4].copy_from_slice(&1u32.to_le_bytes());
    info[4..8].copy_from_slice(&2u32.to_le_bytes());
    // SAFETY: the request reads one `mdu_array_info_t` of exactly this size.
    check(unsafe { libc::ioctl(array.as_raw_fd(), SET_ARRAY_INFO, info.as_mut_ptr()) })?;
    let mut refusal = None;
    for member in members {
        let mut disk = disk_info(std::fs::metadata(member)?.rdev());
        // SAFETY: the request reads one `mdu_disk_info_t` of exactly this size.
        let added = unsafe { libc::ioctl(array.as_raw_fd(), ADD_NEW_DISK, disk.as_mut_ptr()) };
        refusal = check(added).err().or(refusal);
    }
    let mut parameters = [0u8; RUN_PARAMETERS];
    // SAFETY: the request reads at most one `mdu_param_t` of exactly this size.
    let run = check(unsafe { libc::ioctl(array.as_raw_fd(), RUN_ARRAY, parameters.as_mut_ptr()) });
    run.map(drop).map_err(|error| refusal.unwrap_or(error))
}

fn disk_info(device: u64) -> [u8; DISK_INFO] {
    let mut disk = [0u8; DISK_INFO];
    disk[4..8].copy_from_slice(&libc::major(device).to_le_bytes());
    disk[8..12].copy_from_slice(&libc::minor(device).to_le_bytes());
    disk
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_laid_out_as_the_kernel_reads_it() {
        let table = dm_table(
            "root",
            &Target {
                sectors: 0x1234,
                kind: "verity",
                parameters: "1 a b",
            },
        );
        assert_eq!(table.len() % 8, 0);
        assert_eq!(table[12..16], (table.len() as u32).to_le_bytes());
        assert_eq!(&table[48..53], b"root\0");
        assert_eq!(table[DM_HEADER + 8], 0x34);
        assert_eq!(&table[DM_HEADER + 24..DM_HEADER + 31], b"verity\0");
        assert_eq!(&table[DM_HEADER + 40..DM_HEADER + 46], b"1 a b\0");
    }

    #[test]
    fn requests_of_arrays_are_the_kernels() {
        assert_eq!(SET_ARRAY_INFO, 0x4048_0923);
        assert_eq!(ADD_NEW_DISK, 0x4014_0921);
        assert_eq!(RUN_ARRAY, 0x400c_0930);
        let disk = disk_info(libc::makedev(254, 22));
        assert_eq!((disk[4], disk[8]), (254, 22));
    }

    #[test]
    fn minors_beyond_255_are_split() {
        let mut bytes = vec![0; DM_HEADER];
        bytes[40..44].copy_from_slice(&0x0010_fd02_u32.to_le_bytes());
        assert_eq!(device_minor(&bytes), 0x102);
    }
}
