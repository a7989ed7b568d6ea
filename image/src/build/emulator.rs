//! QEMU and the firmware that appliances run in: the machine's QEMU, the lock's firmware.
//!
//! The firmware is part of what is tested (it checks signatures and keeps the boot loader's
//! variables), so it is the same everywhere. QEMU is the machine's own: the 10.0 of the image's
//! suite now and then lets an emulated guest's guest stand still for good, Debian 12's 7.2 does not.

use super::lock::{Group, Lock};
use super::paths::Paths;
use super::{Error, Options, Result, command, require_tools, toolbox};
use crate::tools::{self, Tool};
use std::path::{Path, PathBuf};
use std::process::Command;

/// QEMU with its firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emulator {
    root: PathBuf,
}

impl Emulator {
    /// Installs QEMU unless it is there, and unpacks the firmware unless the cache has it.
    pub fn ensure() -> Result<Self> {
        tools::ensure(&[Tool::Qemu, Tool::QemuImg])
            .map_err(|error| Error::Invalid(format!("{error:#}")))?;
        let paths = Paths::find(&Options::default())?;
        let lock = Lock::read(&paths)?;
        let root = toolbox::folder(&paths, &lock, Group::Firmware);
        if !root.exists() {
            let _building = paths.lock_builds()?;
            require_tools()?;
            toolbox::ensure_unpacked(&paths, &lock, Group::Firmware)?;
        }
        Ok(Self::at(&root))
    }

    /// QEMU with the firmware unpacked in `root`.
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Names QEMU's version and the exact firmware.
    pub fn key(&self) -> Result<String> {
        let version = command::output(self.command("qemu-system-x86_64").arg("--version"))?;
        let firmware = self.root.file_name().unwrap_or_default().to_string_lossy();
        Ok(format!(
            "{} {firmware}",
            version.lines().next().unwrap_or_default()
        ))
    }

    /// Where a file of the firmware is, given by its absolute path inside.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A command that runs a program of QEMU, as `qemu-img`.
    pub fn command(&self, program: &str) -> Command {
        Command::new(program)
    }
}
