//! Memory that comes to a running virtual machine, and goes, over a suspension and a reset too.

use crate::api::Api;
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest};
use crate::lab::{Guarded, Lab};
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use serde_json::Value;
use std::time::Duration;

const VMID: u32 = 178;
const MIB: u64 = 1 << 20;
/// Memory that the machine is started with, and has for a while, in MiB.
const SMALL: u64 = 512;
const LARGE: u64 = 1024;
/// Longest time for a command in the guest.
const SOON: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Has the guest use what comes only for what can be moved away again.
const READY: &str = "echo online_movable >/sys/devices/system/memory/auto_online_blocks && \
                     modprobe virtio_mem";

/// All of it in one guest.
pub fn life(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let small = SMALL.to_string();
    let settings = [
        ("memory", small.as_str()),
        ("hotplug", "disk,network,memory"),
    ];
    let guest = Guest::create_vm(&api, VMID, &settings)?;
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    shell.run("dmesg --console-level 1", SOON)?;
    shell.run(READY, SOON)?;
    let before = total(&mut shell)?;

    set(&api, guest, LARGE)?;
    nothing_waits(&api, guest)?;
    grows(&mut shell, before)?;
    has(&appliance, &api, guest, LARGE)?;
    // What the machine was started with could not hold all of it.
    let fill = "mount -t tmpfs -o size=500m none /mnt && \
                dd if=/dev/zero bs=1M count=450 status=none | tr '\\0' 'x' >/mnt/a && \
                md5sum /mnt/a >/run/sum && echo filled";
    let said = shell.run(fill, BOOT_LIMIT)?;
    ensure!(said.contains("filled"), "the new memory is no use: {said}");

    let mut shell = over_a_suspension(&api, guest, shell)?;
    let said = shell.run("md5sum -c /run/sum && umount /mnt", BOOT_LIMIT)?;
    ensure!(said.contains("/mnt/a: OK"), "after a suspension: {said}");
    grows(&mut shell, before)?;
    has(&appliance, &api, guest, LARGE)?;

    set(&api, guest, SMALL)?;
    nothing_waits(&api, guest)?;
    shrinks(&mut shell, before)?;
    has(&appliance, &api, guest, SMALL)?;
    waits_and_refusals(&api, guest)?;
    guest.power(&api, "stop")?;
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

fn config(guest: Guest) -> String {
    format!("{}/config", guest.path())
}

fn set(api: &Api, guest: Guest, mib: u64) -> Result<()> {
    let mib = mib.to_string();
    api.put(&config(guest), &[("memory", mib.as_str())])?;
    Ok(())
}

/// What the guest's kernel has, in KiB.
fn total(shell: &mut Console) -> Result<u64> {
    let said = shell.run("grep MemTotal /proc/meminfo", SOON)?;
    let number = said.split_whitespace().nth(1);
    let number = number.with_context(|| format!("no total: {said}"))?;
    number.parse().with_context(|| format!("no number: {said}"))
}

fn becomes(shell: &mut Console, what: &str, wanted: impl Fn(u64) -> bool) -> Result<()> {
    let mut last = 0;
    let found = poll::until(SOON, LOOK_AGAIN, || {
        last = total(shell)?;
        Ok::<_, anyhow::Error>(wanted(last).then_some(()))
    })?;
    found.with_context(|| format!("the guest's memory never {what}: {last} KiB"))
}

/// Waits until the guest has nearly all of what came.
fn grows(shell: &mut Console, before: u64) -> Result<()> {
    let most = before + (LARGE - SMALL) * 1024;
    becomes(shell, "grows", |total| {
        total > most - 64 * 1024 && total <= most
    })
}

fn shrinks(shell: &mut Console, before: u64) -> Result<()> {
    becomes(shell, "shrinks", |total| total <= before)
}

/// What the API shows, and what the unit may take.
fn has(appliance: &Guarded, api: &Api, guest: Guest, mib: u64) -> Result<()> {
    let status = guest.status(api)?;
    ensure!(status["maxmem"].as_u64() == Some(mib * MIB), "{status}");
    let all = api.get("/cluster/resources")?;
    let all = all.as_array().context("no list of resources")?;
    let ours = all.iter().find(|one| one["vmid"] == VMID);
    let ours = ours.context("the machine is no resource")?;
    ensure!(ours["maxmem"].as_u64() == Some(mib * MIB), "{ours}");
    let command = format!("systemctl show -P MemoryMax basalt-vm-{VMID}.service");
    let limit = appliance.ssh().run(&command)?;
    let limit: u64 = limit.trim().parse().context("the unit has no limit")?;
    ensure!(
        limit > mib * MIB && limit < (mib + 512) * MIB,
        "its unit may take {limit}"
    );
    Ok(())
}

/// The settings of which another value runs.
fn waiting(api: &Api, guest: Guest) -> Result<Vec<String>> {
    let entries = api.get(&format!("{}/pending", guest.path()))?;
    let entries = entries.as_array().context("no list of settings")?;
    let waits = |entry: &&Value| !entry["pending"].is_null() || !entry["delete"].is_null();
    let keys = entries.iter().filter(waits);
    Ok(keys.map(|entry| entry["key"].to_string()).collect())
}

fn nothing_waits(api: &Api, guest: Guest) -> Result<()> {
    let waiting = waiting(api, guest)?;
    ensure!(waiting.is_empty(), "it waits for a start: {waiting:?}");
    Ok(())
}

/// Suspends the machine to disk and lets it go on.
fn over_a_suspension(api: &Api, guest: Guest, shell: Console) -> Result<Console> {
    drop(shell);
    let path = format!("{}/status/suspend", guest.path());
    let upid = api.post(&path, &[("todisk", "1")])?;
    api.task(&upid, BOOT_LIMIT).context("suspending to disk")?;
    guest.power(api, "start")?;
    guest.shell(api)
}

/// Less than it was started with waits for the next start, and so does what is no whole block.
fn waits_and_refusals(api: &Api, guest: Guest) -> Result<()> {
    for mib in [SMALL - 128, SMALL + 1] {
        set(api, guest, mib)?;
        let waits = waiting(api, guest)?;
        ensure!(
            waits.iter().any(|key| key.contains("memory")),
            "{mib} MiB do not wait: {waits:?}"
        );
    }
    set(api, guest, SMALL)?;
    nothing_waits(api, guest)
}
