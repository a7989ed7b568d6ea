//! A person in a browser.

use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::build::paths;
use basalt_image::node::Npm;
use basalt_image::tools::{self, Tool};
use std::fs;
use std::path::PathBuf;

/// Logs in, creates a virtual machine and a container, and uses their consoles.
/// Screenshots are kept under `target/screenshots/`, whatever the outcome.
pub fn guests(lab: &mut Lab<'_>) -> Result<()> {
    tools::ensure(&[Tool::Chromium])?;
    let folder = paths::workspace().join("tests/browser");
    let npm = Npm::ensure()?;
    npm.install(&folder)?;
    let screenshots = paths::workspace().join("target/screenshots");
    fs::create_dir_all(&screenshots)?;
    let appliance = lab.appliance()?;
    let guests = &lab.shared.guests;
    // Under other names than those of the volumes that are there already.
    let named = |file: PathBuf, name: &str| -> Result<PathBuf> {
        let copy = lab.work().join(name);
        fs::copy(&file, &copy).with_context(|| format!("cannot copy {}", file.display()))?;
        Ok(copy)
    };
    let kernel = named(guests.kernel(), "visitor-kernel")?;
    let initrd = named(guests.initrd(), "visitor-initrd")?;
    let disk = named(guests.disk(), "visitor.raw")?;
    let template = named(guests.template(), "visitor.tar.zst")?;
    let bridge = appliance
        .ssh()
        .run("ip -4 -o addr show dev vmbr0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'")?;
    let output = npm
        .node(&folder)
        .arg("scenario.mjs")
        .env("BASALT_URL", appliance.node.url())
        .env("BASALT_USER", "root")
        .env("BASALT_PASSWORD", appliance.password())
        .env("BASALT_BRIDGE_ADDRESS", bridge)
        .env("BASALT_SCREENSHOTS", &screenshots)
        .env("BASALT_KERNEL", kernel)
        .env("BASALT_INITRD", initrd)
        .env("BASALT_DISK", disk)
        .env("BASALT_TEMPLATE", template)
        .env(
            "BASALT_CHROMIUM",
            tools::find("chromium").context("no chromium")?,
        )
        .output()
        .context("cannot run node")?;
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    appliance.done();
    Ok(())
}
