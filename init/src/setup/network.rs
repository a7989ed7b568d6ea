//! Writes the files from which systemd-networkd makes the host's bridge.

use std::fs;

use anyhow::Context;
use basalt_model::host::{HostConfig, networkd};
use basalt_update::files::write_if_changed;

use super::card;
use crate::paths::Paths;

/// Writes the bridge, its address and its port.
pub fn write(paths: &Paths, config: &HostConfig) -> anyhow::Result<()> {
    let network = &config.network;
    let card = card::choose(paths, network.port);
    let folder = paths.run("systemd/network");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for file in networkd::files(network, config.dns.as_ref(), card) {
        let path = folder.join(&file.name);
        write_if_changed(&path, file.contents.as_bytes(), 0o644)
            .with_context(|| path.display().to_string())?;
    }
    anyhow::ensure!(
        card.is_some(),
        "this machine has no network card; {} is not connected to anything",
        network.bridge
    );
    Ok(())
}
