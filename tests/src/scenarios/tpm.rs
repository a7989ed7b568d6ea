//! A virtual machine's trusted platform module.

use crate::api::Api;
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest, preload_uefi};
use crate::lab::Lab;
use anyhow::{Context, Result, bail, ensure};
use std::time::Duration;

const VMID: u32 = 175;
/// Longest time for a command in the guest.
const SOON: Duration = Duration::from_secs(120);
/// What PCR 16 is before anybody extends it.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// A session by an empty password, as commands carry it.
const PASSWORD: &str = "00000009 40000009 0000 00 0000";

/// Sends a command, given in hexadecimal digits after tag, length and code; prints the answer.
fn command(shell: &mut Console, tag: &str, code: u32, body: &str) -> Result<String> {
    let digits: String = body.chars().filter(|c| *c != ' ').collect();
    let len = 10 + digits.len() / 2;
    let all = format!("{tag}{len:08x}{code:08x}{digits}");
    let escaped: String = (0..all.len() / 2)
        .map(|i| format!("\\x{}", &all[2 * i..2 * i + 2]))
        .collect();
    // The answer has to be read through the descriptor that the command was written to.
    let line = format!(
        "bash -c 'exec 3<>/dev/tpm0; printf \"{escaped}\" | dd bs=4096 status=none >&3; \
         dd bs=4096 count=1 status=none <&3 | od -An -v -tx1 | tr -d \" \\n\"'"
    );
    let answer = shell.run(&line, SOON)?;
    ensure!(
        answer.get(12..20) == Some("00000000"),
        "{code:#x}: {answer}"
    );
    Ok(answer)
}

fn pcr(shell: &mut Console, number: u8) -> Result<String> {
    let file = format!("cat /sys/class/tpm/tpm0/pcr-sha256/{number}");
    let value = shell.run(&file, SOON)?.trim().to_lowercase();
    if value.len() == NOTHING.len() && value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(value);
    }
    let said = shell.run("dmesg | grep -i tpm", SOON)?;
    bail!("PCR {number} is {value:?}; the kernel says: {said}")
}

/// Makes an area in the module's own memory that outlives everything, with eight letters in it.
fn define(shell: &mut Console) -> Result<()> {
    let public = "000e 01800001 000b 02060006 0000 0008";
    let body = format!("40000001 {PASSWORD} 0000 {public}");
    command(shell, "8002", 0x12a, &body)?;
    let body = format!("01800001 01800001 {PASSWORD} 0008 6b6570742d6b6579 0000");
    command(shell, "8002", 0x137, &body).map(drop)
}

fn area(shell: &mut Console) -> Result<()> {
    let body = format!("01800001 01800001 {PASSWORD} 0008 0000");
    let answer = command(shell, "8002", 0x14e, &body)?;
    ensure!(answer.contains("6b6570742d6b6579"), "{answer}");
    Ok(())
}

fn extend(shell: &mut Console) -> Result<()> {
    let body = format!("00000010 {PASSWORD} 00000001 000b {}", "ab".repeat(32));
    command(shell, "8002", 0x182, &body).map(drop)
}

fn booted(api: &Api, vm: Guest) -> Result<Console> {
    let mut console = Console::open(api, vm.kind, vm.vmid)?;
    // Nothing is typed before: the boot loader would take it for a wish to see its menu.
    console.wait(":~# ", BOOT_LIMIT)?;
    console
        .run("modprobe -q tpm_crb; test -c /dev/tpm0", SOON)
        .context("the guest has no TPM")?;
    Ok(console)
}

/// The firmware measures the boot; what the guest measures goes on over a suspension, what it stored also
/// after its power and its emulator were gone, and its removal takes all of it.
pub fn keeps(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let ssh = appliance.ssh();
    // As the scenarios of UEFI do, against a fault of QEMU's.
    ssh.run("echo 100000 > /sys/module/kvm/parameters/min_timer_period_us")?;
    preload_uefi(&ssh, &lab.shared.guests)?;
    let vm = Guest::create_uefi_vm(&api, VMID, &[("tpmstate0", "local:1,version=v2.0")])?;
    let config = api.get(&format!("{}/config", vm.path()))?;
    let state = config["tpmstate0"].as_str().context("no tpmstate0")?;
    ensure!(
        state.contains("vm-175-disk-") && state.contains("size=4M"),
        "{state}"
    );

    vm.power(&api, "start")?;
    let mut console = booted(&api, vm)?;
    let boot = pcr(&mut console, 0)?;
    ensure!(boot != NOTHING, "the firmware measured nothing");
    let user = ssh.run("systemctl show --property User --value basalt-tpm-175.service")?;
    ensure!(user.trim() == "basalt-tpm", "the emulator runs as {user:?}");
    define(&mut console)?;
    area(&mut console)?;
    extend(&mut console)?;
    let measured = pcr(&mut console, 16)?;
    ensure!(measured != NOTHING, "nothing was extended");
    drop(console);

    let upid = api.post(&format!("{}/status/suspend", vm.path()), &[("todisk", "1")])?;
    api.task(&upid, BOOT_LIMIT).context("suspending to disk")?;
    let left = ssh.run("systemctl list-units --plain --no-legend 'basalt-tpm-*'")?;
    ensure!(left.trim().is_empty(), "the emulator runs on: {left}");
    vm.power(&api, "start")?;
    let mut console = vm.shell(&api)?;
    let now = pcr(&mut console, 16)?;
    ensure!(
        now == measured,
        "{now} is measured after a suspension, not {measured}"
    );
    area(&mut console)?;
    drop(console);

    // Monitor and emulator are killed in the middle.
    ssh.run("systemctl kill --signal KILL basalt-vm-175.service basalt-tpm-175.service")?;
    vm.power(&api, "stop")?;
    vm.power(&api, "start")?;
    let mut console = booted(&api, vm)?;
    let anew = pcr(&mut console, 16)?;
    ensure!(
        anew == NOTHING,
        "a boot is not measured from the start, but from {anew}"
    );
    area(&mut console)?;
    drop(console);

    vm.power(&api, "stop")?;
    vm.delete(&api)?;
    let left =
        ssh.run("find /var/lib/vz/images -name 'vm-175-*'; ls -d /run/basalt-tpm-* || true")?;
    ensure!(left.trim().is_empty(), "left behind: {left}");
    let old = api.post(
        &format!("/nodes/{}/qemu", crate::api::NODE),
        &[("vmid", "175"), ("tpmstate0", "local:1,version=v1.2")],
    );
    ensure!(old.is_err(), "a TPM 1.2 was taken");
    appliance.done();
    Ok(())
}
