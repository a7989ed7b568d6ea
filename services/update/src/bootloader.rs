//! The boot loader of this machine, and how it is told what boots next.
//!
//! By itself either boot loader takes the newest version that still has tries, and the file names
//! of the kernel images count those. Beyond that, systemd-boot on UEFI is told by variables of the
//! firmware ([`EfiVars`]), GRUB on legacy BIOS by its environment block ([`Environment`]).

use std::fs;
use std::path::Path;

use basalt_layout::bios::{BOOTS_WORD, COUNTED_WORD, DEFAULT, NEXT};
use basalt_layout::{UkiName, Version};

use crate::Error;
use crate::efivars::EfiVars;
use crate::environment::{Environment, counted_name};
use crate::host::EspPlace;
use crate::secureboot::{Firmware, SecureBoot};

/// What starts this machine.
#[derive(Debug, Clone)]
pub enum Bootloader {
    /// systemd-boot, started by UEFI.
    SystemdBoot(EfiVars),
    /// GRUB, started by legacy BIOS, with its files on this EFI system partition.
    Grub(EspPlace),
}

impl Bootloader {
    /// The one that started this machine, whose EFI system partition is at `esp`.
    pub fn detect(esp: &EspPlace) -> Self {
        if started_by_uefi(Path::new("/sys")) {
            Self::SystemdBoot(EfiVars::default())
        } else {
            Self::Grub(esp.clone())
        }
    }

    /// Boots `version` at the next start only.
    pub fn set_next(&self, version: &Version) -> Result<(), Error> {
        match self {
            Self::SystemdBoot(variables) => variables.set_next(version),
            Self::Grub(esp) => change(esp, |e| set(e, NEXT, version)),
        }
    }

    /// Boots `version` from now on, even if there is a newer one.
    pub fn set_default(&self, version: &Version) -> Result<(), Error> {
        match self {
            Self::SystemdBoot(variables) => variables.set_default(version),
            Self::Grub(esp) => change(esp, |e| set(e, DEFAULT, version)),
        }
    }

    /// Leaves the choice to the boot loader again.
    pub fn clear_default(&self) -> Result<(), Error> {
        match self {
            Self::SystemdBoot(variables) => variables.clear_default(),
            Self::Grub(esp) => change(esp, |e| e.unset(DEFAULT)),
        }
    }

    /// Takes back [`Bootloader::set_next`].
    pub fn clear_next(&self) -> Result<(), Error> {
        match self {
            Self::SystemdBoot(variables) => variables.clear_next(),
            Self::Grub(esp) => change(esp, |e| e.unset(NEXT)),
        }
    }

    /// Whether some version boots even if there is a newer one.
    pub fn has_default(&self) -> Result<bool, Error> {
        Ok(match self {
            Self::SystemdBoot(variables) => variables.default_entry().is_some(),
            Self::Grub(esp) => esp.open()?.environment()?.get(DEFAULT).is_some(),
        })
    }

    /// What the firmware makes of signatures; legacy BIOS knows none.
    pub fn secure_boot(&self) -> SecureBoot {
        match self {
            Self::SystemdBoot(variables) => Firmware::at(variables.folder()).state(),
            Self::Grub(_) => SecureBoot::Absent,
        }
    }

    /// True when nobody else gives a proved version its good name: on UEFI,
    /// `systemd-bless-boot` does.
    pub fn leaves_blessing_to_us(&self) -> bool {
        matches!(self, Self::Grub(_))
    }
}

fn set(environment: &mut Environment, name: &str, version: &Version) -> bool {
    let version = version.to_string();
    let changes = environment.get(name) != Some(&version);
    environment.set(name, &version);
    changes
}

/// Changes the environment block; `edit` says whether there is anything to write.
fn change(esp: &EspPlace, edit: impl FnOnce(&mut Environment) -> bool) -> Result<(), Error> {
    let esp = esp.open()?;
    let mut environment = esp.environment()?;
    if edit(&mut environment) {
        esp.write_environment(&environment)?;
    }
    Ok(())
}

fn started_by_uefi(sys: &Path) -> bool {
    sys.join("firmware/efi").is_dir()
}

/// The kernel image this boot was started from under a count of tries, as it would be named now.
/// `None` when the running version has proved itself before.
pub fn counted_boot(sys: &Path, cmdline: &Path) -> Option<UkiName> {
    if started_by_uefi(sys) {
        EfiVars::at(&sys.join("firmware/efi/efivars")).counted_boot()
    } else {
        counted_by_grub(&fs::read_to_string(cmdline).ok()?)
    }
}

/// GRUB leaves no variables, but tells the kernel what it counted.
fn counted_by_grub(cmdline: &str) -> Option<UkiName> {
    let value = |word| {
        cmdline
            .split_whitespace()
            .find_map(|w| w.strip_prefix(word))
    };
    let name = value(COUNTED_WORD)?.parse().ok()?;
    Some(counted_name(name, value(BOOTS_WORD)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grub_is_told_by_its_environment_block() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("basalt")).unwrap();
        let loader = Bootloader::Grub(EspPlace::Folder(dir.path().to_owned()));
        let block = || {
            let bytes = fs::read(dir.path().join("basalt/grubenv")).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let (old, new) = ("0.1.0".parse().unwrap(), "0.2.0".parse().unwrap());
        loader.clear_next().unwrap();
        assert!(!loader.has_default().unwrap());
        loader.set_next(&new).unwrap();
        loader.set_default(&old).unwrap();
        assert!(block().contains("\nbasalt_next=0.2.0\nbasalt_default=0.1.0\n#"));
        assert!(loader.has_default().unwrap());
        loader.clear_next().unwrap();
        loader.clear_default().unwrap();
        assert!(!block().contains("basalt_"));
    }

    #[test]
    fn a_counted_boot_is_known_under_either_firmware() {
        let dir = tempfile::tempdir().unwrap();
        let cmdline = dir.path().join("cmdline");
        let counted = || counted_boot(dir.path(), &cmdline).map(|name| name.to_string());
        fs::write(&cmdline, "quiet roothash=ab\n").unwrap();
        assert_eq!(counted(), None);
        let words = "quiet basalt.counted=basalt_0.2.0+3.efi basalt.boots=11\n";
        fs::write(&cmdline, words).unwrap();
        assert_eq!(counted().as_deref(), Some("basalt_0.2.0+1-2.efi"));
        // What GRUB would say is not asked on UEFI, where the words could come from anywhere.
        fs::create_dir_all(dir.path().join("firmware/efi")).unwrap();
        assert_eq!(counted(), None);
    }
}
