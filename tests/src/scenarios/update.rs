//! Updates as one image: what proves itself stays, what does not is left again.
//!
//! All of them use one bundle, built once: the image under test with another version, and with a
//! unit that does some harm at boot when a file on the data partition says which. Without that
//! file the version is as good as any.

use super::visitor;
use crate::api::{Api, NODE};
use crate::appliance::Appliance;
use crate::lab::Lab;
use crate::web;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use basalt_image::build::{self, Artifacts, Options, paths};
use basalt_image::publish;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// The version of the bundle.
pub(super) const VERSION: &str = "2.0.0";

/// On the appliance: names the harm to do.
const FAULT: &str = "/var/lib/basalt/fault";

/// A fault, and what has to be told about it afterwards.
struct Fault {
    name: &'static str,
    /// A part of the reason; empty where nobody was left to tell one.
    reason: &'static str,
    /// Whether it is part of every run, or only of one with `BASALT_ALL_TRIES`.
    always: bool,
}

/// What can be wrong with a version.
const FAULTS: [Fault; 4] = [
    Fault {
        name: "supervisor",
        reason: "",
        always: false,
    },
    Fault {
        name: "panic",
        reason: "",
        always: false,
    },
    Fault {
        name: "store",
        reason: "configuration store",
        always: true,
    },
    Fault {
        name: "network",
        reason: "network: vmbr0",
        always: false,
    },
];

/// Does the harm that [`FAULT`] names.
const HARM: &str = r#"#!/bin/sh
mkdir -p /run/systemd/system/basalt-health.service.d
printf '[Service]\nExecStart=\nExecStart=/usr/lib/basalt/basalt-init health --timeout 45\n' \
    > /run/systemd/system/basalt-health.service.d/50-fault.conf
systemctl daemon-reload
case "$(cat /var/lib/basalt/fault)" in
    supervisor) mount --bind /usr/bin/false /usr/lib/basalt/basalt-init ;;
    panic) echo c > /proc/sysrq-trigger ;;
    network) mount --bind /usr/bin/false /usr/lib/systemd/systemd-networkd ;;
    store)
        head -c 8192 /usr/bin/true > /run/fault.db
        mount --bind /run/fault.db /var/lib/basalt/store.db
        ;;
esac
"#;

/// Runs [`HARM`] before anything of ours.
const HARM_UNIT: &str = "[Unit]
DefaultDependencies=no
RequiresMountsFor=/var/lib/basalt
ConditionPathExists=/var/lib/basalt/fault
Before=basalt-setup.service systemd-networkd.service basalt-node.service basalt-init.service
[Service]
Type=oneshot
ExecStart=/bin/sh /usr/lib/basalt/harm
";

/// A newer version is found in a channel; only what has changed moves; it boots and is kept.
pub fn commits(lab: &mut Lab<'_>) -> Result<()> {
    let bundle = build_other()?;
    let folder = lab.work().join("channel");
    publish::publish(&bundle, &folder, publish::Channel::Stable)?;
    let mut appliance = lab.appliance()?;
    let api = appliance.api()?;
    let path = |name: &str| format!("/nodes/{NODE}/update/{name}");
    api.put(&path("config"), &[("url", &web::serve(&folder)?)])?;
    let available = api.get(&path("available"))?;
    ensure!(
        available["version"] == VERSION && available["newer"] == 1,
        "the channel has {available}"
    );
    let task = api.post(&path("install"), &[])?;
    api.task(&task, appliance.limit())?;
    let log = api.task_log(&task)?;
    let moved = log.lines().find_map(|line| {
        let (moved, whole) = line.strip_prefix("moved ")?.split_once(" MiB of ")?;
        let whole = whole.strip_suffix(" MiB")?;
        moved.parse::<f64>().ok().zip(whole.parse::<f64>().ok())
    });
    let (moved, whole) = moved.with_context(|| format!("nothing moved?\n{log}"))?;
    ensure!(moved < whole / 2.0, "{moved} of {whole} MiB moved");
    lab.shared.figures.record("update_moved", moved, "MiB");
    lab.shared.figures.record("update_whole", whole, "MiB");

    appliance.reboot()?;
    let version = running_version(&appliance)?;
    ensure!(version == VERSION, "{version} runs after the update");
    let kept = poll::until(Duration::from_secs(120), Duration::from_secs(1), || {
        Ok::<_, anyhow::Error>((state(&appliance, VERSION)? == "good").then_some(()))
    })?;
    kept.context("the healthy version was not committed")?;
    let api = appliance.api_again(appliance.limit())?;
    let status = api.get(&path("status"))?;
    ensure!(status["version"] == VERSION, "{status}");
    ensure!(status["failure"].is_null(), "{status}");
    let again = api.post(&path("install"), &[])?;
    let end = api.task_end(&again, appliance.limit())?;
    ensure!(end.contains("already running"), "twice: {end}");
    appliance.done();
    Ok(())
}

