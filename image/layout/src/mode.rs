//! What a boot is for, as words of the kernel command line say it.
//!
//! One image serves every purpose. The words are part of what is signed: on UEFI of the medium's
//! add-on and of the kernel image's profiles, on legacy BIOS GRUB has them from its configuration.

/// What the installer's medium adds. It starts the installer whichever profile of the kernel image
/// was chosen, has no use for a disk's EFI system partition, and must not wait for one.
pub const INSTALL: &str =
    "basalt.mode=install systemd.unit=multi-user.target systemd.mask=efi.mount";

/// The word among them by which programs know it.
pub const INSTALL_WORD: &str = "basalt.mode=install";

/// Where the installer's medium is when it came with the initial RAM disk, over the network.
pub const MEDIUM: &str = "/medium.iso";

/// Boots to a shell for whoever knows root's password, and starts no guest.
pub const RESCUE: &str = "basalt.mode=rescue systemd.unit=basalt-rescue.target";

/// The word among them by which programs know it.
pub const RESCUE_WORD: &str = "basalt.mode=rescue";

/// Boots to the question whether everything on the data partition is to be destroyed.
pub const RESET: &str = "basalt.mode=reset systemd.unit=basalt-reset.target";

/// The word among them by which programs know it.
pub const RESET_WORD: &str = "basalt.mode=reset";

/// The file of the data partition that decides a factory reset: the configuration (`host.json`) of
/// the host that is to be left. While it is there, the initial RAM disk removes everything else;
/// then it gives the file its name, [`CONFIG`], with which the reset is over.
pub const RESET_MARKER: &str = "lib/basalt/factory-reset.json";

/// The host's configuration on the data partition.
pub const CONFIG: &str = "lib/basalt/host.json";

/// Whether a kernel command line has this word.
pub fn has(cmdline: &str, word: &str) -> bool {
    cmdline.split_ascii_whitespace().any(|found| found == word)
}

/// Whether a boot is one at the console, from which nobody may conclude how well the version works:
/// rescue shell or factory reset.
pub fn is_by_hand(cmdline: &str) -> bool {
    has(cmdline, RESCUE_WORD) || has(cmdline, RESET_WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_know_a_boot_by_its_word() {
        for (words, word) in [
            (INSTALL, INSTALL_WORD),
            (RESCUE, RESCUE_WORD),
            (RESET, RESET_WORD),
        ] {
            assert!(has(&format!("quiet {words}\n"), word));
        }
        assert!(is_by_hand(RESCUE) && is_by_hand(RESET) && !is_by_hand(INSTALL));
        assert!(!has("basalt.mode=rescued", RESCUE_WORD));
    }
}
