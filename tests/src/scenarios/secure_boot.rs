//! Secure Boot of a virtual machine: its firmware starts what is signed and nothing else, and keeps its
//! variables by system management mode.

use super::uefi::{in_an_emulator_that_lasts, slow_ticks};
use crate::api::{Api, NODE, refusal};
use crate::appliance::Appliance;
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest, Kind, boot_mark, preload_uefi, put};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// Longest time for a command in the guest.
const SOON: Duration = Duration::from_secs(120);
/// What the guest's shell shows when it waits.
const PROMPT: &str = ":~# ";
const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// Whether the firmware checks signatures.
const SECURE_BOOT: &str = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// A variable of our own.
const OWN: &str = "Basalt-3b1f8e70-9c2a-4d5e-8f60-718293a4b5c6";

/// The firmware refuses a boot loader that nobody signed, starts Debian's signed one, and says so to the
/// kernel. What it keeps it keeps over a suspension, a reboot and the machine's power.
pub fn starts_what_is_signed(lab: &mut Lab<'_>) -> Result<()> {
    in_an_emulator_that_lasts(lab, starts_what_is_signed_on)
}

fn starts_what_is_signed_on(lab: &Lab<'_>, appliance: &Appliance) -> Result<()> {
    let (api, ssh) = (appliance.api()?, appliance.ssh());
    slow_ticks(&ssh)?;
    preload_uefi(&ssh, &lab.shared.guests)?;
    put(&ssh, &lab.shared.guests.signed_disk(), "import/signed.raw")?;
    is_refused_where_processors_come(&api)?;
    let vm = Guest::create_uefi_vm(
        &api,
        176,
        &[
            ("efidisk0", "local:1,efitype=4m,pre-enrolled-keys=1"),
            ("virtio1", "local:0,import-from=local:import/signed.raw"),
            ("boot", "order=virtio0;virtio1"),
        ],
    )?;
    let config = api.get(&format!("{}/config", vm.path()))?;
    let variables = config["efidisk0"].as_str().context("no efidisk0")?;
    ensure!(
        variables.contains("pre-enrolled-keys=1"),
        "the variables are {variables}"
    );

    vm.power(&api, "start")?;
    let mut console = Console::open(&api, Kind::Vm, vm.vmid)?;
    // The first disk has systemd-boot as Debian packages it unsigned, the second one its shim.
    console.wait("Access Denied", BOOT_LIMIT)?;
    console.wait(PROMPT, BOOT_LIMIT)?;
    is_secure(&mut console)?;
    keep(&mut console, "first")?;
    let first = boot_mark(&mut console, Kind::Vm)?;
    drop(console);

    let upid = api.post(&format!("{}/status/suspend", vm.path()), &[("todisk", "1")])?;
    api.task(&upid, BOOT_LIMIT).context("suspending to disk")?;
    vm.power(&api, "start")?;
    let mut console = vm.shell(&api)?;
    ensure!(
        boot_mark(&mut console, Kind::Vm)? == first,
        "the guest did not go on"
    );
    is_kept(&mut console, "first")?;
    keep(&mut console, "second")?;

    console.type_text("reboot\n")?;
    console.wait("Access Denied", BOOT_LIMIT)?;
    console.wait(PROMPT, BOOT_LIMIT)?;
    is_kept(&mut console, "second")?;
    drop(console);

    vm.power(&api, "stop")?;
    vm.power(&api, "start")?;
    let mut console = Console::open(&api, Kind::Vm, vm.vmid)?;
    console.wait(PROMPT, BOOT_LIMIT)?;
    is_secure(&mut console)?;
    is_kept(&mut console, "second")?;
    drop(console);
    vm.power(&api, "stop")?;
    vm.delete(&api)?;
    let left = ssh.run("find /var/lib/vz/images -name 'vm-176-*'")?;
    ensure!(left.is_empty(), "left behind: {left}");
    Ok(())
}

/// A processor that came later would be anybody's, so the number of processors is fixed.
fn is_refused_where_processors_come(api: &Api) -> Result<()> {
    let answer = api.post(
        &format!("/nodes/{NODE}/qemu"),
        &[
            ("vmid", "176"),
            ("cores", "2"),
            ("vcpus", "1"),
            ("efidisk0", "local:1,pre-enrolled-keys=1"),
        ],
    );
    let refused = format!("{:?}", refusal(answer)?);
    ensure!(
        refused.contains("vcpus") && refused.contains("pre-enrolled-keys"),
        "{refused}"
    );
    Ok(())
}

/// The firmware and the kernel agree that only what is signed runs.
fn is_secure(console: &mut Console) -> Result<()> {
    let value = console.run(&format!("od -An -tu1 -j4 {VARIABLES}/{SECURE_BOOT}"), SOON)?;
    ensure!(value.trim() == "1", "SecureBoot is {value:?}");
    let said = console.run("dmesg | grep -i 'secureboot:'", SOON)?;
    ensure!(
        said.contains("Secure boot enabled"),
        "the kernel says {said:?}"
    );
    Ok(())
}

/// Has the firmware keep a value: attributes (kept, at boot and at run time), then the text.
fn keep(console: &mut Console, text: &str) -> Result<()> {
    let file = format!("{VARIABLES}/{OWN}");
    console.run(
        &format!("chattr -i {file}; printf '\\007\\000\\000\\000{text}' >{file}; sync"),
        SOON,
    )?;
    is_kept(console, text)
}

fn is_kept(console: &mut Console, text: &str) -> Result<()> {
    let kept = console.run(&format!("cat {VARIABLES}/{OWN} | tail -c +5"), SOON)?;
    ensure!(kept == text, "the variable is {kept:?}, not {text:?}");
    Ok(())
}
