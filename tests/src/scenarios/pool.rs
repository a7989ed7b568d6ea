//! Guests' disks in a pool that was chosen at the installation.

use super::copies;
use super::mirror::{self, SECOND, SECOND_SERIAL};
use crate::api::{Api, NODE, refusal};
use crate::appliance::Appliance;
use crate::guest::{self, Guest};
use crate::lab::Lab;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::answer::{Keys, SYSTEM_SERIAL};
use basalt_image::appliance::install::{self, Attempt, Outcome};
use basalt_image::appliance::node::DISK;
use serde_json::Value;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// What makes an answer file ask for a pool.
const POOL: &str = "\n[data]\nstorage = \"lvm-thin\"\nsystem_size = \"6 GiB\"\n";

/// Size of the disks of a mirrored host: as small as the test's guest allows.
const SMALL: &str = "14G";

/// A host is installed with a thin pool. A virtual machine and a container live in it, keep what they
/// wrote over a reboot of the host, and give their room back when they are deleted.
pub fn holds_guests(lab: &mut Lab<'_>) -> Result<()> {
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
    no_unit_failed(&machine)?;
    guest::preload(&machine.ssh(), &lab.shared.guests)?;
    let api = machine.api()?;
    registered(&api)?;

    let disk = "local-lvm:0,import-from=local:import/debian.raw";
    let vm = Guest::create_vm(&api, 100, &[("virtio0", disk)])?;
    let ct = Guest::create_ct(&api, 101, &[("rootfs", "local-lvm:1")])?;
    both_listed(&api)?;
    for (guest, word) in [(vm, "machine"), (ct, "container")] {
        guest.power(&api, "start")?;
        let mut console = guest.shell(&api)?;
        console.run(&format!("echo {word} > /root/word && sync"), MINUTE)?;
        refused_while_used(&api, guest)?;
    }
    copies::in_pool(&api, vm)?;
    copies::with_memory(&machine.ssh(), &api, vm).context("a snapshot with memory")?;
    let used = space(&api)?["used"].as_u64().unwrap_or(0);
    ensure!(used > 0, "the pool does not tell that it is used");

    machine.reboot()?;
    no_unit_failed(&machine)?;
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

/// A host with a pool is installed on two disks. It goes on when the first is pulled, and boots from
/// the second alone: the guest and what it wrote are there.
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
    guest::preload(&machine.ssh(), &lab.shared.guests)?;
    let api = machine.api()?;
    registered(&api)?;
    let ct = Guest::create_ct(&api, 101, &[("rootfs", "local-lvm:1")])?;
    ct.power(&api, "start")?;
    ct.shell(&api)?
        .run("echo together > /root/word && sync", MINUTE)?;

    mirror::pull_first(&machine).context("without the disk it was booted from")?;
    let mut console = ct.shell(&api)?;
    console.run("echo alone >> /root/word && sync", MINUTE)?;
    machine.node.kill();

    let [_, second] = both;
    let alone = "degraded: the data is on vda6 alone";
    mirror::boot(&mut machine, &[second], alone).context("from the second disk")?;
    let api = machine.api()?;
    let status = space(&api)?;
    ensure!(is_true(&status["active"]), "the pool is gone: {status}");
    ct.power(&api, "start")?;
    let found = ct.shell(&api)?.run("cat /root/word", MINUTE)?;
    let words: Vec<&str> = found.split_whitespace().collect();
    ensure!(words == ["together", "alone"], "the guest has {found:?}");
    machine.done();
    Ok(())
}

fn no_unit_failed(machine: &Appliance) -> Result<()> {
    let failed = machine
        .ssh()
        .run("systemctl list-units --failed --plain --no-legend")?;
    ensure!(failed.is_empty(), "units have failed:\n{failed}");
    Ok(())
}

/// The pool is a storage for guests from the first boot on, and the directory is one for files.
fn registered(api: &Api) -> Result<()> {
    let pool = api.get("/storage/local-lvm")?;
    ensure!(
        pool["type"] == "lvmthin" && pool["content"] == "images,rootdir",
        "the pool is not registered as it should be: {pool}"
    );
    let local = api.get("/storage/local")?;
    let content = local["content"].as_str().unwrap_or_default();
    ensure!(
        content.contains("vztmpl") && !content.contains("images"),
        "`local` is for {content}"
    );
    let status = space(api)?;
    ensure!(
        is_true(&status["active"]) && status["total"].as_u64() > Some(4 << 30),
        "the pool has no room: {status}"
    );
    let metadata = status["metadata_fraction"].as_f64();
    ensure!(
        metadata.is_some_and(|part| (0.0..0.9).contains(&part)),
        "the pool does not tell of its records: {status}"
    );
    let groups = api.get(&format!("/nodes/{NODE}/disks/lvm"))?;
    let group = &groups["children"][0];
    let device = group["children"][0]["name"].as_str().unwrap_or_default();
    ensure!(
        device.starts_with("/dev/") && group["size"].as_u64() > Some(4 << 30),
        "the group is not listed as it should be: {groups}"
    );
    let pools = api.get(&format!("/nodes/{NODE}/disks/lvmthin"))?;
    ensure!(
        pools[0]["vg"] == group["name"] && pools[0]["metadata_size"].as_u64() > Some(0),
        "the thin pool is not listed as it should be: {pools}"
    );
    Ok(())
}

fn is_true(value: &Value) -> bool {
    *value == 1 || *value == true
}

fn space(api: &Api) -> Result<Value> {
    api.get(&format!("/nodes/{NODE}/storage/local-lvm/status"))
}

fn volumes(api: &Api) -> Result<Vec<String>> {
    let list = api.get(&format!("/nodes/{NODE}/storage/local-lvm/content"))?;
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
        "local-lvm:vm-100-disk-0 images",
        "local-lvm:vm-101-disk-0 rootdir",
    ];
    ensure!(found == expected, "the pool holds {found:?}");
    Ok(())
}

/// The disk of a running guest cannot be deleted past its configuration, nor be read.
fn refused_while_used(api: &Api, guest: Guest) -> Result<()> {
    let disk = format!("local-lvm:vm-{}-disk-0", guest.vmid);
    let path = format!("/nodes/{NODE}/storage/local-lvm/content/{disk}");
    let upid = api.delete(&path)?;
    let end = api.task_end(&upid, MINUTE)?;
    ensure!(end.contains("is used by"), "the disk was deleted: {end}");
    let copy = format!("local-lvm:0,import-from={disk}");
    let refused = refusal(Guest::create_vm(api, 150, &[("virtio0", &copy)]))?;
    ensure!(
        refused
            .errors
            .iter()
            .any(|(_, text)| text.contains("is in use")),
        "{disk} was read while its guest writes it: {refused:?}"
    );
    let refused = refusal(api.delete("/storage/local-lvm"))?;
    ensure!(
        refused.reason.contains("is used by"),
        "the storage was forgotten: {refused:?}"
    );
    ensure!(
        volumes(api)?.iter().any(|entry| entry.contains(&disk)),
        "{disk} is gone"
    );
    Ok(())
}
