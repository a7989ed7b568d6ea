//! The 64-bit Linux boot protocol.

use std::fs::File;
use std::io::{Seek, SeekFrom};

use linux_loader::loader::bootparam::{boot_params, setup_header};
use linux_loader::loader::{BzImage, KernelLoader};
use vm_memory::{ByteValued, Bytes, GuestAddress, ReadVolatile};

use super::{Entry, Error, Kernel, Loaded, check_fits, load_initrd, memory_map};
use crate::machine::layout::{ACPI_TABLES, BOOT_PAGE_TABLES, BZIMAGE_START, CMDLINE, ZERO_PAGE};
use crate::machine::memory::Memory;

const HEADER: u64 = 0x1f1;
const MAGIC: u32 = 0x5372_6448;
const OLDEST: u16 = 0x020c;
const ENTRY_64: u64 = 0x200;
const XLF_KERNEL_64: u16 = 1;
const XLF_ABOVE_4G: u16 = 1 << 1;
const LOADER_UNDEFINED: u8 = 0xff;
const LOADED_HIGH: u8 = 1;

/// [`boot_params`] for writing into memory.
#[repr(transparent)]
#[derive(Clone, Copy, Default)]
struct ZeroPage(boot_params);

// SAFETY: `boot_params` is a packed C structure of integers and arrays of integers.
unsafe impl ByteValued for ZeroPage {}

/// [`setup_header`] for reading from the image.
#[repr(transparent)]
#[derive(Clone, Copy, Default)]
struct Header(setup_header);

// SAFETY: `setup_header` is a packed C structure of integers.
unsafe impl ByteValued for Header {}

/// Loads the image and writes boot parameters and page tables.
pub(super) fn load(
    memory: &Memory,
    bytes: u64,
    image: &mut File,
    kernel: &Kernel<'_>,
) -> Result<Entry, Error> {
    let header = read_header(image)?;
    let start = if header.relocatable_kernel != 0 {
        BZIMAGE_START
    } else {
        header.pref_address
    };
    let room = start.saturating_add(u64::from(header.init_size));
    check_fits(memory, start, room)?;
    let loaded =
        BzImage::load(memory, Some(GuestAddress(start)), image, None).map_err(Error::Load)?;
    let floor = room.max(loaded.kernel_end);
    let limit = if header.xloadflags & XLF_ABOVE_4G != 0 {
        u64::MAX
    } else {
        u64::from(header.initrd_addr_max) + 1
    };
    let initrd = load_initrd(memory, bytes, kernel.initrd, floor, limit)?;
    write_zero_page(memory, bytes, header, start, initrd)?;
    write_page_tables(memory)?;
    Ok(Entry::Linux64 {
        rip: start + ENTRY_64,
    })
}

fn read_header(image: &mut File) -> Result<setup_header, Error> {
    let mut header = Header::default();
    let read = image
        .seek(SeekFrom::Start(HEADER))
        .map_err(|e| Error::Read("kernel", e))
        .map(|_| image.read_exact_volatile(&mut header.as_bytes()))?;
    let header = header.0;
    if read.is_err() || header.header != MAGIC {
        return Err(Error::UnknownKernel);
    }
    if header.version < OLDEST || header.xloadflags & XLF_KERNEL_64 == 0 {
        return Err(Error::Not64Bit);
    }
    Ok(header)
}

fn write_zero_page(
    memory: &Memory,
    bytes: u64,
    mut header: setup_header,
    start: u64,
    initrd: Option<Loaded>,
) -> Result<(), Error> {
    let mut page = ZeroPage::default();
    header.type_of_loader = LOADER_UNDEFINED;
    header.loadflags |= LOADED_HIGH;
    header.code32_start = start as u32;
    header.cmd_line_ptr = CMDLINE as u32;
    if let Some((at, len)) = initrd {
        header.ramdisk_image = at as u32;
        header.ramdisk_size = len as u32;
        page.0.ext_ramdisk_image = (at >> 32) as u32;
        page.0.ext_ramdisk_size = (len >> 32) as u32;
    }
    page.0.hdr = header;
    page.0.acpi_rsdp_addr = ACPI_TABLES;
    let map = memory_map(bytes);
    page.0.e820_entries = map.len() as u8;
    for (entry, range) in page.0.e820_table.iter_mut().zip(&map) {
        entry.addr = range.start;
        entry.size = range.len;
        entry.r#type = range.kind as u32;
    }
    memory.write_obj(page, GuestAddress(ZERO_PAGE))?;
    Ok(())
}

/// Identity-maps the first 4 GiB with 2 MiB pages.
fn write_page_tables(memory: &Memory) -> Result<(), Error> {
    const PRESENT_WRITABLE: u64 = 3;
    const LARGE: u64 = 1 << 7;
    let third = BOOT_PAGE_TABLES + 0x1000;
    let second = third + 0x1000;
    memory.write_obj(third | PRESENT_WRITABLE, GuestAddress(BOOT_PAGE_TABLES))?;
    for gib in 0..4u64 {
        let table = second + gib * 0x1000;
        memory.write_obj(table | PRESENT_WRITABLE, GuestAddress(third + gib * 8))?;
        for entry in 0..512u64 {
            let page = (gib << 30) | (entry << 21) | PRESENT_WRITABLE | LARGE;
            memory.write_obj(page, GuestAddress(table + entry * 8))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::layout::MIB;
    use crate::machine::memory::reserve;
    use std::io::Write;

    /// A file with a valid header and `setup_sects` 1, followed by `payload`.
    fn image(change: impl FnOnce(&mut setup_header), payload: usize) -> File {
        let mut header = setup_header {
            setup_sects: 1,
            header: MAGIC,
            version: 0x020f,
            loadflags: LOADED_HIGH,
            relocatable_kernel: 1,
            xloadflags: XLF_KERNEL_64,
            init_size: 2 * MIB as u32,
            initrd_addr_max: 0x7fff_ffff,
            ..Default::default()
        };
        change(&mut header);
        let mut content = vec![0u8; 1024 + payload];
        let raw = Header(header);
        content[HEADER as usize..][..size_of::<setup_header>()].copy_from_slice(raw.as_slice());
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        file
    }

    fn boot(file: &File, initrd: Option<&File>) -> Result<Entry, Error> {
        let memory = reserve(64 * MIB).unwrap();
        super::super::load(
            &memory,
            64 * MIB,
            &Kernel {
                image: file,
                initrd,
                cmdline: "quiet",
            },
        )
    }

    #[test]
    fn a_relocatable_image_is_entered_at_16_mib() {
        let entry = boot(&image(|_| (), 4096), None).unwrap();
        assert_eq!(
            entry,
            Entry::Linux64 {
                rip: BZIMAGE_START + ENTRY_64
            }
        );
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let cases: [fn(&mut setup_header); 5] = [
            |h| h.header = 0,
            |h| h.version = 0x0200,
            |h| h.xloadflags = 0,
            |h| h.init_size = u32::MAX,
            |h| {
                h.relocatable_kernel = 0;
                h.pref_address = u64::MAX - 5;
            },
        ];
        for change in cases {
            assert!(boot(&image(change, 4096), None).is_err());
        }
        assert!(boot(&image(|h| h.setup_sects = 255, 0), None).is_err());
    }

    #[test]
    fn an_initrd_larger_than_memory_is_refused() {
        let initrd = tempfile::tempfile().unwrap();
        initrd.set_len(60 * MIB).unwrap();
        let result = boot(&image(|_| (), 4096), Some(&initrd));
        assert!(matches!(
            result,
            Err(Error::TooLarge {
                what: "initial RAM disk"
            })
        ));
    }
}
