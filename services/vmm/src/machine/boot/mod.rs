//! Putting a kernel into memory, and the state in which the first processor enters it.
//!
//! Two kinds of kernel: a bzImage, entered by the 64-bit Linux boot protocol ([`bzimage`]), and
//! an ELF file with a PVH note ([`pvh`]). Both get a command line, an optional initial RAM disk
//! and a memory map; both find the ACPI tables where [`crate::machine::acpi`] put them.

pub mod bzimage;
pub mod pvh;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use super::layout::{
    ACPI_TABLES, ACPI_TABLES_SIZE, CMDLINE, CMDLINE_MAX, ECAM, ECAM_SIZE, HIGH_MEMORY,
    KERNEL_START, LOW_RAM_END, split_memory,
};
use super::memory::Memory;

/// Why a kernel cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading the image or the RAM disk failed.
    #[error("cannot read the {0}: {1}")]
    Read(&'static str, std::io::Error),
    /// Neither a bzImage nor an ELF file.
    #[error("the kernel is neither a bzImage nor an ELF file")]
    UnknownKernel,
    /// The file says it is a kernel, but it cannot be loaded.
    #[error("the kernel cannot be loaded: {0}")]
    Load(linux_loader::loader::Error),
    /// No 64-bit entry point.
    #[error("the kernel has no 64-bit entry point")]
    Not64Bit,
    /// ELF without the note.
    #[error("the kernel has no PVH entry point")]
    NoPvhNote,
    /// Kernel and RAM disk need more room.
    #[error("{what} does not fit into the guest's memory")]
    TooLarge {
        /// The part that does not fit.
        what: &'static str,
    },
    /// The command line is too long or contains a zero byte.
    #[error("the kernel command line is longer than {0} bytes or contains a zero byte")]
    Cmdline(usize),
    /// A boot structure lies outside memory; memory is smaller than any machine's.
    #[error("cannot write boot structures: {0}")]
    Memory(#[from] vm_memory::GuestMemoryError),
}

/// How the first processor starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// 64-bit mode, paging on, boot parameters in RSI.
    Linux64 {
        /// First instruction.
        rip: u64,
    },
    /// 32-bit protected mode, paging off, start information in RBX.
    Pvh {
        /// First instruction.
        rip: u64,
    },
}

/// What kind of memory a range is, in the numbers PVH and E820 share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum RangeKind {
    /// Usable.
    Ram = 1,
    /// Not to be touched.
    Reserved = 2,
}

/// One entry of the memory map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// What it is.
    pub kind: RangeKind,
}

/// The memory map of a machine with `bytes` of memory.
pub fn memory_map(bytes: u64) -> Vec<Range> {
    let (low, high) = split_memory(bytes);
    let ram = |start, len| Range {
        start,
        len,
        kind: RangeKind::Ram,
    };
    let reserved = |start, len| Range {
        start,
        len,
        kind: RangeKind::Reserved,
    };
    let mut map = vec![
        ram(0, LOW_RAM_END),
        reserved(ACPI_TABLES, ACPI_TABLES_SIZE as u64),
        ram(KERNEL_START, low.saturating_sub(KERNEL_START)),
        reserved(ECAM, ECAM_SIZE),
    ];
    if high > 0 {
        map.push(ram(HIGH_MEMORY, high));
    }
    map
}

/// What is to be booted.
pub struct Kernel<'a> {
    /// The image.
    pub image: &'a File,
    /// The RAM disk.
    pub initrd: Option<&'a File>,
    /// The command line.
    pub cmdline: &'a str,
}

/// A range in memory: start and length.
type Loaded = (u64, u64);

/// Loads the kernel and everything it needs.
pub fn load(memory: &Memory, bytes: u64, kernel: &Kernel<'_>) -> Result<Entry, Error> {
    write_cmdline(memory, kernel.cmdline)?;
    let mut image = kernel
        .image
        .try_clone()
        .map_err(|e| Error::Read("kernel", e))?;
    let mut magic = [0; 4];
    image
        .rewind()
        .and_then(|()| image.read_exact(&mut magic))
        .map_err(|e| Error::Read("kernel", e))?;
    if magic == *b"\x7fELF" {
        pvh::load(memory, bytes, &mut image, kernel)
    } else {
        bzimage::load(memory, bytes, &mut image, kernel)
    }
}

fn write_cmdline(memory: &Memory, cmdline: &str) -> Result<(), Error> {
    if cmdline.len() >= CMDLINE_MAX || cmdline.bytes().any(|b| b == 0) {
        return Err(Error::Cmdline(CMDLINE_MAX - 1));
    }
    let mut text = cmdline.as_bytes().to_vec();
    text.push(0);
    memory.write_slice(&text, GuestAddress(CMDLINE))?;
    Ok(())
}

/// Puts the RAM disk as high as `limit` and low memory allow, above `floor`.
fn load_initrd(
    memory: &Memory,
    bytes: u64,
    initrd: Option<&File>,
    floor: u64,
    limit: u64,
) -> Result<Option<Loaded>, Error> {
    const WHAT: &str = "initial RAM disk";
    let Some(file) = initrd else { return Ok(None) };
    let mut file = file.try_clone().map_err(|e| Error::Read(WHAT, e))?;
    let len = file
        .seek(SeekFrom::End(0))
        .and_then(|len| file.rewind().map(|()| len))
        .map_err(|e| Error::Read(WHAT, e))?;
    if len == 0 {
        return Ok(None);
    }
    let top = split_memory(bytes).0.min(limit);
    let start = top
        .checked_sub(len)
        .map(|s| s & !0xfff)
        .filter(|s| *s >= floor);
    let start = start.ok_or(Error::TooLarge { what: WHAT })?;
    memory
        .read_exact_volatile_from(GuestAddress(start), &mut file, len as usize)
        .map_err(|e| Error::Read(WHAT, std::io::Error::other(e)))?;
    Ok(Some((start, len)))
}

/// Checks that `[start, end)` is low memory.
fn check_fits(memory: &Memory, start: u64, end: u64) -> Result<(), Error> {
    let what = "the kernel";
    let len = end.checked_sub(start).ok_or(Error::TooLarge { what })?;
    let inside = memory.check_range(GuestAddress(start), len as usize);
    if start < KERNEL_START || !inside {
        return Err(Error::TooLarge { what });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::layout::MIB;
    use crate::machine::memory::reserve;

    #[test]
    fn the_map_covers_all_memory_and_never_overlaps() {
        for mib in [64, 3072, 4096, 16384] {
            let map = memory_map(mib * MIB);
            assert!(map.windows(2).all(|w| w[0].start + w[0].len <= w[1].start));
            let ram: u64 = map
                .iter()
                .filter(|r| r.kind == RangeKind::Ram)
                .map(|r| r.len)
                .sum();
            assert_eq!(ram, mib * MIB - (MIB - LOW_RAM_END));
        }
    }

    #[test]
    fn a_command_line_is_bounded() {
        let memory = reserve(64 * MIB).unwrap();
        assert!(write_cmdline(&memory, &"a".repeat(CMDLINE_MAX - 1)).is_ok());
        assert!(write_cmdline(&memory, &"a".repeat(CMDLINE_MAX)).is_err());
        assert!(write_cmdline(&memory, "a\0b").is_err());
    }

    #[test]
    fn rubbish_is_no_kernel() {
        let memory = reserve(64 * MIB).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &[0x90; 4096]).unwrap();
        let kernel = Kernel {
            image: &file,
            initrd: None,
            cmdline: "",
        };
        assert!(matches!(
            load(&memory, 64 * MIB, &kernel),
            Err(Error::UnknownKernel)
        ));
    }
}
