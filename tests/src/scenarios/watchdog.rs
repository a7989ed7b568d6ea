//! A virtual machine's watchdog, in one that is told to be for Windows and in one that is not.

use crate::api::Api;
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest, Kind, boot_mark};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use std::time::Duration;

const VMID: u32 = 180;
/// Longest time for a command in the guest.
const SOON: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Has the guest promise to wind the watchdog up, and then forget it.
const FORGET: &str = "modprobe i6300esb heartbeat=4 && exec 3>/dev/watchdog && echo armed";

/// A guest that does not wind its watchdog up is reset, or paused until somebody lets it go on.
pub fn acts(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let settings = [("watchdog", "i6300esb,action=reset"), ("ostype", "win11")];
    let guest = Guest::create_vm(&api, VMID, &settings)?;
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    let first = boot_mark(&mut shell, Kind::Vm)?;
    forget(&mut shell)?;
    shell.wait("Linux version", BOOT_LIMIT)?;
    shell.shell(BOOT_LIMIT)?;
    let second = boot_mark(&mut shell, Kind::Vm)?;
    ensure!(first != second, "the guest was not reset");

    // Linux takes KVM's interface where it finds both, but the monitor says when it has only that.
    let said = appliance
        .ssh()
        .run(&format!("journalctl -b -u basalt-vm-{VMID}"))?;
    ensure!(!said.contains("Hyper-V"), "{said}");

    let change = [("watchdog", "i6300esb,action=pause"), ("ostype", "l26")];
    api.put(&format!("{}/config", guest.path()), &change)?;
    guest.power(&api, "stop")?;
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    forget(&mut shell)?;
    becomes(&api, guest, "watchdog")?;
    guest.power(&api, "resume")?;
    becomes(&api, guest, "running")?;
    shell.run("echo V >&3 && exec 3>&-", SOON)?;
    guest.power(&api, "stop")?;
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

fn forget(shell: &mut Console) -> Result<()> {
    let said = shell.run(FORGET, SOON)?;
    ensure!(said.contains("armed"), "the guest has no watchdog: {said}");
    Ok(())
}

/// Waits until the machine says so of itself.
pub(super) fn becomes(api: &Api, guest: Guest, wanted: &str) -> Result<()> {
    let mut last = String::new();
    let found = poll::until(SOON, LOOK_AGAIN, || {
        last = guest.status(api)?["qmpstatus"].to_string();
        Ok::<_, anyhow::Error>(last.contains(wanted).then_some(()))
    })?;
    found.with_context(|| format!("it never says {wanted}, but {last}"))
}
