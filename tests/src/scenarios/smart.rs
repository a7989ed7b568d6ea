//! What disks say of themselves.

use super::browser;
use crate::api::{Api, NODE};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use basalt_image::appliance::qemu::GIVEN;
use serde_json::{Value, json};
use std::fs::File;
use std::time::Duration;

/// Bytes of the disk.
const SIZE: u64 = 64 << 20;
/// The bit by which a disk with NVMe says that it has become unreliable.
const UNRELIABLE: u8 = 1 << 2;
const DISK: &str = "/dev/nvme0n1";

fn listed(api: &Api, path: &str) -> Result<Value> {
    let disks = api.get(&format!("/nodes/{NODE}/disks/list"))?;
    let disks = disks.as_array().context("no list")?;
    let disk = disks.iter().find(|disk| disk["devpath"] == path);
    disk.cloned()
        .with_context(|| format!("{path} is not listed: {disks:?}"))
}

/// A disk that is well says so; when it says that it fails, the list and the page show it, and people are
/// told. Disks that say nothing are listed as before, and no question leaves anything behind.
pub fn told(lab: &mut Lab<'_>) -> Result<()> {
    let image = lab.work().join("disk.raw");
    File::create(&image)?.set_len(SIZE)?;
    let mut appliance = lab.appliance_off()?;
    appliance.power_on_giving(&image)?;
    appliance.healthy()?;
    let api = appliance.api()?;
    let ssh = appliance.ssh();

    let well = listed(&api, DISK)?;
    ensure!(
        well["health"] == "PASSED" && well["wearout"] == 100 && well["serial"] == GIVEN,
        "a disk that is well is listed as {well}"
    );
    let silent = listed(&api, "/dev/vda")?;
    ensure!(
        silent["health"] == "UNKNOWN" && silent["wearout"] == "N/A",
        "a disk that says nothing is listed as {silent}"
    );
    let report = ssh.run(&format!(
        "basalt disk smart --disk {DISK} --output-format json"
    ))?;
    let report: Value = serde_json::from_str(&report)?;
    ensure!(
        report["type"] == "text"
            && report["text"]
                .as_str()
                .is_some_and(|text| text.contains("Critical Warning")),
        "a disk that is well reports {report}"
    );

    let fails = json!({
        "path": format!("/machine/peripheral/{GIVEN}"),
        "property": "smart_critical_warning",
        "value": UNRELIABLE,
    });
    appliance.node.qmp()?.execute("qom-set", fails)?;
    let failing = listed(&api, DISK)?;
    ensure!(failing["health"] == "FAILED", "it is listed as {failing}");
    browser::run(
        "disks.mjs",
        &[
            ("BASALT_URL", appliance.node.url().as_ref()),
            ("BASALT_PASSWORD", appliance.password().as_ref()),
            ("BASALT_DISK", DISK.as_ref()),
        ],
    )?;
    // It looks soon after its start.
    ssh.run("systemctl restart basalt-node")?;
    let said = "journalctl -b -u basalt-node -o cat | grep 'trouble with disk given'";
    let told = poll::until(appliance.limit(), Duration::from_secs(2), || {
        Ok::<_, anyhow::Error>(ssh.output(said)?.status.success().then_some(()))
    })?;
    told.context("nobody was told that the disk fails")?;
    let left = ssh.run("systemctl list-units --all --no-legend 'basalt-smart-*'")?;
    ensure!(left.is_empty(), "there is left {left}");
    appliance.done();
    Ok(())
}
