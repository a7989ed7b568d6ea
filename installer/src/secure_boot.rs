//! UEFI Secure Boot on the machine that is installed.
//!
//! A firmware in setup mode can be told of our certificates, and from the next start on runs nothing
//! else than what we have signed. In a virtual machine that is harmless and done by itself. A real
//! machine may have cards whose own firmware is signed by others, so there somebody has to ask for
//! it: in the answer file, or in the boot loader's menu, which keeps offering it.

use std::fs;
use std::path::Path;

use anyhow::ensure;
use basalt_model::host::answer::Enrol;
use basalt_update::secureboot::{self, Enrolment, Firmware, SecureBoot};

use crate::report::Report;

/// The certificates of the running image, which is the one that is installed.
pub fn certificates() -> anyhow::Result<Vec<Enrolment>> {
    Ok(secureboot::certificates(Path::new(secureboot::UPDATES))?)
}

/// Whether what was asked for can be done; before anything is written.
pub fn check(wish: Enrol) -> anyhow::Result<()> {
    let state = Firmware::default().state();
    ensure!(
        wish != Enrol::Enroll || matches!(state, SecureBoot::Setup | SecureBoot::Enabled),
        "secure_boot: Secure Boot is {} on this machine; put its firmware into setup mode, or leave \
         `secure_boot` out",
        state.as_str()
    );
    Ok(())
}

/// Tells the firmware of the certificates, if that is wanted and it takes them.
///
/// The system on the disk boots without that as well, and its boot loader offers it again: a firmware
/// that refuses is no reason to call an installation failed.
pub fn enrol(wish: Enrol, certificates: &[Enrolment], report: &mut Report) {
    let firmware = Firmware::default();
    if firmware.state() != SecureBoot::Setup || !wanted(wish, is_virtual()) {
        return;
    }
    match firmware.enrol(certificates) {
        Ok(()) => report.line("Secure Boot is set up; it checks from the next start on"),
        Err(error) => report.line(&format!(
            "Secure Boot is not set up, the boot loader's menu offers it: {error}"
        )),
    }
}

/// What the boot loader does by itself while the firmware is in setup mode: `if-safe` enrols in a
/// virtual machine, and both offer it in the menu.
pub fn loader_option(wish: Enrol) -> &'static str {
    match wish {
        Enrol::Auto | Enrol::Enroll => "secure-boot-enroll if-safe\n",
        Enrol::Leave => "secure-boot-enroll manual\n",
    }
}

fn wanted(wish: Enrol, is_virtual: bool) -> bool {
    match wish {
        Enrol::Auto => is_virtual,
        Enrol::Enroll => true,
        Enrol::Leave => false,
    }
}

/// A processor that a hypervisor shows says so.
fn is_virtual() -> bool {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find(|line| line.starts_with("flags"))
        .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_machine_is_asked_for() {
        assert!(wanted(Enrol::Auto, true) && !wanted(Enrol::Auto, false));
        assert!(wanted(Enrol::Enroll, false) && !wanted(Enrol::Leave, true));
    }
}