/// A version that is faulty in some way is tried, fails, and is left again without help; the
/// reason is told, over the API and on the page.
pub fn falls_back(lab: &mut Lab<'_>) -> Result<()> {
    let bundle = build_other()?;
    let mut appliance = lab.appliance()?;
    let good = running_version(&appliance)?;
    appliance.copy_in(&bundle.bundle, "/var/tmp/update.bundle")?;
    appliance
        .ssh()
        .run("/usr/lib/basalt/basalt-update install /var/tmp/update.bundle")?;
    let all = std::env::var_os("BASALT_ALL_TRIES").is_some();
    let mut last = "";
    for fault in FAULTS.iter().filter(|fault| all || fault.always) {
        last = fault.reason;
        one_fault(&mut appliance, fault, &good, if all { 3 } else { 1 })
            .with_context(|| format!("a version with a faulty {}", fault.name))?;
    }
    visitor::in_browser(&appliance, "reason", &[("BASALT_REASON", last.as_ref())])?;
    // What the failing boots said is no sign against this one.
    appliance.node.skip_log();
    appliance.healthy()?;
    appliance.done();
    Ok(())
}

fn one_fault(appliance: &mut Appliance, fault: &Fault, good: &str, tries: u32) -> Result<()> {
    // Three tries behave like one, and cost two more failing boots.
    appliance.ssh().run(&format!(
        "cd /efi/EFI/Linux && mv basalt_{VERSION}+*.efi new && mv new basalt_{VERSION}+{tries}.efi \
         && sync -f . \
         && rm -f /var/lib/basalt/boot/failure.json && echo {} > {FAULT}",
        fault.name
    ))?;
    let before = appliance.boot_id()?;
    let _ = appliance.ssh().output("systemctl reboot")?;
    appliance.ssh().close();
    let limit = appliance.limit() * (2 + 2 * tries);
    let back = poll::until(limit, Duration::from_secs(2), || {
        ensure!(appliance.node.running(), "the machine has ended");
        let boot = appliance.boot_id();
        if boot.is_err() {
            appliance.ssh().close();
        }
        let returned = boot.is_ok_and(|boot| boot != before)
            && running_version(appliance).is_ok_and(|version| version == good);
        Ok(returned.then_some(()))
    })?;
    back.with_context(|| format!("{good} did not come back within {} s", limit.as_secs()))?;
    let failed = state(appliance, VERSION)?;
    ensure!(failed == "failed", "the faulty version is {failed}");
    told(
        &appliance.api_again(appliance.limit())?,
        fault,
        appliance.limit(),
    )?;
    let said = format!("version {VERSION} failed and was undone");
    appliance.wait_serial(&said, appliance.limit())?;
    let journal = appliance.ssh().run("journalctl -b -u basalt-init -o cat")?;
    ensure!(journal.contains(&said), "not in the journal:\n{journal}");
    Ok(())
}

/// The API tells which version was left, and why.
fn told(api: &Api, fault: &Fault, limit: Duration) -> Result<()> {
    let path = format!("/nodes/{NODE}/update/status");
    let mut last = Value::Null;
    let found = poll::until(limit, Duration::from_secs(1), || {
        last = api.get(&path)?;
        let failure = &last["failure"];
        let told =
            failure["version"] == VERSION && failure["reasons"].to_string().contains(fault.reason);
        Ok::<_, anyhow::Error>(told.then_some(()))
    })?;
    found.with_context(|| format!("the reason is not told: {last}"))
}

pub(super) fn running_version(appliance: &Appliance) -> Result<String> {
    appliance
        .ssh()
        .run(". /etc/os-release; echo $IMAGE_VERSION")
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

/// The image under test with another version and the unit that can do harm.
pub(super) fn build_other() -> Result<Artifacts> {
    let overlay = paths::workspace().join("target/image/test-overlay");
    let put = |path: &str, text: &str| -> Result<()> {
        let path = overlay.join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        // Two scenarios may write the same text: it appears as a whole.
        let mut new = tempfile::NamedTempFile::new_in(overlay.parent().unwrap_or(&overlay))?;
        new.write_all(text.as_bytes())?;
        new.persist(path)?;
        Ok(())
    };
    let units = "usr/lib/systemd/system";
    put("usr/lib/basalt/harm", HARM)?;
    put(&format!("{units}/basalt-harm.service"), HARM_UNIT)?;
    let wants = "[Unit]\nWants=basalt-harm.service\nAfter=basalt-harm.service\n";
    put(
        &format!("{units}/basalt-setup.service.d/50-harm.conf"),
        wants,
    )?;
    let out = paths::workspace()
        .join("target/image")
        .join(format!("test-{VERSION}"));
    Ok(build::build(&Options {
        version: Some(VERSION.to_owned()),
        out: Some(out),
        overlay: Some(overlay),
        ..Options::default()
    })?)
}
