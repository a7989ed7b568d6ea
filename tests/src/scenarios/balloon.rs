//! A virtual machine's memory balloon and its processors: what the guest is to make do with, and what it
//! is told it can do.

use crate::api::Api;
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use serde_json::Value;
use std::time::Duration;

const VMID: u32 = 174;
const MIB: u64 = 1 << 20;
/// Memory of the machine in MiB.
const MEMORY: u64 = 384;
/// Longest time for a command in the guest, and for its memory to come and go.
const SOON: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Memory goes and comes back while the guest runs, over a suspension too; the guest tells how it uses
/// it.
pub fn memory(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let guest = Guest::create_vm(&api, VMID, &[])?;
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    shell.run("modprobe virtio_balloon", SOON)?;
    becomes(&api, guest, "tells of its memory", |status| {
        let told = status["ballooninfo"]["last_update"].as_u64() > Some(0);
        told && status["freemem"].as_u64() > Some(0)
    })?;
    let status = guest.status(&api)?;
    let total = status["ballooninfo"]["total_mem"].as_u64();
    let total = total.context("it does not tell how much it has")?;
    ensure!(
        total > MEMORY / 2 * MIB && total <= MEMORY * MIB,
        "{status}"
    );
    let used = status["mem"].as_u64().unwrap_or_default();
    ensure!(used < total, "{status}");

    set(&api, guest, &[("balloon", "256")])?;
    becomes(&api, guest, "gives memory back", has(256))?;
    let suspend = format!("{}/status/suspend", guest.path());
    drop(shell);
    let upid = api.post(&suspend, &[("todisk", "1")])?;
    api.task(&upid, BOOT_LIMIT).context("suspending to disk")?;
    guest.power(&api, "start")?;
    becomes(&api, guest, "keeps to it after a suspension", has(256))?;
    set(&api, guest, &[("delete", "balloon")])?;
    becomes(&api, guest, "takes its memory back", has(MEMORY))?;
    let wrong = api.put(&config(guest), &[("balloon", "1024")]);
    ensure!(wrong.is_err(), "more than there is was taken");
    guest.power(&api, "stop")?;
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

/// A level of features shows the guest no others, and what the host lacks is said before the start.
pub fn processors(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let settings = [("cpu", "x86-64-v1,hidden=1")];
    let guest = Guest::create_vm(&api, VMID, &settings)?;
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    let flags = flags(&mut shell)?;
    let has = |name: &str| flags.iter().any(|flag| flag == name);
    ensure!(has("sse2") && has("cmov") && has("lm"), "{flags:?}");
    ensure!(!has("sse4_2") && !has("avx") && !has("aes"), "{flags:?}");
    guest.power(&api, "stop")?;

    let host = appliance.ssh().run("grep -m1 ^flags /proc/cpuinfo")?;
    for (level, feature) in [("x86-64-v2-AES", "cx16"), ("x86-64-v4", "avx512f")] {
        // The emulated host has neither.
        if host.split_whitespace().any(|flag| flag == feature) {
            continue;
        }
        set(&api, guest, &[("cpu", level)])?;
        let upid = api.post(&format!("{}/status/start", guest.path()), &[])?;
        let end = api.task_end(&upid, BOOT_LIMIT)?;
        ensure!(end.contains(feature), "{level}: {end}");
        ensure!(!guest.runs(&api)?, "it runs");
    }
    let wrong = api.put(&config(guest), &[("cpu", "warp9")]);
    ensure!(wrong.is_err(), "an unknown type was taken");
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

fn config(guest: Guest) -> String {
    format!("{}/config", guest.path())
}

fn set(api: &Api, guest: Guest, settings: &[(&str, &str)]) -> Result<()> {
    api.put(&config(guest), settings)?;
    Ok(())
}

fn has(mib: u64) -> impl Fn(&Value) -> bool {
    move |status| status["balloon"].as_u64() == Some(mib * MIB)
}

/// Waits until the status is as wanted.
fn becomes(api: &Api, guest: Guest, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<()> {
    let mut last = Value::Null;
    let found = poll::until(SOON, LOOK_AGAIN, || {
        last = guest.status(api)?;
        Ok::<_, anyhow::Error>(wanted(&last).then_some(()))
    })?;
    found.with_context(|| format!("the guest never {what}: {last}"))
}

fn flags(shell: &mut Console) -> Result<Vec<String>> {
    let said = shell.run("grep -m1 ^flags /proc/cpuinfo", SOON)?;
    Ok(said.split_whitespace().map(str::to_owned).collect())
}
