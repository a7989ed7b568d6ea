//! A virtual machine whose guest panics.

use super::watchdog::becomes;
use crate::guest::{BOOT_LIMIT, Guest};
use crate::lab::Lab;
use anyhow::{Result, ensure};
use std::time::Duration;

const VMID: u32 = 182;
/// Longest time for a command in the guest.
const SOON: Duration = Duration::from_secs(120);
/// Has the guest's driver find the port, and shows the events that both know.
const FIND: &str = "modprobe pvpanic-mmio && cat /sys/bus/platform/devices/QEMU0001:00/capability";

/// A guest that panics is said to have panicked, and runs on, until it is reset.
pub fn seen(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let guest = Guest::create_vm(&api, VMID, &[])?;
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    let events = shell.run(FIND, SOON)?;
    ensure!(
        events.split_whitespace().any(|word| word == "7"),
        "the driver does not find the port: {events}"
    );
    becomes(&api, guest, "running")?;

    // The shell does not come back from this.
    shell.type_text("echo c > /proc/sysrq-trigger\n")?;
    becomes(&api, guest, "guest-panicked")?;
    ensure!(guest.runs(&api)?, "the machine does not run on");
    let journal = format!("journalctl -b -u basalt-vm-{VMID}");
    let said = appliance.ssh().run(&journal)?;
    ensure!(said.contains("the guest panicked"), "{said}");

    guest.power(&api, "reset")?;
    becomes(&api, guest, "running")?;
    shell.wait("Linux version", BOOT_LIMIT)?;
    shell.shell(BOOT_LIMIT)?;
    becomes(&api, guest, "running")?;
    guest.power(&api, "stop")?;
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}
