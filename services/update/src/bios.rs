//! What a disk needs to boot by legacy BIOS: boot code, GRUB's core and configuration, and for each
//! version a small file that tells GRUB where in the kernel image kernel and initial RAM disk lie.
//!
//! GRUB cannot read a unified kernel image, but it can load stretches of a file. So there is one
//! kernel image for both kinds of firmware.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use basalt_layout::disk::BIOS_PARTITION;
use basalt_layout::{Version, bios};

use crate::esp::Esp;
use crate::table::Table;
use crate::{Error, files, pe};

/// Size of the sectors that BIOS and GRUB count in.
const SECTOR: u64 = 512;

/// Longest command line that is handed on; the kernel takes no longer one.
const MAX_CMDLINE: u64 = 4096;

/// How much of the first sector is boot code; disk signature and partition table follow.
const CODE_SIZE: usize = 440;

/// Place in the boot code of the first sector of GRUB's core.
const CORE_SECTOR: usize = 0x5c;

/// Place in the boot code of a jump that trusts the drive number the BIOS hands over.
const DRIVE_CHECK: usize = 0x66;

/// Two instructions that do nothing: the code behind then corrects numbers of buggy BIOSes, as it
/// should on a hard disk.
const NO_OPERATION: [u8; 2] = [0x90, 0x90];

/// Place in the core's first sector of the first of its other sectors.
const REST_SECTOR: usize = 0x1f4;

/// Writes the file by which GRUB finds kernel and initial RAM disk of `version` in `image`, unless
/// the disk has no GRUB. The file is on the disk when this returns, so that the image may then be
/// given its name.
pub fn write_entry(esp: &Esp, version: &Version, image: &Path) -> Result<(), Error> {
    if !esp.path().join(bios::FOLDER).is_dir() {
        return Ok(());
    }
    let text = entry(version, image)?;
    let path = esp.path().join(bios::entry_file(version));
    files::write_atomic(&path, text.as_bytes(), 0o600).map_err(|e| Error::io(&path, e))
}

/// Removes what [`write_entry`] wrote.
pub fn remove_entry(esp: &Esp, version: &Version) -> Result<(), Error> {
    let path = esp.path().join(bios::entry_file(version));
    files::remove_if_there(&path).map_err(|e| Error::io(&path, e))
}

fn entry(version: &Version, image: &Path) -> Result<String, Error> {
    let headers = pe::headers(image)?;
    let find = |name: &'static str| {
        pe::find(&headers, name)
            .ok_or_else(|| Error::Bundle(format!("its kernel image has no section {name}")))
    };
    let stretch = |name| {
        let section = find(name)?;
        if section.offset % SECTOR != 0 {
            let reason = format!("section {name} of its kernel image begins inside a sector");
            return Err(Error::Bundle(reason));
        }
        let sectors = section.size.div_ceil(SECTOR);
        Ok(format!("{}+{sectors}", section.offset / SECTOR))
    };
    let (kernel, initrd) = (stretch(".linux")?, stretch(".initrd")?);
    let section = find(".cmdline")?;
    let mut cmdline = Vec::new();
    File::open(image)
        .and_then(|mut file| {
            file.seek(SeekFrom::Start(section.offset))?;
            file.take(section.size.min(MAX_CMDLINE))
                .read_to_end(&mut cmdline)
        })
        .map_err(|e| Error::io(image, e))?;
    let cmdline = String::from_utf8_lossy(&cmdline);
    let cmdline = cmdline.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    if cmdline.contains(['\'', '\n', '\0']) {
        return Err(Error::Bundle(
            "GRUB cannot quote its command line".to_owned(),
        ));
    }
    let order = version.sort_key();
    Ok(format!(
        "order={order}\nkernel={kernel}\ninitrd={initrd}\ncmdline='{cmdline}'\n"
    ))
}

/// Boot code and GRUB's core, as they are shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootCode {
    /// Code of the first sector.
    pub code: Vec<u8>,
    /// GRUB's core.
    pub core: Vec<u8>,
}

impl BootCode {
    /// Reads both from an EFI system partition.
    pub fn read(esp: &Path) -> Result<Self, Error> {
        let read = |name: &str| {
            let path = esp.join(name);
            fs::read(&path).map_err(|e| Error::io(&path, e))
        };
        Ok(Self {
            code: read(bios::BOOT_CODE)?,
            core: read(bios::CORE)?,
        })
    }

