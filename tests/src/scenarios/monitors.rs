//! What a monitor keeps of what its guest writes, and a guest that moves from one monitor to another.

use super::suspend::{BRIDGE, COUNTER, ahead, count, goes_on, is_well};
use super::vsock;
use crate::console::Console;
use crate::guest::BOOT_LIMIT;
use crate::lab::Lab;
use crate::monitor::{Monitor, Place};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

const MEMORY_MIB: u64 = 512;
/// A saved state needs so much room beside the memory.
const ROOM_MIB: u64 = 16;
const SOON: Duration = Duration::from_secs(180);
/// What the host knows the guest as, in one monitor and in the other.
const CONTEXTS: [u32; 2] = [2001, 2002];
/// Longest time for the guest to write or read a GiB.
const LONG: Duration = Duration::from_secs(2400);

/// Makes Debian's disk a place where fio runs.
const TOOLS: &str = "mkdir -p /tools && mount -o ro,noload /dev/vdb2 /tools && \
                     mount --rbind /dev /tools/dev && mount -t tmpfs tools /tools/tmp";
/// Writes a part of the disk behind its file system in small pieces, each with its checksum in it, and
/// reads them. Runs with different seeds write something else.
const FIO: &str = "fio --name=part --filename=/dev/vdc --direct=1 --ioengine=libaio --iodepth=16 \
                   --rw=randwrite --bs=16k --offset=1700m --size=512m --end_fsync=1 --verify=crc32c \
                   --verify_fatal=1 --randseed=";
/// What the guest has written to the disk so far, in requests.
const WRITTEN: &str = "written() { set -- $(cat /sys/block/vdc/stat); echo $5; }";
/// A file system that leaves that part alone.
const MKFS: &str = "mkfs.ext4 -q -b 4096 /dev/vdc 409600 && mount /dev/vdc /mnt";

/// What the data is kept in: words for `start`, and how it is made.
struct Kind {
    name: &'static str,
    disk: &'static str,
    make: &'static str,
    has_backing: bool,
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "raw",
        disk: "data.raw",
        make: "rm -f data.* state && truncate -s 2304M data.raw",
        has_backing: false,
    },
    Kind {
        name: "qcow2",
        disk: "data.qcow2,base.raw",
        make: "rm -f data.* state base.raw && truncate -s 2304M base.raw && \
               dd if=/dev/urandom of=base.raw bs=1M count=64 conv=notrunc status=none && sync && \
               chroot tools qemu-img create -q -f qcow2 -b base.raw -F raw /srv/data.qcow2",
        has_backing: true,
    },
];

/// What was written is there: on a raw image and on a qcow2 one above another, over a pause, a saved state
/// and the end of the monitor.
pub fn disks(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let place = Place::set_up(appliance.ssh(), &lab.shared.guests)?;
    for kind in &KINDS {
        keeps(&place, kind).with_context(|| format!("on {}", kind.name))?;
    }
    appliance.done();
    Ok(())
}

/// Starts the guest: anew, or from a state.
fn start(place: &Place, kind: &Kind, restore: Option<&str>) -> Result<Monitor> {
    let restore = match restore {
        Some(state) => format!("--restore {state}"),
        None => {
            // Its own disk has no journal and is not what is tested.
            place.run("cp --sparse=always system.raw own.raw")?;
            String::new()
        }
    };
    let disk = kind.disk;
    place.start(
        "one",
        &format!("--memory {MEMORY_MIB} --disk own.raw --disk tools.raw --disk {disk} {restore}"),
    )
}

