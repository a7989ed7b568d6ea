//! Clients in JavaScript.

use anyhow::Result;
use basalt_image::build::paths;
use basalt_image::node::Npm;
use std::path::PathBuf;

/// npm, and the folder with the client, installed as its lock file says.
pub fn environment() -> Result<(Npm, PathBuf)> {
    let folder = paths::workspace().join("tests/clients/npm");
    let npm = Npm::ensure()?;
    npm.install(&folder)?;
    Ok((npm, folder))
}
