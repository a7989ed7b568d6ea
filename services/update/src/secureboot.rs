//! UEFI Secure Boot: whether the firmware checks what it starts, and telling it of our certificates.
//!
//! A firmware in setup mode has no owner: it takes certificates without a question, and checks
//! signatures from the next start on. [`enrol`] works only there, so it can never lock out an owner.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::efivars::{FOLDER, make_mutable};

/// Where the image carries what the firmware is told.
pub const UPDATES: &str = "/usr/lib/basalt/keys/boot";
/// Where the boot loader finds the same on the EFI system partition; it acts by itself only on this
/// folder's name.
pub const LOADER_FOLDER: &str = "loader/keys/auto";

/// Vendor of the variables that the UEFI specification defines.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Vendor of the list of what may boot.
const SECURITY: &str = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";

/// Kept over power cycles, seen at boot and at run time, written only by signed updates.
const ATTRIBUTES: [u8; 4] = [0x27, 0, 0, 0];

/// What the firmware makes of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecureBoot {
    /// Only what is signed was started.
    Enabled,
    /// It could check, but is told not to.
    Disabled,
    /// It has no certificates yet, and takes the first it is given.
    Setup,
    /// The machine did not start by UEFI, or its firmware cannot check.
    Absent,
}

impl SecureBoot {
    /// In words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Setup => "not set up",
            Self::Absent => "not available",
        }
    }
}

/// A certificate to enrol: its variable, and the signed update that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// `db`, `KEK` or `PK`.
    pub variable: &'static str,
    /// The content of the update.
    pub bytes: Vec<u8>,
}

/// The firmware's variables for Secure Boot.
#[derive(Debug, Clone)]
pub struct Firmware {
    folder: PathBuf,
}

impl Default for Firmware {
    fn default() -> Self {
        Self::at(Path::new(FOLDER))
    }
}

impl Firmware {
    /// Uses another folder than the kernel's.
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// What it makes of signatures.
    pub fn state(&self) -> SecureBoot {
        match (self.flag("SecureBoot"), self.flag("SetupMode")) {
            (Some(true), _) => SecureBoot::Enabled,
            (_, Some(true)) => SecureBoot::Setup,
            (Some(false), _) => SecureBoot::Disabled,
            (None, _) => SecureBoot::Absent,
        }
    }

    /// Makes the owner of these certificates the machine's owner. Works only in setup mode; the one
    /// that ends setup mode is written last, so an interruption leaves the machine as open as it was.
    pub fn enrol(&self, certificates: &[Enrolment]) -> Result<(), Error> {
        if self.state() != SecureBoot::Setup {
            let state = self.state().as_str();
            return Err(Error::Firmware(format!(
                "Secure Boot is {state}; certificates are taken only in setup mode"
            )));
        }
        for certificate in certificates {
            self.write(certificate).map_err(|error| {
                Error::Firmware(format!("writing {}: {error}", certificate.variable))
            })?;
        }
        Ok(())
    }

    fn flag(&self, name: &str) -> Option<bool> {
        let bytes = fs::read(self.folder.join(format!("{name}-{GLOBAL}"))).ok()?;
        bytes.get(ATTRIBUTES.len()).map(|byte| *byte == 1)
    }

    fn write(&self, certificate: &Enrolment) -> io::Result<()> {
        let vendor = match certificate.variable {
            "db" => SECURITY,
            _ => GLOBAL,
        };
        let path = self
            .folder
            .join(format!("{}-{vendor}", certificate.variable));
        make_mutable(&path)?;
        let bytes = [&ATTRIBUTES[..], &certificate.bytes].concat();
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
    }
}

/// The certificates that the image carries, in the order in which they are enrolled.
pub fn certificates(folder: &Path) -> Result<Vec<Enrolment>, Error> {
    [("db", "boot"), ("KEK", "exchange"), ("PK", "platform")]
        .into_iter()
        .map(|(variable, file)| {
            let path = folder.join(format!("{file}.auth"));
            let bytes = fs::read(&path).map_err(|error| Error::io(&path, error))?;
            Ok(Enrolment { variable, bytes })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(dir: &Path, name: &str, value: u8) {
        fs::write(dir.join(format!("{name}-{GLOBAL}")), [6, 0, 0, 0, value]).unwrap();
    }

    #[test]
    fn the_state_is_what_the_firmware_says() {
        let dir = tempfile::tempdir().unwrap();
        let firmware = Firmware::at(dir.path());
        assert_eq!(firmware.state(), SecureBoot::Absent);
        set(dir.path(), "SecureBoot", 0);
        assert_eq!(firmware.state(), SecureBoot::Disabled);
        set(dir.path(), "SetupMode", 1);
        assert_eq!(firmware.state(), SecureBoot::Setup);
        set(dir.path(), "SecureBoot", 1);
        set(dir.path(), "SetupMode", 0);
        assert_eq!(firmware.state(), SecureBoot::Enabled);
    }

    #[test]
    fn a_machine_with_an_owner_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["boot", "exchange", "platform"] {
            fs::write(dir.path().join(format!("{file}.auth")), file).unwrap();
        }
        let certificates = certificates(dir.path()).unwrap();
        let firmware = Firmware::at(dir.path());
        set(dir.path(), "SecureBoot", 0);
        let error = firmware.enrol(&certificates).unwrap_err().to_string();
        assert!(error.contains("only in setup mode"), "{error}");
        assert!(!dir.path().join(format!("PK-{GLOBAL}")).exists());

        set(dir.path(), "SetupMode", 1);
        firmware.enrol(&certificates).unwrap();
        let written = fs::read(dir.path().join(format!("db-{SECURITY}"))).unwrap();
        assert_eq!(written, b"\x27\0\0\0boot");
        let last = fs::read(dir.path().join(format!("PK-{GLOBAL}"))).unwrap();
        assert_eq!(last, b"\x27\0\0\0platform");
    }
}
