//! A person in a browser.

use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::build::paths;
use basalt_image::node::Npm;
use basalt_image::tools::{self, Tool};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Logs in, creates a virtual machine and a container, and uses their consoles.
pub fn guests(lab: &mut Lab<'_>) -> Result<()> {
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
    run(
        "scenario.mjs",
        &[
            ("BASALT_URL", appliance.node.url().as_ref()),
            ("BASALT_USER", "root".as_ref()),
            ("BASALT_PASSWORD", appliance.password().as_ref()),
            ("BASALT_BRIDGE_ADDRESS", bridge.as_ref()),
            ("BASALT_KERNEL", kernel.as_ref()),
            ("BASALT_INITRD", initrd.as_ref()),
            ("BASALT_DISK", disk.as_ref()),
            ("BASALT_TEMPLATE", template.as_ref()),
        ],
    )?;
    appliance.done();
    Ok(())
}

/// Logs in with a security key.
pub fn security_key(lab: &mut Lab<'_>) -> Result<()> {
    const USER: &str = "ann@pve";
    const PASSWORD: &str = "a good secret";
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    api.post("/access/users", &[("userid", USER), ("password", PASSWORD)])?;
    // Keys are bound to names.
    let url = appliance.node.url().replace("127.0.0.1", "localhost");
    run(
        "factors.mjs",
        &[
            ("BASALT_URL", url.as_ref()),
            ("BASALT_USER", USER.as_ref()),
            ("BASALT_PASSWORD", PASSWORD.as_ref()),
        ],
    )?;
    appliance.done();
    Ok(())
}

/// Runs a script of `tests/browser/` with these settings. Screenshots are kept under
/// `target/screenshots/`, whatever the outcome.
pub fn run(script: &str, settings: &[(&str, &OsStr)]) -> Result<()> {
    tools::ensure(&[Tool::Chromium])?;
    let folder = paths::workspace().join("tests/browser");
    let npm = Npm::ensure()?;
    install_packages(&npm, &folder)?;
    let screenshots = paths::workspace().join("target/screenshots");
    fs::create_dir_all(&screenshots)?;
    let output = npm
        .node(&folder)
        .arg(script)
        .envs(settings.iter().copied())
        .env("BASALT_SCREENSHOTS", &screenshots)
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
    Ok(())
}

/// Installs the packages of the browser's driver; scenarios run beside each other.
fn install_packages(npm: &Npm, folder: &Path) -> Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    npm.install(folder)
}
