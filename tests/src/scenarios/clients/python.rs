//! Clients in Python, each set of them in a virtual environment of its own.

use super::{output, said};
use anyhow::{Context, Result, ensure};
use basalt_image::build::paths;
use basalt_image::tools::{self, Tool};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs of a virtual environment with what `tests/clients/NAME.txt` requires, made once.
pub fn environment(name: &str) -> Result<PathBuf> {
    let wanted = super::script(&format!("{name}.txt"));
    let cache = paths::cache()?;
    fs::create_dir_all(&cache)?;
    let dir = cache.join(format!("clients-{name}"));
    let installed = dir.join("installed.txt");
    // Scenarios run beside each other.
    let lock = File::create(dir.with_extension("lock"))?;
    lock.lock()?;
    if !same(&wanted, &installed)? {
        tools::ensure(&[Tool::PythonVenv])?;
        let venv = ["-m", "venv", "--clear"];
        run(Command::new("python3").args(venv).arg(&dir))?;
        let pip = ["-m", "pip", "install", "--quiet", "--requirement"];
        run(Command::new(dir.join("bin/python")).args(pip).arg(&wanted))?;
        fs::copy(&wanted, &installed)?;
    }
    Ok(dir.join("bin"))
}

/// Whether the file that says what is installed says what is wanted.
fn same(wanted: &Path, installed: &Path) -> Result<bool> {
    let wanted = fs::read(wanted).with_context(|| format!("cannot read {}", wanted.display()))?;
    Ok(fs::read(installed).is_ok_and(|installed| installed == wanted))
}

fn run(command: &mut Command) -> Result<()> {
    let output = output(command)?;
    ensure!(output.status.success(), "{command:?}: {}", said(&output));
    Ok(())
}
