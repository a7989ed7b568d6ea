//! Directories of the host that a guest mounts by virtio-fs.

use crate::api::{Api, NODE, refusal};
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest};
use crate::lab::Lab;
use anyhow::{Result, ensure};
use basalt_image::appliance::ssh::Ssh;
use std::time::Duration;

const VMID: u32 = 177;
/// The mapping, and the tag by which the guest mounts it.
const MAPPING: &str = "test-share";
const MAPPINGS: &str = "/cluster/mapping/dir";
/// The shared directory on the host.
const DIRECTORY: &str = "/srv/test-share";
const SERVER: &str = "basalt-fs-177-0.service";
/// Longest time for a command in the guest, or for its server to end.
const SOON: Duration = Duration::from_secs(180);

/// Makes the directory with a file, and a link that leads out of it.
fn prepare(ssh: &Ssh) -> Result<()> {
    ssh.run(&format!(
        "mkdir -p {DIRECTORY} && echo 'from the host' >{DIRECTORY}/host && \
         ln -sfn /etc/passwd {DIRECTORY}/link && echo 'only-on-the-host' >/srv/outside"
    ))?;
    Ok(())
}

/// How a start ends that must not succeed.
fn refused_start(api: &Api, guest: Guest) -> Result<String> {
    let upid = api.post(&format!("{}/status/start", guest.path()), &[])?;
    let end = api.task_end(&upid, BOOT_LIMIT)?;
    ensure!(!guest.runs(api)?, "it runs: {end}");
    Ok(end)
}

/// The guest reads what the host wrote and the other way round, and sees nothing else of the host.
fn exchange(ssh: &Ssh, shell: &mut Console) -> Result<()> {
    shell.run("modprobe virtiofs; mkdir -p /mnt/share", SOON)?;
    let mounted = shell.run(
        &format!("mount -t virtiofs {MAPPING} /mnt/share && echo mounted"),
        SOON,
    )?;
    ensure!(mounted.contains("mounted"), "{mounted}");
    let read = shell.run("cat /mnt/share/host", SOON)?;
    ensure!(read.trim() == "from the host", "{read}");

    shell.run(
        "echo 'from the guest' >/mnt/share/guest; chown 1234:1234 /mnt/share/guest; sync",
        SOON,
    )?;
    let seen = ssh.run(&format!(
        "cat {DIRECTORY}/guest; stat --format %u:%g {DIRECTORY}/guest"
    ))?;
    let seen: Vec<&str> = seen.lines().collect();
    ensure!(seen == ["from the guest", "1234:1234"], "{seen:?}");
    // More than a queue holds at once.
    let sums = "head -c 33554432 /dev/urandom >/mnt/share/data; sha256sum </mnt/share/data";
    let written = shell.run(sums, SOON)?;
    let there = ssh.run(&format!("sha256sum <{DIRECTORY}/data"))?;
    ensure!(written.trim() == there.trim(), "{written} became {there}");

    // A link is the guest's to follow, in its own tree.
    let link = shell.run("cmp /mnt/share/link /etc/passwd && echo own", SOON)?;
    ensure!(link.contains("own"), "{link}");
    shell.run("ln -s ../outside /mnt/share/up", SOON)?;
    let up = shell.run("cat /mnt/share/up /mnt/share/../outside 2>&1", SOON)?;
    ensure!(!up.contains("only-on-the-host"), "{up}");
    let device = shell.run("mknod /mnt/share/disk b 8 0 2>&1 || echo refused", SOON)?;
    ensure!(device.contains("refused"), "a device of the host: {device}");
    Ok(())
}

/// A guest shares a directory with the host, over a reset; what cannot be served is said before the start.
pub fn exchanges(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let ssh = appliance.ssh();
    let guest = Guest::create_vm(&api, VMID, &[("virtiofs0", "test-share,cache=never")])?;
    let end = refused_start(&api, guest)?;
    ensure!(end.contains("virtiofs0") && end.contains(MAPPING), "{end}");

    let own = format!("node={NODE},path=/etc/ssh");
    let wrong = refusal(api.post(MAPPINGS, &[("id", MAPPING), ("map", &own)]))?;
    let named = wrong.errors.iter().any(|(parameter, _)| parameter == "map");
    ensure!(named, "{wrong:?}");
    let map = format!("node={NODE},path={DIRECTORY}");
    api.post(MAPPINGS, &[("id", MAPPING), ("map", &map)])?;
    let end = refused_start(&api, guest)?;
    ensure!(
        end.contains("virtiofs0") && end.contains(DIRECTORY),
        "{end}"
    );

    prepare(&ssh)?;
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    exchange(&ssh, &mut shell)?;

    let suspend = format!("{}/status/suspend", guest.path());
    let refused = api.post(&suspend, &[("todisk", "1")]);
    let refused = refused.err().map(|error| format!("{error:#}"));
    let refused = refused.unwrap_or_default();
    ensure!(refused.contains("virtiofs0"), "suspended: {refused}");

    // The machine is built anew, with the same server.
    guest.power(&api, "reset")?;
    shell.wait("Linux version", BOOT_LIMIT)?;
    shell.shell(BOOT_LIMIT)?;
    shell.run("modprobe virtiofs", SOON)?;
    let again = format!("mount -t virtiofs {MAPPING} /mnt/share && cat /mnt/share/guest");
    let again = shell.run(&again, SOON)?;
    ensure!(again.contains("from the guest"), "{again}");
    drop(shell);

    guest.power(&api, "stop")?;
    ssh.run(&format!(
        "timeout {} sh -c 'while systemctl is-active --quiet {SERVER}; do sleep 1; done'",
        SOON.as_secs()
    ))?;
    guest.delete(&api)?;
    api.delete(&format!("{MAPPINGS}/{MAPPING}"))?;
    ssh.run(&format!("rm -r {DIRECTORY} /srv/outside"))?;
    appliance.done();
    Ok(())
}
