//! QEMU and its firmware, from the lock like everything else: every machine tests with the same one.
//!
//! An emulator's faults look like the appliance's, so which one it is must not depend on the build
//! machine. Its packages are only unpacked; [`Emulator::command`] starts a program of it through
//! its own dynamic loader, which needs no root rights and no namespace.

use super::lock::{Group, Lock};
use super::paths::Paths;
use super::{Options, Result, require_tools, toolbox};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where its own libraries are, below its root.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
/// Where it looks for the firmware of devices, below its root.
const DATA: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];

/// The unpacked emulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emulator {
    root: PathBuf,
}

impl Emulator {
    /// Unpacks the emulator, unless the cache has it.
    pub fn ensure() -> Result<Self> {
        let paths = Paths::find(&Options::default())?;
        let lock = Lock::read(&paths)?;
        let root = toolbox::folder(&paths, &lock, Group::Emulator);
        if !root.exists() {
            let _building = paths.lock_builds()?;
            require_tools()?;
            toolbox::ensure_unpacked(&paths, &lock, Group::Emulator)?;
        }
        Ok(Self::at(&root))
    }

    /// The emulator unpacked in `root`.
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Names the exact build: it changes with any of its packages.
    pub fn key(&self) -> String {
        let name = self.root.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Where a file of it is, given by its absolute path inside.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A command that runs `program`, as `qemu-img`.
    pub fn command(&self, program: &str) -> Command {
        let mut words = self.words(program).into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .env("QEMU_MODULE_DIR", self.root.join(LIBRARIES).join("qemu"));
        command
    }

    /// The words that start `program`, for a command that starts it in its turn. They find
    /// everything but modules without an environment.
    pub fn words(&self, program: &str) -> Vec<PathBuf> {
        let mut words = vec![
            self.root.join("usr/lib64/ld-linux-x86-64.so.2"),
            "--library-path".into(),
            self.root.join(LIBRARIES),
            self.root.join("usr/bin").join(program),
        ];
        if program.starts_with("qemu-system") {
            for folder in DATA {
                words.extend(["-L".into(), self.root.join(folder)]);
            }
        }
        words
    }
}
