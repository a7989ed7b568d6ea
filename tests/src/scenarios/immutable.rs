//! The root cannot be changed: not by root, not for the next boot, not on the disk; and it holds only
//! what a host needs.

use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Writes below /usr fail, and what is written below /etc is gone after a reboot.
pub fn read_only(lab: &mut Lab<'_>) -> Result<()> {
    let mut appliance = lab.appliance()?;
    let ssh = appliance.ssh();
    for line in [
        "touch /usr/trespass",
        "echo x >> /usr/lib/basalt/basalt-node",
        "mount -o remount,rw /usr",
        "mount -o remount,rw / && touch /usr/trespass",
    ] {
        let output = ssh.output(line)?;
        ensure!(!output.status.success(), "`{line}` succeeded");
    }
    // Whether this one succeeds does not matter, only that nothing of it is left.
    ssh.output("echo trespass > /etc/trespass; echo trespass >> /etc/passwd")?;
    appliance.reboot()?;
    let left = appliance
        .ssh()
        .output("ls /etc/trespass; grep trespass /etc/passwd")?;
    ensure!(
        left.stdout.is_empty(),
        "something in /etc survived: {}",
        String::from_utf8_lossy(&left.stdout)
    );
    appliance.done();
    Ok(())
}

/// No compiler, package manager, interpreter or documentation but the pages of our own command; one locale; and a bill of materials
/// that names every package.
pub fn contents(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let ssh = appliance.ssh();
    let tools = ssh.output(
        "for tool in cc gcc as ld make dpkg apt apt-get perl python3; do command -v $tool; done",
    )?;
    let tools = String::from_utf8_lossy(&tools.stdout).into_owned();
    ensure!(tools.is_empty(), "the root has {tools}");
    let documents = ssh.run(
        "find /usr/share/doc ! -type d ! -name copyright; \
         find /usr/share/info /usr/share/locale -mindepth 1 2> /dev/null | head -n 5; \
         find /usr/share/man ! -type d ! -name 'basalt*.1' ! -name 'qm.1' ! -name 'pct.1' ! -name 'pve*.1'",
    )?;
    ensure!(documents.is_empty(), "the root has {documents}");
    let locales = ssh.run("locale -a; ls /usr/lib/locale")?;
    ensure!(
        locales.split_whitespace().collect::<Vec<_>>() == ["C", "C.utf8", "POSIX", "C.utf8"],
        "the root has the locales {locales}"
    );
    let document: Value = serde_json::from_str(&ssh.run("cat /usr/share/basalt/sbom.spdx.json")?)?;
    let packages = document["packages"].as_array().context("no packages")?;
    let installed = ssh.run("sed -n 's/^Package: //p' /usr/lib/sysimage/dpkg/status")?;
    ensure!(installed.lines().count() > 50, "the record is {installed}");
    for name in installed.lines().chain(["tokio", "react"]) {
        ensure!(
            packages.iter().any(|package| package["name"] == name),
            "the bill of materials lacks {name}"
        );
    }
    ssh.run("grep -q 'Apache License' /usr/share/basalt/licences/cargo.txt")?;
    appliance.done();
    Ok(())
}

/// The programs of network storage find all their libraries, and the kernel its modules.
pub fn storage(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let ssh = appliance.ssh();
    let lacking = ssh.run(
        "for file in /usr/bin/rbd /usr/sbin/mount.ceph /usr/sbin/mount.nfs /usr/sbin/mount.cifs \
         /usr/bin/iscsiadm /usr/sbin/iscsid /usr/sbin/iscsi-iname /usr/sbin/zpool \
         $(find /usr/lib/*/ceph /usr/lib/*/glusterfs -type f -name '*.so*'); do \
             /lib64/ld-linux-x86-64.so.2 --list $file > /run/list 2>&1 || echo $file fails; \
             sed -n \"s|not found|not found, for $file|p\" /run/list; \
         done",
    )?;
    ensure!(lacking.is_empty(), "{lacking}");
    for program in [
        "rbd --version",
        "mount.nfs -V",
        "mount.cifs -V",
        "iscsiadm --version",
        "glusterfs --version",
    ] {
        ssh.run(program)?;
    }
    ssh.run("modprobe --all rbd ceph nfsv3 nfsv4 cifs iscsi_tcp fuse")?;
    appliance.done();
    Ok(())
}

/// One flipped byte in the root partition, and the system refuses to run from it.
pub fn flipped_byte(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let ssh = appliance.ssh();
    let version = ssh.run(". /etc/os-release; echo $IMAGE_VERSION")?;
    let partition = format!("/dev/disk/by-partlabel/basalt_{version}");
    // Inside the file system's superblock, which every boot reads.
    let read = format!("dd if={partition} bs=1 skip=1040 count=1 status=none | od -An -tu1");
    let byte: u8 = ssh.run(&read)?.trim().parse().context("no byte")?;
    let octal = format!("{:03o}", byte ^ 0x10);
    ssh.run(&format!(
        "printf '\\{octal}' | dd of={partition} bs=1 seek=1040 conv=notrunc,fsync status=none"
    ))?;
    let now: u8 = ssh
        .run(&format!("blockdev --flushbufs {partition}; {read}"))?
        .trim()
        .parse()?;
    ensure!(now == byte ^ 0x10, "the byte was not flipped");
    let _ = ssh.output("systemctl reboot")?;
    ssh.close();
    appliance
        .wait_serial("is corrupted", appliance.limit())
        .context("dm-verity did not report the flipped byte")?;
    ensure!(
        appliance.node.log().text().contains("verity"),
        "something else reported corruption"
    );
    appliance.wait_serial("Kernel panic - not syncing", appliance.limit())?;
    appliance.done();
    Ok(())
}
