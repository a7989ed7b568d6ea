//! Virtual machines that boot by UEFI: Debian's OVMF on our monitor, and a disk with a boot loader of
//! its own.

use crate::api::{Api, NODE};
use crate::appliance::Appliance;
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest, Kind, TASK_LIMIT, boot_mark, preload_uefi};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::ssh::Ssh;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// A variable of our own, as efivarfs names it.
const VARIABLE: &str = "/sys/firmware/efi/efivars/Basalt-3b1f8e70-9c2a-4d5e-8f60-718293a4b5c6";
const UUID: &str = "00112233-4455-6677-8899-aabbccddeeff";

/// What the guest's shell shows when it waits.
const PROMPT: &str = ":~# ";

/// The guest's shell once it waits. Nothing is typed before: the boot loader would take it for a wish to
/// see its menu.
fn booted(api: &Api, vm: Guest) -> Result<Console> {
    let mut console = Console::open(api, vm.kind, vm.vmid)?;
    console.wait(PROMPT, BOOT_LIMIT)?;
    Ok(console)
}

/// How QEMU ends when a guest's guest writes CR8 while an interrupt is pending for it: its emulation of
/// that instruction calls `cpu_interrupt` without the lock that it asks for. Versions differ in the name.
const FAULT: [&str; 2] = ["qemu_mutex_iothread_locked()", "bql_locked()"];
/// In how many emulators the scenario may be tried, should they end in that way.
const TRIES: usize = 3;

/// Does `what` on an appliance, and on another one when QEMU, not we, ends the first by [`FAULT`].
pub(super) fn in_an_emulator_that_lasts(
    lab: &mut Lab<'_>,
    what: fn(&Lab<'_>, &Appliance) -> Result<()>,
) -> Result<()> {
    for _ in 1..TRIES {
        let appliance = lab.appliance()?;
        match what(lab, &appliance) {
            Err(error) if !fault_of_qemu(&appliance) => return Err(error),
            Err(error) => eprintln!("         QEMU ended by its own fault: {error:#}"),
            Ok(()) => {
                appliance.done();
                return Ok(());
            }
        }
    }
    let appliance = lab.appliance()?;
    what(lab, &appliance)?;
    appliance.done();
    Ok(())
}

fn fault_of_qemu(appliance: &Appliance) -> bool {
    let said = appliance.node.qemu_said();
    FAULT
        .iter()
        .any(|expression| said.contains(&format!("assertion failed: ({expression})")))
}

/// Has the firmware's clock tick ten times a second, not a hundred times, so that [`FAULT`] is rare: where
/// all is emulated, the clock's handler, which writes CR8 at its end, takes longer than a tick.
pub(super) fn slow_ticks(ssh: &Ssh) -> Result<()> {
    ssh.run("echo 100000 > /sys/module/kvm/parameters/min_timer_period_us")
        .map(drop)
}

/// A disk boots by its own boot loader, the guest reaches the bridge and reboots itself; what it keeps
/// in the firmware's variables outlives its being switched off, and its disks' removal ends them.
pub fn boots(lab: &mut Lab<'_>) -> Result<()> {
    in_an_emulator_that_lasts(lab, boots_on)
}

fn boots_on(lab: &Lab<'_>, appliance: &Appliance) -> Result<()> {
    let api = appliance.api()?;
    let ssh = appliance.ssh();
    slow_ticks(&ssh)?;
    preload_uefi(&ssh, &lab.shared.guests)?;
    let identity = format!("uuid={UUID},product=Router");
    let vm = Guest::create_uefi_vm(&api, 100, &[("smbios1", &identity)])?;
    let config = api.get(&format!("{}/config", vm.path()))?;
    let variables = config["efidisk0"].as_str().context("no efidisk0")?;
    ensure!(
        variables.starts_with("local:100/vm-100-disk-") && variables.contains("size=528K"),
        "the variables are in {variables}"
    );

    vm.power(&api, "start")?;
    let mut console = booted(&api, vm)?;
    let bridge = ssh.run("ip -4 -o addr show dev vmbr0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'")?;
    console.run(
        &format!("until ping -c 1 -W 2 {bridge}; do sleep 1; done"),
        BOOT_LIMIT,
    )?;
    let identity = console.run(
        "cat /sys/class/dmi/id/product_uuid /sys/class/dmi/id/product_name",
        MINUTE,
    )?;
    ensure!(
        identity.contains(UUID) && identity.contains("Router"),
        "the guest is {identity}"
    );
    // Attributes (kept, at boot and at run time), then the value.
    console.run(
        &format!("printf '\\007\\000\\000\\000kept' >{VARIABLE}; sync"),
        MINUTE,
    )?;

    let first = boot_mark(&mut console, Kind::Vm)?;
    console.type_text("reboot\n")?;
    // The firmware says what it boots; the old shell says nothing more.
    console.wait("BdsDxe: starting", BOOT_LIMIT)?;
    console.wait(PROMPT, BOOT_LIMIT)?;
    ensure!(
        boot_mark(&mut console, Kind::Vm)? != first,
        "the guest did not boot again"
    );
    drop(console);

    vm.power(&api, "stop")?;
    vm.power(&api, "start")?;
    let mut console = booted(&api, vm)?;
    let kept = console.run(&format!("cat {VARIABLE} | tail -c +5"), MINUTE)?;
    ensure!(kept == "kept", "the variable is {kept:?} after power-off");
    drop(console);

    vm.power(&api, "stop")?;
    vm.delete(&api)?;
    let left = ssh.run("find /var/lib/vz/images -name 'vm-100-*'")?;
    ensure!(left.is_empty(), "left behind: {left}");
    Ok(())
}

/// A machine with neither kernel nor disk starts its firmware, and loses its variables with its power.
pub fn bare(lab: &mut Lab<'_>) -> Result<()> {
    in_an_emulator_that_lasts(lab, bare_on)
}

fn bare_on(_lab: &Lab<'_>, appliance: &Appliance) -> Result<()> {
    let api = appliance.api()?;
    slow_ticks(&appliance.ssh())?;
    let path = format!("/nodes/{}/qemu", NODE);
    let upid = api.post(
        &path,
        &[("vmid", "101"), ("memory", "256"), ("bios", "seabios")],
    )?;
    api.task(&upid, TASK_LIMIT)?;
    let vm = Guest {
        kind: Kind::Vm,
        vmid: 101,
    };
    vm.power(&api, "start")?;
    let mut console = Console::open(&api, Kind::Vm, 101)?;
    console.wait("UEFI Interactive Shell", BOOT_LIMIT)?;
    console.type_text("\r")?;
    console.wait("Shell> ", BOOT_LIMIT)?;
    drop(console);
    vm.power(&api, "stop")?;
    vm.delete(&api)
}
