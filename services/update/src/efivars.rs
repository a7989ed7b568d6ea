//! The boot loader's variables in the firmware: which entry it takes next and which one always.
//!
//! By itself systemd-boot takes the newest version that still has tries. The variables are
//! needed only to go back: once (`LoaderEntryOneShot`), and for good after the older version has
//! proved itself (`LoaderEntryDefault`).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use basalt_layout::{UkiName, Version, slot};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use crate::Error;

/// Where the kernel shows the firmware's variables.
pub(crate) const FOLDER: &str = "/sys/firmware/efi/efivars";

/// Vendor of the boot loader's variables.
const LOADER: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// Kept over power cycles, seen at boot and at run time.
const ATTRIBUTES: [u8; 4] = [0x07, 0, 0, 0];

/// The firmware's variables.
#[derive(Debug, Clone)]
pub struct EfiVars {
    folder: PathBuf,
}

impl Default for EfiVars {
    fn default() -> Self {
        Self {
            folder: PathBuf::from(FOLDER),
        }
    }
}

impl EfiVars {
    /// Uses another folder than the kernel's.
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Boots `version` at the next start only.
    pub fn set_next(&self, version: &Version) -> Result<(), Error> {
        self.write("LoaderEntryOneShot", &slot::entry_pattern(version))
    }

    /// Boots `version` from now on, even if there is a newer one.
    pub fn set_default(&self, version: &Version) -> Result<(), Error> {
        self.write("LoaderEntryDefault", &slot::entry_pattern(version))
    }

    /// Leaves the choice to the boot loader again.
    pub fn clear_default(&self) -> Result<(), Error> {
        self.remove("LoaderEntryDefault")
    }

    /// Takes back [`EfiVars::set_next`].
    pub fn clear_next(&self) -> Result<(), Error> {
        self.remove("LoaderEntryOneShot")
    }

    /// The pattern the boot loader always takes, if one is set.
    pub fn default_entry(&self) -> Option<String> {
        self.read("LoaderEntryDefault")
    }

    /// The kernel image the boot loader started under a count of tries, as it is named now.
    /// `None` when this version has proved itself before.
    pub fn counted_boot(&self) -> Option<UkiName> {
        let path = self.read("LoaderBootCountPath")?;
        path.rsplit(['\\', '/']).next()?.parse().ok()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}-{LOADER}"))
    }

    fn read(&self, name: &str) -> Option<String> {
        let bytes = fs::read(self.path(name)).ok()?;
        let units: Vec<u16> = bytes
            .get(ATTRIBUTES.len()..)?
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .take_while(|unit| *unit != 0)
            .collect();
        String::from_utf16(&units).ok()
    }

    fn write(&self, name: &str, value: &str) -> Result<(), Error> {
        let path = self.path(name);
        let mut bytes = ATTRIBUTES.to_vec();
        for unit in value.encode_utf16().chain([0]) {
            bytes.extend(unit.to_le_bytes());
        }
        let write = || {
            make_mutable(&path)?;
            // The kernel takes a variable only as one write of the whole.
            let mut file = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            match file.write(&bytes)? {
                written if written == bytes.len() => Ok(()),
                _ => Err(io::ErrorKind::WriteZero.into()),
            }
        };
        write().map_err(|error| self.failed(name, &error))
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        make_mutable(&path)
            .and_then(|()| crate::files::remove_if_there(&path))
            .map_err(|error| self.failed(name, &error))
    }

    fn failed(&self, name: &str, error: &io::Error) -> Error {
        if self.folder.is_dir() {
            Error::Firmware(format!("{name}: {error}"))
        } else {
            Error::Firmware("this machine did not start by UEFI".to_owned())
        }
    }
}

/// The kernel guards variables against careless removal with a flag.
pub(crate) fn make_mutable(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // Not every file system has flags; where there are none, nothing is guarded.
    if let Ok(flags) = ioctl_getflags(&file)
        && flags.contains(IFlags::IMMUTABLE)
    {
        ioctl_setflags(&file, flags - IFlags::IMMUTABLE)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_what_the_boot_loader_reads() {
        let dir = tempfile::tempdir().unwrap();
        let vars = EfiVars::at(dir.path());
        let version: Version = "0.1.0".parse().unwrap();
        assert_eq!(vars.default_entry(), None);
        vars.set_default(&version).unwrap();
        assert_eq!(vars.default_entry().as_deref(), Some("basalt_0.1.0[+.]*"));
        let bytes = fs::read(vars.path("LoaderEntryDefault")).unwrap();
        assert_eq!(&bytes[..8], &[7, 0, 0, 0, b'b', 0, b'a', 0]);
        assert_eq!(&bytes[bytes.len() - 2..], &[0, 0]);
        vars.clear_default().unwrap();
        vars.clear_default().unwrap();
        assert_eq!(vars.default_entry(), None);
    }

    #[test]
    fn the_counted_boot_is_read_from_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let vars = EfiVars::at(dir.path());
        assert_eq!(vars.counted_boot(), None);
        vars.write("LoaderBootCountPath", "\\EFI\\Linux\\basalt_0.2.0+2-1.efi")
            .unwrap();
        let name = vars.counted_boot().unwrap();
        assert_eq!(name.to_string(), "basalt_0.2.0+2-1.efi");
    }

    #[test]
    fn without_uefi_the_message_says_so() {
        let vars = EfiVars::at(Path::new("/nonexistent"));
        let error = vars.set_next(&"0.1.0".parse().unwrap()).unwrap_err();
        assert!(
            error.to_string().contains("did not start by UEFI"),
            "{error}"
        );
    }
}
