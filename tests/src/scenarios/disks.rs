//! Disks of a virtual machine while it runs: a qcow2 image that was uploaded, a disc that is
//! changed, a disk that grows, and a host that is full.

use crate::api::Api;
use crate::console::Console;
use crate::guest::{Guest, TASK_LIMIT};
use crate::lab::{Guarded, Lab};
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const VMID: u32 = 171;
const MIB: u64 = 1 << 20;
/// Longest time for a command in the guest.
const SOON: Duration = Duration::from_secs(60);
/// Where the disk lies that its host has no room for.
const SMALL: &str = "/run/small";

/// All of it in one guest.
pub fn life(lab: &mut Lab<'_>) -> Result<()> {
    let image = packed(&lab.shared.guests.disk(), lab.work())?;
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let upid = api.upload("import", "debian.qcow2", &image)?;
    api.task(&upid, TASK_LIMIT)?;
    refused(&api, lab.work())?;
    for label in ["FIRST", "SECOND"] {
        let file = disc(lab.work(), label)?;
        let upid = api.upload("iso", &format!("{label}.iso"), &file)?;
        api.task(&upid, TASK_LIMIT)?;
    }
    let guest = Guest::create_vm(
        &api,
        VMID,
        &[
            (
                "virtio0",
                "local:0,format=qcow2,import-from=local:import/debian.qcow2",
            ),
            ("virtio1", "local:1,discard=on"),
            ("virtio2", "local:1"),
            ("ide2", "none,media=cdrom"),
            ("cores", "2"),
        ],
    )?;
    let config = api.get(&format!("{}/config", guest.path()))?;
    let root = config["virtio0"].as_str().unwrap_or_default();
    ensure!(
        root.starts_with("local:171/vm-171-disk-0.qcow2"),
        "{config}"
    );
    shrink_host(&appliance)?;
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    discs(&api, guest, &mut shell)?;
    growth(&api, guest, &mut shell)?;
    full_host(&appliance, &api, guest, &mut shell)?;
    guest.power(&api, "stop")?;
    let check = "/var/lib/vz/images/171/vm-171-disk-0.qcow2";
    let size = appliance.ssh().run(&format!("stat -c %s {check}"))?;
    ensure!(
        size.trim().parse::<u64>()? > 32 * MIB,
        "the guest's system is not in its image of {size} bytes"
    );
    appliance.ssh().run(&format!(
        "umount /var/lib/vz/images/171/vm-171-disk-2.raw && umount {SMALL}"
    ))?;
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

/// A compressed qcow2 image of a raw one.
fn packed(raw: &Path, work: &Path) -> Result<PathBuf> {
    let image = work.join("debian.qcow2");
    let words = ["convert", "-c", "-f", "raw", "-O", "qcow2"];
    let status = Command::new("qemu-img")
        .args(words)
        .arg(raw)
        .arg(&image)
        .status()?;
    ensure!(status.success(), "qemu-img convert: {status}");
    Ok(image)
}

/// An image that names a file of the host is not taken.
fn refused(api: &Api, work: &Path) -> Result<()> {
    let image = work.join("thief.qcow2");
    let words = [
        "create",
        "-q",
        "-u",
        "-f",
        "qcow2",
        "-F",
        "raw",
        "-b",
        "/etc/shadow",
    ];
    let status = Command::new("qemu-img")
        .args(words)
        .arg(&image)
        .arg("1M")
        .status()?;
    ensure!(status.success(), "qemu-img create: {status}");
    let upid = api.upload("import", "thief.qcow2", &image)?;
    let end = api.task_end(&upid, TASK_LIMIT)?;
    ensure!(
        end.contains("below it"),
        "an image on /etc/shadow was taken: {end}"
    );
    Ok(())
}

/// A disc with nothing but a label on it (ECMA-119, section 8.4).
fn disc(work: &Path, label: &str) -> Result<PathBuf> {
    const BLOCK: usize = 2048;
    let mut bytes = vec![0; 64 * BLOCK];
    let descriptor = &mut bytes[16 * BLOCK..17 * BLOCK];
    descriptor[..7].copy_from_slice(b"\x01CD001\x01");
    descriptor[8..72].fill(b' ');
    descriptor[40..40 + label.len()].copy_from_slice(label.as_bytes());
    let path = work.join(label);
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// Puts the third disk where there is room for little of it.
fn shrink_host(appliance: &Guarded) -> Result<()> {
    let disk = "/var/lib/vz/images/171/vm-171-disk-2.raw";
    appliance.ssh().run(&format!(
        "mkdir -p {SMALL} && mount -t tmpfs -o size=32M small {SMALL} && \
         truncate -s 1G {SMALL}/disk && mount --bind {SMALL}/disk {disk}"
    ))?;
    Ok(())
}

fn set(api: &Api, guest: Guest, key: &str, value: &str) -> Result<()> {
    api.put(&format!("{}/config", guest.path()), &[(key, value)])?;
    Ok(())
}

/// Discs come and go while the guest runs, and it reads the one that is there.
fn discs(api: &Api, guest: Guest, shell: &mut Console) -> Result<()> {
    shell.run("modprobe -a virtio_scsi sr_mod", SOON)?;
    let label =
        "dd if=/dev/sr0 bs=2048 skip=16 count=1 2>&1 | tr -d '\\0' | cut -c 40-50 | head -1";
    let read = |shell: &mut Console, wanted: &str| {
        let found = poll::until(SOON, Duration::from_millis(500), || {
            let said = shell.run(label, SOON)?;
            Ok::<_, anyhow::Error>(said.contains(wanted).then_some(said))
        })?;
        found.with_context(|| format!("the guest does not read {wanted:?}"))
    };
    set(api, guest, "ide2", "local:iso/FIRST.iso,media=cdrom")?;
    read(shell, "FIRST")?;
    set(api, guest, "ide2", "local:iso/SECOND.iso,media=cdrom")?;
    read(shell, "SECOND")?;
    set(api, guest, "ide2", "none,media=cdrom")?;
    let said = poll::until(SOON, Duration::from_millis(500), || {
        let said = shell.run("dd if=/dev/sr0 of=/dev/null count=1 2>&1", SOON)?;
        Ok::<_, anyhow::Error>(said.contains("No medium").then_some(()))
    })?;
    said.context("the guest still finds a disc in an empty drive")
}

/// Disks grow while the guest runs, and it sees their sizes.
fn growth(api: &Api, guest: Guest, shell: &mut Console) -> Result<()> {
    let before: u64 = shell.run("blockdev --getsize64 /dev/vda", SOON)?.parse()?;
    for (disk, device, more, wanted) in [
        ("virtio0", "vda", "+512M", before + 512 * MIB),
        ("virtio1", "vdb", "+1G", 2048 * MIB),
    ] {
        let path = format!("{}/resize", guest.path());
        let upid = api.put(&path, &[("disk", disk), ("size", more)])?;
        api.task(&upid, TASK_LIMIT)?;
        let grown = poll::until(SOON, Duration::from_millis(300), || {
            let command = format!("blockdev --getsize64 /dev/{device}");
            let size = shell.run(&command, SOON)?;
            Ok::<_, anyhow::Error>((size == wanted.to_string()).then_some(()))
        })?;
        grown.with_context(|| format!("{device} does not become {wanted} bytes"))?;
    }
    // What lies beyond the old end is usable.
    let commands = "mkfs.ext4 -q /dev/vdb && mount /dev/vdb /mnt && \
                    dd if=/dev/urandom of=/mnt/a bs=1M count=8 status=none && \
                    sha256sum /mnt/a >/mnt/sum && umount /mnt && e2fsck -fn /dev/vdb >/dev/null && \
                    mount /dev/vdb /mnt && sha256sum -c /mnt/sum && umount /mnt";
    let said = shell.run(commands, SOON)?;
    ensure!(said.contains("/mnt/a: OK"), "{said}");
    Ok(())
}

/// The host has no room for what the guest writes: the machine stands still, says why, and goes
/// on when there is room; nothing is lost.
fn full_host(appliance: &Guarded, api: &Api, guest: Guest, shell: &mut Console) -> Result<()> {
    shell.run(
        "dd if=/dev/urandom of=/tmp/data bs=1M count=64 status=none",
        SOON,
    )?;
    let sum = shell.run("sha256sum </tmp/data", SOON)?;
    shell
        .type_text("dd if=/tmp/data of=/dev/vdc bs=1M oflag=direct status=none; echo written\n")?;
    let stands = poll::until(SOON, Duration::from_millis(500), || {
        let status = guest.status(api)?;
        Ok::<_, anyhow::Error>((status["qmpstatus"] == "io-error").then_some(()))
    })?;
    stands.context("the machine does not stand still on a full host")?;
    // Resumed without room, it stands still again.
    guest.power(api, "resume")?;
    let stands = poll::until(SOON, Duration::from_millis(500), || {
        let status = guest.status(api)?;
        Ok::<_, anyhow::Error>((status["qmpstatus"] == "io-error").then_some(()))
    })?;
    stands.context("the machine goes on although the host is full")?;
    appliance
        .ssh()
        .run(&format!("mount -o remount,size=256M {SMALL}"))?;
    guest.power(api, "resume")?;
    shell.wait("written\n", SOON)?;
    let read = "dd if=/dev/vdc bs=1M count=64 iflag=direct status=none | sha256sum";
    let found = shell.run(read, SOON)?;
    ensure!(
        found == sum,
        "what was written to a full host differs: {found}, not {sum}"
    );
    Ok(())
}
