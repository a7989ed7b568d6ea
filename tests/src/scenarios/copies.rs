//! Copies of guests: snapshots and the way back, templates, clones that share a disk and full ones.

use super::suspend;
use crate::api::{Api, NODE, refusal};
use crate::guest::{BOOT_LIMIT, Guest, Kind, TASK_LIMIT, boot_mark};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::ssh::Ssh;
use serde_json::Value;
use std::time::Duration;

const VMID: u32 = 173;
const LINKED: u32 = 174;
const FULL: u32 = 175;
/// Longest time for a command in a guest.
const SOON: Duration = Duration::from_secs(60);

/// A machine with two qcow2 images in the directory goes back to a snapshot with both, becomes a template,
/// and what is cloned from that boots.
pub fn life(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let root = "local:0,format=qcow2,import-from=local:import/debian.raw";
    let more = [("virtio0", root), ("virtio1", "local:1,format=qcow2")];
    let guest = Guest::create_vm(&api, VMID, &more)?;
    says(
        &api,
        guest,
        "echo first >/root/word && echo first >/dev/vdb && sync",
        "",
    )?;
    snapshot(&api, guest, "first")?;
    let later =
        "grep -q first /root/word && echo later >/root/word && echo later >/dev/vdb && sync";
    says(&api, guest, later, "")?;
    snapshot(&api, guest, "second")?;
    refused_while_it_runs(&api, guest)?;

    roll_back(&api, guest, "first")?;
    let both = "cat /root/word; head -c 5 /dev/vdb";
    says(&api, guest, both, "first\nfirst")?;
    // What was between goes, and what the machine is stays.
    remove(&api, guest, "first")?;
    says(&api, guest, both, "first\nfirst")?;
    remove(&api, guest, "second")?;
    let tree = names(&api, guest)?;
    ensure!(tree == ["current"], "snapshots are left: {tree:?}");

    template(&api, guest)?;
    let linked = clone(&api, guest, LINKED, &[("name", "linked")])?;
    let full = clone(&api, guest, FULL, &[("full", "1"), ("format", "raw")])?;
    differ(&api, &[guest, linked, full])?;
    for copy in [linked, full] {
        says(&api, copy, both, "first\nfirst").with_context(|| format!("{copy:?}"))?;
    }
    // A clone outlives its template.
    guest.delete(&api)?;
    says(&api, linked, both, "first\nfirst").context("without its template")?;
    for copy in [linked, full] {
        copy.delete(&api)?;
    }
    let left = appliance.ssh().run("ls /var/lib/vz/images")?;
    ensure!(left.trim().is_empty(), "something was left behind: {left}");
    appliance.done();
    Ok(())
}

/// A machine that runs, in a pool: it goes back to a snapshot that was taken meanwhile.
pub fn in_pool(api: &Api, guest: Guest) -> Result<()> {
    let mut shell = guest.shell(api)?;
    shell.run("echo first >/root/snapshot && sync", SOON)?;
    snapshot(api, guest, "first")?;
    shell.run(
        "grep -q first /root/snapshot && echo later >/root/snapshot && sync",
        SOON,
    )?;
    let path = format!("{}/snapshot/first/rollback", guest.path());
    let upid = api.post(&path, &[("start", "1")])?;
    api.task(&upid, BOOT_LIMIT).context("going back to first")?;
    let said = guest.shell(api)?.run("cat /root/snapshot", SOON)?;
    ensure!(said.trim() == "first", "it went back to {said:?}");
    remove(api, guest, "first")
}

/// The same with its memory: what it did since is not, on the disk, in memory and in what the disk's size was,
/// and its programs go on from where they were then, with the right time and a network.
pub fn with_memory(ssh: &Ssh, api: &Api, guest: Guest) -> Result<()> {
    let size = "blockdev --getsize64 /dev/vda";
    let bridge = ssh.run(suspend::BRIDGE)?;
    let mut shell = guest.shell(api)?;
    shell.run(suspend::COUNTER, SOON)?;
    let boot = boot_mark(&mut shell, guest.kind)?;
    suspend::grow(api, guest, &mut shell)?;
    let then = shell.run(size, SOON)?;
    let ahead = suspend::ahead(ssh, &mut shell)?;
    let before = suspend::count(&mut shell)?;
    let path = format!("{}/snapshot", guest.path());
    let upid = api.post(&path, &[("snapname", "whole"), ("vmstate", "1")])?;
    api.task(&upid, BOOT_LIMIT).context("with memory")?;

    suspend::goes_on(&mut shell, before)?;
    suspend::grow(api, guest, &mut shell)?;
    shell.run("echo later | tee /root/later >/run/later && sync", SOON)?;
    drop(shell);
    roll_back(api, guest, "whole")?;
    let mut shell = guest.shell(api)?;
    let left = shell.run("ls /root/later /run/later 2>/dev/null; true", SOON)?;
    ensure!(left.trim().is_empty(), "it has what came later: {left}");
    ensure!(boot == boot_mark(&mut shell, guest.kind)?, "it booted anew");
    let now = shell.run(size, SOON)?;
    ensure!(now == then, "its disk had {then} bytes, and now {now}");
    suspend::goes_on(&mut shell, before)?;
    suspend::is_well(ssh, &mut shell, &ahead, &bridge)?;
    remove(api, guest, "whole")
}

