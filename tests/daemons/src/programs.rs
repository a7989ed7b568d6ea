//! The programs that the workspace built, beside the program that runs.

use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

/// The gateway.
pub fn gateway() -> Result<PathBuf> {
    find("basalt-gateway")
}

/// The node.
pub fn node() -> Result<PathBuf> {
    find("basalt-node")
}

/// The supervisor.
pub fn supervisor() -> Result<PathBuf> {
    find("basalt-init")
}

/// Tests run in the folder below that of the programs.
fn find(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program lies in a folder")?;
    let folder = folder
        .parent()
        .filter(|_| folder.ends_with("deps"))
        .unwrap_or(folder);
    let program = folder.join(name);
    ensure!(
        program.exists(),
        "{} is not there: build the workspace, or `cargo build -p basalt-node -p basalt-gateway`",
        program.display()
    );
    Ok(program)
}
