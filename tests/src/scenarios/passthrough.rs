//! A device of the host that is a guest's alone (VFIO): a disk with NVMe behind an IOMMU.

use crate::api::{Api, NODE};
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::qemu::GIVEN_ADDRESS;
use basalt_image::appliance::ssh::Ssh;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

const VMID: u32 = 178;
const OTHER: u32 = 179;
/// Bytes of the disk.
const SIZE: u64 = 64 << 20;
/// MiB that the guest writes, and bytes of them.
const WRITTEN: u64 = 16;
const BYTES: u64 = WRITTEN << 20;
/// Longest time for a command in the guest.
const SOON: Duration = Duration::from_secs(180);

/// How a start ends that must not succeed.
fn refused_start(api: &Api, guest: Guest) -> Result<String> {
    let upid = api.post(&format!("{}/status/start", guest.path()), &[])?;
    let end = api.task_end(&upid, BOOT_LIMIT)?;
    ensure!(!guest.runs(api)?, "it runs: {end}");
    Ok(end)
}

fn driver(ssh: &Ssh) -> Result<String> {
    let link = format!("/sys/bus/pci/devices/0000:{GIVEN_ADDRESS}/driver");
    let name = ssh.run(&format!("basename $(readlink {link})"))?;
    Ok(name.trim().to_owned())
}

/// What the host uses itself stays its own.
fn keeps_its_own(api: &Api, ssh: &Ssh, guest: Guest) -> Result<()> {
    let own = ssh.run("basename $(readlink -f /sys/class/block/vda/device/..)")?;
    let setting = own.trim().trim_start_matches("0000:");
    let config = format!("{}/config", guest.path());
    api.put(&config, &[("hostpci0", setting)])?;
    let end = refused_start(api, guest)?;
    ensure!(end.contains("in use by the host"), "{end}");
    ensure!(end.contains("hostpci0"), "the setting is not named: {end}");
    api.put(&config, &[("hostpci0", &format!("{GIVEN_ADDRESS},pcie=1"))])?;
    Ok(())
}

/// The guest finds the disk, writes it by messages and by the device's own access to memory, and reads
/// the same again. Returns the sum.
fn writes(shell: &mut Console) -> Result<String> {
    shell.run("modprobe nvme; udevadm settle; true", SOON)?;
    let serial = shell.run("cat /sys/class/nvme/nvme0/serial", SOON)?;
    ensure!(
        serial.trim() == "given",
        "the guest has no such disk: {serial}"
    );
    let sum = shell.run(
        &format!(
            "dd if=/dev/urandom of=/tmp/data bs=1M count={WRITTEN} status=none; \
             dd if=/tmp/data of=/dev/nvme0n1 bs=1M oflag=direct conv=fsync status=none; \
             sha256sum </tmp/data"
        ),
        SOON,
    )?;
    let sum = sum.split_whitespace().next().context("no sum")?.to_owned();
    reads(shell, &sum)?;
    let interrupts = shell.run("grep nvme0q /proc/interrupts", SOON)?;
    ensure!(interrupts.contains("MSI"), "no messages: {interrupts}");
    Ok(sum)
}

fn reads(shell: &mut Console, sum: &str) -> Result<()> {
    let read =
        format!("dd if=/dev/nvme0n1 bs=1M count={WRITTEN} iflag=direct status=none | sha256sum");
    let found = shell.run(&read, SOON)?;
    ensure!(found.contains(sum), "another sum: {found}");
    Ok(())
}

/// The sum of what is on the disk, from outside.
fn outside(image: &Path) -> Result<String> {
    let mut data = Vec::new();
    File::open(image)?.take(BYTES).read_to_end(&mut data)?;
    Ok(hex(&Sha256::digest(&data)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A guest has a disk of the host for itself: it works, outlives a reset, and nobody else gets it
/// meanwhile; what the host uses is refused, and so is what cannot be done to such a guest.
pub fn passes(lab: &mut Lab<'_>) -> Result<()> {
    let image = lab.work().join("given.raw");
    File::create(&image)?.set_len(SIZE)?;
    let mut appliance = lab.appliance_off()?;
    appliance.power_on_giving(&image)?;
    appliance.healthy()?;
    let api = appliance.api()?;
    let ssh = appliance.ssh();
    ensure!(driver(&ssh)? == "nvme", "the host does not have it");
    let listed = api.get(&format!("/nodes/{NODE}/hardware/pci"))?;
    let listed = listed.as_array().context("no list")?;
    let ours = listed
        .iter()
        .find(|device| device["id"] == format!("0000:{GIVEN_ADDRESS}"))
        .context("it is not listed")?;
    ensure!(ours["iommugroup"].as_i64() > Some(-1), "no group: {ours}");

    let vm = Guest::create_vm(&api, VMID, &[])?;
    keeps_its_own(&api, &ssh, vm)?;
    vm.power(&api, "start")?;
    ensure!(driver(&ssh)? == "vfio-pci", "the host still has it");
    let mut shell = vm.shell(&api)?;
    let sum = writes(&mut shell)?;
    ensure!(outside(&image)? == sum, "the disk has something else");

    let other = Guest::create_vm(&api, OTHER, &[("hostpci0", GIVEN_ADDRESS)])?;
    let end = refused_start(&api, other)?;
    ensure!(end.contains("hostpci0"), "{end}");
    let suspended = api.post(&format!("{}/status/suspend", vm.path()), &[("todisk", "1")]);
    let suspended = suspended.and_then(|upid| api.task(&upid, BOOT_LIMIT));
    ensure!(suspended.is_err(), "what a device writes was saved");
    reads(&mut shell, &sum).context("after what was refused")?;

    // A new console would begin with the prompt of before.
    vm.power(&api, "reset")?;
    shell.wait("Linux version", BOOT_LIMIT)?;
    shell.shell(BOOT_LIMIT)?;
    shell.run("modprobe nvme; udevadm settle; true", SOON)?;
    reads(&mut shell, &sum).context("after a reset")?;
    drop(shell);
    vm.power(&api, "stop")?;
    vm.delete(&api)?;
    other.power(&api, "start").context("once it is free")?;
    other.power(&api, "stop")?;
    appliance.done();
    Ok(())
}
