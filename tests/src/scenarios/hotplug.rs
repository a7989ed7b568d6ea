//! Devices that come to a running virtual machine, and go: a disk and a network card, and the same
//! after the machine was suspended to disk and went on. The card's cable is pulled and ends elsewhere.

use crate::api::{Api, refusal};
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest};
use crate::lab::{Guarded, Lab};
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use serde_json::Value;
use std::time::Duration;

const VMID: u32 = 172;
const MIB: u64 = 1 << 20;
/// Longest time for a command in the guest.
const SOON: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// All of it in one guest.
pub fn life(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let guest = Guest::create_vm(&api, VMID, &[])?;
    guest.power(&api, "start")?;
    let mut shell = quiet_shell(&api, guest)?;
    shell.run("modprobe -a virtio_blk virtio_net", SOON)?;

    set(
        &api,
        guest,
        &[("scsi1", "local:1"), ("net1", "virtio,bridge=vmbr0")],
    )?;
    nothing_waits(&api, guest)?;
    let card = address(&api, guest, "net1")?;
    appears(&mut shell, &disk_is("vdb", 1024 * MIB), "the new disk")?;
    appears(&mut shell, &card_is(&card), "the new network card")?;
    let commands = "mkfs.ext4 -q /dev/vdb && mount /dev/vdb /mnt && \
                    dd if=/dev/urandom of=/mnt/a bs=1M count=8 status=none && \
                    sha256sum /mnt/a >/mnt/sum && umount /mnt && echo 3 >/proc/sys/vm/drop_caches";
    shell.run(commands, SOON)?;
    let check = "mount /dev/vdb /mnt && sha256sum -c /mnt/sum && umount /mnt";
    let said = shell.run(check, SOON)?;
    ensure!(said.contains("/mnt/a: OK"), "{said}");

    let cable = Cable {
        appliance: &appliance,
        api: &api,
        guest,
        card: &card,
    };
    cable.moves(&mut shell)?;
    let mut shell = over_a_suspension(&api, guest, shell)?;
    let said = shell.run(check, SOON)?;
    ensure!(said.contains("/mnt/a: OK"), "after a suspension: {said}");
    appears(&mut shell, &card_is(&card), "the card after a suspension")?;
    cable.is_back(&mut shell)?;

    gone(&appliance, &api, guest, &mut shell, &card)?;
    back_and_waiting(&api, guest, &mut shell)?;
    guest.power(&api, "stop")?;
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

/// The cable of `net1`.
struct Cable<'a> {
    appliance: &'a Guarded,
    api: &'a Api,
    guest: Guest,
    /// The card's address.
    card: &'a str,
}

impl Cable<'_> {
    /// It ends on another bridge, is pulled, and not plugged into what is not there.
    fn moves(&self, shell: &mut Console) -> Result<()> {
        let ssh = self.appliance.ssh();
        ssh.run("ip link add vmbr7 type bridge && ip link set vmbr7 up")?;
        let up = "for card in /sys/class/net/*; do ip link set ${card##*/} up; done";
        shell.run(up, SOON)?;
        self.is("1", shell)?;
        self.set("bridge=vmbr7")?;
        nothing_waits(self.api, self.guest)?;
        ensure!(self.bridge()? == "vmbr7", "it ends on {}", self.bridge()?);
        let refused = refusal(self.set("bridge=vmbr77"))?;
        let why = refused.errors.iter().find(|(key, _)| *key == "net1");
        ensure!(
            why.is_some_and(|(_, why)| why.contains("vmbr77")),
            "{refused:?}"
        );
        nothing_waits(self.api, self.guest)?;
        ensure!(self.bridge()? == "vmbr7", "it ends on {}", self.bridge()?);
        self.is("1", shell)?;
        self.set("bridge=vmbr7,link_down=1")?;
        nothing_waits(self.api, self.guest)?;
        ensure!(self.bridge()?.is_empty(), "it ends on {}", self.bridge()?);
        self.is("0", shell)
    }

    /// It is still pulled, and plugged in again.
    fn is_back(&self, shell: &mut Console) -> Result<()> {
        self.is("0", shell)?;
        self.set("bridge=vmbr0")?;
        ensure!(self.bridge()? == "vmbr0", "it ends on {}", self.bridge()?);
        self.is("1", shell)
    }

    fn set(&self, end: &str) -> Result<()> {
        let card = format!("virtio={},{end}", self.card);
        set(self.api, self.guest, &[("net1", &card)])
    }

    /// The bridge that it ends on, or nothing.
    fn bridge(&self) -> Result<String> {
        let master = format!("readlink /sys/class/net/tap{VMID}i1/master || true");
        let master = self.appliance.ssh().run(&master)?;
        Ok(master
            .trim()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned())
    }

    /// Waits until the guest knows whether it is plugged in.
    fn is(&self, carrier: &str, shell: &mut Console) -> Result<()> {
        let card = format!(
            "$(dirname $(grep -l {} /sys/class/net/*/address))",
            self.card
        );
        let command = format!("grep -qx {carrier} {card}/carrier");
        appears(shell, &command, &format!("carrier {carrier}"))
    }
}

