//! A healthy appliance, and what its guests see and may do.

use crate::api::Api;
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::https::Body;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Nothing failed, the gateway has no privileges, and the web interface is served.
pub fn healthy(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let ssh = appliance.ssh();
    let failed = ssh.run("systemctl list-units --failed --plain --no-legend")?;
    ensure!(failed.is_empty(), "units have failed:\n{failed}");
    ssh.run("systemctl is-active boot-complete.target basalt-node.service basalt-gateway.service basalt-init.service")?;

    let pid = ssh.run("systemctl show --property=MainPID --value basalt-gateway.service")?;
    let status = ssh.run(&format!("cat /proc/{pid}/status"))?;
    for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        ensure!(
            status.contains(line),
            "the gateway lacks `{line}`:\n{status}"
        );
    }
    ensure!(!status.contains("Uid:\t0"), "the gateway runs as root");

    let api = appliance.api()?;
    let version = api.get("/version")?;
    ensure!(version["version"].is_string(), "no version in {version}");
    let page = api.client().request("GET", "/", &[], Body::Empty)?;
    let html = String::from_utf8_lossy(&page.body);
    ensure!(
        page.status == 200 && html.contains("<div id=\"root\""),
        "no web interface: {html}"
    );
    let nodes = api.get("/nodes")?;
    ensure!(
        nodes[0]["status"] == "online",
        "the node is not online: {nodes}"
    );
    appliance.done();
    Ok(())
}

/// Makes a container's volume larger, and waits for it.
fn grow(api: &Api, ct: Guest, size: &str) -> Result<()> {
    let path = format!("{}/resize", ct.path());
    let upid = api.put(&path, &[("disk", "rootfs"), ("size", size)])?;
    api.task(&upid, MINUTE)
}

/// What the root file system of a container has, in MiB.
fn root_size(console: &mut Console) -> Result<u64> {
    let said = console.run("df -m --output=size / | tail -n 1", MINUTE)?;
    let size = said.trim().parse();
    size.with_context(|| format!("no size: {said}"))
}

/// Both guests boot, run the kernel and the systemd they should, reach the bridge, are confined,
/// and leave nothing behind.
pub fn guests(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let ssh = appliance.ssh();
    let before = ssh.run(VOLUMES)?;
    let vm = Guest::create_vm(&api, 100, &[])?;
    let ct = Guest::create_ct(
        &api,
        101,
        &[
            ("nameserver", "192.0.2.53"),
            ("searchdomain", "example.org"),
        ],
    )?;
    grow(&api, ct, "1536M")?;
    ct.power(&api, "start")?;
    vm.power(&api, "start")?;
    let bridge = ssh.run("ip -4 -o addr show dev vmbr0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'")?;

    let mut console = ct.shell(&api)?;
    let state = console.run("systemctl is-system-running --wait", BOOT_LIMIT)?;
    ensure!(state == "running", "systemd in the container is {state}");
    console.run(
        &format!("until ping -c 1 -W 2 {bridge}; do sleep 1; done"),
        BOOT_LIMIT,
    )?;
    let resolver = console.run("cat /etc/resolv.conf", MINUTE)?;
    ensure!(
        resolver.contains("search example.org") && resolver.contains("nameserver 192.0.2.53"),
        "the container asks others for names: {resolver}"
    );
    let map = console.run("cat /proc/self/uid_map", MINUTE)?;
    let first = map.split_whitespace().nth(1).context("no id map")?;
    ensure!(
        first.parse::<u32>()? >= 100_000,
        "the container's root is not unprivileged: {map}"
    );
    let limits =
        ssh.run("cat $(find /sys/fs/cgroup -path '*basalt-ct-101.service*' -name memory.max)")?;
    let limit = (256_u64 << 20).to_string();
    ensure!(
        limits.lines().any(|line| line == limit),
        "no memory limit among {limits:?}"
    );

    let small = root_size(&mut console)?;
    ensure!(small > 1350, "the container has {small} MiB of 1536");
    grow(&api, ct, "+512M")?;
    let large = root_size(&mut console)?;
    ensure!(
        large > small + 450,
        "the running container has {large} MiB, had {small}"
    );
    let size = &api.get(&format!("{}/config", ct.path()))?["rootfs"];
    ensure!(size.to_string().contains("size=2G"), "{size}");

    let mut console = vm.shell(&api)?;
    let kernel = console.run("uname -r", MINUTE)?;
    ensure!(
        kernel.contains("cloud-amd64"),
        "the virtual machine runs {kernel}"
    );
    console.run(
        &format!("until ping -c 1 -W 2 {bridge}; do sleep 1; done"),
        BOOT_LIMIT,
    )?;
    let pid = ssh.run("systemctl show --property=MainPID --value basalt-vm-100.service")?;
    let status = ssh.run(&format!("cat /proc/{pid}/status"))?;
    for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        ensure!(
            status.contains(line),
            "the monitor lacks `{line}`:\n{status}"
        );
    }
    ensure!(!status.contains("Uid:\t0"), "the monitor runs as root");

    for guest in [vm, ct] {
        guest.power(&api, "shutdown")?;
        ensure!(
            !guest.runs(&api)?,
            "{guest:?} still runs after its shutdown"
        );
        guest.delete(&api)?;
    }
    let after = ssh.run(VOLUMES)?;
    ensure!(before == after, "volumes were left behind:\n{after}");
    let links = ssh.run("ls /sys/class/net")?;
    ensure!(
        !links.contains("tap100") && !links.contains("veth101"),
        "links were left behind: {links}"
    );
    appliance.done();
    Ok(())
}

/// Every file of the storage `local`.
const VOLUMES: &str = "find /var/lib/vz -type f | sort";
