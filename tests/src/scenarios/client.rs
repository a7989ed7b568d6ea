//! Real clients, unmodified.

use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::build::paths;
use basalt_image::tools::{self, Tool};
use std::path::{Path, PathBuf};
use std::process::Command;

/// proxmoxer lists nodes, creates, starts, waits for the task of, stops and deletes a virtual
/// machine and a container.
pub fn proxmoxer(lab: &mut Lab<'_>) -> Result<()> {
    let python = environment()?;
    let appliance = lab.appliance()?;
    let script = paths::workspace().join("tests/clients/drive_proxmoxer.py");
    let output = Command::new(python)
        .arg(script)
        .env("BASALT_HOST", "127.0.0.1")
        .env("BASALT_PORT", appliance.node.state().port.to_string())
        .env("BASALT_PASSWORD", appliance.password())
        .output()
        .context("cannot run python")?;
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    appliance.done();
    Ok(())
}

/// A virtual environment with the clients in `tests/clients/requirements.txt`, made once.
fn environment() -> Result<PathBuf> {
    let requirements = paths::workspace().join("tests/clients/requirements.txt");
    let dir = paths::cache()?.join("python-clients");
    let python = dir.join("bin/python");
    let installed = dir.join("requirements.txt");
    let same = |a: &Path, b: &Path| {
        std::fs::read(a)
            .ok()
            .is_some_and(|a| std::fs::read(b).is_ok_and(|b| a == b))
    };
    if !same(&requirements, &installed) {
        tools::ensure(&[Tool::PythonVenv])?;
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&dir))?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(&requirements))?;
        std::fs::copy(&requirements, &installed)?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
