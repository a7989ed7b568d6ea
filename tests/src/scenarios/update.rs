//! Updates as one image: what proves itself stays, what does not is left again.

use crate::appliance::Appliance;
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use basalt_image::build::{self, Artifacts, Options, paths};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// A bundle with another version installs, boots and is kept.
pub fn commits(lab: &mut Lab<'_>) -> Result<()> {
    let bundle = build_other("2.0.0", None)?;
    let mut appliance = lab.appliance()?;
    put_in(&appliance, &bundle)?;
    appliance.reboot()?;
    let version = running_version(&appliance)?;
    ensure!(version == "2.0.0", "{version} runs after the update");
    let kept = poll::until(Duration::from_secs(120), Duration::from_secs(1), || {
        Ok::<_, anyhow::Error>((state(&appliance, "2.0.0")? == "good").then_some(()))
    })?;
    kept.context("the healthy version was not committed")?;
    appliance.done();
    Ok(())
}

/// A bundle whose supervisor cannot start is tried, fails its health gate, and is left again
/// without help.
pub fn falls_back(lab: &mut Lab<'_>) -> Result<()> {
    let overlay = lab.work().join("broken");
    let programs = overlay.join("usr/lib/basalt");
    fs::create_dir_all(&programs)?;
    let broken = programs.join("basalt-init");
    fs::write(&broken, "#!/bin/sh\nexit 1\n")?;
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755))?;
    let bundle = build_other("3.0.0", Some(overlay))?;

    let mut appliance = lab.appliance()?;
    let good = running_version(&appliance)?;
    put_in(&appliance, &bundle)?;
    if std::env::var_os("BASALT_ALL_TRIES").is_none() {
        // Three tries behave like one, and cost two more failing boots.
        appliance
            .ssh()
            .run("mv /efi/EFI/Linux/basalt_3.0.0+3.efi /efi/EFI/Linux/basalt_3.0.0+1.efi")?;
    }
    let before = appliance.boot_id()?;
    let _ = appliance.ssh().output("systemctl reboot")?;
    appliance.ssh().close();
    let limit = appliance.limit() * 4;
    let back = poll::until(limit, Duration::from_secs(2), || {
        ensure!(appliance.node.running(), "the machine has ended");
        let boot = appliance.boot_id();
        if boot.is_err() {
            appliance.ssh().close();
        }
        let returned = boot.is_ok_and(|boot| boot != before)
            && running_version(&appliance).is_ok_and(|version| version == good);
        Ok(returned.then_some(()))
    })?;
    back.with_context(|| format!("{good} did not come back within {} s", limit.as_secs()))?;
    let failed = state(&appliance, "3.0.0")?;
    ensure!(failed == "failed", "the broken version is {failed}");
    // What the failing boots said is no sign against this one.
    appliance.node.skip_log();
    appliance.healthy()?;
    appliance.done();
    Ok(())
}

pub(super) fn running_version(appliance: &Appliance) -> Result<String> {
    appliance
        .ssh()
        .run(". /etc/os-release; echo $IMAGE_VERSION")
}

/// Installs a bundle into the other slot.
fn put_in(appliance: &Appliance, bundle: &Artifacts) -> Result<()> {
    appliance.copy_in(&bundle.bundle, "/var/tmp/update.bundle")?;
    appliance
        .ssh()
        .run("/usr/lib/basalt/basalt-update install /var/tmp/update.bundle")?;
    Ok(())
}

/// What the boot loader makes of the slot with this version.
pub(super) fn state(appliance: &Appliance, version: &str) -> Result<String> {
    let text = appliance
        .ssh()
        .run("/usr/lib/basalt/basalt-update status --json")?;
    let status: Value = serde_json::from_str(&text)?;
    let slots = status["slots"].as_array().context("no slots")?;
    let slot = slots.iter().find(|slot| slot["version"] == version);
    let slot = slot.with_context(|| format!("no slot holds {version}: {text}"))?;
    Ok(slot["state"].as_str().unwrap_or_default().to_owned())
}

/// The image under test with another version, and perhaps with something laid over it.
pub(super) fn build_other(version: &str, overlay: Option<PathBuf>) -> Result<Artifacts> {
    let out = paths::workspace()
        .join("target/image")
        .join(format!("test-{version}"));
    Ok(build::build(&Options {
        version: Some(version.to_owned()),
        out: Some(out),
        overlay,
        ..Options::default()
    })?)
}