    /// Makes a disk bootable: the core goes to the BIOS boot partition, then the code that loads it
    /// to the first sector, whose partition table stays as it is. What is there already is not
    /// written again, so that an interruption cannot break it.
    pub fn install(&self, disk: &Path) -> Result<(), Error> {
        let table = Table::read(disk)?;
        let place = table.entry(BIOS_PARTITION)?;
        let first = place.offset / SECTOR;
        let core = self.core_at(first)?;
        if core.len() as u64 > place.size {
            return Err(Error::TooLarge {
                what: "GRUB's core",
                needed: core.len() as u64,
                place: "the BIOS boot partition".to_owned(),
                room: place.size,
            });
        }
        let code = self.code_for(first)?;
        let write = || {
            let mut file = File::options().read(true).write(true).open(disk)?;
            replace(&mut file, place.offset, &core)?;
            replace(&mut file, 0, &code)
        };
        write().map_err(|e| Error::io(disk, e))
    }

    /// The first sector's code for a core at `first`.
    fn code_for(&self, first: u64) -> Result<Vec<u8>, Error> {
        let mut code = self
            .code
            .get(..CODE_SIZE)
            .ok_or_else(|| malformed(bios::BOOT_CODE))?
            .to_vec();
        code[CORE_SECTOR..CORE_SECTOR + 8].copy_from_slice(&first.to_le_bytes());
        code[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&NO_OPERATION);
        Ok(code)
    }

    /// The core for a place at `first`, in whole sectors.
    fn core_at(&self, first: u64) -> Result<Vec<u8>, Error> {
        let mut core = self.core.clone();
        if core.len() <= SECTOR as usize {
            return Err(malformed(bios::CORE));
        }
        core.resize(core.len().next_multiple_of(SECTOR as usize), 0);
        core[REST_SECTOR..REST_SECTOR + 8].copy_from_slice(&(first + 1).to_le_bytes());
        Ok(core)
    }
}

/// Writes and flushes `bytes` at `offset`, unless they are there.
fn replace(file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut found = vec![0; bytes.len()];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut found)?;
    if found == bytes {
        return Ok(());
    }
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn malformed(name: &str) -> Error {
    Error::io(Path::new(name), io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use std::os::unix::fs::FileExt;

    #[test]
    fn grub_is_told_where_the_kernel_lies() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("basalt")).unwrap();
        let esp = Esp::folder(dir.path());
        let version: Version = "0.2.0".parse().unwrap();
        let image = dir.path().join("image");
        let sections: [(&str, &[u8]); 3] = [
            (".cmdline", b"roothash=ab quiet\0"),
            (".linux", &[1; 1025]),
            (".initrd", &[2; 512]),
        ];
        fs::write(&image, pe::tests::image(&sections)).unwrap();
        write_entry(&esp, &version, &image).unwrap();
        let path = dir.path().join("basalt/0.2.0.cfg");
        let text = fs::read_to_string(&path).unwrap();
        let order = version.sort_key();
        assert_eq!(
            text,
            format!("order={order}\nkernel=2+3\ninitrd=5+1\ncmdline='roothash=ab quiet'\n")
        );
        remove_entry(&esp, &version).unwrap();
        remove_entry(&esp, &version).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_grub_could_not_start_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        let error = |sections: &[(&str, &[u8])]| {
            fs::write(&image, pe::tests::image(sections)).unwrap();
            entry(&"0.2.0".parse().unwrap(), &image)
                .unwrap_err()
                .to_string()
        };
        let kernel: (&str, &[u8]) = (".linux", b"k");
        assert!(error(&[kernel]).contains(".initrd"));
        let quoted = error(&[kernel, (".initrd", b"i"), (".cmdline", b"a='b'")]);
        assert!(quoted.contains("quote"), "{quoted}");
    }

    #[test]
    fn boot_code_finds_its_core_and_leaves_the_table_alone() {
        let disk = testing::blank_disk();
        let before = Table::read(disk.path()).unwrap();
        let sector = |number: u64| {
            let mut bytes = [0; 512];
            disk.as_file()
                .read_exact_at(&mut bytes, number * 512)
                .unwrap();
            bytes
        };
        let table = sector(0)[CODE_SIZE..].to_vec();
        let code = BootCode {
            code: vec![0xeb; 512],
            core: vec![0xcc; 1500],
        };
        code.install(disk.path()).unwrap();
        assert_eq!(Table::read(disk.path()).unwrap(), before);
        let first = sector(0);
        assert_eq!(first[CORE_SECTOR..CORE_SECTOR + 8], 40u64.to_le_bytes());
        assert_eq!(first[CODE_SIZE..], table);
        let core = sector(40);
        assert_eq!(core[REST_SECTOR..REST_SECTOR + 8], 41u64.to_le_bytes());
        assert_eq!(sector(42)[475..478], [0xcc, 0, 0]);

        // An update changes the table; the code must survive that.
        before.write().unwrap();
        assert_eq!(sector(0), first);

        let large = BootCode {
            core: vec![0; 2 << 20],
            ..code
        };
        let error = large.install(disk.path()).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }
}
