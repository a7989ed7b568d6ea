//! The consoles' keyboard.

use anyhow::Context;
use basalt_model::host::HostConfig;
use basalt_update::command;

use crate::paths::Paths;

/// Loads the host's keyboard map; the kernel has the default by itself.
pub fn load(paths: &Paths, config: &HostConfig) -> anyhow::Result<()> {
    let keyboard = &config.keyboard;
    if keyboard.is_default() || paths.root().parent().is_some() {
        return Ok(());
    }
    command::run("loadkeys", &["--quiet", keyboard.as_str()], "")
        .with_context(|| format!("keyboard `{keyboard}`"))?;
    Ok(())
}
