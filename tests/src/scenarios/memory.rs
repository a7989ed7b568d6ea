//! What a virtual machine's memory is made of, and how it is divided: huge pages of the host, and nodes.

use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use basalt_image::appliance::ssh::Ssh;
use std::time::Duration;

const VMID: u32 = 181;
/// Memory of the machine in MiB.
const MEMORY: u64 = 384;
/// Longest time for a command in the guest.
const SOON: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A guest's memory is made of huge pages, also after a suspension, which are the host's again when it ended;
/// kept ones stay.
pub fn huge_pages(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let (api, ssh) = (appliance.api()?, appliance.ssh());
    ensure!(pages(&ssh)? == 0, "the host has huge pages already");
    let guest = Guest::create_vm(&api, VMID, &[("hugepages", "2")])?;
    guest.power(&api, "start")?;
    ensure!(pages(&ssh)? == MEMORY / 2, "{} pages", pages(&ssh)?);
    let mut shell = guest.shell(&api)?;
    let said = shell.run("dd if=/dev/zero of=/dev/shm/a bs=1M count=64 2>&1", SOON)?;
    ensure!(said.contains("64+0 records out"), "{said}");
    drop(shell);

    let suspend = format!("{}/status/suspend", guest.path());
    let upid = api.post(&suspend, &[("todisk", "1")])?;
    api.task(&upid, BOOT_LIMIT).context("suspending to disk")?;
    becomes(&ssh, 0)?;
    guest.power(&api, "start")?;
    ensure!(pages(&ssh)? == MEMORY / 2, "{} pages", pages(&ssh)?);
    let mut shell = guest.shell(&api)?;
    let said = shell.run("stat -c %s /dev/shm/a", SOON)?;
    ensure!(said.contains(&(64u64 << 20).to_string()), "{said}");
    drop(shell);
    guest.power(&api, "stop")?;
    becomes(&ssh, 0)?;

    let config = format!("{}/config", guest.path());
    let odd = api.put(&config, &[("memory", "385")]);
    ensure!(odd.is_err(), "half a page was taken");
    api.put(&config, &[("keephugepages", "1")])?;
    guest.power(&api, "start")?;
    guest.power(&api, "stop")?;
    becomes(&ssh, MEMORY / 2)?;
    let give_up = "echo 0 >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    ssh.run(give_up)?;
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

/// Huge pages of 2 MiB that the host has.
fn pages(ssh: &Ssh) -> Result<u64> {
    let said = ssh.run("cat /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")?;
    said.trim().parse().context("no number of pages")
}

fn becomes(ssh: &Ssh, wanted: u64) -> Result<()> {
    let found = poll::until(SOON, LOOK_AGAIN, || {
        Ok::<_, anyhow::Error>((pages(ssh)? == wanted).then_some(()))
    })?;
    found.with_context(|| format!("the host never has {wanted} huge pages"))
}

/// A guest sees the nodes that its configuration names, and after a suspension the same; nodes of the host
/// that there are not are refused.
pub fn nodes(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let settings = [
        ("numa", "1"),
        ("sockets", "2"),
        ("numa0", "cpus=0,memory=128"),
        ("numa1", "cpus=1,hostnodes=0,memory=256,policy=bind"),
    ];
    let guest = Guest::create_vm(&api, VMID, &settings)?;
    let config = format!("{}/config", guest.path());
    let elsewhere = "cpus=1,hostnodes=7,memory=256,policy=bind";
    let refused = api.put(&config, &[("numa1", elsewhere)]);
    ensure!(refused.is_err(), "a node that the host lacks was taken");
    let refused = api.put(&config, &[("memory", "512")]);
    ensure!(refused.is_err(), "memory that is in no node was taken");
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    divided(&mut shell, 256)?;
    drop(shell);
    let suspend = format!("{}/status/suspend", guest.path());
    let upid = api.post(&suspend, &[("todisk", "1")])?;
    api.task(&upid, BOOT_LIMIT).context("suspending to disk")?;
    guest.power(&api, "start")?;
    divided(&mut guest.shell(&api)?, 256)?;
    guest.power(&api, "stop")?;

    // Without names, every socket is a node.
    api.put(&config, &[("delete", "numa0,numa1")])?;
    guest.power(&api, "start")?;
    divided(&mut guest.shell(&api)?, MEMORY / 2)?;
    guest.power(&api, "stop")?;
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

/// Checks that the guest's second node has the second processor and about so many MiB: the kernel keeps a
/// part to itself.
fn divided(shell: &mut Console, mib: u64) -> Result<()> {
    const NODE: &str = "/sys/devices/system/node";
    let said = shell.run(&format!("cat {NODE}/node1/cpulist"), SOON)?;
    ensure!(said.trim() == "1", "processors of the second node: {said}");
    let line = format!("awk '/MemTotal/ {{print $4}}' {NODE}/node1/meminfo");
    let said = shell.run(&line, SOON)?;
    let total: u64 = said.trim().parse().context("no size of the second node")?;
    let range = mib * 768..=mib * 1024;
    ensure!(range.contains(&total), "{total} kB of {mib} MiB");
    let said = shell.run(&format!("cat {NODE}/node0/distance"), SOON)?;
    ensure!(said.trim() == "10 20", "distances: {said}");
    Ok(())
}
