//! What boot loader and kernel command line say to us.

use crate::error::{At, Error, Result};
use basalt_layout::RootHash;
use basalt_layout::bios::ESP_WORD;
use basalt_layout::mode::{self, INSTALL_WORD, RESCUE_WORD};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::fs;
use std::path::Path;

/// The variable in which systemd-boot says which partition it came from.
const LOADER_PARTITION: &str = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// Where the kernel shows its command line.
const PATH: &str = "/proc/cmdline";

/// Where the firmware's variables are shown.
const VARIABLES: &str = "/sys/firmware/efi/efivars";

/// What the machine boots for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The installed host: state comes from the data partition.
    Host,
    /// The installer: state lives in memory, and disks stay untouched.
    Install,
}

/// The parts of the command line that concern us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cmdline {
    /// Which image to boot.
    pub root_hash: RootHash,
    /// What for.
    pub mode: Mode,
    /// UUID of the EFI system partition that the boot loader came from, where it is known.
    pub esp: Option<String>,
}

impl Cmdline {
    /// Reads the running kernel's command line, and on UEFI what the boot loader has left.
    pub fn read() -> Result<Self> {
        let mut found = Self::parse(&fs::read_to_string(PATH).at("read", PATH)?)?;
        if found.esp.is_none() {
            found.esp = loader_partition();
        }
        Ok(found)
    }

    fn parse(text: &str) -> Result<Self> {
        let root_hash = RootHash::from_cmdline(text).ok_or(Error::NoRootHash)?;
        let mode = if mode::has(text, INSTALL_WORD) {
            Mode::Install
        } else {
            Mode::Host
        };
        Ok(Self {
            root_hash,
            mode,
            esp: text
                .split_ascii_whitespace()
                .find_map(|word| word.strip_prefix(ESP_WORD))
                .map(str::to_lowercase),
        })
    }
}

/// Whether somebody at the console wants a shell.
pub fn is_rescue() -> bool {
    fs::read_to_string(PATH).is_ok_and(|text| mode::has(&text, RESCUE_WORD))
}

/// Without the variable any disk will do.
fn loader_partition() -> Option<String> {
    let folder = Path::new(VARIABLES);
    mount("efivarfs", folder, "efivarfs", MountFlags::RDONLY, c"").ok()?;
    let bytes = fs::read(folder.join(LOADER_PARTITION));
    // systemd mounts it itself, with options of its own.
    let _ = unmount(folder, UnmountFlags::DETACH);
    variable_text(&bytes.ok()?)
}

/// A variable's text, behind four bytes of attributes.
fn variable_text(bytes: &[u8]) -> Option<String> {
    let units: Vec<u16> = bytes
        .get(4..)?
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|unit| *unit != 0)
        .collect();
    Some(String::from_utf16(&units).ok()?.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hash_and_mode() {
        let hash = "ab".repeat(32);
        let host = Cmdline::parse(&format!("quiet roothash={hash}\n")).unwrap();
        assert_eq!(
            (host.root_hash.to_string(), host.mode),
            (hash.clone(), Mode::Host)
        );
        let install = Cmdline::parse(&format!("roothash={hash} basalt.mode=install")).unwrap();
        assert_eq!(install.mode, Mode::Install);
        assert!(matches!(Cmdline::parse("quiet"), Err(Error::NoRootHash)));
        let told = Cmdline::parse(&format!("roothash={hash} basalt.esp=AB-1")).unwrap();
        assert_eq!(told.esp.as_deref(), Some("ab-1"));
    }

    #[test]
    fn a_variable_is_text_behind_its_attributes() {
        let bytes = [6, 0, 0, 0, b'A', 0, b'-', 0, 0, 0];
        assert_eq!(variable_text(&bytes).as_deref(), Some("a-"));
        assert_eq!(variable_text(&[6]), None);
    }
}