fn keeps(place: &Place, kind: &Kind) -> Result<()> {
    place.run(kind.make)?;
    let below = |place: &Place| match kind.has_backing {
        true => place.run("sha256sum base.raw"),
        false => Ok(String::new()),
    };
    let base = below(place)?;
    let mut monitor = start(place, kind, None)?;
    let mut shell = booted(&mut monitor)?;
    if kind.has_backing {
        let read = shell.run("sha256sum </dev/vdc", LONG)?;
        let (sum, _) = base.split_once(' ').context("no checksum")?;
        ensure!(
            read.starts_with(sum),
            "what is below reads as {read}, not {sum}"
        );
    }
    fio(&mut shell, "1")?;
    fill(&mut shell)?;
    println!("{}: written and read", kind.name);

    begin_fio(&mut shell, 2)?;
    monitor.ask("\"pause\"", None)?;
    monitor.is("paused")?;
    monitor.ask("\"resume\"", None)?;
    end_fio(&mut shell).context("over a pause")?;

    begin_fio(&mut shell, 3)?;
    place.run(&format!(
        "rm -f state && truncate -s {}M state",
        MEMORY_MIB + ROOM_MIB
    ))?;
    monitor.ask("\"save\"", Some("state"))?;
    monitor.quit()?;
    let mut monitor = start(place, kind, Some("state"))?;
    let mut shell = monitor.console()?;
    monitor.ask_when_there("\"resume\"")?;
    shell.shell(SOON)?;
    end_fio(&mut shell).context("over a saved state")?;
    check(&mut shell, "sums").context("over a saved state")?;
    println!("{}: the same after a pause and from a state", kind.name);

    synced(&mut shell)?;
    monitor.kill()?;
    if kind.has_backing {
        is_sound(place)?;
    }
    let mut monitor = start(place, kind, None)?;
    let mut shell = booted(&mut monitor)?;
    shell.run("mount /dev/vdc /mnt", SOON)?;
    check(&mut shell, "sums").context("after the monitor was killed")?;
    check(&mut shell, "synced").context("after the monitor was killed")?;
    sound(&mut shell)?;
    fio(&mut shell, "3 --verify_only").context("after the monitor was killed")?;
    monitor.quit()?;
    ensure!(below(place)? == base, "the image below was written to");
    println!("{}: the same after the monitor was killed", kind.name);
    Ok(())
}

/// The guest's shell, and fio in it.
fn booted(monitor: &mut Monitor) -> Result<Console> {
    let mut shell = monitor.console()?;
    shell.shell(BOOT_LIMIT)?;
    shell.run("dmesg --console-level 1", SOON)?;
    shell.run(TOOLS, SOON)?;
    Ok(shell)
}

/// Has fio run on Debian's disk; `/run/fio` has what it said, and how it ended.
fn in_tools(seed: &str) -> String {
    format!(
        "rm -f /run/fio; chroot /tools sh -c 'cd /tmp && {FIO}{seed}' >/run/fio.log 2>&1; end=$?; \
         echo \"$(tail -n 3 /run/fio.log) fio: $end\" >/run/fio.new; mv /run/fio.new /run/fio"
    )
}

fn fio(shell: &mut Console, seed: &str) -> Result<()> {
    shell.run(&in_tools(seed), LONG)?;
    end_fio(shell)
}

/// Starts fio and waits until it writes.
fn begin_fio(shell: &mut Console, seed: u32) -> Result<()> {
    let run = in_tools(&seed.to_string());
    let said = shell.run(
        &format!(
            "{WRITTEN}; before=$(written); rm -f /run/fio; {{ ({run}) & }}; \
             until test $(written) -gt $((before+20)); do sleep 0.2; done; test ! -e /run/fio || echo too late"
        ),
        SOON,
    )?;
    ensure!(!said.contains("too late"), "fio ended at once: {said}");
    Ok(())
}

fn end_fio(shell: &mut Console) -> Result<()> {
    let said = shell.run(
        "until test -e /run/fio; do sleep 1; done; cat /run/fio",
        LONG,
    )?;
    ensure!(said.ends_with("fio: 0"), "{said}");
    Ok(())
}

/// Makes a file system with a GiB of files, which are the same when they are read from the disk.
fn fill(shell: &mut Console) -> Result<()> {
    shell.run(MKFS, SOON)?;
    shell.run(
        "for n in $(seq 64); do dd if=/dev/urandom of=/mnt/$n bs=1M count=16 status=none; done; sync",
        LONG,
    )?;
    shell.run("cd /mnt && sha256sum [0-9]* >sums; sync; cd /", LONG)?;
    sound(shell)?;
    shell.run("mount /dev/vdc /mnt", SOON)?;
    check(shell, "sums")
}

/// The file system is taken off, and is in order.
fn sound(shell: &mut Console) -> Result<()> {
    let said = shell.run(
        "umount /mnt; e2fsck -fn /dev/vdc >/run/fsck 2>&1; echo fsck: $?",
        LONG,
    )?;
    ensure!(said.ends_with("fsck: 0"), "{said}");
    Ok(())
}