/// Starts a guest, has a command run in it, and stops it.
fn says(api: &Api, guest: Guest, command: &str, expected: &str) -> Result<()> {
    guest.power(api, "start")?;
    let said = guest.shell(api)?.run(command, SOON)?;
    guest.power(api, "stop")?;
    let lines =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    ensure!(
        lines(&said) == lines(expected),
        "{command:?} says {said:?}, not {expected:?}"
    );
    Ok(())
}

fn snapshot(api: &Api, guest: Guest, name: &str) -> Result<()> {
    let path = format!("{}/snapshot", guest.path());
    let upid = api.post(&path, &[("snapname", name), ("description", "for a test")])?;
    api.task(&upid, TASK_LIMIT)
        .with_context(|| format!("snapshot {name}"))
}

fn roll_back(api: &Api, guest: Guest, name: &str) -> Result<()> {
    let upid = api.post(&format!("{}/snapshot/{name}/rollback", guest.path()), &[])?;
    api.task(&upid, TASK_LIMIT)
        .with_context(|| format!("going back to {name}"))
}

fn remove(api: &Api, guest: Guest, name: &str) -> Result<()> {
    let upid = api.delete(&format!("{}/snapshot/{name}", guest.path()))?;
    api.task(&upid, TASK_LIMIT)
        .with_context(|| format!("removing snapshot {name}"))
}

fn names(api: &Api, guest: Guest) -> Result<Vec<String>> {
    let list = api.get(&format!("{}/snapshot", guest.path()))?;
    let name = |entry: &Value| entry["name"].as_str().unwrap_or_default().to_owned();
    Ok(list.as_array().into_iter().flatten().map(name).collect())
}

/// An image in a directory cannot be kept while its machine writes it: that is said, and the snapshots
/// that there are stay.
fn refused_while_it_runs(api: &Api, guest: Guest) -> Result<()> {
    guest.power(api, "start")?;
    let path = format!("{}/snapshot", guest.path());
    let refused = refusal(api.post(&path, &[("snapname", "third")]))?;
    ensure!(
        refused.reason.contains("virtio0") && refused.reason.contains("stopped"),
        "{refused:?}"
    );
    let number = FULL.to_string();
    let clone = format!("{}/clone", guest.path());
    let refused = refusal(api.post(&clone, &[("newid", &number)]))?;
    ensure!(refused.reason.contains("is running"), "{refused:?}");
    guest.power(api, "stop")?;
    let tree = names(api, guest)?;
    ensure!(tree == ["first", "second", "current"], "{tree:?}");
    let list = api.get(&path)?;
    let parent = |at: usize| list[at]["parent"].as_str();
    ensure!(
        (parent(1), parent(2)) == (Some("first"), Some("second")),
        "{list}"
    );
    Ok(())
}

fn template(api: &Api, guest: Guest) -> Result<()> {
    let upid = api.post(&format!("{}/template", guest.path()), &[])?;
    api.task(&upid, TASK_LIMIT).context("template")?;
    let config = api.get(&format!("{}/config", guest.path()))?;
    let disk = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
    ensure!(
        disk("virtio0").starts_with("local:173/base-173-disk-0.qcow2")
            && disk("virtio1").starts_with("local:173/base-173-disk-1.qcow2"),
        "its disks are not a template's: {config}"
    );
    let upid = api.post(&format!("{}/status/start", guest.path()), &[])?;
    let end = api.task_end(&upid, TASK_LIMIT)?;
    ensure!(end.contains("template"), "a template was started: {end}");
    Ok(())
}

fn clone(api: &Api, guest: Guest, vmid: u32, more: &[(&str, &str)]) -> Result<Guest> {
    let number = vmid.to_string();
    let mut parameters = vec![("newid", number.as_str())];
    parameters.extend(more);
    let upid = api.post(&format!("{}/clone", guest.path()), &parameters)?;
    api.task(&upid, TASK_LIMIT)
        .with_context(|| format!("cloning to {vmid}"))?;
    Ok(Guest {
        kind: Kind::Vm,
        vmid,
    })
}

/// No two of them have the same network address or identity, and each has disks of its own.
fn differ(api: &Api, guests: &[Guest]) -> Result<()> {
    let mut seen = Vec::new();
    for guest in guests {
        let config = api.get(&format!("/nodes/{NODE}/qemu/{}/config", guest.vmid))?;
        for key in ["net0", "smbios1", "virtio0", "virtio1", "name"] {
            let value = config[key].as_str().unwrap_or_default().to_owned();
            ensure!(
                !value.is_empty() && !seen.contains(&value),
                "two guests have {key}: {value}"
            );
            seen.push(value);
        }
    }
    Ok(())
}
