//! Guests' disks in a ZFS pool that was chosen at the installation.

use super::mirror::{self, SECOND, SECOND_SERIAL};
use crate::api::{Api, NODE};
use crate::appliance::Appliance;
use crate::guest::{self, Guest};
use crate::lab::Lab;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::answer::{Keys, SYSTEM_SERIAL};
use basalt_image::appliance::install::{self, Attempt, Outcome};
use basalt_image::appliance::node::DISK;
use basalt_image::appliance::poll;
use serde_json::Value;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// What makes an answer file ask for a pool.
const POOL: &str = "\n[data]\nstorage = \"zfs\"\nsystem_size = \"6 GiB\"\n";

/// Size of the disks of a mirrored host: as small as the test's guest allows.
const SMALL: &str = "14G";

/// Images and serial numbers of the disks that a pool has for itself.
const FURTHER: [(&str, &str); 3] = [
    ("b.qcow2", "basalt-b"),
    ("c.qcow2", "basalt-c"),
    ("d.qcow2", "basalt-d"),
];

/// A host is installed with a ZFS pool; the kernel is locked down all the same. A virtual machine and a
/// container live in the pool, keep what they wrote over a reboot of the host, and give their room back
/// when they are deleted.
pub fn hold_guests(lab: &mut Lab<'_>) -> Result<()> {
    let answer = Keys::ensure()?.answer("basalt")?.text + POOL;
    let attempt = Attempt {
        answer: Some(&answer),
        ..Attempt::default()
    };
    let accel = lab.shared.snapshot.accel();
    let mut machine = lab.bare_machine()?;
    let iso = &lab.shared.built.iso;
    if let Outcome::Failed(why) = install::attempt(&mut machine.node, iso, &attempt, accel)? {
        bail!("not installed: {why}");
    }
    machine.power_on()?;
    machine.healthy()?;
    loaded_and_locked(&machine)?;
    guest::preload(&machine.ssh(), &lab.shared.guests)?;
    let api = machine.api()?;
    registered(&api)?;

    let disk = "local-zfs:0,import-from=local:import/debian.raw";
    let vm = Guest::create_vm(&api, 100, &[("virtio0", disk)])?;
    let ct = Guest::create_ct(&api, 101, &[("rootfs", "local-zfs:1")])?;
    both_listed(&api)?;
    for (guest, word) in [(vm, "machine"), (ct, "container")] {
        guest.power(&api, "start")?;
        let mut console = guest.shell(&api)?;
        console.run(&format!("echo {word} > /root/word && sync"), MINUTE)?;
    }
    // What a guest writes into its disk gives the host's devices no names.
    let named = machine
        .ssh()
        .run("find /dev/disk -lname '*/zd*' -printf '%p\\n'")?;
    ensure!(named.is_empty(), "guests' disks have names: {named}");

    machine.reboot()?;
    loaded_and_locked(&machine)?;
    let api = machine.api_again(machine.limit())?;
    both_listed(&api)?;
    for (guest, word) in [(vm, "machine"), (ct, "container")] {
        guest.power(&api, "start")?;
        let found = guest.shell(&api)?.run("cat /root/word", MINUTE)?;
        ensure!(found == word, "{found:?} instead of {word:?} in {guest:?}");
        guest.power(&api, "stop")?;
        guest.delete(&api)?;
    }
    let left = volumes(&api)?;
    ensure!(left.is_empty(), "volumes were left behind: {left:?}");
    machine.done();
    Ok(())
}

/// A host whose pool is a mirror goes on when a disk is pulled, and boots from the other one alone: the
/// guest and what it wrote are there, and the pool says that it is degraded.
pub fn survives_a_disk(lab: &mut Lab<'_>) -> Result<()> {
    let attempt = Attempt {
        size: SMALL,
        ..Attempt::default()
    };
    let mut machine = mirror::installed(lab, attempt, POOL)?;
    let both = [
        mirror::disk(DISK, SYSTEM_SERIAL),
        mirror::disk(SECOND, SECOND_SERIAL),
    ];
    mirror::boot(&mut machine, &both, "mirror: whole").context("from both disks")?;
    has_health(&machine, "ONLINE")?;
    guest::preload(&machine.ssh(), &lab.shared.guests)?;
    let api = machine.api()?;
    registered(&api)?;
    let ct = Guest::create_ct(&api, 101, &[("rootfs", "local-zfs:1")])?;
    ct.power(&api, "start")?;
    ct.shell(&api)?
        .run("echo together > /root/word && sync", MINUTE)?;

    mirror::pull_first(&machine).context("without the disk it was booted from")?;
    let mut console = ct.shell(&api)?;
    console.run("echo alone >> /root/word && sync", MINUTE)?;
    has_health(&machine, "DEGRADED")?;
    machine.node.kill();

    let second = both[1].clone();
    let alone = "degraded: the data is on vda6 alone";
    mirror::boot(&mut machine, &[second], alone).context("from the second disk")?;
    has_health(&machine, "DEGRADED")?;
    let api = machine.api()?;
    ct.power(&api, "start")?;
    let found = ct.shell(&api)?.run("cat /root/word", MINUTE)?;
    let words: Vec<&str> = found.split_whitespace().collect();
    ensure!(words == ["together", "alone"], "the guest has {found:?}");
    machine.node.kill();

    mirror::boot(&mut machine, &both, "mirror: ").context("from both disks again")?;
    has_health(&machine, "ONLINE").context("the disk that was away is not taken back")?;
    machine.done();
    Ok(())
}

