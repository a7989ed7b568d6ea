//! Locks the running kernel down: from here on not even root changes it. No foreign modules, no
//! unsigned kernel by kexec, no writing to its memory, whether or not Secure Boot is on.
//!
//! With Secure Boot the kernel does so by itself before it starts us. Without, it would trust no key
//! but Debian's, so ZFS's modules are loaded first ([`crate::zfs`]); nothing but the signed image has
//! run until then. A kernel that refuses ends the boot: a host runs locked down or not at all.

use crate::error::{At, Error, Result};
use rustix::mount::{MountFlags, mount};
use std::fs;
use std::path::Path;

const SECURITY: &str = "/sys/kernel/security";
/// Says the level, and raises it.
const LEVEL: &str = "/sys/kernel/security/lockdown";
/// Refuses modules without a good signature, and can only be switched on.
const SIGNATURES: &str = "/sys/module/module/parameters/sig_enforce";

/// Locks the kernel down, and makes sure of it.
pub fn enter() -> Result<()> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("securityfs", SECURITY, "securityfs", quiet, c"").at("mount", SECURITY)?;
    if !is_locked(&fs::read_to_string(LEVEL).at("read", LEVEL)?) {
        fs::write(LEVEL, "integrity").at("write", LEVEL)?;
    }
    fs::write(SIGNATURES, "1").at("write", SIGNATURES)?;
    let level = fs::read_to_string(LEVEL).at("read", LEVEL)?;
    if is_locked(&level) {
        return Ok(());
    }
    Err(Error::Malformed {
        path: Path::new(LEVEL).to_owned(),
        reason: "the kernel is not locked down",
    })
}

/// The level that is in force stands in brackets.
fn is_locked(levels: &str) -> bool {
    levels.contains("[integrity]") || levels.contains("[confidentiality]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_in_brackets_counts() {
        assert!(is_locked("none [integrity] confidentiality\n"));
        assert!(is_locked("none integrity [confidentiality]\n"));
        assert!(!is_locked("[none] integrity confidentiality\n"));
    }
}
