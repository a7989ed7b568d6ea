//! What the EFI system partition carries for machines that boot by legacy BIOS.
//!
//! There GRUB takes systemd-boot's part. It reads the same kernel images under the same names; the
//! folder [`FOLDER`] tells it what it cannot find out by itself, and keeps what it has to remember.

use crate::Version;

/// Folder of the EFI system partition with GRUB's files.
pub const FOLDER: &str = "basalt";

/// Code of the disk's first sector, as GRUB ships it.
pub const BOOT_CODE: &str = "basalt/bios-boot.img";

/// GRUB's core, for the BIOS boot partition.
pub const CORE: &str = "basalt/bios-core.img";

/// GRUB's configuration: the rules by which it chooses.
pub const CONFIG: &str = "basalt/grub.cfg";

/// GRUB's environment block: which version boots next, and the boots begun by GRUB.
pub const ENVIRONMENT: &str = "basalt/grubenv";

/// Variable: the version that boots at the next start only.
pub const NEXT: &str = "basalt_next";

/// Variable: the version that boots even when there is a newer one.
pub const DEFAULT: &str = "basalt_default";

/// Variable: file name of the kernel image whose boots are counted.
pub const COUNTED: &str = "basalt_counted";

/// Variable: one stroke, [`STROKE`], for each boot begun that the file name does not tell yet.
pub const BOOTS: &str = "basalt_boots";

/// What a boot adds to [`BOOTS`].
pub const STROKE: char = '1';

/// Word of the kernel command line with the file name of the kernel image when this boot counts.
pub const COUNTED_WORD: &str = "basalt.counted=";

/// Word of the kernel command line with the value of [`BOOTS`], this boot included.
pub const BOOTS_WORD: &str = "basalt.boots=";

/// Word of the kernel command line with the UUID of the partition that GRUB came from.
pub const ESP_WORD: &str = "basalt.esp=";

/// The file that tells GRUB where a version's kernel lies inside its kernel image.
pub fn entry_file(version: &Version) -> String {
    format!("{FOLDER}/{version}.cfg")
}