/// The files of a list are what they were, read from the disk.
fn check(shell: &mut Console, list: &str) -> Result<()> {
    let said = shell.run(
        &format!(
            "echo 3 >/proc/sys/vm/drop_caches; cd /mnt; test $(wc -l <{list}) -ge 32 && \
             sha256sum --quiet -c {list}; echo sums: $?; cd /"
        ),
        LONG,
    )?;
    ensure!(said.ends_with("sums: 0"), "{said}");
    Ok(())
}

/// Writes files that are on the disk before this returns, while another one is written that is not.
fn synced(shell: &mut Console) -> Result<()> {
    shell.run(
        "{ (while :; do dd if=/dev/zero of=/mnt/more bs=1M count=64 status=none; done) & }; cd /mnt; \
         for n in $(seq 32); do dd if=/dev/urandom of=s$n bs=64k count=$n conv=fsync status=none; done; \
         sha256sum s[0-9]* >synced; sync synced .; cd /",
        LONG,
    )?;
    Ok(())
}

/// A qcow2 image is in order but for clusters that nobody uses, or is put in order.
fn is_sound(place: &Place) -> Result<()> {
    let check = "chroot tools qemu-img check -f qcow2";
    let said = place.run(&format!("{check} /srv/data.qcow2; echo check: $?"))?;
    println!("qemu-img check: {}", said.replace('\n', "; "));
    if !(said.ends_with("check: 0") || said.ends_with("check: 3")) {
        place.run(&format!("{check} -q -r all /srv/data.qcow2"))?;
    }
    Ok(())
}

/// A guest that counts and writes its memory and its disk goes on in another monitor. Its connections to
/// programs of the host end, since those are another host's now; new ones are made in its new name.
pub fn moves(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let ssh = appliance.ssh();
    let place = Place::set_up(appliance.ssh(), &lab.shared.guests)?;
    place.run(
        "modprobe -q tun; cp --sparse=always system.raw own.raw && truncate -s 2304M data.raw && \
         for n in 1 2; do ip tuntap add dev move$n mode tap vnet_hdr && \
         ip link set move$n master vmbr0 up; done",
    )?;
    let machine = |tap: &str, context: u32| {
        format!(
            "--memory {MEMORY_MIB} --disk own.raw --disk tools.raw --disk data.raw --tap {tap} --vsock {context}"
        )
    };
    vsock::echoes(&ssh)?;
    let mut source = place.start("one", &machine("move1", CONTEXTS[0]))?;
    let mut shell = booted(&mut source)?;
    let bridge = ssh.run(BRIDGE)?;
    shell.run(COUNTER, SOON)?;
    let reached = format!("until ping -c 1 -W 2 {bridge}; do sleep 1; done");
    shell.run(&reached, BOOT_LIMIT)?;
    let ahead = ahead(&ssh, &mut shell)?;
    vsock::reaches_the_host(&mut shell, CONTEXTS[0])?;
    vsock::holds_a_connection(&mut shell)?;
    let mut target = place.start(
        "two",
        &format!(
            "{} --incoming two/incoming.sock",
            machine("move2", CONTEXTS[1])
        ),
    )?;
    place.run("until test -S two/incoming.sock; do sleep 0.2; done")?;
    shell.run(
        "{ (while :; do dd if=/dev/urandom of=/dev/shm/memory bs=64k count=128 status=none; sleep 0.1; \
         done) & }",
        SOON,
    )?;
    begin_fio(&mut shell, 1)?;
    let before = count(&mut shell)?;

    let moved = source.ask(
        "{\"migrate\":{\"downtime_ms\":300}}",
        Some("two/incoming.sock"),
    )?;
    let moved = &moved["moved"];
    let figure = |key: &str| {
        moved[key]
            .as_u64()
            .with_context(|| format!("no {key}: {moved}"))
    };
    println!(
        "moved in {} rounds, {} MiB, downtime {} ms",
        figure("rounds")?,
        figure("bytes")? >> 20,
        figure("downtime_ms")?
    );
    source.is("paused")?;
    let mut shell = target.console()?;
    shell.shell(SOON)?;
    target.is("running")?;
    goes_on(&mut shell, before)?;
    is_well(&ssh, &mut shell, &ahead, &bridge)?;
    vsock::connection_has_ended(&mut shell)?;
    vsock::reaches_the_host(&mut shell, CONTEXTS[1])?;
    end_fio(&mut shell)?;
    source.quit()?;
    goes_on(&mut shell, before)?;
    target.quit()?;
    appliance.done();
    Ok(())
}
