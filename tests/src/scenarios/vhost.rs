//! Network cards whose packets the host's kernel moves.

use crate::api::Api;
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::ssh::Ssh;
use std::time::Duration;

const VMID: u32 = 176;
/// Bytes that go each way.
const BYTES: u64 = 16 << 20;
/// Longest time for a command in the guest, or a transfer.
const SOON: Duration = Duration::from_secs(180);
/// Prints the names of the monitor's threads that are the kernel's.
const WORKERS: &str = "cat /proc/$(systemctl show --property MainPID --value basalt-vm-176.service)/task/*/comm \
                       | grep -c ^vhost- || true";

/// Sends so many bytes to the guest and takes them back; what arrives is what was sent.
fn transfer(ssh: &Ssh, shell: &mut Console, address: &str) -> Result<()> {
    shell.run("{ (busybox nc -l -p 7000 </dev/null >/root/data) & }", SOON)?;
    let sent = ssh.run(&format!(
        "head -c {BYTES} /dev/urandom >/var/tmp/data; \
         until bash -c 'cat /var/tmp/data >/dev/tcp/{address}/7000'; do sleep 1; done; \
         sha256sum </var/tmp/data"
    ))?;
    shell.run("wait", SOON)?;
    let arrived = shell.run("sha256sum </root/data", SOON)?;
    ensure!(
        arrived.trim() == sent.trim(),
        "{arrived} arrived, {sent} was sent"
    );
    shell.run("{ (busybox nc -l -p 7001 </root/data >/dev/null) & }", SOON)?;
    let back = ssh.run(&format!(
        "until bash -c 'cat </dev/tcp/{address}/7001 >/var/tmp/back'; do sleep 1; done; \
         sha256sum </var/tmp/back"
    ))?;
    ensure!(
        back.trim() == sent.trim(),
        "{back} came back, {sent} was sent"
    );
    Ok(())
}

fn counted(api: &Api, guest: Guest) -> Result<()> {
    let status = guest.status(api)?;
    for way in ["netin", "netout"] {
        let bytes = status[way].as_u64().context("no counter")?;
        ensure!(bytes >= BYTES, "{way} is {bytes}");
    }
    Ok(())
}

/// The kernel moves a card's packets, also after a suspension; without its device the monitor does, and the
/// guest sees no difference.
pub fn moves(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let ssh = appliance.ssh();
    let guest = Guest::create_vm(&api, VMID, &[])?;
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    let address = shell.run(
        "until ip -4 -o addr show scope global | grep -q inet; do sleep 1; done; \
         ip -4 -o addr show scope global | sed 's/.*inet \\([0-9.]*\\).*/\\1/'",
        BOOT_LIMIT,
    )?;
    let address = address.trim();
    let workers = ssh.run(WORKERS)?;
    ensure!(workers.trim() != "0", "the kernel moves nothing");
    transfer(&ssh, &mut shell, address)?;
    counted(&api, guest)?;
    drop(shell);

    let suspend = format!("{}/status/suspend", guest.path());
    let upid = api.post(&suspend, &[("todisk", "1")])?;
    api.task(&upid, BOOT_LIMIT).context("suspending to disk")?;
    // What goes on from a state may find itself on a host that cannot.
    ssh.run("mv /dev/vhost-net /dev/vhost-net.away")?;
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    let workers = ssh.run(WORKERS)?;
    ensure!(
        workers.trim() == "0",
        "the kernel's device is gone, its workers are not"
    );
    transfer(&ssh, &mut shell, address).context("by the monitor")?;
    drop(shell);

    ssh.run("mv /dev/vhost-net.away /dev/vhost-net")?;
    let upid = api.post(&suspend, &[("todisk", "1")])?;
    api.task(&upid, BOOT_LIMIT).context("suspending to disk")?;
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    transfer(&ssh, &mut shell, address).context("by the kernel again")?;
    let workers = ssh.run(WORKERS)?;
    ensure!(workers.trim() != "0", "the kernel moves nothing any more");
    drop(shell);
    guest.power(&api, "stop")?;
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}