/// A host is installed whose pool has three disks for itself. It starts without one of them, with its
/// guest; when the disk is there again, the pool brings it up to date.
pub fn raidz(lab: &mut Lab<'_>) -> Result<()> {
    let serials: Vec<String> = FURTHER
        .iter()
        .map(|(_, serial)| format!("{{ serial = \"{serial}\" }}"))
        .collect();
    let answer = format!(
        "{}\n[data]\nstorage = \"zfs\"\nlevel = \"raidz\"\ndisks = [{}]\n",
        Keys::ensure()?.answer("basalt")?.text,
        serials.join(", ")
    );
    let attempt = Attempt {
        answer: Some(&answer),
        size: SMALL,
        further: &FURTHER,
        ..Attempt::default()
    };
    let accel = lab.shared.snapshot.accel();
    let mut machine = lab.bare_machine()?;
    let iso = &lab.shared.built.iso;
    if let Outcome::Failed(why) = install::attempt(&mut machine.node, iso, &attempt, accel)? {
        bail!("not installed: {why}");
    }
    let mut all = vec![mirror::disk(DISK, SYSTEM_SERIAL)];
    all.extend(FURTHER.map(|(file, serial)| mirror::disk(file, serial)));
    machine.power_on_with(&all)?;
    machine.healthy()?;
    loaded_and_locked(&machine)?;
    guest::preload(&machine.ssh(), &lab.shared.guests)?;
    let api = machine.api()?;
    registered(&api)?;
    let ct = Guest::create_ct(&api, 101, &[("rootfs", "local-zfs:1")])?;
    ct.power(&api, "start")?;
    ct.shell(&api)?
        .run("echo three > /root/word && sync", MINUTE)?;
    machine.node.kill();

    machine.power_on_with(&all[..3])?;
    machine.healthy()?;
    has_health(&machine, "DEGRADED")?;
    let api = machine.api()?;
    ct.power(&api, "start")?;
    let found = ct
        .shell(&api)?
        .run("cat /root/word && echo two > /root/word && sync", MINUTE)?;
    ensure!(found == "three", "the guest has {found:?}");
    machine.node.kill();

    machine.power_on_with(&all)?;
    machine.healthy()?;
    has_health(&machine, "ONLINE")?;
    machine.done();
    Ok(())
}

/// The kernel has ZFS although it is locked down, no unit has failed, and the pool is there.
fn loaded_and_locked(machine: &Appliance) -> Result<()> {
    let ssh = machine.ssh();
    let level = ssh.run("cat /sys/kernel/security/lockdown")?;
    ensure!(level.contains("[integrity]"), "not locked down: {level}");
    let enforced = ssh.run("cat /sys/module/module/parameters/sig_enforce")?;
    ensure!(enforced == "Y", "modules need no signature: {enforced}");
    let failed = ssh.run("systemctl list-units --failed --plain --no-legend")?;
    ensure!(failed.is_empty(), "units have failed:\n{failed}");
    has_health(machine, "ONLINE")
}

/// Waits until the pool says this of itself.
fn has_health(machine: &Appliance, expected: &str) -> Result<()> {
    let mut health = String::new();
    let came = poll::until(machine.limit(), Duration::from_secs(2), || {
        health = machine.ssh().run("zpool list -H -o health")?;
        Ok::<_, anyhow::Error>((health == expected).then_some(()))
    })?;
    came.with_context(|| format!("the pool is {health}, not {expected}"))
}

/// The pool is a storage for guests from the first boot on, and the directory is one for files.
fn registered(api: &Api) -> Result<()> {
    let pool = api.get("/storage/local-zfs")?;
    ensure!(
        pool["type"] == "zfspool" && pool["content"] == "images,rootdir",
        "the pool is not registered as it should be: {pool}"
    );
    let status = api.get(&format!("/nodes/{NODE}/storage/local-zfs/status"))?;
    ensure!(
        status["total"].as_u64() > Some(3 << 30),
        "the pool has no room: {status}"
    );
    let pools = api.get(&format!("/nodes/{NODE}/disks/zfs"))?;
    let name = pools[0]["name"].as_str().context("no pool is listed")?;
    ensure!(
        pools[0]["health"] == "ONLINE" && pools[0]["size"].as_u64() > Some(3 << 30),
        "the pool is not listed as it should be: {pools}"
    );
    let shown = api.get(&format!("/nodes/{NODE}/disks/zfs/{name}"))?;
    let tree = &shown["children"][0];
    ensure!(
        shown["state"] == "ONLINE" && tree["name"] == name && tree["leaf"] == 0,
        "the pool is not shown as it should be: {shown}"
    );
    Ok(())
}

fn volumes(api: &Api) -> Result<Vec<String>> {
    let list = api.get(&format!("/nodes/{NODE}/storage/local-zfs/content"))?;
    let name = |entry: &Value| {
        let (volid, content) = (entry["volid"].as_str(), entry["content"].as_str());
        format!(
            "{} {}",
            volid.unwrap_or_default(),
            content.unwrap_or_default()
        )
    };
    Ok(list.as_array().into_iter().flatten().map(name).collect())
}

fn both_listed(api: &Api) -> Result<()> {
    let found = volumes(api)?;
    let expected = [
        "local-zfs:vm-100-disk-0 images",
        "local-zfs:vm-101-disk-0 rootdir",
    ];
    ensure!(found == expected, "the pool holds {found:?}");
    Ok(())
}