/// Processors come to a running machine, which goes on with them after a suspension, and go.
pub fn processors(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let settings = [
        ("cores", "2"),
        ("vcpus", "1"),
        ("hotplug", "disk,network,cpu"),
    ];
    let guest = Guest::create_vm(&api, VMID, &settings)?;
    guest.power(&api, "start")?;
    let mut shell = quiet_shell(&api, guest)?;
    appears(&mut shell, &processors_are(1), "its first processor")?;
    set(&api, guest, &[("vcpus", "2")])?;
    nothing_waits(&api, guest)?;
    // The guest's kernel leaves it to its user to use what came.
    let online = "for cpu in /sys/devices/system/cpu/cpu*/online; do echo 1 >$cpu; done";
    appears(
        &mut shell,
        &format!("{online}; {}", processors_are(2)),
        "the new processor",
    )?;
    let mut shell = over_a_suspension(&api, guest, shell)?;
    appears(&mut shell, &processors_are(2), "both after a suspension")?;
    set(&api, guest, &[("vcpus", "1")])?;
    appears(&mut shell, &processors_are(1), "that a processor is gone")?;
    nothing_waits(&api, guest)?;
    let too_many = api.put(&format!("{}/config", guest.path()), &[("vcpus", "3")]);
    ensure!(too_many.is_err(), "three of two processors were taken");
    guest.power(&api, "stop")?;
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

fn processors_are(count: u32) -> String {
    format!("test $(grep -c ^processor /proc/cpuinfo) = {count}")
}

/// A shell between whose lines the kernel does not write when devices come and go.
fn quiet_shell(api: &Api, guest: Guest) -> Result<Console> {
    let mut shell = guest.shell(api)?;
    shell.run("dmesg --console-level 1", SOON)?;
    Ok(shell)
}

fn set(api: &Api, guest: Guest, settings: &[(&str, &str)]) -> Result<()> {
    api.put(&format!("{}/config", guest.path()), settings)?;
    Ok(())
}

fn config(api: &Api, guest: Guest) -> Result<Value> {
    api.get(&format!("{}/config", guest.path()))
}

/// The hardware address of a card, as the guest writes it.
fn address(api: &Api, guest: Guest, key: &str) -> Result<String> {
    let config = config(api, guest)?;
    let card = config[key].as_str().context("there is no such card")?;
    let address = card.strip_prefix("virtio=").unwrap_or(card);
    let address = address.split(',').next().unwrap_or_default();
    Ok(address.to_ascii_lowercase())
}

/// The settings of which another value runs, or that wait for the next start.
fn waiting(api: &Api, guest: Guest) -> Result<Vec<String>> {
    let entries = api.get(&format!("{}/pending", guest.path()))?;
    let entries = entries.as_array().context("no list of settings")?;
    let waits = |entry: &&Value| !entry["pending"].is_null() || !entry["delete"].is_null();
    let keys = entries.iter().filter(waits);
    Ok(keys.map(|entry| entry["key"].to_string()).collect())
}

fn nothing_waits(api: &Api, guest: Guest) -> Result<()> {
    let waiting = waiting(api, guest)?;
    ensure!(waiting.is_empty(), "it waits for a start: {waiting:?}");
    Ok(())
}

fn disk_is(name: &str, bytes: u64) -> String {
    format!("lsblk -bdno SIZE /dev/{name} 2>/dev/null | grep -qx ' *{bytes}'")
}

fn card_is(address: &str) -> String {
    format!("ip -o link | grep -q {address}")
}

/// Waits until a command of the guest succeeds.
fn appears(shell: &mut Console, command: &str, what: &str) -> Result<()> {
    let found = poll::until(SOON, LOOK_AGAIN, || {
        let said = shell.run(&format!("{command} && echo yes || echo no"), SOON)?;
        Ok::<_, anyhow::Error>((said.trim() == "yes").then_some(()))
    })?;
    found.with_context(|| format!("the guest does not see {what}"))
}

fn disappears(shell: &mut Console, command: &str, what: &str) -> Result<()> {
    appears(
        shell,
        &format!("! ( {command} )"),
        &format!("that {what} is gone"),
    )
}

/// Suspends the machine to disk and lets it go on.
fn over_a_suspension(api: &Api, guest: Guest, mut shell: Console) -> Result<Console> {
    // A boot would remove it.
    shell.run("echo here >/run/mark", SOON)?;
    drop(shell);
    let path = format!("{}/status/suspend", guest.path());
    let upid = api.post(&path, &[("todisk", "1")])?;
    api.task(&upid, BOOT_LIMIT).context("suspending to disk")?;
    guest.power(api, "start")?;
    let mut shell = guest.shell(api)?;
    let mark = shell.run("cat /run/mark", SOON)?;
    ensure!(mark.trim() == "here", "it booted anew");
    Ok(shell)
}

/// Both go again, in the guest and on the host, and the volume stays.
fn gone(
    appliance: &Guarded,
    api: &Api,
    guest: Guest,
    shell: &mut Console,
    card: &str,
) -> Result<()> {
    set(api, guest, &[("delete", "scsi1,net1")])?;
    disappears(shell, "test -e /sys/block/vdb", "the disk")?;
    disappears(shell, &card_is(card), "the network card")?;
    nothing_waits(api, guest)?;
    let config = config(api, guest)?;
    ensure!(
        config["unused0"].is_string() && config["scsi1"].is_null() && config["net1"].is_null(),
        "{config}"
    );
    let taps = appliance.ssh().run("ls /sys/class/net")?;
    ensure!(
        taps.contains(&format!("tap{VMID}i0")) && !taps.contains(&format!("tap{VMID}i1")),
        "taps: {taps}"
    );
    // Nobody holds the volume: it comes back as another disk, with what is on it.
    let volume = config["unused0"].as_str().unwrap_or_default();
    set(api, guest, &[("virtio3", volume)])?;
    appears(
        shell,
        &disk_is("vdb", 1024 * MIB),
        "the disk that comes back",
    )?;
    let said = shell.run(
        "mount /dev/vdb /mnt && sha256sum -c /mnt/sum && umount /mnt",
        SOON,
    )?;
    ensure!(said.contains("/mnt/a: OK"), "as another disk: {said}");
    set(api, guest, &[("delete", "virtio3")])?;
    disappears(shell, "test -e /sys/block/vdb", "the disk")?;
    set(api, guest, &[("delete", "unused0")])
}

/// A machine that stands cannot let go of a disk: that waits for the next change. What is wrong
/// changes nothing.
fn back_and_waiting(api: &Api, guest: Guest, shell: &mut Console) -> Result<()> {
    set(api, guest, &[("virtio1", "local:1")])?;
    appears(shell, &disk_is("vdb", 1024 * MIB), "a second new disk")?;
    guest.power(api, "suspend")?;
    set(api, guest, &[("delete", "virtio1")])?;
    let waits = waiting(api, guest)?;
    ensure!(
        waits.iter().any(|key| key.contains("virtio1")),
        "nothing waits: {waits:?}"
    );
    guest.power(api, "resume")?;
    set(api, guest, &[("description", "it runs")])?;
    disappears(shell, "test -e /sys/block/vdb", "the second disk")?;
    nothing_waits(api, guest)?;
    let before = config(api, guest)?;
    let refused = api.put(
        &format!("{}/config", guest.path()),
        &[("net1", "virtio,bridge=vmbr77")],
    );
    ensure!(refused.is_err(), "a card on no bridge was taken");
    ensure!(config(api, guest)? == before, "it changed something");
    Ok(())
}
